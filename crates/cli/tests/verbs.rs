//! Every verb by the real binary: what it says, its JSON, its exit code.

use kingtide_testkit::{Output, Running, TestProject};
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "verbs"

[job.it]
command = ["./program", "{dest}"]
params = { matrix = { dest = ["BOS", "LAX", "SFO"], depth = [4, 8] } }
retries = 0
max_workers = 1
"#;

fn project() -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(TOML).program(
        "program",
        "#!/bin/sh\necho trying $1\nprintf '{\"mae\":%s}' $KINGTIDE_TASK > $KINGTIDE_RESULT\necho $1 > $KINGTIDE_OUTPUT/model\ntest $1 != LAX -o -e mended\n",
    )
}

#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The whole life of a job as a person sees it.
#[test]
fn a_run_and_what_is_asked_about_it() {
    let project = project();
    let say = |name: &str, args: &[&str]| {
        let output = project.run(args);
        assert!(!output.text().contains('\u{1b}'), "no escape codes in what is piped");
        let text = project.redactor().redact(&output.text());
        let text = text.replace("just now", "[AGO]").replace("[DURATION] ago", "[AGO]");
        // Lines that depend on how long it took and how much it was.
        let passing = |line: &&str| {
            !line.contains(" done (") && !["  slowest ", "  memory "].iter().any(|start| line.starts_with(start))
        };
        let lines: Vec<&str> = text.lines().filter(passing).collect();
        // The head of a column is as wide as what is below it.
        let squeezed = |line: &&str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines = lines.iter().map(|line| {
            if line.starts_with("run ") {
                squeezed(line)
            } else {
                (*line).to_owned()
            }
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(name, text);
    };
    say("run", &["run", "it"]);
    say("status", &["status"]);
    say("explain a run", &["explain"]);
    say("explain a task", &["explain", "it", "dest=LAX", "depth=8"]);
    say("explain several", &["explain", "it", "dest=LAX"]);
    say("explain none", &["explain", "it", "dest=JFK"]);
    say("logs", &["logs", "it", "dest=LAX", "depth=4"]);
    say("logs of no task", &["logs", "it", "99"]);
    say("outputs", &["outputs"]);
    project.write("mended", "");
    say("retry", &["retry"]);
    say("retry of nothing", &["retry"]);
    say("retry of a run that was retried", &["retry", "it-1"]);
    say("history", &["history"]);
    say("cancel of what has ended", &["cancel"]);
    say("no such run", &["status", "it-77"]);
    say("no such job", &["run", "its"]);
    say("clean", &["clean", "--keep", "1"]);
    say("clean again", &["clean", "--keep", "1"]);
    say("a run that was cleaned away", &["status", "it-1"]);
}

/// `{"run":…,"job":…,"state":…,"wall_s":…,"tasks":{…}}`, in this order.
#[test]
fn the_last_line_of_a_run_is_as_documented() {
    let project = project();
    let output = project.run(&["run", "it", "--json"]).expect_code(4);
    let last = output.stdout.lines().last().expect("a line");
    let wall = serde_json::from_str::<Value>(last).expect("JSON")["wall_s"].clone();
    let expected = format!(
        r#"{{"run":1,"job":"it","state":"failed","wall_s":{wall},"tasks":{{"total":6,"succeeded":4,"skipped":0,"failed":2,"cancelled":0,"attempts":6}}}}"#
    );
    assert_eq!(last, expected);
    assert!(wall.as_f64().is_some_and(|wall| wall > 0.0));
    lines(&output);
}

#[test]
fn json_is_all_that_stdout_carries() {
    let project = project();
    lines(&project.run(&["run", "it", "--json"]).expect_code(4));
    let verbs: &[&[&str]] = &[
        &["check"],
        &["status"],
        &["explain"],
        &["explain", "it", "1"],
        &["logs"],
        &["results"],
        &["outputs"],
        &["history"],
        &["doctor"],
        &["cancel"],
        &["run", "it", "--dry-run"],
        &["run", "it", "dest=BOS"],
        &["retry", "it-1"],
        &["clean", "--keep", "1"],
    ];
    for args in verbs {
        let mut args = args.to_vec();
        args.push("--json");
        let output = project.run(&args);
        assert!([0, 4].contains(&output.code), "{args:?}: {}", output.text());
        assert!(!lines(&output).is_empty(), "{args:?} says something");
    }
}

#[test]
fn errors_as_json_leave_stdout_to_json() {
    let project = project();
    for args in [
        &["status", "--json"][..],
        &["run", "nothing", "--json"],
        &["results", "it-9", "--json"],
    ] {
        let output = project.run(args).expect_code(2);
        lines(&output);
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn quiet_says_nothing_but_errors() {
    let project = project();
    project.write("mended", "");
    let output = project.run(&["run", "it", "--quiet"]).expect_code(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    assert_eq!(project.run(&["check", "-q"]).expect_code(0).stderr, "");
    let output = project.run(&["run", "its", "-q"]).expect_code(2);
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    // What was asked for is no chatter.
    assert!(!project.run(&["results", "-q"]).expect_code(0).stdout.is_empty());
    // With --json the one line is what was asked for.
    assert_eq!(
        lines(&project.run(&["run", "it", "-q", "--json"]).expect_code(0)).len(),
        1
    );
}

#[test]
fn colour_is_for_terminals_and_for_who_asks() {
    let project = project();
    let always = project.run(&["status", "--color", "always"]).expect_code(2);
    assert!(always.stderr.contains('\u{1b}'), "{:?}", always.stderr);
    for extra in [&["--color", "never"][..], &["--color", "auto"], &[]] {
        let output = project.run(&[&["status"], extra].concat()).expect_code(2);
        assert!(!output.stderr.contains('\u{1b}'), "{:?}", output.stderr);
    }
}

#[test]
fn usage_mistakes_end_with_2() {
    let project = project();
    let mistakes: &[&[&str]] = &[
        &[],
        &["fly"],
        &["run"],
        &["run", "it", "--wrokers", "2"],
        &["run", "it", "--workers", "0"],
        &["run", "it", "dest"],
        &["run", "it", "dest=BOS", "--resume"],
        &["results", "--format", "xml"],
        &["status", "--project", "/no/such/folder"],
        &["clean", "--older", "soon"],
    ];
    for args in mistakes {
        let output = project.run(args).expect_code(2);
        assert_eq!(output.stdout, "", "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn one_message_of_the_command_line() {
    let project = project();
    let output = project
        .run(&["run", "it", "dest=JFK", "depth=4", "--json"])
        .expect_code(0);
    assert_eq!(lines(&output).last().expect("a line")["tasks"]["total"], 1);
    let output = project.run(&["run", "it", "depth=4"]).expect_code(3);
    insta::assert_snapshot!(project.redactor().redact(&output.text()));
}

#[test]
fn a_dry_run_starts_nothing() {
    let project = project();
    let output = project.run(&["run", "it", "--dry-run"]).expect_code(0);
    insta::assert_snapshot!(project.redactor().redact(&output.text()));
    assert!(!project.exists(".kingtide"));
}

#[test]
fn resume_starts_a_run_where_there_is_none() {
    let project = project();
    project.write("mended", "");
    let output = project.run(&["run", "it", "--resume", "--json"]).expect_code(0);
    assert_eq!(lines(&output).last().expect("a line")["run"], 1);
    // That one is finished, so the next is another.
    let output = project.run(&["run", "it", "--resume", "--json"]).expect_code(0);
    assert_eq!(lines(&output).last().expect("a line")["run"], 2);
}

#[test]
fn workers_run_at_most_so_many_at_once() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml("[project]\nname = \"w\"\n[local]\ncpu = 8\n[job.it]\ncommand = [\"./program\"]\ncpu = 0.1\nparams = { matrix = { n = [1, 2, 3, 4, 5, 6] } }\n")
        .program(
            "program",
            "#!/bin/sh\ntouch running.$KINGTIDE_TASK; ls -d running.* | wc -l >> seen; sleep 0.1; rm running.$KINGTIDE_TASK\n",
        );
    let most = |project: &TestProject| {
        let seen = project.read("seen");
        std::fs::remove_file(project.path().join("seen")).expect("ours");
        seen.lines()
            .map(|line| line.trim().parse::<u32>().expect("a number"))
            .max()
    };
    project.run(&["run", "it", "--workers", "1"]).expect_code(0);
    assert_eq!(most(&project), Some(1));
    project.run(&["run", "it", "--workers", "3"]).expect_code(0);
    assert!(most(&project).is_some_and(|most| (2..=3).contains(&most)));
}

#[test]
fn a_project_of_init_runs_as_it_is() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"));
    let output = project.run(&["init"]).expect_code(0);
    insta::assert_snapshot!("init", project.redactor().redact(&output.text()));
    project.run(&["check"]).expect_code(0);
    let text = project.read("kingtide.toml");
    let job = text
        .lines()
        .find_map(|line| line.strip_prefix("[job.").and_then(|rest| rest.strip_suffix(']')))
        .expect("a job");
    project.run(&["run", job]).expect_code(0);
    assert!(project.run(&["results"]).expect_code(0).stdout.lines().count() > 1);
    // Nothing is overwritten.
    project.write("kingtide.toml", "# mine\n");
    let again = project.run(&["init"]);
    assert_ne!(again.code, 0);
    assert_eq!(project.read("kingtide.toml"), "# mine\n");
    insta::assert_snapshot!("init again", project.redactor().redact(&again.text()));
}

#[test]
fn a_project_from_a_table() {
    let project =
        TestProject::new(env!("CARGO_BIN_EXE_kingtide")).file("places.csv", "dest,max depth,run\nBOS,4,1\nLAX,8,2\n");
    let refused = project.run(&["init", "--from", "places.csv"]);
    insta::assert_snapshot!("init from a bad table", project.redactor().redact(&refused.text()));

    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).file("places.csv", "dest,depth\nBOS,4\nLAX,8\n");
    project.run(&["init", "--from", "places.csv"]).expect_code(0);
    insta::assert_snapshot!("init from a table", project.read("kingtide.toml"));
    let text = project.read("kingtide.toml");
    let job = text
        .lines()
        .find_map(|line| line.strip_prefix("[job.").and_then(|rest| rest.strip_suffix(']')))
        .expect("a job");
    let output = project.run(&["run", job, "--json"]).expect_code(0);
    assert_eq!(lines(&output).last().expect("a line")["tasks"]["succeeded"], 2);
}

#[test]
fn schema_and_completions() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"));
    let schema: Value = serde_json::from_str(&project.run(&["schema"]).expect_code(0).stdout).expect("JSON");
    assert!(schema["properties"]["job"].is_object());
    let script = project.run(&["completions", "bash"]).expect_code(0).stdout;
    project.write("completions.bash", &script);
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", "source ./completions.bash && complete -p kingtide"])
        .current_dir(project.path());
    kingtide_testkit::Running::start(bash).wait().expect_code(0);
    for shell in ["zsh", "fish"] {
        assert!(!project.run(&["completions", shell]).expect_code(0).stdout.is_empty());
    }
    assert!(
        project
            .run(&["--version"])
            .expect_code(0)
            .stdout
            .starts_with("kingtide ")
    );
    assert!(
        project
            .run(&["--help"])
            .expect_code(0)
            .stdout
            .contains("kingtide run JOB")
    );
}

#[test]
fn cancel_ends_a_run_from_outside() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(
        "[project]\nname = \"c\"\n[job.it]\ncommand = [\"sh\", \"-c\", \"echo begun; exec sleep 100\"]\nparams = { matrix = { n = [1, 2, 3] } }\nmax_workers = 1\nstop_timeout = \"1s\"\n",
    );
    let run = project.spawn(&["run", "it", "--json"]);
    let begun = || project.run(&["logs", "it"]).stdout.contains("begun").then_some(());
    kingtide_testkit::patience::eventually("it runs", kingtide_testkit::patience::PATIENCE, begun);
    let second = project.run(&["run", "it"]);
    insta::assert_snapshot!("a second run beside it", redact_run(&project, &run, &second.text()));
    let status = project.run(&["status"]).expect_code(0);
    let status = redact_run(&project, &run, &status.stdout);
    // Which samples there are, and so whether its age is shown, depends on the moment.
    let status: Vec<&str> = status.lines().filter(|line| !line.ends_with("n=1")).collect();
    insta::assert_snapshot!("status while it runs", status.join("\n"));
    let waiting = project.run(&["explain", "it", "n=3"]).expect_code(0);
    insta::assert_snapshot!("explain what waits", redact_run(&project, &run, &waiting.stdout));
    project.run(&["cancel"]).expect_code(0);
    let output = run.wait().expect_code(5);
    let last = lines(&output).pop().expect("a line");
    assert_eq!(
        (&last["state"], &last["tasks"]["cancelled"]),
        (&"cancelled".into(), &3.into())
    );
    kingtide_testkit::assert_no_process_left(project.root());
    let words = project.run(&["explain", "it", "n=3"]).expect_code(0);
    insta::assert_snapshot!("explain what was cancelled", project.redactor().redact(&words.stdout));
}

/// The same where another process is named in a command to type.
fn redact_run(project: &TestProject, run: &Running, text: &str) -> String {
    let kill = format!("kill {}", run.pid());
    project.redactor().replace(&kill, "kill [PID]").redact(text)
}
