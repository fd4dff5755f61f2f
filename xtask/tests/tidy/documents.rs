//! Rules about what is written for people: the map names every crate, decisions are numbered, examples explain themselves.

use std::collections::BTreeSet;

use crate::{File, assert_none, files, root};

fn document(files: &[File], path: &str) -> String {
    let file = files.iter().find(|file| file.path == path);
    file.unwrap_or_else(|| panic!("{path} is missing")).text.clone()
}

#[test]
fn decisions_are_numbered_without_gaps() {
    let files = files();
    let mut wrong = Vec::new();
    let mut names: Vec<&str> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("docs/decisions/"))
        .collect();
    names.sort_unstable();
    for (index, name) in names.iter().enumerate() {
        let number = format!("{:03}", index + 1);
        let rest = name
            .strip_prefix(&format!("{number}-"))
            .and_then(|rest| rest.strip_suffix(".md"));
        let title_number = document(&files, &format!("docs/decisions/{name}"));
        if rest.is_none_or(str::is_empty) || !title_number.starts_with(&format!("# {number}: ")) {
            wrong.push(format!(
                "{name}: expected `{number}-<title>.md`, opening with `# {number}: `"
            ));
        }
    }
    assert!(!names.is_empty(), "there are decisions");
    assert_none("decisions are numbered in a row, in name and title", wrong);
}

#[test]
fn the_changelog_has_a_place_for_what_comes() {
    let changelog = document(&files(), "CHANGELOG.md");
    assert!(
        changelog.lines().any(|line| line == "## [Unreleased]"),
        "CHANGELOG.md has no `## [Unreleased]`"
    );
}

#[test]
fn the_map_names_every_crate_and_no_other() {
    let files = files();
    let architecture = document(&files, "ARCHITECTURE.md");
    let map = architecture
        .split("## Code map")
        .nth(1)
        .expect("a code map")
        .split("\n## ")
        .next()
        .unwrap_or_default();
    let named: BTreeSet<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(place, _)| place.trim_end_matches('/'))
        .collect();
    let gone = named
        .iter()
        .filter(|place| !root().join(place).exists())
        .map(|place| (*place).to_owned())
        .collect();
    assert_none("the code map names what does not exist", gone);
    let crates = files.iter().filter_map(|file| file.path.strip_suffix("/Cargo.toml"));
    let on_map = |krate: &str| {
        named
            .iter()
            .any(|place| *place == krate || place.starts_with(&format!("{krate}/")))
    };
    assert_none(
        "the code map lacks a crate",
        crates.filter(|krate| !on_map(krate)).map(str::to_owned).collect(),
    );
}

#[test]
fn examples_run_and_explain_themselves() {
    let files = files();
    let examples: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("examples/")?.split_once('/'))
        .map(|(name, _)| name)
        .collect();
    let mut wrong = Vec::new();
    for name in examples {
        for file in ["kingtide.toml", "README.md"] {
            if !files
                .iter()
                .any(|known| known.path == format!("examples/{name}/{file}"))
            {
                wrong.push(format!("examples/{name} has no {file}"));
            }
        }
    }
    assert_none("an example has its project file and says what it shows", wrong);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let files = files();
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (start, _) in file.text.match_indices("](") {
            let target = file.text[start + 2..]
                .split([')', '#', ' ', '\n'])
                .next()
                .unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !root().join(folder).join(target).exists() {
                wrong.push(format!("{}: {target}", file.path));
            }
        }
    }
    assert_none("a link leads nowhere", wrong);
}
