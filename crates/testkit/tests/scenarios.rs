//! The scenarios of `tests/sim/`: each is played, and what comes of every line is held against what was recorded under it.
//! `KINGTIDE_TEST_UPDATE=1` records anew; whoever does reads the difference.

use std::path::{Path, PathBuf};

use kingtide_testkit::scenario;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim");
    let entries = std::fs::read_dir(folder).expect("the folder of scenarios");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

#[test]
fn each_is_played_as_it_was_recorded() {
    let is_update = std::env::var_os("KINGTIDE_TEST_UPDATE").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    for path in files() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let recorded = std::fs::read_to_string(&path).expect("a scenario");
        let played = scenario::play(&recorded).unwrap_or_else(|why| panic!("{name}: {why}"));
        // One that says nothing of the end could not fail there.
        let last = played.lines().rev().find(|line| !line.starts_with(' '));
        assert_eq!(last, Some("states"), "{name} ends with how everything stands");
        if is_update {
            std::fs::write(&path, &played).expect("recorded");
        } else if let Some(difference) = scenario::difference(&recorded, &played) {
            wrong.push(format!("{name}, {difference}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n`KINGTIDE_TEST_UPDATE=1` records anew, if that is right",
        wrong.join("\n")
    );
}

#[test]
fn there_are_some() {
    assert!(files().len() >= 10, "scenarios have gone: {:?}", files());
}
