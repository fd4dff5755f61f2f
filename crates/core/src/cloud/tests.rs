//! Properties of every stack: the same for the same file, nothing always on, no more rights than are needed.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::*;
use crate::project::load;

const SOURCE: &str = include_str!("everything.toml");
const LARGEST: &str = include_str!("../../../../examples/flight-delays/kingtide.toml");
/// The template of `[aws]`, and those of the environments.
const PLACES: [Option<&str>; 3] = [None, Some("prod"), Some("closed")];

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
    let mut tables: Vec<&str> = SOURCE.split("\n\n").collect();
    let text = |source: &str| compiled(source, None).template().to_string();
    let expected = text(SOURCE);
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..10 {
        random.shuffle(&mut tables);
        assert_eq!(text(&tables.join("\n\n")), expected);
    }
}

/// All that is paid for by the hour, or that somebody keeps warm.
#[test]
fn nothing_is_always_on() {
    let idle_costs = [
        "AWS::EC2::NatGateway",
        "AWS::EC2::EIP",
        "AWS::EC2::Instance",
        "AWS::AutoScaling::AutoScalingGroup",
        "AWS::Lambda::Function",
        "AWS::Lambda::EventSourceMapping",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::KMS::Key",
        "AWS::SecretsManager::Secret",
    ];
    for environment in PLACES {
        let stack = compiled(SOURCE, environment);
        for (id, resource) in &stack.resources {
            let (id, properties) = (id.as_str(), &resource.properties);
            assert!(!idle_costs.contains(&resource.kind), "{id}");
            assert!(!properties.to_string().contains("Provisioned"), "{id}");
            if properties["VpcEndpointType"] == "Interface" {
                assert_eq!(environment, Some("closed"), "{id} is paid for by the hour");
                assert!(resource.notes["idle"].contains("14.60 USD"), "{id} says so");
            }
            match resource.kind {
                "AWS::ECS::Service" => assert_eq!(properties["DesiredCount"], Json::Null, "{id}"),
                "AWS::ApplicationAutoScaling::ScalableTarget" => assert_eq!(properties["MinCapacity"], 0, "{id}"),
                "AWS::ECS::Cluster" => assert_eq!(properties["ClusterSettings"][0]["Value"], "disabled", "{id}"),
                // Ten cents a metric and month: they are asked for.
                "AWS::CloudWatch::Alarm" => assert!(resource.notes["idle"].contains("USD a month"), "{id}"),
                _ => {}
            }
        }
        let warned = stack.warnings.0.iter().any(|finding| finding.code == "always-on");
        assert_eq!(warned, environment == Some("closed"));
    }
    let plain = compiled("[project]\nname = \"p\"\n[job.j]\ncommand = [\"x\"]\n", None);
    let kinds: BTreeSet<&str> = plain.resources.values().map(|resource| resource.kind).collect();
    for kind in [
        "AWS::CloudWatch::Alarm",
        "AWS::Pipes::Pipe",
        "AWS::ECS::Service",
        "AWS::ECS::CapacityProvider",
    ] {
        assert!(!kinds.contains(kind), "{kind} is for jobs that ask for it");
    }
}

#[test]
fn no_statement_means_everything_without_a_written_reason() {
    for environment in PLACES {
        let stack = compiled(SOURCE, environment);
        let all = statements(&stack);
        assert!(all.len() > 60, "{}", all.len());
        for (id, statement) in &all {
            for action in statement["Action"].as_array().expect("actions") {
                let action = action.as_str().expect("text");
                assert!(!action.contains('*'), "{id}: {action}");
                let is_write = [
                    "s3:Delete",
                    "s3:PutBucket",
                    "iam:Create",
                    "iam:Put",
                    "iam:Attach",
                    "sts:",
                ];
                assert!(
                    !is_write.iter().any(|prefix| action.starts_with(prefix)),
                    "{id}: {action}"
                );
            }
            let resources = statement["Resource"].as_array().expect("resources");
            let resource = stack.resources.iter().find(|(of, _)| of.as_str() == id);
            let notes = &resource.expect("it is there").1.notes;
            let is_any = resources.iter().any(|of| of == "*");
            let has_reason = notes
                .get("why")
                .is_some_and(|why| why.contains("Service Authorization Reference"));
            assert!(!is_any || has_reason, "{id}: {statement}");
            for of in resources {
                let text = of.to_string();
                let is_whole_bucket = text.contains("\"/*\"") || text.contains("${Bucket.Arn}/*");
                assert!(!is_whole_bucket, "{id}: {text}");
            }
            if statement["Action"] == json!(["iam:PassRole"]) {
                let to = &statement["Condition"]["StringEquals"]["iam:PassedToService"];
                assert!(to == "ecs-tasks.amazonaws.com" || to == "ec2.amazonaws.com", "{id}");
            }
        }
    }
}

/// What workers and dispatchers do to the bucket is what the record of runs says, key by key.
#[test]
fn objects_are_written_by_whom_the_record_says() {
    let stack = compiled(SOURCE, None);
    let written = |role: &str| -> Vec<String> {
        let all = statements(&stack);
        let puts = all
            .iter()
            .filter(|(id, statement)| id == role && statement["Action"] == json!(["s3:PutObject"]));
        let resources = puts.flat_map(|(_, statement)| statement["Resource"].as_array().expect("resources").clone());
        let keys = resources.map(|arn| arn["Fn::Join"][1][3].as_str().expect("a key").to_owned());
        keys.collect()
    };
    insta::assert_snapshot!(
        [
            "RetrainWorkerRole",
            "RetrainDispatcherRole",
            "RetrainMachineRole",
            "StreamWorkerRole"
        ]
        .map(|role| format!("{role}\n    {}", written(role).join("\n    ")))
        .join("\n")
    );
}

