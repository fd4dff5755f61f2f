//! The contract between Kingtide and a program: what the program is told, and what becomes of what it leaves behind.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use kingtide_testkit::{Output, TestProject};
use serde_json::Value;

/// A project with one job, `it`, whose table is given, and a program for it.
fn project(job: &str, program: &str) -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(&format!("[project]\nname = \"contract\"\n\n[job.it]\n{job}\n"))
        .program("program", &format!("#!/bin/sh\n{program}\n"))
}

/// Redacted, and without the lines that depend on how long it took and how much it was.
fn steady(project: &TestProject, output: &Output) -> String {
    let text = project.redactor().redact(&output.text());
    let passing = |line: &&str| {
        !line.contains(" done (") && !["  slowest ", "  memory "].iter().any(|start| line.starts_with(start))
    };
    text.lines().filter(passing).collect::<Vec<_>>().join("\n")
}

/// The last line of `run --json`.
#[track_caller]
fn last_line(output: &Output) -> Value {
    let last = output.stdout.lines().last().expect("a line");
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
}

/// The rows of the last run.
#[track_caller]
fn rows(project: &TestProject) -> Vec<Value> {
    let text = project.run(&["results", "--format", "jsonl"]).expect_code(0).stdout;
    text.lines()
        .map(|row| serde_json::from_str(row).expect("JSON"))
        .collect()
}

/// What the log of a task says, without its times.
#[track_caller]
fn log(project: &TestProject, task: &str) -> Vec<String> {
    let text = project.run(&["logs", "it", task]).expect_code(0).stdout;
    text.lines()
        .filter_map(|line| line.split_once("Z "))
        .map(|(_, said)| said.to_owned())
        .collect()
}

#[test]
fn a_program_is_told_everything_in_three_ways() {
    let job = r#"
command = ["./program", "{dest}", "--depth={depth}", "{{dest}}", "a b", ""]
env = { PLACE = "to {dest}" }
params = [{ dest = "BOS & 'co' \"$HOME\"", depth = 4, "top-speed" = 1.5, deep = { a = [1, true, "x"] } }]
cpu = 1.5
"#;
    let project = project(
        job,
        r#"for a in "$@"; do echo "<$a>"; done; env | grep -E '^(KINGTIDE_|PLACE=|OMP_NUM|MKL_NUM)'"#,
    );
    project.run(&["run", "it"]).expect_code(0);
    let said = log(&project, "1");
    assert_eq!(
        said[..5],
        ["<BOS & 'co' \"$HOME\">", "<--depth=4>", "<{dest}>", "<a b>", "<>"]
    );
    let env: BTreeMap<&str, &str> = said[5..].iter().filter_map(|line| line.split_once('=')).collect();
    let value = |name: &str| *env.get(name).unwrap_or(&"(not set)");
    let message: Value = serde_json::from_str(value("KINGTIDE_MESSAGE")).expect("JSON");
    assert_eq!(message["deep"]["a"][2], "x");
    assert_eq!(message["depth"], 4);
    assert_eq!(value("PLACE"), "to BOS & 'co' \"$HOME\"");
    assert_eq!(value("KINGTIDE_PARAM_DEST"), "BOS & 'co' \"$HOME\"");
    assert_eq!(value("KINGTIDE_PARAM_DEPTH"), "4");
    assert_eq!(value("KINGTIDE_PARAM_TOP_SPEED"), "1.5");
    assert_eq!(value("KINGTIDE_PARAM_DEEP"), r#"{"a":[1,true,"x"]}"#);
    assert_eq!(value("KINGTIDE_RUN"), "it-1");
    assert_eq!(value("KINGTIDE_TASK"), "1");
    assert_eq!(value("KINGTIDE_ATTEMPT"), "1");
    assert_eq!(value("KINGTIDE_CPUS"), "2");
    assert_eq!(value("OMP_NUM_THREADS"), "2");
    assert_eq!(value("MKL_NUM_THREADS"), "2");
    for path in ["KINGTIDE_RESULT", "KINGTIDE_OUTPUT"] {
        assert!(value(path).starts_with(&*project.path().to_string_lossy()), "{path}");
    }
}

#[test]
fn threads_are_as_the_user_has_set_them() {
    let program = "echo $OMP_NUM_THREADS $MKL_NUM_THREADS $OPENBLAS_NUM_THREADS";
    let project = project(
        "command = [\"./program\"]\ncpu = 2\nenv = { OMP_NUM_THREADS = \"7\" }",
        program,
    )
    .env("MKL_NUM_THREADS", "5");
    project.run(&["run", "it"]).expect_code(0);
    assert_eq!(log(&project, "1"), ["7 5 2"]);
}

#[test]
fn it_runs_in_its_folder() {
    let project = project(
        "command = [\"sh\", \"-c\", \"pwd; echo $0\"]\nworkdir = \"deep/er\"",
        "",
    )
    .file("deep/er/x", "");
    project.run(&["run", "it"]).expect_code(0);
    assert_eq!(log(&project, "1")[0], project.path().join("deep/er").to_string_lossy());
}

#[test]
fn a_result_is_an_object_or_lines_of_them() {
    let program = r#"
case $1 in
object) printf '{\n  "mae": 1.5,\n  "deep": { "r2": 0.9 }\n}' ;;
lines)  printf '{"mae":1}\n\n{"mae":2,"extra":"x"}\n' ;;
none)   exit 0 ;;
esac > "$KINGTIDE_RESULT""#;
    let project = project(
        "command = [\"./program\", \"{kind}\"]\nparams = { matrix = { kind = [\"object\", \"lines\", \"none\"] } }",
        program,
    );
    project.run(&["run", "it"]).expect_code(0);
    let rows = rows(&project);
    let mae: Vec<(u64, &Value)> = rows
        .iter()
        .map(|row| (row["task"].as_u64().expect("a number"), &row["mae"]))
        .collect();
    assert_eq!(
        mae,
        [
            (1, &Value::from(1.5)),
            (2, &Value::from(1.0)),
            (2, &Value::from(2.0)),
            (3, &Value::Null)
        ]
    );
    assert_eq!(rows[0]["deep.r2"], 0.9);
    assert_eq!(rows[2]["extra"], "x");
}

