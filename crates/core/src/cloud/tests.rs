//! Properties of every stack: the same for the same file, nothing always on, no more rights than are needed.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::*;
use crate::project::load;

const SOURCE: &str = r#"
[project]
name = "flights"
[job.retrain]
image = "registry.example.com/train:7"
command = ["train", "{dest}"]
secrets = ["API_KEY", "TOKEN"]
memory = "2GiB"
schedule = { cron = "0 6 * * MON", timezone = "Europe/Zurich" }
triggers = [{ object = "s3://landing/flights/" }, { object = "s3://landing/weather/" }]
alarms = ["ops"]
[job.score]
command = ["score"]
schedule = { rate = "1d" }
alarms = ["ops"]
[aws]
secrets = { API_KEY = "arn:aws:ssm:eu-west-1:123456789012:parameter/api-key", TOKEN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:token-AbCdEf" }
permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
[alarm.ops]
email = "ops@example.com"
slack = "https://hooks.slack.com/services/T0/B0/X"
[env.prod]
vpc = "vpc-0123456789abcdef0"
subnets = ["subnet-0123456789abcdef0"]
security_groups = ["sg-0123456789abcdef0"]
bucket = "team-flights"
"#;

fn project(source: &str) -> Project {
    let (project, findings) = load(source);
    assert!(!findings.has_errors(), "{findings:?}");
    project.expect("no errors")
}

fn compiled(source: &str, environment: Option<&str>) -> Stack {
    compile(&project(source), environment).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// All policies of roles, with the ids of their resources.
fn statements(stack: &Stack) -> Vec<(String, Json)> {
    let mut all = Vec::new();
    for (id, resource) in &stack.resources {
        for policy in resource.properties["Policies"].as_array().into_iter().flatten() {
            let statements = policy["PolicyDocument"]["Statement"].as_array().expect("statements");
            all.extend(
                statements
                    .iter()
                    .map(|statement| (id.as_str().to_owned(), statement.clone())),
            );
        }
    }
    all
}

#[test]
fn the_same_file_gives_the_same_bytes_whatever_its_order() {
    let (head, rest) = SOURCE.split_once("[job.retrain]").expect("a job");
    let (retrain, rest) = rest.split_once("[job.score]").expect("another");
    let (score, rest) = rest.split_once("[aws]").expect("and the rest");
    let turned = format!("{head}[job.score]{score}[aws]{rest}\n[job.retrain]{retrain}");
    let text = |source: &str| compiled(source, None).template().to_string();
    assert_eq!(text(SOURCE), text(&turned));
}

#[test]
fn nothing_is_always_on() {
    let idle_costs = [
        "AWS::EC2::NatGateway",
        "AWS::EC2::EIP",
        "AWS::ECS::Service",
        "AWS::Lambda::Function",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::EC2::Instance",
    ];
    for environment in [None, Some("prod")] {
        for (id, resource) in &compiled(SOURCE, environment).resources {
            assert!(!idle_costs.contains(&resource.kind), "{}", id.as_str());
            let is_interface = resource.properties["VpcEndpointType"] == "Interface";
            assert!(!is_interface, "{} is paid for by the hour", id.as_str());
        }
    }
}

#[test]
fn no_statement_means_everything_without_a_written_reason() {
    let stack = compiled(SOURCE, None);
    let all = statements(&stack);
    assert!(all.len() > 20, "{}", all.len());
    for (id, statement) in &all {
        for action in statement["Action"].as_array().expect("actions") {
            let action = action.as_str().expect("text");
            assert!(!action.contains('*'), "{id}: {action}");
        }
        let is_any = statement["Resource"]
            .as_array()
            .expect("resources")
            .iter()
            .any(|of| of == "*");
        let origin = &stack
            .resources
            .iter()
            .find(|(of, _)| of.as_str() == id)
            .expect("it is there")
            .1
            .origin;
        assert!(
            !is_any || origin.contains("Service Authorization Reference"),
            "{id}: {statement}"
        );
        if statement["Action"] == json!(["iam:PassRole"]) {
            assert_eq!(
                statement["Condition"]["StringEquals"]["iam:PassedToService"], "ecs-tasks.amazonaws.com",
                "{id}"
            );
        }
    }
}

#[test]
fn every_role_has_the_boundary_and_every_reference_a_target() {
    let stack = compiled(SOURCE, None);
    for (id, resource) in &stack.resources {
        if resource.kind == "AWS::IAM::Role" {
            assert_eq!(
                resource.properties["PermissionsBoundary"],
                "arn:aws:iam::123456789012:policy/boundary",
                "{}",
                id.as_str()
            );
        }
    }
    let known: BTreeSet<&str> = stack
        .resources
        .keys()
        .map(LogicalId::as_str)
        .chain(stack.parameters.keys().map(String::as_str))
        .collect();
    let mut unknown = Vec::new();
    walk(&stack.template(), &mut |value| {
        let name = match value {
            Json::Object(map) if map.len() == 1 => match (map.get("Ref"), map.get("Fn::GetAtt")) {
                (Some(name), _) => name.as_str(),
                (_, Some(pair)) => pair[0].as_str(),
                _ => None,
            },
            _ => None,
        };
        let missing = name.filter(|name| !name.starts_with("AWS::") && !known.contains(name));
        unknown.extend(missing.map(str::to_owned));
    });
    assert_eq!(unknown, [""; 0]);
}

fn walk(value: &Json, look: &mut impl FnMut(&Json)) {
    look(value);
    match value {
        Json::Object(map) => map.values().for_each(|value| walk(value, look)),
        Json::Array(list) => list.iter().for_each(|value| walk(value, look)),
        _ => {}
    }
}

#[test]
fn data_stays_and_is_reached_over_tls_alone() {
    let stack = compiled(SOURCE, None);
    for (id, resource) in &stack.resources {
        let policies = ["AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"];
        if policies.contains(&resource.kind) {
            let first = &resource.properties["PolicyDocument"]["Statement"][0];
            assert_eq!(
                (&first["Effect"], &first["Sid"]),
                (&json!("Deny"), &json!("OnlyOverTls")),
                "{}",
                id.as_str()
            );
        }
        assert_eq!(resource.is_kept, resource.kind == "AWS::S3::Bucket", "{}", id.as_str());
    }
    let queues = stack
        .resources
        .values()
        .filter(|resource| resource.kind == "AWS::SQS::Queue");
    assert!(
        queues
            .clone()
            .all(|queue| queue.properties["SqsManagedSseEnabled"] == true)
    );
    assert_eq!(queues.count(), 6);
}

#[test]
fn what_exists_is_used_as_it_is() {
    let stack = compiled(SOURCE, Some("prod"));
    let kinds: BTreeSet<&str> = stack.resources.values().map(|resource| resource.kind).collect();
    for kind in ["AWS::EC2::VPC", "AWS::S3::Bucket", "AWS::EC2::SecurityGroup"] {
        assert!(!kinds.contains(kind), "{kind}");
    }
    let text = stack.template().to_string();
    for name in ["subnet-0123456789abcdef0", "sg-0123456789abcdef0", "team-flights"] {
        assert!(text.contains(name), "{name}");
    }
}

#[test]
fn what_aws_would_refuse_is_said_before() {
    let said = |more: &str| {
        let source = format!("[project]\nname = \"p\"\n[job.j]\ncommand = [\"x\"]\n{more}\n");
        match compile(&project(&source), None) {
            Ok(_) => "nothing".to_owned(),
            Err(findings) => findings
                .0
                .iter()
                .map(|finding| format!("{}: {}", finding.code, finding.message))
                .collect(),
        }
    };
    let all = [
        "cpu = 17",
        "memory = \"130GiB\"",
        "gpus = 1",
        "service = true",
        "secrets = [\"TOKEN\"]",
        "image = \"x\"\nmounts = [\"/srv/data:/data:ro\"]",
        "image = \"x\"\nmounts = [\"./data:/data\"]",
        "image = \"x\"\nmounts = [\"./data:/data:ro\"]",
        "mode = \"consumer\"",
    ];
    let told: Vec<String> = all
        .iter()
        .map(|more| format!("{}\n    {}", more.replace('\n', " · "), said(more)))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    let nowhere = compile(&project(SOURCE), Some("pord")).expect_err("no such environment");
    assert_eq!(nowhere.0[0].help.as_deref(), Some("did you mean `prod`?"));
}