#[test]
fn every_role_has_the_boundary_and_every_reference_a_target() {
    for environment in PLACES {
        let stack = compiled(SOURCE, environment);
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
            let Json::Object(map) = value else { return };
            let mut names: Vec<&str> = Vec::new();
            names.extend(map.get("Ref").and_then(Json::as_str));
            names.extend(map.get("Fn::GetAtt").and_then(|pair| pair[0].as_str()));
            let text = map.get("Fn::Sub").and_then(Json::as_str).unwrap_or_default();
            let places = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
            let places = places.map(|(place, _)| place.split('.').next().unwrap_or(place));
            names.extend(places.filter(|place| !place.starts_with('!')));
            let missing = names
                .into_iter()
                .filter(|name| !name.starts_with("AWS::") && !known.contains(name));
            unknown.extend(missing.map(str::to_owned));
        });
        assert_eq!(unknown, [""; 0], "{environment:?}");
    }
}

/// Whatever there is of tags is on everything that can have some.
#[test]
fn everything_that_can_have_tags_has_them() {
    let without = [
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::EC2::Route",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::ECS::ClusterCapacityProviderAssociations",
        "AWS::Events::ApiDestination",
        "AWS::Events::Connection",
        "AWS::IAM::InstanceProfile",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule",
    ];
    for (id, resource) in &compiled(SOURCE, Some("closed")).resources {
        let text = resource.properties["Tags"].to_string();
        let is_tagged = text.contains("kingtide:project") && text.contains("team");
        assert!(
            is_tagged || without.contains(&resource.kind),
            "{}: {}",
            id.as_str(),
            resource.kind
        );
    }
}

/// What is handed over as text fits where it is put, and is no secret.
#[test]
fn no_secret_is_in_a_template() {
    let stack = compiled(SOURCE, None);
    let text = stack.template().to_string();
    for name in ["OPS_WEBHOOK", "TEAM_SLACK"] {
        let parameter = stack
            .parameters
            .values()
            .find(|of| of.description.contains(name))
            .expect("a parameter");
        assert!(parameter.is_secret && parameter.default.is_none());
        assert_eq!(parameter.written.as_deref(), Some(&*format!("${{{name}}}")));
    }
    let endpoints = text.matches("\"InvocationEndpoint\":{\"Ref\"").count();
    assert_eq!(endpoints, 2, "what stands in a variable is handed over");
}

#[test]
fn the_base_is_the_part_of_the_whole_that_things_are_handed_over_by() {
    for environment in PLACES {
        let base = base(&project(SOURCE), environment).expect("an environment");
        let whole = compiled(SOURCE, environment);
        assert_eq!(base.name, whole.name);
        assert!(base.resources.contains_key(&LogicalId::of("", "Repository")));
        for (id, resource) in &base.resources {
            assert_eq!(whole.resources.get(id), Some(resource), "{}", id.as_str());
        }
        for (name, output) in &base.outputs {
            assert_eq!(whole.outputs.get(name), Some(output), "{name}");
        }
        assert!(base.parameters.is_empty());
    }
}

#[test]
fn a_stack_is_called_what_cloudformation_takes() {
    let of = |name: &str, environment| {
        let source = format!("[project]\nname = \"{name}\"\n[job.j]\ncommand = [\"x\"]\n");
        stack_name(&project(&source), environment)
    };
    assert_eq!(of("flight_delays", Some("prod")), "flight-delays-prod");
    assert_eq!(of("3d", None), "kingtide-3d");
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
        let policies = [
            "AWS::S3::BucketPolicy",
            "AWS::SQS::QueuePolicy",
            "AWS::SNS::TopicPolicy",
        ];
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
    let closed: BTreeSet<&str> = stack
        .resources
        .values()
        .filter(|resource| resource.kind == "AWS::SQS::QueuePolicy")
        .filter_map(|resource| resource.properties["Queues"][0]["Ref"].as_str())
        .collect();
    assert_eq!(queues.count(), closed.len(), "each has a policy");
}

#[test]
fn what_exists_is_used_as_it_is() {
    let stack = compiled(SOURCE, Some("prod"));
    let kinds: BTreeSet<&str> = stack.resources.values().map(|resource| resource.kind).collect();
    for kind in [
        "AWS::EC2::VPC",
        "AWS::S3::Bucket",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::Subnet",
    ] {
        assert!(!kinds.contains(kind), "{kind}");
    }
    let text = stack.template().to_string();
    for name in ["subnet-0123456789abcdef0", "sg-0123456789abcdef0", "team-flights"] {
        assert!(text.contains(name), "{name}");
    }
}

/// The quickest of some, so that a busy machine does not decide.
#[test]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn the_template_of_the_largest_example_is_there_in_20_milliseconds() {
    let quickest = (0..20)
        .map(|_| {
            let begin = std::time::Instant::now();
            let bytes = compiled(LARGEST, None).template().to_string().len();
            assert!(bytes > 10_000);
            begin.elapsed()
        })
        .min();
    assert!(quickest < Some(std::time::Duration::from_millis(20)), "{quickest:?}");
}
