//! Templates of the examples, as they are, and what the checkers of AWS's own schemas and of its state language say about them.

use std::path::{Path, PathBuf};
use std::process::Command;

use kingtide_testkit::TestProject;
use serde_json::Value;

/// Everything that a stack can have.
const FULL: &str = r#"
[project]
name = "flights"
[job.retrain]
image = "registry.example.com/train:7"
command = ["train", "{dest}"]
secrets = ["API_KEY", "TOKEN"]
memory = "2GiB"
max_duration = "2h"
deadline = "1h"
schedule = { cron = "0 6 * * MON", timezone = "Europe/Zurich" }
triggers = [{ object = "s3://landing/flights/" }]
alarms = ["ops"]
[job.score]
command = ["score"]
schedule = { at = "2030-01-01T06:00:00" }
alarms = ["ops"]
[aws]
architecture = "arm64"
tags = { team = "flights" }
permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
secrets = { API_KEY = "arn:aws:ssm:eu-west-1:123456789012:parameter/api-key", TOKEN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:token-AbCdEf" }
[alarm.ops]
email = "ops@example.com"
webhook = "https://example.com/hook"
slack = "https://hooks.slack.com/services/T0/B0/X"
[env.prod]
vpc = "vpc-0123456789abcdef0"
subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
bucket = "team-flights"
"#;

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    std::fs::read_to_string(folder.join("kingtide.toml")).expect("an example")
}

fn template(source: &str, more: &[&str]) -> String {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(source);
    project
        .run(&[&["synth", "--quiet"], more].concat())
        .expect_code(0)
        .stdout
}

/// The folder into which `cargo xtask check` installs a checker; without it nothing is checked.
fn checker(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("KINGTIDE_TEST_CLIENTS").map(PathBuf::from);
    let found = folder.map(|folder| folder.join(what)).filter(|folder| folder.exists());
    if found.is_none() {
        eprintln!("skipped: KINGTIDE_TEST_CLIENTS names no folder with {what}; `cargo xtask check` installs it");
    }
    found
}

fn expect_fine(command: &mut Command, about: &str) {
    let output = command.output().expect("the checker starts");
    assert!(
        output.status.success(),
        "{about}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn examples_become_these_templates() {
    for name in ["flight-delays", "container"] {
        insta::assert_snapshot!(name, template(&example(name), &[]));
    }
}

#[test]
fn the_schemas_of_aws_accept_every_template() {
    let Some(lint) = checker("cfn-lint") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        ("flight-delays", example("flight-delays"), None),
        ("container", example("container"), None),
        ("full", FULL.to_owned(), None),
        ("full-prod", FULL.to_owned(), Some("prod")),
    ];
    let mut files = Vec::new();
    for (name, source, environment) in &cases {
        let more: Vec<&str> = environment.iter().flat_map(|name| ["--env", name]).collect();
        let file = folder.path().join(format!("{name}.json"));
        std::fs::write(&file, template(source, &more)).expect("a file");
        files.push(file);
    }
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", &lint).args([
        "-c",
        "from cfnlint.runner import main; main()",
        "--regions",
        "eu-west-1",
        "us-east-1",
        "--",
    ]);
    expect_fine(command.args(&files), "cfn-lint");
}

#[test]
fn the_state_language_is_spoken_well() {
    let Some(asl) = checker("asl") else { return };
    let template: Value = serde_json::from_str(&template(FULL, &[])).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    let mut machines = 0;
    for (id, resource) in template["Resources"].as_object().expect("resources") {
        if resource["Type"] != "AWS::StepFunctions::StateMachine" {
            continue;
        }
        machines += 1;
        let mut definition = resource["Properties"]["DefinitionString"]
            .as_str()
            .expect("text")
            .to_owned();
        for name in resource["Properties"]["DefinitionSubstitutions"]
            .as_object()
            .expect("a table")
            .keys()
        {
            definition = definition.replace(&format!("${{{name}}}"), "filled");
        }
        assert!(!definition.contains("${"), "{id}: a place that nothing fills");
        let states: Value = serde_json::from_str(&definition).expect("JSON");
        let names = states["States"].as_object().expect("states").keys();
        assert!(names.into_iter().all(|name| name.len() <= 80), "{id}");
        let file = folder.path().join(format!("{id}.json"));
        std::fs::write(&file, definition).expect("a file");
        let mut command = Command::new("node");
        command.arg(asl.join("node_modules/asl-validator/dist/bin/asl-validator.js"));
        expect_fine(command.arg("--json-path").arg(&file), id);
    }
    assert_eq!(machines, 2);
}

#[test]
fn what_cannot_be_there_yet_is_said() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(&example("consumer"));
    let output = project.run(&["synth"]).expect_code(3);
    assert!(
        output.stderr.contains("consumers do not run on AWS yet"),
        "{}",
        output.text()
    );
    assert_eq!(output.stdout, "");
}
