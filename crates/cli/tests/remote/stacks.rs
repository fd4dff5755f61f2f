//! Stacks: what would change, what would be lost, and bad news said well.

use crate::stand_in::*;
use kingtide_testkit::TestProject;
use serde_json::{Value, json};

#[test]
fn prices_are_dated_and_a_region_without_any_is_said_so() {
    let project = project();
    let lines = project.run(&["prices", "--json"]).expect_code(0).stdout;
    let first: Value = serde_json::from_str(lines.lines().next().expect("a price")).expect("an object");
    assert_eq!(
        (&first["region"], &first["item"]),
        (&json!("eu-west-1"), &json!("fargate_vcpu_hour"))
    );
    let unknown = project.run(&["prices", "--region", "xx-south-1"]).expect_code(2).text();
    assert!(
        unknown.contains("no price of the region `xx-south-1` is known"),
        "{unknown}"
    );
    // A newer list is laid over.
    let newer = json!({
        "event": "price", "region": "xx-south-1", "what": "fargate_vcpu_hour", "dollars": 0.07, "date": "2027-01-01", "source": "the list",
    });
    answer(&project, "prices", &[newer]);
    project.run(&["prices", "update", "--quiet"]).expect_code(0);
    let known = project.run(&["prices", "--region", "xx-south-1"]).expect_code(0).stdout;
    assert!(
        known.contains("$0.07") && known.contains("2027-01-01") && known.contains("unknown"),
        "{known}"
    );
}

#[test]
fn whoever_asks_aws_is_found_and_is_the_right_one() {
    let missing = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(TOML)
        .env("KINGTIDE_AWS", "/nowhere/kingtide-aws");
    let text = missing.run(&["diff"]).expect_code(1).text();
    assert!(
        text.contains("failed to start `/nowhere/kingtide-aws`") && text.contains("cargo build"),
        "{text}"
    );
    let project = project();
    answer(
        &project,
        "hello",
        &[json!({ "event": "hello", "protocol": 1, "version": "99.0.0" })],
    );
    let text = project.run(&["diff"]).expect_code(1).text();
    assert!(text.contains("is of version 99.0.0, and this is"), "{text}");
    project.write("aws/hello", "Segmentation fault\n");
    let text = project.run(&["diff"]).expect_code(1).text();
    assert!(text.contains("has not said who it is"), "{text}");
}

#[test]
fn bad_news_is_said_well() {
    let project = project();
    let deploy = |events: &[Value]| {
        answer(&project, "describe", events);
        said(&project, &project.run(&["deploy", "--yes"]).expect_code(1))
    };
    let credentials = failed(
        "credentials",
        "no credentials of AWS were found",
        &[
            "the environment: AWS_ACCESS_KEY_ID is not set",
            "the profile `default`: ~/.aws/config is not there",
        ],
    );
    insta::assert_snapshot!("no credentials", deploy(&[credentials]));
    insta::assert_snapshot!(
        "never made whole",
        deploy(&[stack(&project, "ROLLBACK_COMPLETE", |_| ())])
    );
    let mut other = stack(&project, "UPDATE_COMPLETE", |_| ());
    other["template"] = json!("{\"Resources\":{}}");
    other["tags"] = json!({});
    insta::assert_snapshot!("name taken", deploy(&[other]));
    let mut stuck = stack(&project, "UPDATE_ROLLBACK_FAILED", |_| ());
    stuck["reason"] = json!("The following resource(s) failed to update: [RetrainQueue]");
    insta::assert_snapshot!("rollback failed", deploy(&[stuck]));
    let late = project
        .read("kingtide.toml")
        .replace("max_workers = 2", "schedule = { at = \"2020-01-01T06:00:00\" }");
    let kept = project.read("kingtide.toml");
    project.write("kingtide.toml", late);
    let text = project.run(&["deploy", "--yes"]).expect_code(3).text();
    assert!(text.contains("2020-01-01T06:00:00"), "{text}");
    project.write(
        "kingtide.toml",
        kept.replace("max_workers = 2", "mode = \"consumer\"")
            .replace("{dest}", "{queue_url}"),
    );
    let text = project.run(&["deploy", "--yes"]).expect_code(3).text();
    assert!(text.contains("is a consumer"), "{text}");
    project.write("kingtide.toml", kept);
    // It dies in the middle of an answer.
    let hello = project.read("aws/hello");
    let greeting = format!(
        "#!/bin/sh\necho '{}'\nread line\nprintf '%s' '{{\"event\":\"stack\"'\n",
        hello.trim()
    );
    let project = project.program("aws/kingtide-aws", &greeting);
    let text = project.run(&["diff"]).expect_code(1).text();
    assert!(text.contains("has ended"), "{text}");
    let text = project.run(&["diff", "--env", "prod"]).expect_code(2).text();
    assert!(text.contains("there is no environment `prod`"), "{text}");
}

