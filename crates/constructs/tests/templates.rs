//! Constructs stand for a file, and what is wrong with it is said in their own words.

use std::time::Duration;

use kingtide_constructs::{Doorbell, Image, QueueProcessing, Schedule, ScheduledTask};
use serde_json::{Map, Value, json};

fn kinds(template: &Value) -> Vec<&str> {
    let resources = template["Resources"].as_object().expect("resources");
    resources.values().filter_map(|of| of["Type"].as_str()).collect()
}

#[test]
fn a_service_is_what_cdk_makes_without_what_is_paid_for_nothing() {
    let service = QueueProcessing::service("invoices", Image::named("registry.example.com/invoices:3"));
    let template = service.template().expect("a template");
    let kinds = kinds(template.value());
    for kind in [
        "AWS::SQS::Queue",
        "AWS::ECS::Service",
        "AWS::ECS::TaskDefinition",
        "AWS::ApplicationAutoScaling::ScalableTarget",
    ] {
        assert!(kinds.contains(&kind), "{kind}");
    }
    assert!(!kinds.contains(&"AWS::EC2::NatGateway"));
    let service = &template.value()["Resources"]["InvoicesService"]["Properties"];
    assert_eq!(service["DesiredCount"], Value::Null, "an update leaves it as it is");
    let image = &template.value()["Parameters"]["InvoicesImage"]["Default"];
    assert_eq!(image, "registry.example.com/invoices:3");
}

/// Whatever can be said is understood: nothing of it is a key that the file does not have.
#[test]
fn everything_that_can_be_said_ends_in_the_template() {
    let burst = QueueProcessing::burst("retrain", Image::folder("train \"it\""))
        .command(["train", "{dest}"])
        .entrypoint(["/bin/tini", "--"])
        .environment("LANG", "C.UTF-8\n")
        .secret("TOKEN", "arn:aws:ssm:eu-west-1:123456789012:parameter/token")
        .cpu(0.5)
        .memory_mib(1024)
        .memory_max_mib(4096)
        .ephemeral_storage_gib(50)
        .user("1000")
        .max_workers(50)
        .retries(4)
        .timeout(Duration::from_secs(5400))
        .deadline(Duration::from_secs(3600))
        .max_cost(12.5)
        .trigger("landing", "flights/")
        .doorbell(Doorbell::Alarm)
        .policy("arn:aws:iam::123456789012:policy/read")
        .alarm_email("ops@example.com")
        .vpc("vpc-0123456789abcdef0", ["subnet-0123456789abcdef0"])
        .security_groups(["sg-0123456789abcdef0"])
        .assign_public_ip(true)
        .bucket("team-flights")
        .spot()
        .arm64()
        .tag("team", "flights")
        .permissions_boundary("arn:aws:iam::123456789012:policy/boundary")
        .log_retention_days(14);
    let row = |dest: &str| Map::from_iter([("dest".to_owned(), json!(dest))]);
    let weekly = ScheduledTask::with(burst, Schedule::cron("0 6 * * MON").in_zone("Europe/London"));
    let weekly = weekly.messages([row("LHR"), row("ZRH")]);
    let template = weekly
        .template()
        .unwrap_or_else(|refused| panic!("{refused}\n{}", weekly.project_file()));
    let text = template.json();
    for said in [
        "C.UTF-8",
        "parameter/token",
        "\"SizeInGiB\": 50",
        "\"User\": \"1000\"",
        "RetrainWorkerGrown2",
        "RetrainDoorbellRule",
        "cron(0 6 ? * MON *)",
        "Europe/London",
        "policy/read",
        "ops@example.com",
        "subnet-0123456789abcdef0",
        "sg-0123456789abcdef0",
        "team-flights",
        "ARM64",
        "policy/boundary",
        "\"RetentionInDays\": 14",
        "RetrainParams",
    ] {
        assert!(text.contains(said), "{said}");
    }
    assert_eq!(template.stack_name(), "retrain");
    assert!(
        template
            .warnings()
            .iter()
            .any(|warning| warning.code == "trigger-bucket")
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let wrong = QueueProcessing::burst("retrain", Image::named("train"))
        .cpu(1000.0)
        .secret("TOKEN", "token.txt")
        .vpc("main", ["subnet-0123456789abcdef0"]);
    let refused = wrong.template().expect_err("nothing of it is right");
    let codes: Vec<&str> = refused.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["bad-aws-name", "bad-aws-name"]);
    assert!(refused.to_string().contains("`main` is no VPC"), "{refused}");
}
