//! A database that is damaged, another program's or a newer Kingtide's is refused with advice, and stays as it is to the
//! last byte.

use std::path::PathBuf;

use kingtide_testkit::{Output, TestProject, assert_no_process_left};

const TOML: &str = "[project]\nname = \"db\"\n[job.work]\ncommand = [\"true\"]\n";

fn database(project: &TestProject) -> PathBuf {
    project.path().join(".kingtide/kingtide.db")
}

/// A project that has run once, and its database.
fn after_a_run() -> (TestProject, Vec<u8>) {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(TOML);
    project.run(&["run", "work"]).expect_code(0);
    assert_no_process_left(project.root());
    let bytes = std::fs::read(database(&project)).expect("it is there");
    (project, bytes)
}

/// Every command refuses these bytes with one of the words and a way out, and leaves them alone.
#[track_caller]
fn refused(project: &TestProject, bytes: &[u8], words: &[&str], ways_out: &[&str]) {
    std::fs::write(database(project), bytes).expect("it is ours");
    let said = |output: &Output, words: &[&str]| words.iter().any(|word| output.stderr.contains(word));
    for args in [
        &["run", "work"][..],
        &["run", "work", "--resume"],
        &["retry"],
        &["status"],
        &["history"],
        &["results"],
        &["cancel"],
        &["clean", "--keep", "0"],
    ] {
        let output = project.run(args);
        assert_eq!(output.code, 1, "{args:?}: {}", output.text());
        assert!(said(&output, words), "{args:?} says why: {}", output.text());
        assert!(said(&output, ways_out), "{args:?} says what to do: {}", output.text());
        assert!(
            output.stderr.contains("kingtide.db"),
            "{args:?} names it: {}",
            output.text()
        );
        let after = std::fs::read(database(project)).expect("it is there");
        assert!(after == bytes, "{args:?} changed it");
    }
}

#[test]
fn another_programs_file_is_refused() {
    let (project, bytes) = after_a_run();
    let letter = "this is a letter to grandmother, and no database at all\n".repeat(100);
    refused(
        &project,
        letter.as_bytes(),
        &["not a Kingtide database", "not a database of Kingtide"],
        &["move"],
    );
    // Bytes 68 to 71 of a database: whose it is.
    let mut foreign = bytes;
    foreign[68..72].copy_from_slice(b"abcd");
    refused(
        &project,
        &foreign,
        &["not a Kingtide database", "not a database of Kingtide"],
        &["move"],
    );
}

#[test]
fn a_newer_database_is_refused() {
    let (project, mut bytes) = after_a_run();
    // Bytes 60 to 63: the version of the schema.
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    refused(
        &project,
        &bytes,
        &["newer Kingtide (schema 99"],
        &["use that version", "use the newer"],
    );
}

#[test]
fn a_damaged_database_is_refused() {
    let (project, bytes) = after_a_run();
    let mut schema = bytes.clone();
    schema[100..2000].fill(0xA5);
    refused(
        &project,
        &schema,
        &["is damaged", "failed to read"],
        &["move", "Copy it away"],
    );
}

#[test]
fn damage_in_the_middle_of_a_database_is_not_written_over() {
    let (project, mut bytes) = after_a_run();
    // Every page but the first: what the tables hold.
    bytes[4096..].fill(0xA5);
    std::fs::write(database(&project), &bytes).expect("it is ours");
    for args in [
        &["run", "work"][..],
        &["run", "work", "--resume"],
        &["status"],
        &["history"],
    ] {
        let output = project.run(args);
        assert_eq!(output.code, 1, "{args:?}: {}", output.text());
        assert!(output.stderr.contains("damaged"), "{args:?}: {}", output.text());
        assert!(
            std::fs::read(database(&project)).expect("it is there") == bytes,
            "{args:?} changed it"
        );
    }
    assert_no_process_left(project.root());
}
