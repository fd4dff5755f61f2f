//! Two runtimes on one project: the second is told while the first one lives, takes over when it has stopped, and what the
//! first one does when it wakes up is refused.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use kingtide_core::id::RunId;
use kingtide_runtime::view::{Database, Filter, TaskState};
use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::{Running, TestProject, assert_no_process_left};
use rustix::process::Signal;

fn project(toml: &str, program: &str) -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(toml)
        .program("work", program)
}

/// Lines of the execution journal; each is there once.
fn executions(project: &TestProject) -> Vec<String> {
    let text = if project.exists("journal") {
        project.read("journal")
    } else {
        String::new()
    };
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let different: BTreeSet<&String> = lines.iter().collect();
    assert_eq!(different.len(), lines.len(), "an attempt was executed twice:\n{text}");
    lines
}

#[test]
fn the_second_runtime_is_told_and_disturbs_nothing() {
    let toml = "[project]\nname = \"two\"\n[local]\ncpu = 2\n[job.work]\ncommand = [\"./work\"]\nparams = { matrix = { n = [1, 2, 3] } }\n";
    let program = "#!/bin/sh\necho \"$KINGTIDE_TASK $KINGTIDE_ATTEMPT\" >> journal\nread line < gate\n";
    let project = project(toml, program);
    let made = std::process::Command::new("mkfifo")
        .arg(project.path().join("gate"))
        .status();
    assert!(made.expect("mkfifo is everywhere").success());
    let first = project.spawn(&["run", "work"]);
    eventually("two run", PATIENCE, || (executions(&project).len() == 2).then_some(()));

    for args in [&["run", "work"][..], &["run", "work", "--resume"], &["retry"]] {
        let second = project.run(args);
        assert!(second.code == 1 || second.code == 2, "{args:?}: {}", second.text());
        if args[0] == "run" {
            assert_eq!(second.code, 1, "{}", second.text());
            let pid = format!("process {}", first.pid());
            assert!(second.stderr.contains(&pid), "it names {pid}: {}", second.text());
        }
    }
    assert_eq!(executions(&project).len(), 2);
    // Held open for writing until all have passed.
    let gate = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(project.path().join("gate"));
    let mut gate = gate.expect("the gate opens");
    std::io::Write::write_all(&mut gate, b"go\ngo\ngo\n").expect("it is written");
    first.wait().expect_code(0);
    assert_eq!(executions(&project).len(), 3);
    let database = Database::open(&project.path()).expect("there was a run");
    let snapshot = database.snapshot().expect("it can be read");
    assert_eq!(snapshot.runs(None, 10).expect("they can be read").len(), 1);
    assert_no_process_left(project.root());
}

/// Whether a process is in the middle of a write transaction: it holds the lock of the log's writer, byte 120 of the
/// database's shared memory.
fn is_writing(project: &TestProject, pid: u32) -> bool {
    let shm = project.path().join(".kingtide/kingtide.db-shm");
    let Ok(inode) = shm.metadata().map(|metadata| metadata.ino()) else {
        return false;
    };
    let locks = std::fs::read_to_string("/proc/locks").expect("Linux has it");
    locks.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", owner, file, start, ..] = fields[..] else {
            return false;
        };
        owner == pid.to_string() && file.ends_with(&format!(":{inode}")) && start == "120"
    })
}

/// Stops a runtime inside or outside of a write transaction.
fn stop(project: &TestProject, runtime: &Running, inside: bool) {
    eventually("it stops where it is wanted", PATIENCE, || {
        runtime.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", runtime.pid());
        eventually("it has stopped", PATIENCE, || {
            let stat = std::fs::read_to_string(&stat).expect("it is not reaped");
            stat.contains(") T ").then_some(())
        });
        if is_writing(project, runtime.pid()) == inside {
            return Some(());
        }
        runtime.signal(Signal::CONT);
        None
    });
}

