//! Runs on AWS: quoted, watched, fetched, read without a network.

use crate::stand_in::*;
use rustix::process::Signal;
use serde_json::{Value, json};

fn task_line(seq: i64, dest: &str, state: &str, exit: i64) -> String {
    let outcome = if state == "succeeded" { "succeeded" } else { "failed" };
    json!({
        "format": 1, "seq": seq, "state": state, "message": { "dest": dest }, "result": { "mae": seq },
        "failures": i64::from(exit != 0),
        "attempts": [{
            "number": 1, "place": { "task": format!("task-{}", seq % 2) }, "claimed_ms": 1_795_000_060_000_i64,
            "started_ms": 1_795_000_060_000_i64, "ended_ms": 1_795_000_660_000_i64, "outcome": outcome, "exit_code": exit,
            "reason": (exit != 0).then(|| format!("exit code {exit}")),
        }],
    })
    .to_string()
}

fn document(key: &str, body: String) -> Value {
    json!({ "event": "document", "key": key, "body": body })
}

/// A run of three tasks, of which the last did not succeed.
fn documents(is_over: bool) -> Vec<Value> {
    let counts = json!({ "total": 3, "succeeded": 2, "failed": 1, "attempts": 3 });
    let opened = json!({
        "format": 1, "run": 4, "job": "retrain", "execution": "arn:aws:states:…", "opened_ms": 1_795_000_000_000_i64,
        "by": "schedule", "total": 3, "deadline_ms": 1_795_003_600_000_i64,
    });
    let mut all = vec![document("runs/4/run.json", opened.to_string())];
    if is_over {
        let outcome = json!({
            "format": 1, "run": 4, "job": "retrain", "state": "failed", "reason": "1 of 3 tasks failed", "counts": counts,
            "opened_ms": 1_795_000_000_000_i64, "ended_ms": 1_795_000_700_000_i64, "dollars": 0.02,
        });
        let lines = [
            task_line(1, "BOS", "succeeded", 0),
            task_line(2, "LAX", "succeeded", 0),
            task_line(3, "SFO", "failed", 1),
        ];
        all.push(document("runs/4/tasks.jsonl", lines.join("\n")));
        all.push(document("runs/4/outcome.json", outcome.to_string()));
    } else {
        all.push(document(
            "runs/4/messages.jsonl",
            "{\"dest\":\"BOS\"}\n{\"dest\":\"LAX\"}\n{\"dest\":\"SFO\"}\n".to_owned(),
        ));
        let progress = json!({
            "format": 1, "at_ms": 1_795_000_100_000_i64, "counts": { "total": 3, "succeeded": 1, "attempts": 1 }, "running": 2,
            "workers": { "wanted": 2, "running": 2 },
        });
        all.push(document("runs/4/progress.json", progress.to_string()));
    }
    all
}

