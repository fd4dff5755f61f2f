//! Templates of the examples, as they are, and what the checkers of AWS's own schemas and of its state language say about them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use kingtide_testkit::TestProject;
use serde_json::Value;

/// Everything that a stack can have.
const FULL: &str = include_str!("../../core/src/cloud/everything.toml");
const EXAMPLES: [&str; 3] = ["consumer", "container", "flight-delays"];

fn folder(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(example)
}

fn example(name: &str) -> String {
    std::fs::read_to_string(folder(name).join("kingtide.toml")).expect("an example")
}

/// Every template that checkers look at: a name, its file, and its environment.
fn cases() -> Vec<(String, String, Option<&'static str>)> {
    let mut cases: Vec<_> = EXAMPLES
        .iter()
        .map(|name| ((*name).to_owned(), example(name), None))
        .collect();
    for environment in [None, Some("prod"), Some("closed")] {
        let name = format!("full-{}", environment.unwrap_or("aws"));
        cases.push((name, FULL.to_owned(), environment));
    }
    cases
}

/// All of them, as files in a folder.
fn templates(folder: &Path) -> Vec<PathBuf> {
    let write = |(name, source, environment): (String, String, Option<&str>)| {
        let more: Vec<&str> = environment.iter().flat_map(|name| ["--env", name]).collect();
        let file = folder.join(format!("{name}.json"));
        std::fs::write(&file, template(&source, &more)).expect("a file");
        file
    };
    cases().into_iter().map(write).collect()
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

/// Written anew with `INSTA_UPDATE=always`, as other snapshots are.
#[test]
fn examples_become_the_templates_beside_them() {
    let update = std::env::var_os("INSTA_UPDATE").is_some_and(|how| how == "always");
    for name in EXAMPLES {
        let made = template(&example(name), &[]);
        let file = folder(name).join("template.json");
        if update {
            std::fs::write(&file, &made).expect("a file");
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            kept, made,
            "{name}: its template is another; INSTA_UPDATE=always writes it anew"
        );
    }
}

#[test]
fn the_schemas_of_aws_accept_every_template() {
    let Some(lint) = checker("cfn-lint") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let files = templates(folder.path());
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

/// Rules of checkov that are not followed, each with why.
const WAIVED: [(&str, &str); 7] = [
    (
        "CKV_AWS_18",
        "the log of accesses to a bucket is a second bucket that nobody empties; CloudTrail has data events for whoever needs them",
    ),
    (
        "CKV_AWS_21",
        "nothing in the bucket is written over but by its conditional writers: versions would keep what was meant to go",
    ),
    (
        "CKV_AWS_26",
        "a topic of CloudWatch and EventBridge needs a key of one's own, a dollar a month; what it says is no secret",
    ),
    (
        "CKV_AWS_27",
        "queues are encrypted by SQS itself (SqsManagedSseEnabled), which this rule does not know",
    ),
    (
        "CKV_AWS_65",
        "container insights are metrics that are paid for; usage is in the record of runs",
    ),
    (
        "CKV_AWS_136",
        "images are encrypted by ECR itself; a key of one's own is a dollar a month while nothing runs",
    ),
    (
        "CKV_AWS_158",
        "logs are encrypted by CloudWatch itself; a key of one's own is a dollar a month while nothing runs",
    ),
];

#[test]
fn what_is_thought_good_practice_is_followed_or_waived_with_a_reason() {
    let Some(checkov) = checker("checkov") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", &checkov).args([
        "-c",
        "import sys; from checkov.main import Checkov; sys.exit(Checkov().run())",
        "--framework=cloudformation",
        "--output=json",
        "--quiet",
        "--skip-download",
    ]);
    for file in templates(folder.path()) {
        command.arg("--file").arg(file);
    }
    let output = command.output().expect("the checker starts");
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(found["summary"]["parsing_errors"], 0);
    assert!(found["summary"]["passed"].as_u64() > Some(500), "{}", found["summary"]);
    let failed = found["results"]["failed_checks"].as_array().expect("a list");
    let failed: BTreeSet<&str> = failed.iter().filter_map(|check| check["check_id"].as_str()).collect();
    let waived: BTreeSet<&str> = WAIVED.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(failed, waived, "not followed, and waived");
}

/// What state machines and schedules hand over is what the operations take, by botocore's models of them.
#[test]
fn every_call_has_the_parameters_that_aws_knows() {
    let folder = std::env::var_os("KINGTIDE_TEST_BOTO").map(|folder| PathBuf::from(folder).join("boto3"));
    let Some(boto) = folder.filter(|folder| folder.exists()) else {
        eprintln!("skipped: KINGTIDE_TEST_BOTO names no folder with boto3; `cargo xtask check` installs it");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws/integrations.py");
    command
        .env("PYTHONPATH", boto)
        .arg(script)
        .args(templates(folder.path()));
    expect_fine(&mut command, "botocore");
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
    assert_eq!(machines, 6, "a run's for each job that has some, and two lookouts");
}

#[test]
fn what_cannot_be_there_is_said() {
    let lines = "[project]\nname = \"p\"\n[job.j]\ncommand = [\"x\"]\nsecrets = [\"TOKEN\"]\n";
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(lines);
    let output = project.run(&["synth"]).expect_code(3);
    assert!(
        output.stderr.contains("the secret `TOKEN` lies nowhere on AWS"),
        "{}",
        output.text()
    );
    assert_eq!(output.stdout, "");
}
