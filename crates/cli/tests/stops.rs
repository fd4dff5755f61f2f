//! Ctrl-C, TERM, a closed terminal, `cancel`, and limits of time: what runs, what is put back, what the exit code says.

use std::fmt::Write as _;

use kingtide_core::id::RunId;
use kingtide_runtime::view::{Database, Filter, Outcome, RunState, Task, TaskState};
use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::{TestProject, assert_no_process_left};
use rustix::process::Signal;

/// Writes its line, and goes on when the file `go` is there.
const GATED: &str = "#!/bin/sh
echo \"$KINGTIDE_TASK $KINGTIDE_ATTEMPT\" >> journal
while [ ! -e go ]; do sleep 0.02; done
echo \"{\\\"ended\\\": $KINGTIDE_ATTEMPT}\" > \"$KINGTIDE_RESULT\"
";

/// A project with four tasks, two at a time.
fn project(more: &str, program: &str) -> TestProject {
    let mut toml = String::from("[project]\nname = \"stops\"\n[local]\ncpu = 2\n[job.work]\ncommand = [\"./work\"]\n");
    let _ = writeln!(toml, "params = {{ matrix = {{ n = [1, 2, 3, 4] }} }}\n{more}");
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(&toml)
        .program("work", program)
}

fn executions(project: &TestProject) -> Vec<String> {
    let text = std::fs::read_to_string(project.path().join("journal")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn await_executions(project: &TestProject, count: usize) {
    eventually("so many run", PATIENCE, || {
        (executions(project).len() >= count).then_some(())
    });
}

fn state(project: &TestProject, run: i64) -> (RunState, Vec<Task>) {
    let database = Database::open(&project.path()).expect("there was a run");
    let snapshot = database.snapshot().expect("it can be read");
    let row = snapshot.run(RunId(run)).expect("it can be read").expect("it is there");
    let tasks = snapshot
        .tasks(RunId(run), &Filter::default(), 100)
        .expect("they can be read");
    (row.state, tasks)
}

fn count(tasks: &[Task], state: TaskState) -> usize {
    tasks.iter().filter(|task| task.state == state).count()
}

#[track_caller]
fn resumes_to_the_end(project: &TestProject) {
    project.write("go", "");
    project.run(&["run", "work", "--resume"]).expect_code(0);
    let (run, tasks) = state(project, 1);
    assert_eq!((run, count(&tasks, TaskState::Succeeded)), (RunState::Succeeded, 4));
    assert_no_process_left(project.root());
}

#[test]
fn the_first_interrupt_lets_end_what_runs() {
    let project = project("", GATED);
    let mut run = project.spawn(&["run", "work"]);
    await_executions(&project, 2);
    run.signal(Signal::INT);
    run.wait_for_line("nothing new starts");
    project.write("go", "");
    let output = run.wait().expect_code(5);
    assert!(
        output.stderr.contains("kingtide run work --resume"),
        "{}",
        output.text()
    );
    assert_eq!(executions(&project).len(), 2);
    let (run, tasks) = state(&project, 1);
    assert_eq!(
        (
            run,
            count(&tasks, TaskState::Succeeded),
            count(&tasks, TaskState::Waiting)
        ),
        (RunState::Open, 2, 2)
    );
    assert_no_process_left(project.root());
    resumes_to_the_end(&project);
    assert_eq!(executions(&project).len(), 4);
}

#[test]
fn the_second_interrupt_ends_what_runs_and_puts_it_back() {
    let project = project(
        "stop_timeout = \"200ms\"",
        &GATED.replace("echo \"$K", "trap '' TERM\necho \"$K"),
    );
    let mut run = project.spawn(&["run", "work"]);
    await_executions(&project, 2);
    run.signal(Signal::INT);
    run.wait_for_line("nothing new starts");
    run.signal(Signal::INT);
    let output = run.wait().expect_code(5);
    assert!(
        output.stderr.contains("kingtide run work --resume"),
        "{}",
        output.text()
    );
    assert_no_process_left(project.root());
    let (run, tasks) = state(&project, 1);
    assert_eq!((run, count(&tasks, TaskState::Waiting)), (RunState::Open, 4));
    assert!(
        tasks.iter().all(|task| task.failures == 0 && task.losses == 0),
        "it costs nothing"
    );
    resumes_to_the_end(&project);
    assert_eq!(executions(&project).len(), 6);
}

#[test]
fn term_is_like_the_second_interrupt() {
    let project = project("", GATED);
    let run = project.spawn(&["run", "work"]);
    await_executions(&project, 2);
    run.signal(Signal::TERM);
    let output = run.wait().expect_code(5);
    assert!(
        output.stderr.contains("kingtide run work --resume"),
        "{}",
        output.text()
    );
    assert_no_process_left(project.root());
    assert_eq!(count(&state(&project, 1).1, TaskState::Waiting), 4);
    resumes_to_the_end(&project);
}

#[test]
fn a_closed_terminal_ends_no_task() {
    let project = project("", GATED);
    let run = project.spawn(&["run", "work"]);
    await_executions(&project, 2);
    run.signal(Signal::HUP);
    assert_eq!(run.wait().signal, Some(1));
    resumes_to_the_end(&project);
    let lines = executions(&project);
    assert_eq!(lines.len(), 4, "nothing is executed twice: {lines:?}");
}

#[test]
fn what_ended_without_a_runtime_is_picked_up() {
    let project = project("", GATED);
    let run = project.spawn(&["run", "work"]);
    await_executions(&project, 2);
    run.signal(Signal::HUP);
    run.wait();
    project.write("go", "");
    // The two end, nobody asks, and the keeper leaves.
    assert_no_process_left(project.root());
    resumes_to_the_end(&project);
    let lines = executions(&project);
    assert_eq!(lines.len(), 4, "nothing is executed twice: {lines:?}");
    let database = Database::open(&project.path()).expect("there was a run");
    let snapshot = database.snapshot().expect("it can be read");
    assert_eq!(snapshot.result_count(RunId(1)).expect("it can be read"), 4);
}

#[test]
fn cancel_ends_a_run_through_its_runtime() {
    let project = project("", GATED);
    let run = project.spawn(&["run", "work"]);
    await_executions(&project, 2);
    project.run(&["cancel"]).expect_code(0);
    run.wait().expect_code(5);
    assert_no_process_left(project.root());
    let (run, tasks) = state(&project, 1);
    assert_eq!((run, count(&tasks, TaskState::Cancelled)), (RunState::Cancelled, 4));
    assert_eq!(executions(&project).len(), 2);
}

#[test]
fn cancel_ends_a_run_without_a_runtime() {
    let project = project("", GATED);
    let run = project.spawn(&["run", "work"]);
    await_executions(&project, 2);
    run.kill();
    project.run(&["cancel"]).expect_code(0);
    assert_no_process_left(project.root());
    let (run, tasks) = state(&project, 1);
    assert_eq!((run, count(&tasks, TaskState::Cancelled)), (RunState::Cancelled, 4));
    assert_eq!(executions(&project).len(), 2);
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let project = project("max_duration = \"1s\"", GATED);
    project.run(&["run", "work"]).expect_code(6);
    assert_no_process_left(project.root());
    let (_, tasks) = state(&project, 1);
    assert_eq!(count(&tasks, TaskState::Cancelled), 4);
    assert_eq!(executions(&project).len(), 2);
}

/// What was done in time counts; the rest was cancelled by the clock, and no task has failed: 6 and not 4.
#[test]
fn a_late_run_tells_programs_so() {
    let program = GATED.replace("while [", "[ \"$KINGTIDE_PARAM_N\" = 1 ] && exit 0\nwhile [");
    let project = project("max_duration = \"2s\"", &program);
    let output = project.run(&["run", "work", "--json"]).expect_code(6);
    let line = output.stdout.strip_suffix('\n').expect("a whole line");
    let wall = serde_json::from_str::<serde_json::Value>(line).expect("one line of JSON")["wall_s"].clone();
    let expected = format!(
        r#"{{"run":1,"job":"work","state":"failed","wall_s":{wall},"tasks":{{"total":4,"succeeded":1,"skipped":0,"failed":0,"cancelled":3,"attempts":3}}}}"#
    );
    assert_eq!(line, expected, "{}", output.text());
    // The run is as old as its row, and a little older than the work on it.
    assert!(wall.as_f64().is_some_and(|wall| wall > 1.0), "{wall}");
    // Who watches is told the same, and why.
    let watched = project.run(&["status", "--watch", "--json"]).expect_code(6);
    let status: serde_json::Value = serde_json::from_str(&watched.stdout).expect("one line of JSON");
    assert_eq!((&status["state"], &status["late"]), (&"failed".into(), &true.into()));
    let reason = status["reason"].as_str().unwrap_or_default();
    assert_eq!(reason, "3 of 4 tasks were not done within `max_duration`");
    assert_no_process_left(project.root());
}

#[test]
fn an_attempt_that_takes_too_long_is_ended_even_if_it_ignores_term() {
    let program = GATED.replace("echo \"$K", "trap '' TERM\necho \"$K");
    let project = project("timeout = \"300ms\"\nstop_timeout = \"200ms\"\nretries = 0", &program);
    project.run(&["run", "work"]).expect_code(4);
    assert_no_process_left(project.root());
    let (_, tasks) = state(&project, 1);
    assert_eq!(count(&tasks, TaskState::Failed), 4);
    let database = Database::open(&project.path()).expect("there was a run");
    let snapshot = database.snapshot().expect("it can be read");
    for task in &tasks {
        let attempts = snapshot.attempts(task.id).expect("they can be read");
        assert!(attempts.iter().all(|attempt| attempt.outcome == Outcome::TimedOut) && attempts.len() == 1);
        let wall = attempts[0].wall().expect("it started").as_millis();
        assert!(
            (450..10_000).contains(&wall),
            "TERM after 300 ms, KILL after 200 more: {wall} ms"
        );
    }
}

#[test]
fn a_child_that_flees_or_closes_its_output_is_dealt_with() {
    let program = "#!/bin/sh
echo \"$KINGTIDE_TASK $KINGTIDE_ATTEMPT\" >> journal
case $KINGTIDE_PARAM_N in
1) setsid sh -c 'setsid sleep 1000 </dev/null >/dev/null 2>&1 &' ;;
2) exec >&- 2>&-; sleep 0.2; echo '{\"silent\": true}' > \"$KINGTIDE_RESULT\" ;;
3) sleep 1000 & exit 0 ;;
4) (sleep 1000 >/dev/null 2>&1 &) ; exit 0 ;;
esac
";
    let project = project("", program);
    project.run(&["run", "work"]).expect_code(0);
    assert_no_process_left(project.root());
    let (_, tasks) = state(&project, 1);
    assert_eq!(count(&tasks, TaskState::Succeeded), 4);
    assert_eq!(executions(&project).len(), 4);
}