#[test]
fn a_result_that_is_no_json_fails_its_task_and_says_where() {
    let program = r#"printf '{"mae": 1}\n{"mae": 2,}\n' > "$KINGTIDE_RESULT"; echo model > "$KINGTIDE_OUTPUT/model""#;
    let project = project("command = [\"./program\"]\nretries = 0", program);
    let output = project.run(&["run", "it"]).expect_code(4);
    insta::assert_snapshot!(steady(&project, &output));
    let reason = rows(&project)[0]["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("2:11"), "{reason}");
    assert!(
        !project.exists(".kingtide/outputs/it-1/1"),
        "nothing of a failure is published"
    );
}

#[test]
fn outputs_are_published_only_on_success_and_whole() {
    let program = r#"
mkdir "$KINGTIDE_OUTPUT/deep"; echo "$1" > "$KINGTIDE_OUTPUT/deep/model"; ln -s deep/model "$KINGTIDE_OUTPUT/latest"
test "$1" != bad"#;
    let project = project(
        "command = [\"./program\", \"{kind}\"]\nretries = 0\nparams = { matrix = { kind = [\"good\", \"bad\"] } }",
        program,
    );
    project.run(&["run", "it"]).expect_code(4);
    assert_eq!(project.read(".kingtide/outputs/it-1/1/deep/model"), "good\n");
    assert!(!project.exists(".kingtide/outputs/it-1/2"));
    let manifest: Value = serde_json::from_str(&project.read(".kingtide/outputs/it-1/1/manifest.json")).expect("JSON");
    assert_eq!(manifest["bytes"], 5);
    let sum = "106675dc1490d5cdd6d1f0410731316ce93fc964c6cf6726e2b0d53e19688feb";
    assert_eq!(manifest["entries"]["deep/model"]["file"]["sha256"], sum);
    let listed = project.run(&["outputs", "--json"]).expect_code(0).stdout;
    let listed: Value = serde_json::from_str(listed.trim_end()).expect("one line");
    assert_eq!(listed["params"]["kind"], "good");
    let left = std::fs::read_dir(project.path().join(".kingtide/work")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "no folder of an attempt is left");
}

/// Whoever looks while a run goes on sees a complete folder or none.
#[test]
fn nothing_is_published_before_the_end() {
    let program = r#"
echo half > "$KINGTIDE_OUTPUT/model"; echo ready
until test -e go; do sleep 0.02; done
echo whole > "$KINGTIDE_OUTPUT/model""#;
    let project = project("command = [\"./program\"]", program);
    let run = project.spawn(&["run", "it"]);
    let mut logs = project.spawn(&["logs", "-f", "it"]);
    // `logs -f` says there is no run yet if it was too quick; then it is asked again.
    let followed = kingtide_testkit::patience::within(std::time::Duration::from_secs(20), || {
        let seen = project.run(&["logs", "it"]);
        seen.stdout.contains("ready").then_some(())
    });
    assert!(followed.is_some());
    assert!(!project.exists(".kingtide/outputs/it-1/1"));
    project.write("go", "");
    run.wait().expect_code(0);
    assert_eq!(project.read(".kingtide/outputs/it-1/1/model"), "whole\n");
    logs.signal(rustix::process::Signal::KILL);
    logs = project.spawn(&["logs", "-f", "it"]);
    logs.wait_for_line("ready");
    logs.wait().expect_code(0);
}

#[test]
fn exit_codes_mean_what_the_job_says() {
    let program = r#"
case $1 in
skip) exit 3 ;;
reject) exit 5 ;;
release) test "$(cat seen 2>/dev/null | wc -l)" -ge 2 && exit 0; echo >> seen; exit 4 ;;
fail) exit 9 ;;
esac"#;
    let job = r#"
