//! Who is told when something is wrong: by mail through a topic, by a webhook through an API destination (`webhooks.rs`). All of it goes through
//! rules of EventBridge, which cost nothing; an alarm of CloudWatch costs ten cents a month and is made for jobs that ask for one.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::queues::Queues;
use super::starts::Starts;
use super::template::{LogicalId, Resource};
use super::{Site, id, origin, variables, webhooks};
use crate::project::Job;
use crate::project::aws::Alarm;

/// How runs end that are told of.
const BAD_ENDS: [&str; 3] = ["FAILED", "TIMED_OUT", "ABORTED"];
/// Targets of a rule, at most (EventBridge quotas).
const MOST_TARGETS: usize = 5;

/// A topic for each alarm that a job names, by the alarm's name.
pub(super) fn topics(site: &mut Site<'_>) -> BTreeMap<String, LogicalId> {
    let mut topics = BTreeMap::new();
    for (name, alarm) in site.project.alarms.clone() {
        let is_named = site.project.jobs.values().any(|job| job.cloud.alarms.contains(&name));
        if is_named && alarm.email.is_some() {
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
    let properties = json!({ "Subscription": subscriptions, "Tags": site.tags });
    let topic = site.stack.add(
        LogicalId::of(name, "Topic"),
        Resource::new("AWS::SNS::Topic", &from, properties),
    );
    // Rules of this account, and nobody else; and nobody in the clear.
    let policy = json!({
        "Topics": [topic.reference()],
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "OnlyOverTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sns:Publish",
                "Resource": topic.reference(),
                "Condition": { "Bool": { "aws:SecureTransport": "false" } },
            }, {
                "Sid": "Tell",
                "Effect": "Allow",
                "Principal": { "Service": "events.amazonaws.com" },
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

/// What is told of, and in which words: places in angle brackets are filled from the event.
struct Told<'a> {
    kind: &'static str,
    pattern: Json,
    paths: Json,
    text: &'a str,
}

/// What is told of a job: runs that end badly, are late, cost too much or did not start, and dead letters.
pub(super) fn alarms(
    site: &mut Site<'_>,
    job: &Job,
    queues: &Queues,
    machine: Option<&LogicalId>,
    starts: &Starts,
    topics: &BTreeMap<String, LogicalId>,
) {
    if job.cloud.alarms.is_empty() {
        return;
    }
    let mut alarms = vec![queue_alarm(
        site,
        job,
        "DeadLettersAlarm",
        &queues.dead,
        "failed for good",
    )];
    if let Some(unstarted) = &starts.unstarted {
        alarms.push(queue_alarm(
            site,
            job,
            "UnstartedAlarm",
            unstarted,
            "could not be started",
        ));
    }
    let of_queues = Told {
        kind: "Letters",
        pattern: json!({
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "resources": alarms.iter().map(LogicalId::arn).collect::<Vec<_>>(),
            "detail": { "state": { "value": ["ALARM"] } },
        }),
        paths: json!({ "text": "$.detail.configuration.description" }),
        text: "<text>",
    };
    tell(site, job, topics, &of_queues);
    let Some(machine) = machine else { return };
    let machines = [Some(machine), starts.lookout.as_ref()].into_iter().flatten();
    let bad_ends = Told {
        kind: "BadEnds",
        pattern: json!({
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": { "stateMachineArn": machines.map(LogicalId::reference).collect::<Vec<_>>(), "status": BAD_ENDS },
        }),
        // The cause may be a document with quotes of its own: whoever is told asks for it.
        paths: json!({ "run": "$.detail.name", "status": "$.detail.status", "error": "$.detail.error" }),
        text: "execution <run> has ended: <status> <error>",
    };
    tell(site, job, topics, &bad_ends);
    let warnings = Told {
        kind: "Warnings",
        pattern: json!({
            "source": [variables::EVENT_SOURCE],
            "detail-type": [variables::EVENT_LATE, variables::EVENT_COST],
            "detail": { "stack": [site.stack_name()], "job": [job.name] },
        }),
        paths: json!({ "run": "$.detail.run", "text": "$.detail.text" }),
        text: "run <run>: <text>",
    };
    tell(site, job, topics, &warnings);
}

/// Something lies in a queue that should be empty.
fn queue_alarm(site: &mut Site<'_>, job: &Job, kind: &str, queue: &LogicalId, what: &str) -> LogicalId {
    let description = format!("something of {} {what}", job.name);
    let alarm = not_empty(site, job, description, queue, 300);
    site.stack.add(id(job, kind), alarm)
}

/// An alarm that a queue has messages for whoever asks, looked at every `period_s` seconds.
pub(super) fn not_empty(site: &Site<'_>, job: &Job, description: String, queue: &LogicalId, period_s: u32) -> Resource {
    let properties = json!({
        "AlarmDescription": description,
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{ "Name": "QueueName", "Value": queue.get("QueueName") }],
        "Statistic": "Maximum",
        "Period": period_s,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
        "TreatMissingData": "notBreaching",
        "Tags": site.tags,
    });
    Resource::new("AWS::CloudWatch::Alarm", &origin(job), properties).noted("idle", "0.10 USD a month")
}

/// Rules with all whom it concerns, as many to each as it bears.
fn tell(site: &mut Site<'_>, job: &Job, topics: &BTreeMap<String, LogicalId>, told: &Told<'_>) {
    let named = job.cloud.alarms.iter();
    let mut targets: Vec<Json> = named
        .filter_map(|name| {
            let topic = topics.get(name)?;
            let text = format!("\"Kingtide, {}: {}\"", job.name, told.text);
            Some(json!({
                "Id": LogicalId::of(name, "Topic").as_str(),
                "Arn": topic.reference(),
                "InputTransformer": { "InputPathsMap": told.paths, "InputTemplate": text },
            }))
        })
        .collect();
    targets.extend(webhooks::targets(site, job, &told.paths, told.text));
    for (number, targets) in targets.chunks(MOST_TARGETS).enumerate() {
        let rule = json!({
            "EventPattern": told.pattern,
            "State": "ENABLED",
            "Tags": site.tags,
            "Targets": targets,
        });
        let kind = match number {
            0 => told.kind.to_owned(),
            more => format!("{}{}", told.kind, more + 1),
        };
        site.stack
            .add(id(job, &kind), Resource::new("AWS::Events::Rule", &origin(job), rule));
    }
}
