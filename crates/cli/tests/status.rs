//! `status` of a run under way: what its tasks occupy, and what it says when the runtime does not answer.

use std::time::{Duration, Instant};

use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::{Running, TestProject, assert_no_process_left};
use rustix::process::Signal;
use serde_json::Value;

const MIB: u64 = 1024 * 1024;

/// Holds some 60 MiB in the shell itself until the file `go` is there.
const HOLDER: &str = "#!/bin/sh
held=$(head -c 30000000 /dev/zero | tr '\\0' a)
while [ ! -e go ]; do sleep 0.02; done
echo \"${#held}\"
";

fn project() -> (TestProject, Running) {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml("[project]\nname = \"status\"\n[job.work]\ncommand = [\"./work\"]\n")
        .program("work", HOLDER);
    let running = project.spawn(&["run", "work"]);
    (project, running)
}

fn status(project: &TestProject) -> Value {
    let output = project.run(&["status", "--json"]);
    serde_json::from_str(&output.stdout).unwrap_or_default()
}

fn await_memory(project: &TestProject) {
    eventually("the task is sampled", PATIENCE, || {
        let memory = status(project)["running"][0]["memory"].as_u64()?;
        (memory > 25 * MIB).then_some(())
    });
}

#[test]
fn a_running_task_shows_its_memory_until_it_is_over() {
    let (project, running) = project();
    await_memory(&project);
    let text = project.run(&["status"]).expect_code(0).stdout;
    assert!(text.contains(" MiB  "), "{text}");
    project.write("go", "");
    assert_eq!(running.wait().code, 0);
    assert_eq!(status(&project)["running"], serde_json::json!([]));
    assert_no_process_left(project.root());
}

#[test]
fn a_runtime_that_is_stopped_costs_the_figure_and_no_more() {
    let (project, running) = project();
    await_memory(&project);
    running.signal(Signal::STOP);
    let began = Instant::now();
    let seen = status(&project);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "it waited for the stopped one"
    );
    assert_eq!(seen["running"][0]["task"], 1, "{seen}");
    assert_eq!(seen["running"][0]["memory"], Value::Null, "{seen}");
    running.signal(Signal::CONT);
    await_memory(&project);
    project.write("go", "");
    assert_eq!(running.wait().code, 0);
}