command = ["./program", "{kind}"]
params = { matrix = { kind = ["fine", "skip", "release", "reject", "fail"] } }
on_exit = { 3 = "skip", 4 = "release", 5 = "reject" }
retries = 1
backoff = { first = "10ms", jitter = 0 }
"#;
    let project = project(job, program);
    let output = project.run(&["run", "it", "--json"]).expect_code(4);
    let last = last_line(&output);
    // One attempt each for fine, skip and reject, three for what was released twice, two for what failed.
    assert_eq!(
        last["tasks"].to_string(),
        r#"{"total":5,"succeeded":2,"skipped":1,"failed":2,"cancelled":0,"attempts":8}"#
    );
    let states: Vec<String> = rows(&project)
        .iter()
        .map(|row| format!("{} {} {}", row["kind"], row["state"], row["reason"]))
        .collect();
    insta::assert_snapshot!(states.join("\n"));
    for task in ["2", "3", "4", "5"] {
        let words = project.run(&["explain", "it", task]).expect_code(0);
        insta::assert_snapshot!(format!("explained {task}"), project.redactor().redact(&words.stdout));
    }
}

#[test]
fn failures_are_retried_and_wait_longer_each_time() {
    let job = r#"
command = ["./program"]
retries = 3
backoff = { first = "60ms", factor = 3, max = "10s", jitter = 0 }
"#;
    let project = project(job, r#"date +%s%N >> times; test "$KINGTIDE_ATTEMPT" = 4"#);
    project.run(&["run", "it"]).expect_code(0);
    let times = project.read("times");
    let times: Vec<u64> = times.lines().map(|time| time.parse().expect("nanoseconds")).collect();
    let pauses: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    assert_eq!(pauses.len(), 3);
    assert!(pauses[0] >= 60 && pauses[1] >= 180 && pauses[2] >= 540, "{pauses:?}");
    assert!(pauses[2] < 5_000, "{pauses:?}");
    assert_eq!(rows(&project)[0]["attempts"], 4);
}

#[test]
fn failures_within_the_tolerance_are_borne() {
    let job = |tolerance: &str| {
        format!(
            "command = [\"sh\", \"-c\", \"test $KINGTIDE_PARAM_N -gt 2\"]\nretries = 0\ntolerate_failures = {tolerance}\n\
             params = {{ matrix = {{ n = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }} }}"
        )
    };
    for (tolerance, code, state) in [
        ("2", 0, "succeeded"),
        ("1", 4, "failed"),
        ("\"20%\"", 0, "succeeded"),
        ("\"19%\"", 4, "failed"),
    ] {
        let project = project(&job(tolerance), "");
        let output = project.run(&["run", "it", "--json"]).expect_code(code);
        assert_eq!(last_line(&output)["state"], state, "{tolerance}");
        assert_eq!(last_line(&output)["tasks"]["failed"], 2, "{tolerance}");
    }
}

#[test]
fn a_long_message_comes_as_a_file() {
    let program = r#"
echo "${KINGTIDE_MESSAGE-unset} ${KINGTIDE_PARAM_BODY-unset} $KINGTIDE_PARAM_DEST"
wc -c < "$KINGTIDE_MESSAGE_FILE""#;
    let body = "x".repeat(200 * 1024);
    let project = project("command = [\"./program\"]\nparams = \"params.jsonl\"", program)
        .file("params.jsonl", format!("{{\"dest\":\"BOS\",\"body\":\"{body}\"}}\n"));
    project.run(&["run", "it"]).expect_code(0);
    let bytes = r#"{"dest":"BOS","body":""}"#.len() + body.len();
    assert_eq!(log(&project, "1"), ["unset unset BOS".to_owned(), bytes.to_string()]);
}

#[test]
fn a_command_that_vanishes_fails_its_tasks() {
    let project = project(
        "command = [\"./program\"]\nretries = 0\nmax_workers = 1\nparams = { matrix = { n = [1, 2] } }",
        "rm program",
    );
    let output = project.run(&["run", "it"]).expect_code(4);
    insta::assert_snapshot!(steady(&project, &output));
    let rows = rows(&project);
    assert_eq!(
        (&rows[0]["state"], &rows[1]["state"]),
        (&"succeeded".into(), &"failed".into())
    );
}

#[test]
fn an_attempt_takes_no_longer_than_its_timeout() {
    let project = project(
        "command = [\"./program\"]\nretries = 0\ntimeout = \"200ms\"\nstop_timeout = \"100ms\"",
        "trap '' TERM; echo begun; while :; do sleep 0.05; done",
    );
    let output = project.run(&["run", "it"]).expect_code(4);
    insta::assert_snapshot!(steady(&project, &output));
    kingtide_testkit::assert_no_process_left(project.root());
}

#[test]
fn a_run_takes_no_longer_than_its_max_duration() {
    let project = project(
        "command = [\"sleep\", \"60\"]\nmax_duration = \"300ms\"\nstop_timeout = \"100ms\"",
        "",
    );
    let output = project.run(&["run", "it"]);
    insta::assert_snapshot!(steady(&project, &output));
}

/// A chatty program is not slowed down or stopped; of its log the end is kept.
#[test]
fn a_log_is_rotated_at_its_limit() {
    let project = project(
        "command = [\"./program\"]\n[local]\nlog_limit = \"1MiB\"",
        "yes 0123456789abcdef0123456789abcdef0123456789abcdef | head -c 300000000; echo; echo the-end",
    );
    project.run(&["run", "it"]).expect_code(0);
    let folder = project.path().join(".kingtide/logs/it-1");
    let bytes: u64 = std::fs::read_dir(&folder)
        .expect("logs")
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file").len())
        .sum();
    assert!(bytes > 256 << 10 && bytes <= 1 << 20, "{bytes} B are kept");
    let text = project.run(&["logs", "it"]).expect_code(0).stdout;
    assert!(text.trim_end().ends_with("the-end"));
}

#[test]
fn a_project_that_cannot_be_written_says_so() {
    let project = project("command = [\"true\"]", "");
    let folder = project.path();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).expect("it is ours");
    let output = if rustix::process::geteuid().is_root() {
        // Root may write anywhere; somebody else may not.
        std::fs::set_permissions(project.root(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        let binary = project.root().join("kingtide");
        std::fs::copy(env!("CARGO_BIN_EXE_kingtide"), &binary).expect("a copy for nobody");
        let args = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let mut command = std::process::Command::new("setpriv");
        command.args(args).arg(&binary).args(["run", "it"]).current_dir(&folder);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", project.root().join("home"));
        kingtide_testkit::Running::start(command).wait()
    } else {
        project.run(&["run", "it"])
    };
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    insta::assert_snapshot!(steady(&project, &output));
}