#[test]
fn a_diff_shows_resources_permissions_drift_and_what_it_costs() {
    let project = project();
    answer(&project, "describe", &[nowhere()]);
    let new = project.run(&["diff"]).expect_code(0).stdout;
    assert!(
        new.contains("flights in eu-west-1: not deployed yet") && new.contains("+ RetrainQueue"),
        "{new}"
    );
    assert!(new.contains("$0.10  1 alarm"), "{new}");
    let mut before = stack(&project, "UPDATE_COMPLETE", |template| {
        let resources = template["Resources"].as_object_mut().expect("resources");
        resources.remove("RetrainDeadLettersAlarm");
        resources["RetrainQueue"]["Properties"]["VisibilityTimeout"] = json!(30);
        resources["RetrainWorker"]["Properties"]["Cpu"] = json!("4096");
        resources["RetrainWorker"]["Properties"]["Memory"] = json!("8192");
    });
    before["drift"] = json!([{
        "logical_id": "RetrainQueue", "kind": "AWS::SQS::Queue", "is_deleted": false,
        "differences": [["/VisibilityTimeout", "30", "45"]],
    }]);
    answer(&project, "describe", &[before]);
    let text = said(&project, &project.run(&["diff"]).expect_code(0));
    for expected in [
        "~ RetrainQueue",
        "VisibilityTimeout: 30 → ",
        "a new revision: what runs keeps the old one",
        "+ RetrainDeadLettersAlarm",
        "changed by hand",
        "/VisibilityTimeout: 30 was made, 45 is there",
        "$0.00 a month → $0.10 a month",
        "run   retrain: about $",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let json = project.run(&["diff", "--json"]).expect_code(0).stdout;
    let json: Value = serde_json::from_str(&json).expect("an object");
    assert_eq!(json["cost"]["idle"]["usd"], 0.1);
    let same = stack(&project, "UPDATE_COMPLETE", |_| ());
    answer(&project, "describe", &[same]);
    let text = project.run(&["diff"]).expect_code(0).stdout;
    assert!(text.contains("what is there is what the file says"), "{text}");
}

#[test]
fn destroy_says_what_would_be_lost_and_asks() {
    let project = project();
    answer(&project, "describe", &[stack(&project, "UPDATE_COMPLETE", |_| ())]);
    let contents = json!({
        "event": "contents", "bucket": "flights-bucket", "bucket_is_foreign": false, "objects": 1200, "bytes": 5_000_000, "runs": 7,
        "running": ["retrain-8"], "messages": { "flights-retrain": 3, "flights-retrain-dead": 0 }, "images": 4,
    });
    answer(&project, "contents", &[contents]);
    let unasked = project.run(&["destroy", "--with-data"]).expect_code(2);
    insta::assert_snapshot!("nobody to ask", said(&project, &unasked));
    let resource = |status: &str| json!({ "event": "resource", "at_ms": 0, "logical_id": "RetrainQueue", "kind": "AWS::SQS::Queue", "status": status, "reason": null });
    answer(
        &project,
        "destroy",
        &[resource("DELETE_IN_PROGRESS"), resource("DELETE_COMPLETE")],
    );
    let gone = project.run(&["destroy", "--yes"]).expect_code(0);
    assert!(
        gone.text().contains("delete complete") && gone.text().contains("`flights` is gone"),
        "{}",
        gone.text()
    );
    let last = asked(&project).pop().expect("asked");
    assert_eq!((&last["ask"], &last["with_data"]), (&json!("destroy"), &json!(false)));
    answer(&project, "describe", &[nowhere()]);
    project.run(&["destroy", "--yes"]).expect_code(0);
}

#[test]
fn doctor_says_what_is_wrong_there_and_verify_what_it_would_do() {
    let project = project();
    let check = |name: &str, verdict: &str, help: Option<&str>| json!({ "event": "check", "name": name, "verdict": verdict, "text": "so it is", "help": help });
    answer(
        &project,
        "doctor",
        &[
            check("credentials", "fine", None),
            check("vcpu-quota", "doubtful", Some("ask for more")),
        ],
    );
    let text = project.run(&["doctor", "--on", "aws"]).expect_code(0).stdout;
    assert!(
        text.contains("✓ credentials") && text.contains("! vcpu-quota") && text.contains("help: ask for more"),
        "{text}"
    );
    answer(&project, "doctor", &[check("permission", "wrong", None)]);
    project.run(&["doctor", "--on", "aws"]).expect_code(1);
    let list = project.run(&["aws", "verify", "--list"]).expect_code(0).stdout;
    assert!(
        list.contains("each-once") && list.contains("(by hand)") && list.contains("about $0.0"),
        "{list}"
    );
    let text = project.run(&["aws", "verify"]).expect_code(2).text();
    assert!(
        text.contains("about $0.0") && text.contains("kingtide aws verify --yes"),
        "{text}"
    );
}