#[test]
fn at_most_once_is_at_most_once_when_the_keeper_is_killed() {
    let program = "#!/bin/sh\necho \"$KINGTIDE_TASK\" >> journal\nsleep 0.1\n";
    let toml = "[project]\nname = \"once\"\n[local]\ncpu = 2\n[job.work]\ncommand = [\"./work\"]\n\
                params = \"rows.csv\"\nretries = 0\non_crash = \"fail\"\n";
    let rows: String = (1..=40).map(|n| format!("{n}\n")).collect();
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(toml)
        .program("work", program)
        .file("rows.csv", format!("n\n{rows}"));
    let run = project.spawn(&["run", "work"]);
    for kills in 1..=4 {
        await_executions(&project, kills * 6);
        let keepers = kingtide_testkit::processes::processes_of(project.root());
        let keepers = keepers.iter().filter(|process| process.command.contains(" keeper "));
        keepers.for_each(|keeper| keeper.signal(Signal::KILL));
    }
    run.wait().expect_code(4);
    assert_no_process_left(project.root());
    let mut lines = executions(&project);
    let executed = lines.len();
    lines.sort();
    lines.dedup();
    assert_eq!(executed, lines.len(), "a task was executed twice");
    let (_, tasks) = state(&project, 1);
    let failed = count(&tasks, TaskState::Failed);
    assert_eq!(failed + count(&tasks, TaskState::Succeeded), 40);
    assert!(
        (1..=8).contains(&failed),
        "two run at a time and four keepers were killed: {failed}"
    );
}
