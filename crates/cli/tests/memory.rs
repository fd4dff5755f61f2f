//! A program that takes more memory than its job gives: ended, told so, and tried again with twice as much.

use kingtide_core::id::RunId;
use kingtide_runtime::view::{Database, Outcome};
use kingtide_testkit::{TestProject, assert_no_process_left};

const MIB: u64 = 1024 * 1024;

/// Holds about 150 MB in the shell itself (two values; while they are made half as much again), for longer than a watcher takes to look.
const HUNGRY: &str = "#!/bin/sh
echo \"$KINGTIDE_ATTEMPT\" >> journal
held=$(head -c 90000000 /dev/zero | tr '\\0' a)
more=$(head -c 60000000 /dev/zero | tr '\\0' a)
sleep 3
echo \"${#held}\"
";

fn project(more: &str) -> TestProject {
    let toml = format!(
        "[project]\nname = \"memory\"\n[local]\ncpu = 1\nmemory = \"1GiB\"\n\
         [job.work]\ncommand = [\"./work\"]\nretries = 0\nbackoff = {{ first = \"10ms\" }}\n{more}\n"
    );
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(&toml)
        .program("work", HUNGRY)
}

fn memory_grows(project: &TestProject) {
    let output = project.run(&["run", "work"]).expect_code(0);
    assert!(output.stderr.contains("out of memory"), "{}", output.text());
    let database = Database::open(&project.path()).expect("there was a run");
    let snapshot = database.snapshot().expect("it can be read");
    let task = RunId(1).task(1);
    let attempts = snapshot.attempts(task).expect("they can be read");
    let outcomes: Vec<Outcome> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::OutOfMemory, Outcome::OutOfMemory, Outcome::Succeeded],
        "{attempts:?}"
    );
    assert_eq!(attempts[0].reason.as_deref(), Some("out of memory (limit 64.0 MiB)"));
    assert_eq!(attempts[1].reason.as_deref(), Some("out of memory (limit 128.0 MiB)"));
    let task = snapshot.task(task).expect("it can be read").expect("it is there");
    assert_eq!(task.memory, Some(256 * MIB));
    assert_eq!(task.failures, 0, "growing costs no retry");
    assert!(attempts[2].memory_peak > 128 * MIB, "{} bytes", attempts[2].memory_peak);
    assert_no_process_left(project.root());
}

#[test]
fn memory_grows_up_to_its_limit() {
    memory_grows(&project("memory = \"64MiB\"\nmemory_max = \"256MiB\""));
}

#[test]
fn memory_grows_where_it_is_watched() {
    memory_grows(&project("memory = \"64MiB\"\nmemory_max = \"256MiB\"").env("KINGTIDE_LIMITS", "watch"));
}

#[test]
fn beyond_the_largest_it_fails() {
    let project = project("memory = \"64MiB\"\nmemory_max = \"100MiB\"");
    let output = project.run(&["run", "work"]).expect_code(4);
    assert!(
        output.stderr.contains("out of memory (limit 100.0 MiB)"),
        "{}",
        output.text()
    );
    assert_eq!(project.read("journal"), "1\n2\n");
    assert_no_process_left(project.root());
}
