//! What a user is told about a `kingtide.toml` that is wrong, by `check` and by `run`: every finding with place and help,
//! exit code 3, and nothing started.

use kingtide_testkit::TestProject;
use kingtide_testkit::redactor::Rule;

fn project() -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
}

/// What `check` says about a file, redacted.
#[track_caller]
fn check(project: &TestProject) -> String {
    let output = project.run(&["check"]);
    assert!(!project.exists(".kingtide"), "check leaves nothing behind");
    // Sizes and durations are the user's own here.
    let redactor = project.redactor().without(Rule::Sizes).without(Rule::Durations);
    redactor.redact(&output.text())
}

#[test]
fn a_sound_file() {
    let project = project().toml(
        r#"
[project]
name = "sound"

[job.hello]
command = ["echo", "{dest}"]
params = [{ dest = "BOS" }, { dest = "LAX" }]
"#,
    );
    insta::assert_snapshot!(check(&project));
}

#[test]
fn a_file_that_is_not_toml() {
    let project = project().toml(
        r#"[project]
name = "broken"

[job.hello
command = ["echo", "hello"
"#,
    );
    insta::assert_snapshot!(check(&project));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let project = project().toml(
        r#"
[project]
name = "wrong"

[job.retrain]
comand = ["echo", "{dest}"]
command = ["echo", "{destination}", "{}"]
params = [{ dest = "BOS" }, { destination = "LAX" }]
cpu = "two"
memory = 0
retries = -1
timeout = "soon"
on_exit = { 3 = "ignore", 0 = "skip" }
on_crash = "maybe"

[job.other]
params = "nowhere.csv"

[locl]
cpu = 2
"#,
    );
    insta::assert_snapshot!(check(&project));
}

#[test]
fn run_says_the_same_and_starts_nothing() {
    let project = project().toml(
        r#"
[project]
name = "wrong"

[job.hello]
command = ["touch", "started"]
memory = "0"
"#,
    );
    let output = project.run(&["run", "hello"]).expect_code(3);
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("error[out-of-range]"), "{}", output.stderr);
    assert!(output.stderr.contains("kingtide.toml:7:10"), "{}", output.stderr);
    assert!(!project.exists("started") && !project.exists(".kingtide"));
}

#[test]
fn findings_as_json_are_all_that_stdout_carries() {
    let project =
        project().toml("[project]\nname = \"wrong\"\n[job.hello]\ncommand = [\"no-such-program-here\"]\nmemry = 1\n");
    let output = project.run(&["check", "--json"]).expect_code(3);
    let redacted = project.redactor().redact(&output.text());
    for line in output.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("every line is JSON");
    }
    insta::assert_snapshot!(redacted);
}

#[test]
fn commands_that_cannot_be_run() {
    let project = project()
        .toml(
            r#"
[project]
name = "commands"

[job.missing]
command = ["retrain-it"]

[job.gone]
command = ["./bin/gone", "--fast"]

[job.text]
command = ["./notes.txt"]

[job.one-word]
command = ["echo hello"]

[job.nothing]
command = []

[job.elsewhere]
command = ["true"]
workdir = "no/such/folder"
"#,
        )
        .file("notes.txt", "no program");
    insta::assert_snapshot!(check(&project));
}

#[test]
fn more_than_the_machine_has() {
    let project = project().toml(
        r#"
[project]
name = "large"

[local]
cpu = 2
memory = "4GiB"
gpus = 0

[job.cores]
command = ["true"]
cpu = 64

[job.memory]
command = ["true"]
memory = "900GiB"

[job.gpus]
command = ["true"]
gpus = 8

[job.order]
command = ["true"]
memory = "2GiB"
memory_max = "1GiB"
"#,
    );
    insta::assert_snapshot!(check(&project));
}

#[test]
fn a_message_inside_a_script_is_a_warning() {
    let project = project().toml(
        r#"
[project]
name = "shell"

[job.inside]
command = ["sh", "-c", "echo {dest}"]
params = [{ dest = "BOS" }]

[job.beside]
command = ["sh", "-c", "echo \"$1\"", "sh", "{dest}"]
params = [{ dest = "BOS" }]
"#,
    );
    insta::assert_snapshot!(check(&project));
}

#[test]
fn a_bad_argument_is_no_reason_for_further_findings() {
    let project = project().toml(
        r#"
[project]
name = "shell"

[job.beside]
command = ["sh", "-c", "echo {", "{dest}"]
params = [{ dest = "BOS" }]
"#,
    );
    let output = project.run(&["check"]).expect_code(3);
    assert!(output.stderr.contains("error[bad-placeholder]"), "{}", output.stderr);
    assert!(!output.stderr.contains("shell-injection"), "{}", output.stderr);
}

#[test]
fn bytes_that_are_no_text() {
    let latin = project().file("kingtide.toml", b"[project]\nname = \"z\xfcrich\"\n");
    insta::assert_snapshot!("latin-1", check(&latin));

    let marked = project().file(
        "kingtide.toml",
        "\u{feff}[project]\nname = \"marked\"\n\n[job.hello]\ncommand = [\"true\"]\n",
    );
    marked.run(&["check"]).expect_code(0);

    let empty = project().toml("");
    insta::assert_snapshot!("an empty file", check(&empty));
}

#[test]
fn no_file_at_all() {
    let project = project();
    insta::assert_snapshot!(check(&project));
}

#[test]
fn the_file_is_searched_upwards_and_named_by_a_flag() {
    let project = project()
        .toml("[project]\nname = \"up\"\n[job.hello]\ncommand = [\"pwd\"]\n")
        .file("deep/down/note", "");
    let mut below = project.command(&["run", "hello"]);
    below.current_dir(project.path().join("deep/down"));
    let output = kingtide_testkit::Running::start(below).wait().expect_code(0);
    assert!(output.stdout.contains("1 succeeded") || output.stderr.contains("1 succeeded"));
    assert!(project.exists(".kingtide") && !project.exists("deep/down/.kingtide"));

    let mut elsewhere = project.command(&["logs", "--project", &project.path().to_string_lossy()]);
    elsewhere.current_dir(project.root());
    let logs = kingtide_testkit::Running::start(elsewhere).wait().expect_code(0);
    let folder = project.path().to_string_lossy().into_owned();
    assert!(logs.stdout.trim_end().ends_with(&folder), "{}", logs.stdout);
}

#[test]
fn names_of_secrets_that_are_not_there() {
    let project = project().toml(
        r#"
[project]
name = "secrets"

[job.hello]
command = ["true"]
secrets = { TOKEN = { file = "token.txt" }, PASSWORD = {} }
"#,
    );
    insta::assert_snapshot!(check(&project));
}
