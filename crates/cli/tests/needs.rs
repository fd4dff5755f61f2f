//! What a command asks of the machine: what the job it starts needs, and nothing of other jobs.

use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::{Running, TestProject, assert_no_process_left};
use rustix::process::Signal;

const TOML: &str = "[project]\nname = \"needs\"\n\
    [job.sound]\ncommand = [\"true\"]\n\
    [job.secretive]\ncommand = [\"sh\", \"-c\", \"echo begun; sleep 600\"]\nsecrets = [\"NEEDS_TOKEN\"]\n\
    [job.absent]\ncommand = [\"kingtide-has-no-such-program\"]\n";

fn project() -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(TOML)
}

#[test]
fn what_another_job_lacks_keeps_no_job_from_running() {
    let project = project();
    project.run(&["run", "sound"]).expect_code(0);
    project.run(&["retry"]).expect_code(0);
    for (job, code) in [("secretive", "secret-not-set"), ("absent", "command-not-found")] {
        let refused = project.run(&["run", job]).expect_code(3);
        assert!(refused.stderr.contains(code), "{}", refused.text());
        let findings = refused.stderr.matches("error[").count();
        assert_eq!(findings, 1, "only its own: {}", refused.text());
    }
    let all = project.run(&["check"]).expect_code(3);
    assert_eq!(all.stderr.matches("error[").count(), 2, "{}", all.text());
    assert!(all.stderr.contains("2 errors in kingtide.toml"), "{}", all.text());
}

/// What ends a run starts nothing: neither a missing secret nor a broken file keeps it from doing so.
#[test]
fn a_run_is_ended_whatever_is_missing() {
    let project = project();
    let begin = |run: &str| {
        let mut command = project.command(&["run", "secretive"]);
        command.env("NEEDS_TOKEN", "sesame");
        let running = Running::start(command);
        eventually("the program runs", PATIENCE, || {
            let logs = project.run(&["logs", run]);
            logs.stdout.contains("begun").then_some(())
        });
        running
    };
    let running = begin("secretive-1");
    project.write("kingtide.toml", "[project\n");
    project.run(&["cancel"]).expect_code(0);
    assert_eq!(running.wait().code, 5);

    project.write("kingtide.toml", TOML);
    let running = begin("secretive-2");
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, 5, "unfinished");
    project.run(&["cancel"]).expect_code(0);
    let status = project.run(&["status"]).expect_code(0).stdout;
    assert!(status.contains("cancelled"), "{status}");
    assert_no_process_left(project.root());
}

#[test]
fn a_tally_names_the_file_only_where_all_is_found_there() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml("[project]\nname = \"t\"\n[job.j]\ncommand = [\"echo\", \"{x}\"]\nparams = \"rows.csv\"\n")
        .file("rows.csv", "x,y\n1\n");
    let output = project.run(&["check"]).expect_code(3);
    assert!(output.stderr.trim_end().ends_with("1 error"), "{}", output.text());
}