#[test]
fn a_run_is_quoted_started_watched_and_summed_up() {
    let project = project();
    answer(&project, "describe", &[stack(&project, "UPDATE_COMPLETE", |_| ())]);
    answer(&project, "premises", &[premises()]);
    answer(
        &project,
        "start",
        &[json!({ "event": "started", "run": 4, "execution": "arn:aws:states:…" })],
    );
    let progress = json!({
        "at_ms": 1_795_000_100_000_i64, "counts": { "total": 3, "succeeded": 1 }, "running": 2, "workers": { "wanted": 2, "running": 2 },
        "warnings": ["the deadline is in doubt: chance 40 %"],
    });
    answer(
        &project,
        "watch",
        &[json!({ "event": "progress", "document": progress })],
    );
    answer(&project, "fetch.next", &documents(true));
    answer(&project, "fetch", &[]);
    let ran = project.run(&["run", "retrain", "--on", "aws", "--json"]).expect_code(4);
    let text = said(&project, &ran);
    for expected in [
        "retrain on AWS: 3 tasks, 2 workers, done in ",
        "the deadline: chance ",
        "  about $0.0",
        "retrain-4: 3 tasks on AWS",
        "the deadline is in doubt",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let last: Value = serde_json::from_str(ran.stdout.lines().last().expect("a line")).expect("an object");
    assert_eq!(
        (&last["run"], &last["state"], &last["tasks"]["failed"]),
        (&json!(4), &json!("failed"), &json!(1))
    );
    let start = asked(&project)
        .into_iter()
        .find(|request| request["ask"] == "start")
        .expect("started");
    assert_eq!((&start["count"], &start["job"]), (&json!(3), &json!("retrain")));
    assert_eq!(start["predictions"].as_array().map(Vec::len), Some(3));
    assert!(start["deadline"].is_i64());
    // What failed runs again, and only that.
    let again = project.run(&["retry", "retrain-4", "--on", "aws"]).expect_code(4);
    assert!(again.text().contains("1 task"), "{}", again.text());
    let start = asked(&project)
        .into_iter()
        .rfind(|request| request["ask"] == "start")
        .expect("started");
    assert_eq!(start["count"], 1);
    let detached = project
        .run(&["run", "retrain", "--on", "aws", "--detach"])
        .expect_code(0)
        .text();
    assert!(
        detached.contains("`kingtide status retrain-4 --on aws --watch`"),
        "{detached}"
    );
}

#[test]
fn a_run_that_cannot_be_is_refused_before_it_starts() {
    let project = project();
    answer(&project, "describe", &[nowhere()]);
    let text = project.run(&["run", "retrain", "--on", "aws"]).expect_code(2).text();
    assert!(
        text.contains("there is no stack `flights` in eu-west-1") && text.contains("kingtide deploy"),
        "{text}"
    );
    answer(&project, "describe", &[stack(&project, "UPDATE_COMPLETE", |_| ())]);
    let mut low = premises();
    low["vcpu_quota"] = json!(0.5);
    answer(&project, "premises", &[low]);
    let text = project.run(&["run", "retrain", "--on", "aws"]).expect_code(1).text();
    assert!(
        text.contains("quota of Fargate's vCPUs") && text.contains("Service Quotas"),
        "{text}"
    );
    assert!(asked(&project).iter().all(|request| request["ask"] != "start"));
    let text = project
        .run(&["run", "retrain", "--on", "aws", "--resume"])
        .expect_code(2)
        .text();
    assert!(text.contains("goes on by itself"), "{text}");
    let text = project.run(&["plan", "retrain", "--on", "aws"]).expect_code(1).text();
    assert!(text.contains("quota"), "{text}");
}

#[test]
fn what_was_fetched_is_read_as_runs_here_are_also_without_a_network() {
    let project = project();
    answer(&project, "describe", &[stack(&project, "UPDATE_COMPLETE", |_| ())]);
    answer(&project, "fetch", &documents(false));
    let status = said(&project, &project.run(&["status", "--on", "aws"]).expect_code(0));
    assert!(
        status.contains("retrain-4 is running: 1 of 3 tasks done") && status.contains("on AWS, as of"),
        "{status}"
    );
    answer(&project, "fetch", &documents(true));
    let rows = project
        .run(&["results", "retrain", "--on", "aws"])
        .expect_code(0)
        .stdout;
    assert!(
        rows.contains("SFO") && rows.contains("exit code 1") && rows.contains("mae"),
        "{rows}"
    );
    // Nobody can be asked any more.
    let gone = failed(
        "unavailable",
        "nobody answers at cloudformation.eu-west-1.amazonaws.com",
        &[],
    );
    for ask in ["describe", "fetch"] {
        answer(&project, ask, std::slice::from_ref(&gone));
    }
    let offline = project.run(&["results", "retrain", "--on", "aws"]).expect_code(0);
    assert_eq!(offline.stdout, rows);
    assert!(
        offline.stderr.contains("as of") && offline.stderr.contains("nobody answers"),
        "{}",
        offline.stderr
    );
    let history = project
        .run(&["history", "retrain", "--on", "aws", "--quiet"])
        .expect_code(0)
        .stdout;
    assert!(
        history.contains("retrain-4") && history.contains("its schedule"),
        "{history}"
    );
    let why = project
        .run(&["explain", "retrain", "dest=SFO", "--on", "aws"])
        .expect_code(0)
        .stdout;
    assert!(why.contains("exit code 1"), "{why}");
    // Nothing of it is a run here.
    project.run(&["status"]).expect_code(2);
    // And it teaches: without `expected`, what ran there foresees.
    let toml = project.read("kingtide.toml").replace("expected = \"10min\"\n", "");
    project.write("kingtide.toml", toml);
    let plan = project
        .run(&["plan", "retrain", "--on", "aws", "--json"])
        .expect_code(0)
        .stdout;
    let plan: Value = serde_json::from_str(&plan).expect("an object");
    assert_eq!(plan["history"]["configurations"], 2);
    assert!(plan["cost"].as_f64().is_some_and(|usd| usd > 0.0), "{plan}");
}

#[test]
fn what_a_run_cost_is_itemised_by_its_workers() {
    let project = project();
    answer(&project, "describe", &[stack(&project, "UPDATE_COMPLETE", |_| ())]);
    answer(&project, "fetch", &documents(true));
    let cost = project.run(&["cost", "retrain-4", "--json"]).expect_code(0).stdout;
    let cost: Value = serde_json::from_str(&cost).expect("an object");
    assert_eq!((&cost["workers"], &cost["worker_s"]), (&json!(2), &json!(1260.0)));
    let usd = cost["usd"].as_f64().expect("dollars");
    // A vCPU and 2 GB for 21 minutes, a dispatcher for 12, addresses.
    assert!((0.018..0.030).contains(&usd), "{cost}");
    let text = project.run(&["cost", "retrain-4"]).expect_code(0).stdout;
    assert!(
        text.contains("the dispatcher") && text.contains("an estimate"),
        "{text}"
    );
}

#[test]
fn messages_and_cancellations_reach_the_stack() {
    let project = project();
    answer(&project, "sent", &[]);
    answer(&project, "send", &[json!({ "event": "sent", "messages": 1 })]);
    let text = project
        .run(&["send", "retrain", "dest=SFO", "--on", "aws"])
        .expect_code(0)
        .text();
    assert!(text.contains("1 message sent to `retrain` of flights on AWS"), "{text}");
    let send = asked(&project).pop().expect("asked");
    assert_eq!(send["messages"], json!([{ "dest": "SFO" }]));
    answer(&project, "fetch", &documents(false));
    project.run(&["cancel", "retrain-4", "--on", "aws"]).expect_code(0);
    let cancel = asked(&project).pop().expect("asked");
    assert_eq!((&cancel["ask"], &cancel["run"]), (&json!("cancel"), &json!(4)));
    assert!(
        cancel["by"].as_str().is_some_and(|by| by.starts_with("anna@")),
        "{cancel}"
    );
    answer(&project, "fetch", &documents(true));
    let text = project
        .run(&["cancel", "retrain-4", "--on", "aws"])
        .expect_code(0)
        .text();
    assert!(text.contains("has already failed"), "{text}");
}

#[test]
fn logs_are_printed_as_they_come_and_kept_when_they_are_whole() {
    let project = project();
    answer(&project, "fetch", &documents(true));
    let line = json!({ "event": "line", "at_ms": 1_795_000_061_000_i64, "text": "training SFO" });
    answer(&project, "log", &[line]);
    let logs = ["logs", "retrain-4", "dest=SFO", "--on", "aws"];
    let said = project.run(&logs).expect_code(0);
    assert!(
        said.stdout.ends_with("Z training SFO\n") && said.stderr.contains("exit code 1"),
        "{}",
        said.text()
    );
    let gone = failed("unavailable", "nobody answers", &[]);
    answer(&project, "log", std::slice::from_ref(&gone));
    answer(&project, "fetch", &[gone]);
    assert_eq!(project.run(&logs).expect_code(0).stdout, said.stdout, "it was kept");
    assert!(
        project
            .run(&["outputs", "retrain-4", "--on", "aws"])
            .expect_code(0)
            .stderr
            .contains("no outputs")
    );
}

#[test]
fn ctrl_c_leaves_the_run_going_and_says_how_to_come_back() {
    let project = project();
    answer(&project, "describe", &[stack(&project, "UPDATE_COMPLETE", |_| ())]);
    answer(&project, "premises", &[premises()]);
    answer(
        &project,
        "start",
        &[json!({ "event": "started", "run": 4, "execution": "arn:aws:states:…" })],
    );
    let progress = json!({ "at_ms": 1_795_000_100_000_i64, "counts": { "total": 3 }, "workers": {}, "warnings": ["so far so good"] });
    project.write(
        "aws/watch.endless",
        format!("{}\n", json!({ "event": "progress", "document": progress })),
    );
    let mut running = project.spawn(&["run", "retrain", "--on", "aws"]);
    running.wait_for_line("so far so good");
    running.signal(Signal::INT);
    let ended = running.wait().expect_code(5);
    let text = ended.text();
    assert!(
        text.contains("retrain-4 goes on on AWS") && text.contains("`kingtide cancel retrain-4 --on aws` ends it"),
        "{text}"
    );
    assert!(asked(&project).iter().all(|request| request["ask"] != "cancel"));
}
