//! Who is told when something is wrong: by mail through a topic, by a webhook through an API destination. Alarms cost ten cents a month each
//! and are made for jobs that ask for them only.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::iam::{Role, Statement};
use super::queues::Queues;
use super::template::{LogicalId, Resource, sub};
use super::{Site, id, origin};
use crate::project::Job;
use crate::project::aws::Alarm;

/// How runs end that are told of.
const BAD_ENDS: [&str; 3] = ["FAILED", "TIMED_OUT", "ABORTED"];
/// A webhook is asked so often in a second at most.
const RATE: u32 = 10;

/// A topic for each alarm that a job names, by the alarm's name.
pub(super) fn topics(site: &mut Site<'_>) -> BTreeMap<String, LogicalId> {
    let mut topics = BTreeMap::new();
    for (name, alarm) in site.project.alarms.clone() {
        let is_named = site.project.jobs.values().any(|job| job.cloud.alarms.contains(&name));
        if is_named {
            let topic = topic(site, &name, &alarm);
            topics.insert(name, topic);
        }
    }
    topics
}

fn topic(site: &mut Site<'_>, name: &str, alarm: &Alarm) -> LogicalId {
    let from = format!("alarm.{name}");
    let subscriptions: Vec<Json> = alarm
        .email
        .iter()
        .map(|email| json!({ "Protocol": "email", "Endpoint": email }))
        .collect();
    let mut properties = json!({ "Tags": site.tags });
    if !subscriptions.is_empty() {
        properties["Subscription"] = json!(subscriptions);
    }
    let topic = site.stack.add(
        LogicalId::of(name, "Topic"),
        Resource::new("AWS::SNS::Topic", &from, properties),
    );
    // CloudWatch and EventBridge of this account, and nobody else.
    let policy = json!({
        "Topics": [topic.reference()],
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "Tell",
                "Effect": "Allow",
                "Principal": { "Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"] },
                "Action": "sns:Publish",
                "Resource": topic.reference(),
                "Condition": { "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } },
            }],
        },
    });
    site.stack.add(
        LogicalId::of(name, "TopicPolicy"),
        Resource::new("AWS::SNS::TopicPolicy", &from, policy),
    );
    topic
}

/// What is told of a job: runs that end badly, and dead letters.
pub(super) fn alarms(
    site: &mut Site<'_>,
    job: &Job,
    queues: &Queues,
    machine: &LogicalId,
    topics: &BTreeMap<String, LogicalId>,
) {
    let named: Vec<&LogicalId> = job.cloud.alarms.iter().filter_map(|name| topics.get(name)).collect();
    if named.is_empty() {
        return;
    }
    let dead = json!({
        "AlarmDescription": format!("Messages of {} failed for good", job.name),
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{ "Name": "QueueName", "Value": queues.dead.get("QueueName") }],
        "Statistic": "Maximum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
        "TreatMissingData": "notBreaching",
        "AlarmActions": named.iter().map(|topic| topic.reference()).collect::<Vec<_>>(),
    });
    site.stack.add(
        id(job, "DeadLettersAlarm"),
        Resource::new("AWS::CloudWatch::Alarm", &origin(job), dead),
    );
    let mut targets: Vec<Json> = named
        .iter()
        .enumerate()
        .map(|(number, topic)| json!({ "Id": format!("topic{number}"), "Arn": topic.reference() }))
        .collect();
    targets.extend(webhooks(site, job));
    let rule = json!({
        "EventPattern": {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": { "stateMachineArn": [machine.reference()], "status": BAD_ENDS },
        },
        "State": "ENABLED",
        "Targets": targets,
    });
    site.stack.add(
        id(job, "BadEnds"),
        Resource::new("AWS::Events::Rule", &origin(job), rule),
    );
}

/// Targets of a rule that ask a URL.
fn webhooks(site: &mut Site<'_>, job: &Job) -> Vec<Json> {
    let mut targets = Vec::new();
    for name in &job.cloud.alarms {
        let Some(alarm) = site.project.alarms.get(name).cloned() else {
            continue;
        };
        for (kind, url) in [("Webhook", alarm.webhook), ("Slack", alarm.slack)] {
            let Some(url) = url else { continue };
            let destination = destination(site, name, kind, &url);
            let call = Role {
                service: "events.amazonaws.com",
                statements: vec![Statement::allow(&["events:InvokeApiDestination"], [destination.arn()])],
                boundary: site.aws.permissions_boundary.clone(),
            };
            let role_id = id(job, &format!("{}Role", LogicalId::of(name, kind).as_str()));
            let role = call.resource(&origin(job), &site.tags);
            let role = site.stack.add(role_id, role);
            let text = json!({
                "InputPathsMap": { "status": "$.detail.status", "run": "$.detail.name" },
                "InputTemplate": format!("{{\"text\":\"Kingtide: {} of {}, run <run>: <status>\"}}", job.name, site.name),
            });
            targets.push(json!({
                "Id": LogicalId::of(name, kind).as_str(),
                "Arn": destination.arn(),
                "RoleArn": role.arn(),
                "InputTransformer": text,
            }));
        }
    }
    targets
}

/// One for each URL, whoever names it.
fn destination(site: &mut Site<'_>, name: &str, kind: &str, url: &str) -> LogicalId {
    let of = LogicalId::of(name, &format!("{kind}Destination"));
    if site.stack.resources.contains_key(&of) {
        return of;
    }
    let from = format!("alarm.{name}");
    // A destination has to have some way to show who asks; the URL itself is what only its owner knows.
    let connection = json!({
        "AuthorizationType": "API_KEY",
        "AuthParameters": {
            "ApiKeyAuthParameters": { "ApiKeyName": "X-Kingtide-Stack", "ApiKeyValue": sub("${AWS::StackName}") },
        },
    });
    let connection = site.stack.add(
        LogicalId::of(name, &format!("{kind}Connection")),
        Resource::new("AWS::Events::Connection", &from, connection),
    );
    let properties = json!({
        "ConnectionArn": connection.arn(),
        "HttpMethod": "POST",
        "InvocationEndpoint": url,
        "InvocationRateLimitPerSecond": RATE,
    });
    site.stack
        .add(of, Resource::new("AWS::Events::ApiDestination", &from, properties))
}
