//! Done by then: `plan`, deadlines of runs, and what is said of them before, meanwhile and afterwards.

use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::project::{Output, TestProject};
use kingtide_testkit::sqs::{leave, up};
use serde_json::Value;

/// Tasks that take as many milliseconds as their messages say.
const PROGRAM: &str = r#"#!/bin/sh
echo "begin $1" >> journal
sleep $(printf '0.%03d' "$2")
echo "end $1" >> journal
"#;

fn project(rows: &[u32], more: &str, local: &str) -> TestProject {
    let rows: String = rows.iter().enumerate().map(|(n, ms)| format!("t{n},{ms}\n")).collect();
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(&format!(
            "[project]\nname = \"p\"\n[local]\n{local}\n[job.work]\ncommand = [\"./work\", \"{{name}}\", \"{{ms}}\"]\n\
             params = \"rows.csv\"\nretries = 0\n{more}\n"
        ))
        .file("rows.csv", format!("name,ms\n{rows}"))
        .program("work", PROGRAM)
}

fn json(output: &Output) -> Value {
    let line = output.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", output.text()))
}

fn plan(project: &TestProject, more: &[&str]) -> Value {
    let arguments = [&["plan", "work", "--json"], more].concat();
    json(&project.run(&arguments).expect_code(0))
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

#[test]
fn a_plan_knows_nothing_then_a_hint_then_what_came() {
    let rows = [300, 50, 50, 50, 50, 50, 50, 50, 50, 200];
    let project = project(&rows, "", "cpu = 2");
    let first = plan(&project, &[]);
    assert_eq!((&first["finish"], &first["workers"]), (&Value::Null, &Value::from(2)));
    let said = project.run(&["plan", "work"]).expect_code(0).stdout;
    assert!(
        said.contains("first run, no history") && said.contains("`expected = "),
        "{said}"
    );

    let hinted = project.read("kingtide.toml") + "expected = \"1min\"\n";
    project.write("kingtide.toml", &hinted);
    let second = plan(&project, &["--deadline", "1h"]);
    let p50 = second["finish"]["p50_s"].as_f64().expect("it is hinted at");
    assert!((240.0..480.0).contains(&p50), "ten of a minute on two: {second}");
    assert_eq!(second["history"]["by_hint"], true);

    project.run(&["run", "work"]).expect_code(0);
    let results = project.run(&["results", "--format", "jsonl"]).expect_code(0);
    let took = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["seconds"].as_f64();
    let seconds: Vec<f64> = results.stdout.lines().filter_map(took).collect();
    assert_eq!(seconds.len(), rows.len());
    // What was seen, in the best order: two workers share it.
    let longest = seconds.iter().copied().fold(0.0, f64::max);
    let shared = (seconds.iter().sum::<f64>() / 2.0).max(longest);
    let third = plan(&project, &["--deadline", "1h"]);
    let p50 = third["finish"]["p50_s"].as_f64().expect("it is known");
    assert!(p50 > 0.7 * shared && p50 < 1.7 * shared, "{p50} for {shared}: {third}");
    assert_eq!((&third["chance"], count(&third["deciding"])), (&Value::from(1.0), 0));
    assert_eq!(third["history"]["configurations"], rows.len());
    let alternatives = third["alternatives"].as_array().expect("a list");
    let workers: Vec<i64> = alternatives.iter().filter_map(|of| of["workers"].as_i64()).collect();
    assert_eq!(workers, [1, 2, 3]);
    assert_eq!(plan(&project, &["--what-if", "cpu=4"])["workers"], 4);
    let alone = plan(&project, &["--workers", "1"]);
    assert!(alone["finish"]["p50_s"].as_f64() > third["finish"]["p50_s"].as_f64());
}

#[test]
fn a_deadline_too_short_says_which_and_by_how_much() {
    let project = project(&[400, 50, 50], "expected = \"10ms\"", "cpu = 2");
    project.run(&["run", "work"]).expect_code(0);
    let said = project
        .run(&["plan", "work", "--deadline", "100ms"])
        .expect_code(0)
        .stdout;
    assert!(said.contains("too short name=t0 ms=400 takes about"), "{said}");
    assert!(
        said.contains("decides") && said.contains("longer than the deadline"),
        "{said}"
    );
    let plan = plan(&project, &["--deadline", "100ms"]);
    assert_eq!(plan["deciding"][0]["task"], "name=t0 ms=400");
    assert!(plan["remedies"][0]["later_s"].as_f64() > Some(0.1), "{plan}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let project = project(&[1], "", "cpu = 2");
    for (flag, value, said) in [
        ("--deadline", "2001-01-01T00:00:00Z", "that deadline has passed"),
        ("--deadline", "07:00 Europe/Zuerich", "there is no zone"),
        ("--deadline", "07:00", "in which zone?"),
        ("--what-if", "colour=8", "the machine's `cpu`"),
        ("--what-if", "cpu=many", "a number of cores"),
    ] {
        let output = project.run(&["plan", "work", flag, value]).expect_code(2);
        assert!(output.stderr.contains(said), "{}", output.text());
    }
}

#[test]
fn a_run_says_what_became_of_its_deadline() {
    let project = project(&[20, 20, 20, 20], "deadline = \"1h\"\nexpected = \"100ms\"", "cpu = 2");
    let met = json(&project.run(&["run", "work", "--json"]).expect_code(0));
    assert_eq!(met["deadline"]["met"], true, "{met}");
    assert!(met["deadline"]["chance"].as_f64() > Some(0.9), "{met}");
    assert!(
        met["deadline"]["at"].as_str().is_some_and(|at| at.ends_with('Z')),
        "{met}"
    );
    let late = project
        .run(&["run", "work", "--json", "--deadline", "1ms"])
        .expect_code(0);
    assert_eq!(json(&late)["deadline"]["met"], false);
    let doubts = late.stderr.matches("the deadline 20").count();
    assert_eq!(doubts, 1, "{}", late.text());
    let status = json(&project.run(&["status", "--json"]).expect_code(0));
    assert_eq!(status["deadline"]["met"], false);
    let said = project.run(&["history", "work"]).expect_code(0).stdout;
    assert!(
        said.contains("missed") && said.contains("deadline  1 of 2 met"),
        "{said}"
    );
}

#[test]
fn history_outlives_the_runs_and_knows_its_own_kind() {
    let project = project(&[30, 30, 60], "", "cpu = 2");
    for _ in 0..2 {
        project.run(&["run", "work"]).expect_code(0);
    }
    project.run(&["clean", "--keep", "0"]).expect_code(0);
    assert_eq!(plan(&project, &[])["history"]["configurations"], 3);
    let review = json(&project.run(&["history", "work", "--json"]).expect_code(0));
    assert_eq!(review["configurations"], 3);
    assert_eq!(count(&review["durations"][0]["seconds"]), 2, "{review}");
    // The job of that name is now another.
    project.write("rows.csv", "region,ms\nnorth,1\n");
    let toml = project.read("kingtide.toml").replace("{name}", "{region}");
    project.write("kingtide.toml", toml);
    let other = plan(&project, &[]);
    assert_eq!(
        (&other["finish"], &other["history"]["foreign_runs"]),
        (&Value::Null, &Value::from(2))
    );
    let said = project.run(&["plan", "work"]).expect_code(0).stdout;
    assert!(said.contains("2 runs had parameters of other names"), "{said}");
}

#[test]
fn one_task_and_tasks_that_all_fail_or_take_no_time() {
    let one = project(&[40], "deadline = \"1h\"", "cpu = 2");
    one.run(&["run", "work"]).expect_code(0);
    let of_one = plan(&one, &[]);
    assert_eq!(
        (&of_one["workers"], &of_one["chance"]),
        (&Value::from(1), &Value::from(1.0))
    );

    let hinted = "deadline = \"1h\"\nexpected = \"1s\"";
    let failing = project(&[1, 1, 1, 1, 1], hinted, "cpu = 2").program("work", "#!/bin/sh\nfalse\n");
    let failed = json(&failing.run(&["run", "work", "--json"]).expect_code(4));
    assert_eq!(failed["deadline"]["met"], true, "it is over, and not well: {failed}");
    let of_failing = plan(&failing, &[]);
    assert_eq!(
        of_failing["history"]["by_hint"], true,
        "failures tell of no duration: {of_failing}"
    );

    let quick = project(&[1; 20], "", "cpu = 2").program("work", "#!/bin/sh\ntrue\n");
    quick.run(&["run", "work"]).expect_code(0);
    let of_quick = plan(&quick, &["--deadline", "1min"]);
    assert!(of_quick["finish"]["p95_s"].as_f64() < Some(10.0), "{of_quick}");
}

#[test]
fn where_workers_have_a_price_no_more_are_engaged_than_the_deadline_takes() {
    let project = project(&[60; 8], "deadline = \"1h\"", "cpu = 4\ncost = { cpu_hour = 3600.0 }");
    project.run(&["run", "work"]).expect_code(0);
    let plan = plan(&project, &[]);
    assert_eq!(plan["workers"], 1, "an hour is plenty: {plan}");
    let cost = plan["cost"].as_f64().expect("a price");
    assert!(
        (0.4..4.0).contains(&cost),
        "eight of a sixteenth of a second, for one a second: {plan}"
    );
    project.write("journal", "");
    project.run(&["run", "work"]).expect_code(0);
    let journal = project.read("journal");
    let (mut running, mut most) = (0, 0);
    for line in journal.lines() {
        running += if line.starts_with("begin") { 1 } else { -1 };
        most = most.max(running);
    }
    assert_eq!(most, 1, "{journal}");
}

#[test]
fn a_deadline_counts_from_the_first_message_that_is_sent() {
    let project = project(&[], "deadline = \"1h\"\nrun_idle = \"1h\"", "cpu = 2");
    let (runtime, sqs) = up(&project);
    for n in 0..3 {
        sqs.send("work", &format!(r#"{{"name":"t{n}","ms":10}}"#))
            .expect("acknowledged");
    }
    let status = eventually("they are worked off", PATIENCE, || {
        let status = json(&project.run(&["status", "--json"]));
        (status["tasks"]["succeeded"] == 3).then_some(status)
    });
    let at = |value: &Value| humantime::parse_rfc3339(value.as_str().expect("a moment")).expect("a moment");
    let created = at(&status["created_at"]);
    let within = at(&status["deadline"]["at"]).duration_since(created).expect("later");
    // Where all was done when another came, it is that one's.
    assert!((3600..3660).contains(&within.as_secs()), "{status}");
    assert_eq!(
        status["deadline"]["met"], true,
        "all is done, and the run waits for more: {status}"
    );
    leave(runtime);
}
