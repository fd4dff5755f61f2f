//! Rules about dependencies: their versions stand in one place, each is used, and all come from the one public registry.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};

use crate::{File, assert_none, files};

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// The manifests of the crates and of the chores, by folder.
fn manifests(files: &[File]) -> BTreeMap<&str, &File> {
    let member = |path: &str| path.starts_with("crates/") || path.starts_with("xtask/");
    let folder = |file: &'_ File| file.path.strip_suffix("/Cargo.toml").map(str::len);
    files
        .iter()
        .filter(|file| member(&file.path))
        .filter_map(|file| Some((&file.path[..folder(file)?], file)))
        .collect()
}

/// The dependencies of a manifest: name, and whether it takes all it says from the workspace.
fn dependencies(manifest: &File) -> Vec<(String, bool)> {
    let parsed = DeTable::parse(&manifest.text).unwrap_or_else(|error| panic!("{}: {error}", manifest.path));
    let mut found = Vec::new();
    let tables = KINDS
        .iter()
        .filter_map(|kind| parsed.get_ref().get(*kind)?.get_ref().as_table());
    for (name, value) in tables.flatten() {
        let from_workspace = match value.get_ref() {
            DeValue::Table(table) => table.contains_key("workspace") && !table.contains_key("version"),
            _ => false,
        };
        found.push((name.get_ref().to_string(), from_workspace));
    }
    found
}

fn of_workspace(files: &[File]) -> BTreeSet<String> {
    let root = files
        .iter()
        .find(|file| file.path == "Cargo.toml")
        .expect("a workspace");
    let parsed = DeTable::parse(&root.text).expect("a manifest");
    let workspace = parsed.get_ref()["workspace"].get_ref().as_table().expect("a table");
    let dependencies = workspace["dependencies"].get_ref().as_table().expect("a table");
    dependencies.keys().map(|name| name.get_ref().to_string()).collect()
}

#[test]
fn versions_stand_in_the_root() {
    let files = files();
    let mut wrong = Vec::new();
    for manifest in manifests(&files).values() {
        let own = dependencies(manifest)
            .into_iter()
            .filter(|(_, from_workspace)| !from_workspace);
        wrong.extend(own.map(|(name, _)| format!("{}: {name}", manifest.path)));
    }
    assert_none(
        "a crate says `name.workspace = true`; the version stands in the root",
        wrong,
    );
}

#[test]
fn each_dependency_of_the_workspace_is_used() {
    let files = files();
    let used: BTreeSet<String> = manifests(&files)
        .values()
        .flat_map(|manifest| dependencies(manifest))
        .map(|(name, _)| name)
        .collect();
    let idle = of_workspace(&files)
        .into_iter()
        .filter(|name| !used.contains(name))
        .collect();
    assert_none("no crate uses it: take it out of the root manifest", idle);
}

#[test]
fn each_dependency_of_a_crate_is_used() {
    let files = files();
    let mut wrong = Vec::new();
    for (folder, manifest) in manifests(&files) {
        let code: Vec<&File> = files
            .iter()
            .filter(|file| file.path.starts_with(&format!("{folder}/")) && file.path.ends_with(".rs"))
            .collect();
        for (name, _) in dependencies(manifest) {
            // Packages whose library has another name.
            let krate = match name.as_str() {
                "md-5" => "md5".to_owned(),
                name => name.replace('-', "_"),
            };
            let needles = [
                format!("{krate}::"),
                format!("use {krate}"),
                format!("extern crate {krate}"),
            ];
            if !code
                .iter()
                .any(|file| needles.iter().any(|needle| file.text.contains(needle.as_str())))
            {
                wrong.push(format!("{}: {name}", manifest.path));
            }
        }
    }
    assert_none("the crate's code never names it: take it out of its manifest", wrong);
}

#[test]
fn packages_come_from_the_public_registry() {
    let files = files();
    let lock = files
        .iter()
        .find(|file| file.path == "Cargo.lock")
        .expect("a lock file");
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let foreign = lock
        .lines()
        .filter(|(_, line)| line.starts_with("source = ") && *line != public);
    assert_none(
        "dependencies come from crates.io",
        foreign.map(|(_, line)| line.to_owned()).collect(),
    );

    // A mirror is a matter of the machine, and is configured there.
    let mirrors = ["index-url", "trusted-host", "replace-with", "find-links"];
    let configures = |file: &&File| {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        (name.starts_with("requirements") && name.ends_with(".txt"))
            || file.path == ".cargo/config.toml"
            || name == "pip.conf"
    };
    let mut wrong = Vec::new();
    for file in files.iter().filter(configures) {
        let lines = file
            .lines()
            .filter(|(_, line)| mirrors.iter().any(|mirror| line.contains(mirror)));
        wrong.extend(lines.map(|(number, line)| format!("{}:{number}: {line}", file.path)));
    }
    assert_none("the repository names no mirror", wrong);
}
