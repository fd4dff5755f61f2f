//! A full disk: the run pauses, says so, goes on when there is room, and nothing is lost. The project lies on a small
//! file system of its own, which only root may make.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use kingtide_core::id::RunId;
use kingtide_runtime::view::{Database, Filter, TaskState};
use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::sqs::up;
use kingtide_testkit::{TestProject, assert_no_process_left};
use rustix::process::Signal;
use serde_json::json;

/// A file system in memory, mounted on a folder.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and said, where it cannot be had.
    fn mount(folder: &Path, size: &str) -> Option<SmallDisk> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(folder.to_owned())),
            _ => {
                eprintln!("skipped: only root can mount a small file system");
                None
            }
        }
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).expect("it is ours");
        for size in [65536, 4096] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: after a failed test its processes are still there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Each attempt has a line in a journal on another disk; it fails when it cannot write what it has to.
const PROGRAM: &str = "#!/bin/sh
set -e
echo \"$KINGTIDE_TASK $KINGTIDE_ATTEMPT\" >> ../journal
echo \"the task $1 begins\"
sleep 0.02
";

fn journal(project: &TestProject) -> Vec<String> {
    let text = std::fs::read_to_string(project.root().join("journal")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Whether one of the project's programs runs, or has ended and was not looked at yet.
fn is_working(project: &TestProject) -> bool {
    let here = project.path();
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let mut programs = processes.filter(|process| {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let is_work = command.split(|byte| *byte == 0).any(|argument| argument == b"./work");
        let status = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        status.contains("(work) Z")
            || is_work && std::fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == here)
    });
    programs.next().is_some()
}

/// Fills the disk in the middle of a run of 200 tasks and frees it when the run has said so.
fn survives(rest_of_program: &str, check: impl Fn(&TestProject, i64)) {
    let toml = "[project]\nname = \"disk\"\n[local]\ncpu = 2\n[job.work]\ncommand = [\"./work\", \"{n}\"]\n\
                params = \"rows.csv\"\nretries = 0\n";
    let rows: String = (1..=200).map(|n| format!("{n}\n")).collect();
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"));
    let Some(disk) = SmallDisk::mount(&project.path(), "16m") else {
        return;
    };
    let project = project
        .toml(toml)
        .file("rows.csv", format!("n\n{rows}"))
        .program("work", &format!("{PROGRAM}{rest_of_program}"));
    let mut run = project.spawn(&["run", "work"]);
    eventually("some have run", PATIENCE, || {
        (journal(&project).len() > 20).then_some(())
    });
    disk.fill();
    run.wait_for_line("the disk is full: paused");
    // One that has met the full disk and not ended yet would be judged by a disk that has room again.
    eventually("what ran when the disk became full has ended", PATIENCE, || {
        (!is_working(&project)).then_some(())
    });
    disk.free();
    run.wait_for_line("there is room on the disk again");
    let output = run.wait().expect_code(0);
    let lines = journal(&project);
    let different: BTreeSet<&String> = lines.iter().collect();
    assert_eq!(lines.len(), different.len(), "no attempt is executed twice");
    {
        let database = Database::open(&project.path()).expect("there was a run");
        let snapshot = database.snapshot().expect("it can be read");
        let tasks = snapshot
            .tasks(RunId(1), &Filter::default(), 1000)
            .expect("they can be read");
        assert_eq!(tasks.len(), 200);
        for task in &tasks {
            assert_eq!(task.state, TaskState::Succeeded, "{task:?}\n{}", output.text());
            assert_eq!((task.failures, task.losses), (0, 0), "{task:?}");
            check(&project, task.id.seq);
        }
    }
    assert_no_process_left(project.root());
    drop(disk);
}

#[test]
fn a_run_waits_for_room() {
    survives("", |_, _| ());
}

#[test]
fn results_and_outputs_wait_for_room() {
    let rest = "printf '{\"n\": %d}' \"$1\" > \"$KINGTIDE_RESULT\"\n\
                head -c 10000 /dev/zero > \"$KINGTIDE_OUTPUT/model\"\n";
    survives(rest, |project, seq| {
        let folder = project.path().join(format!(".kingtide/outputs/work-1/{seq}"));
        assert_eq!(
            folder.join("model").metadata().map_or(0, |model| model.len()),
            10_000,
            "output {seq}"
        );
        assert!(folder.join("manifest.json").is_file(), "output {seq}");
    });
}

#[test]
fn queues_refuse_while_there_is_no_room_and_forget_nothing() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"));
    let Some(disk) = SmallDisk::mount(&project.path(), "16m") else {
        return;
    };
    let project = project.toml("[project]\nname = \"disk\"\n[job.work]\ncommand = [\"true\"]\nrun_idle = \"1h\"\n");
    let (mut up, sqs) = up(&project);
    sqs.ask("CreateQueue", &json!({ "QueueName": "free" })).expect("made");
    let mut acknowledged = BTreeSet::new();
    for time in 1..=2 {
        disk.fill();
        // What fits into what is left is taken.
        let mut number = 0;
        while sqs
            .send("free", &format!("{time} {number} {}", "x".repeat(1000)))
            .is_some()
        {
            acknowledged.insert(format!("{time} {number}"));
            number += 1;
        }
        up.wait_for_line("the disk is full: paused");
        if time == 2 {
            // Heard now, done when there is room.
            up.signal(Signal::TERM);
        }
        disk.free();
        up.wait_for_line("there is room on the disk again");
        if time == 1 {
            // Where it listened before it listens still.
            sqs.send("work", "{}").expect("acknowledged");
            eventually("it is worked off", PATIENCE, || {
                let status = project.run(&["status", "--json"]);
                status.stdout.contains("\"succeeded\":1").then_some(())
            });
        }
    }
    up.wait().expect_code(0);
    let peek = project
        .run(&["queue", "peek", "free", "--json", "--limit", "100000"])
        .expect_code(0);
    for body in acknowledged {
        assert!(
            peek.stdout.contains(&format!("{body} x")),
            "`{body}` is lost: {}",
            peek.text()
        );
    }
    assert_no_process_left(project.root());
    drop(disk);
}

#[test]
fn a_run_that_begins_on_a_full_disk_says_so() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"));
    let Some(disk) = SmallDisk::mount(&project.path(), "4m") else {
        return;
    };
    let project = project.toml("[project]\nname = \"disk\"\n[job.work]\ncommand = [\"true\"]\n");
    disk.fill();
    let output = project.run(&["run", "work"]).expect_code(1);
    assert!(
        output.stderr.contains("full") || output.stderr.contains("No space"),
        "{}",
        output.text()
    );
    disk.free();
    project.run(&["run", "work"]).expect_code(0);
    assert_no_process_left(project.root());
    drop(disk);
}