/// The first runtime is stopped at some moment, the second takes over, the first one goes on while the second still works
/// and once more when everything is over.
fn sixty_tasks() -> TestProject {
    let toml = "[project]\nname = \"two\"\n[local]\ncpu = 2\n[job.work]\ncommand = [\"./work\", \"{n}\"]\nparams = \"rows.csv\"\n";
    let program = "#!/bin/sh\necho \"$KINGTIDE_TASK $KINGTIDE_ATTEMPT\" >> journal\n\
                   echo \"{\\\"n\\\": $1}\" > \"$KINGTIDE_RESULT\"\necho \"$1\" > \"$KINGTIDE_OUTPUT/n\"\nsleep 0.05\n";
    let rows: String = (1..=60).map(|n| format!("{n}\n")).collect();
    project(toml, program)
        .file("rows.csv", format!("n\n{rows}"))
        .env("KINGTIDE_LEASE_MS", "1500")
}

fn stopped_and_continued(wakes_late: bool) {
    let project = sixty_tasks();
    let first = project.spawn(&["run", "work"]);
    eventually("some have run", PATIENCE, || {
        (executions(&project).len() > 8).then_some(())
    });
    stop(&project, &first, false);
    // Refused as long as the lease is fresh.
    let second = eventually("the lease of the stopped one ends", PATIENCE, || {
        let second = project.spawn(&["run", "work", "--resume"]);
        if second.ended_within(Duration::from_millis(300)) {
            second.wait().expect_code(1);
            return None;
        }
        Some(second)
    });
    let (first, second) = if wakes_late {
        let second = second.wait();
        first.signal(Signal::CONT);
        (first.wait(), second)
    } else {
        first.signal(Signal::CONT);
        (first.wait(), second.wait())
    };
    assert_eq!(second.code, 0, "{}", second.text());
    assert_eq!(first.code, 1, "{}", first.text());
    assert!(
        first.stderr.contains("another Kingtide has taken over"),
        "{}",
        first.text()
    );
    executions(&project);
    let database = Database::open(&project.path()).expect("there was a run");
    let snapshot = database.snapshot().expect("it can be read");
    let tasks = snapshot
        .tasks(RunId(1), &Filter::default(), 100)
        .expect("they can be read");
    assert!(
        tasks
            .iter()
            .all(|task| task.state == TaskState::Succeeded && !task.unpublished)
    );
    for task in &tasks {
        let output = project.read(&format!(".kingtide/outputs/work-1/{}/n", task.id.seq));
        assert_eq!(output.trim(), task.id.seq.to_string());
    }
    assert_eq!(snapshot.result_count(RunId(1)).expect("it can be read"), 60);
    // The keeper was alive all the time: nothing had to be done twice.
    let lines = executions(&project);
    assert_eq!(lines.len(), 60, "{lines:?}");
    assert_no_process_left(project.root());
}

#[test]
fn a_runtime_that_was_stopped_is_refused_while_another_works() {
    stopped_and_continued(false);
}

#[test]
fn a_runtime_that_was_stopped_is_refused_when_all_is_over() {
    stopped_and_continued(true);
}

#[test]
fn a_runtime_that_was_stopped_while_it_wrote_is_named() {
    // All of them are loaded in one transaction, which takes a while.
    let rows: String = (1..=50_000).map(|n| format!("{n}\n")).collect();
    let toml = "[project]\nname = \"two\"\n[job.work]\ncommand = [\"true\", \"{n}\"]\nparams = \"rows.csv\"\n\
                [job.before]\ncommand = [\"true\"]\n";
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(toml)
        .file("rows.csv", format!("n\n{rows}"));
    // So that there is a database, and its making is not what is stopped.
    project.run(&["run", "before"]).expect_code(0);
    let first = project.spawn(&["run", "work"]);
    stop(&project, &first, true);
    // Nobody can take its lock away: whoever comes is told whose it is.
    let second = project.run(&["run", "work", "--resume"]).expect_code(1);
    assert!(
        second.stderr.contains(&format!("process {}", first.pid())),
        "{}",
        second.text()
    );
    first.signal(Signal::CONT);
    eventually("it goes on", PATIENCE, || {
        let cancel = project.run(&["cancel", "work"]);
        (cancel.code == 0).then_some(())
    });
    first.wait().expect_code(5);
    assert_no_process_left(project.root());
}
