//! Rules about code: size, names, and words that have no place in it.

use crate::{File, assert_none, files};

const MAX_LINES: usize = 400;
/// Longer for a reason, which stands here.
const LONGER: &[(&str, &str)] = &[];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = [
    "utils", "util", "common", "manager", "helpers", "helper", "misc", "shared",
];

fn rust() -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn sources() -> Vec<File> {
    files().into_iter().filter(File::is_source).collect()
}

/// `path:line: what`, for every line of code that holds one of the needles.
fn found(files: &[File], needles: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        for (number, line) in file.code() {
            wrong.extend(
                needles
                    .iter()
                    .filter(|needle| line.contains(**needle))
                    .map(|needle| format!("{}:{number}: {needle}", file.path)),
            );
        }
    }
    wrong
}

#[test]
fn files_are_short() {
    let long = sources()
        .iter()
        .map(|file| (file.path.clone(), file.text.lines().count()))
        .collect::<Vec<_>>();
    let excused = |path: &str| LONGER.iter().any(|(longer, _)| *longer == path);
    let wrong = long.iter().filter(|(path, lines)| *lines > MAX_LINES && !excused(path));
    let wrong = wrong.map(|(path, lines)| format!("{path}: {lines} lines")).collect();
    assert_none(
        "a source file has at most 400 lines: split it by nouns, or excuse it in LONGER with a reason",
        wrong,
    );
    let idle = LONGER
        .iter()
        .filter(|(path, _)| !long.iter().any(|(file, lines)| file == path && *lines > MAX_LINES));
    assert_none(
        "no longer too long, so no longer excused",
        idle.map(|(path, _)| (*path).to_owned()).collect(),
    );
}

#[test]
fn modules_open_with_their_purpose() {
    let wrong = sources()
        .iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path.clone())
        .collect();
    assert_none(
        "a module opens with a `//!` paragraph on its purpose and neighbours",
        wrong,
    );
}

#[test]
fn modules_are_named_for_what_is_inside() {
    let names = |path: &str| -> bool {
        path.split('/')
            .any(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs")))
    };
    let wrong = rust()
        .iter()
        .filter(|file| names(&file.path))
        .map(|file| file.path.clone())
        .collect();
    assert_none("a module is named for a noun of the domain", wrong);
}

#[test]
fn nothing_unfinished() {
    // Put together, so that this file does not find itself.
    let needles = [
        concat!("to", "do!("),
        concat!("d", "bg!("),
        concat!("un", "implemented!("),
    ];
    assert_none("unfinished code is not merged", found(&rust(), &needles));
}

#[test]
fn lints_are_expected_with_a_reason() {
    let needles = [concat!("#[al", "low("), concat!("#![al", "low(")];
    assert_none(
        "say `expect` with a reason, which complains when it is no longer needed",
        found(&rust(), &needles),
    );
    let mut wrong = Vec::new();
    for file in rust() {
        for (start, _) in file.text.match_indices(concat!("[exp", "ect(")) {
            let attribute = &file.text[start..];
            let attribute = &attribute[..attribute.find(")]").unwrap_or(attribute.len())];
            if !attribute.contains("reason") {
                wrong.push(format!(
                    "{}: {}",
                    file.path,
                    attribute.lines().next().unwrap_or_default()
                ));
            }
        }
    }
    assert_none("an expected lint has its reason", wrong);
}

#[test]
fn what_cannot_fail_says_why() {
    let mut wrong = Vec::new();
    let is_test = |file: &File| file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
    for file in sources().iter().filter(|file| !is_test(file)) {
        let code = file.code().take_while(|(_, line)| !line.contains("#[cfg(test)]"));
        let bare = code.filter(|(_, line)| line.contains(concat!(".unw", "rap()")));
        wrong.extend(bare.map(|(number, _)| format!("{}:{number}", file.path)));
    }
    assert_none("outside tests, `expect` says why it cannot fail", wrong);
}

#[test]
fn whoever_sleeps_says_why() {
    let mut wrong = Vec::new();
    for file in rust().iter().filter(|file| !file.path.starts_with("xtask/tests/tidy/")) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (number, line) in file.code() {
            let above = number.checked_sub(2).map_or("", |above| lines[above].trim_start());
            let sleeps = line.contains("sleep(") && !line.contains("fn ");
            if sleeps && !line.contains("//") && !above.starts_with("//") {
                wrong.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none(
        "await what happens; where that cannot be, a comment above the sleep says why",
        wrong,
    );
}

#[test]
fn no_path_of_one_machine() {
    let mut needles = vec![
        concat!("/ro", "ot/").to_owned(),
        concat!("/ho", "me/").to_owned(),
        concat!("/Us", "ers/").to_owned(),
    ];
    needles.push(format!("{}/", crate::root().display()));
    let mut wrong = Vec::new();
    for file in files() {
        for (number, line) in file.lines() {
            let hit = needles.iter().filter(|needle| line.contains(needle.as_str()));
            wrong.extend(hit.map(|needle| format!("{}:{number}: {needle}", file.path)));
        }
    }
    assert_none("the repository knows no machine", wrong);
}
