//! Every code of a finding is documented in `docs/findings.md`, and nothing else is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Calls whose first argument is a code. The last are the core's own shorthands.
const EVERYWHERE: &[&str] = &["Finding::error(", "Finding::warning("];
const IN_THE_CORE: &[&str] = &[".error(", "say(", "severity(", "refuse(", "warn("];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The literals that follow `call`, as far as they look like a code.
fn literals(text: &str, call: &str) -> BTreeSet<String> {
    let first = text
        .split(call)
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    let fits = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    first
        .filter(|text| !text.is_empty() && text.chars().all(fits))
        .map(str::to_owned)
        .collect()
}

fn used() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for member in ["core", "runtime", "cli"] {
        let mut files = Vec::new();
        sources(&root().join("crates").join(member).join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(file).expect("a source file");
            let calls = EVERYWHERE
                .iter()
                .chain(if member == "core" { IN_THE_CORE } else { &[] });
            calls.for_each(|call| codes.extend(literals(&text, call)));
        }
    }
    codes
}

fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/findings.md")).expect("the page");
    let mut codes = BTreeSet::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (code, rest) = row.split_once("` | ").expect("a code, then its cause");
        assert_eq!(rest.matches(" | ").count(), 1, "`{code}` has a cause and a remedy");
        assert!(codes.insert(code.to_owned()), "`{code}` is documented twice");
    }
    codes
}

#[test]
fn every_code_is_documented_and_every_documented_code_is_used() {
    let (used, documented) = (used(), documented());
    assert!(used.len() > 30, "codes are found in the sources: {used:?}");
    let missing: Vec<_> = used.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/findings.md: {missing:?}");
    let unused: Vec<_> = documented.difference(&used).collect();
    assert!(unused.is_empty(), "in docs/findings.md and in no source: {unused:?}");
}
