//! A stand-in for `kingtide-aws` that speaks its protocol: what it is to answer lies in files, and what it was asked is written down.

use kingtide_testkit::{Output, TestProject};
use serde_json::{Value, json};

/// Answers each request with the file of its name; `<name>.next` is its answer from the second time on,
/// and what `<name>.endless` says has no end.
const STAND_IN: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
cat hello
while IFS= read -r line; do
  printf '%s\n' "$line" >> asked
  ask=$(printf '%s' "$line" | sed 's/^.*"ask":"\([a-z-]*\)".*$/\1/')
  if [ -f "$ask.endless" ]; then cat "$ask.endless"; exec sleep 600; fi
  if [ -f "$ask" ]; then cat "$ask"; else echo '{"event":"done"}'; fi
  if [ -f "$ask.next" ]; then mv "$ask.next" "$ask"; fi
done
"#;

pub(crate) const TOML: &str = r#"
[project]
name = "flights"
[job.retrain]
image = "registry.example.com/train:7"
command = ["train", "{dest}"]
params = { matrix = { dest = ["BOS", "LAX", "SFO"] } }
memory = "1GiB"
expected = "10min"
deadline = "1h"
max_workers = 2
alarms = ["ops"]
[alarm.ops]
email = "ops@example.com"
[aws]
region = "eu-west-1"
"#;

/// Whoever is asked, in the project's folder beside it.
pub(crate) fn project() -> TestProject {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(TOML)
        .program("aws/kingtide-aws", STAND_IN);
    let program = project.path().join("aws/kingtide-aws");
    let project = project.env("KINGTIDE_AWS", program).env("USER", "anna");
    answer(
        &project,
        "hello",
        &[json!({ "event": "hello", "protocol": 1, "version": env!("CARGO_PKG_VERSION") })],
    );
    project
}

/// What is said when it is asked that; `done` follows by itself.
pub(crate) fn answer(project: &TestProject, ask: &str, events: &[Value]) {
    let mut text: String = events.iter().map(|event| format!("{event}\n")).collect();
    let is_over = events
        .last()
        .is_some_and(|event| event["event"] == "failed" || event["event"] == "hello");
    if !is_over {
        text.push_str("{\"event\":\"done\"}\n");
    }
    project.write(&format!("aws/{ask}"), text);
}

pub(crate) fn asked(project: &TestProject) -> Vec<Value> {
    let text = project.read("aws/asked");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a request"))
        .collect()
}

pub(crate) fn failed(kind: &str, message: &str, causes: &[&str]) -> Value {
    json!({ "event": "failed", "kind": kind, "message": message, "causes": causes, "help": null })
}

pub(crate) fn nowhere() -> Value {
    json!({ "event": "no-stack", "region": "eu-west-1", "account": "123456789012" })
}

pub(crate) fn stack(project: &TestProject, status: &str, change: impl FnOnce(&mut Value)) -> Value {
    let text = project.run(&["synth", "--quiet"]).expect_code(0).stdout;
    let mut template: Value = serde_json::from_str(&text).expect("a template");
    change(&mut template);
    json!({
        "event": "stack", "region": "eu-west-1", "account": "123456789012", "status": status, "reason": null,
        "changed_at_ms": 0, "template": template.to_string(), "parameters": {}, "outputs": {},
        "tags": { "kingtide:project": "flights" }, "drift": null,
    })
}

pub(crate) fn premises() -> Value {
    json!({
        "event": "premises", "region": "eu-west-1", "vcpu_quota": 6.0, "spot_vcpu_quota": null, "vcpus_in_use": 0.0,
        "addresses": 1000,
    })
}

pub(crate) fn said(project: &TestProject, output: &Output) -> String {
    project.redactor().redact(&output.text())
}
