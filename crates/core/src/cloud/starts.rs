//! What starts a run by itself: a schedule, objects that arrive, a message that is sent. Each start is an event; those that come twice are told
//! apart by what they are called (`start.rs`), and what could not be started is kept.

use serde_json::{Value as Json, json};

use super::iam::Statement;
use super::template::{LogicalId, Resource};
use super::{Site, doorbell, id, origin, roles, schedule};
use crate::project::Job;
use crate::project::aws::Trigger;

/// For as long as something that could not be started is tried again, and how often.
const PATIENCE_S: u32 = 3600;
const ATTEMPTS: u32 = 30;
const RETENTION_S: u32 = 14 * 24 * 3600;

/// What an alarm may be about.
#[derive(Clone, Debug, Default)]
pub(super) struct Starts {
    /// Fails when a schedule's run has not begun.
    pub(super) lookout: Option<LogicalId>,
    /// Starts that AWS could not make.
    pub(super) unstarted: Option<LogicalId>,
}

pub(super) fn starts(site: &mut Site<'_>, job: &Job, machine: &LogicalId, queue: &LogicalId) -> Starts {
    if job.cloud.schedule.is_none() && job.cloud.triggers.is_empty() && job.cloud.doorbell.is_none() {
        return Starts::default();
    }
    let unstarted = json!({ "SqsManagedSseEnabled": true, "MessageRetentionPeriod": RETENTION_S, "Tags": site.tags });
    let unstarted = site.stack.add(
        id(job, "Unstarted"),
        Resource::new("AWS::SQS::Queue", &origin(job), unstarted),
    );
    let mut starts = Starts::default();
    if let Some(of) = &job.cloud.schedule {
        starts.lookout = schedule::schedule(site, job, of, machine, &unstarted);
    }
    let mut rules = Vec::new();
    if !job.cloud.triggers.is_empty() {
        let role = start_role(site, job, "TriggerRole", machine);
        for (number, trigger) in job.cloud.triggers.iter().enumerate() {
            let rule = object_rule(site, trigger, target(machine, &role, &unstarted, objects()));
            let kind = format!("Trigger{}", number + 1);
            let rule = site
                .stack
                .add(id(job, &kind), Resource::new("AWS::Events::Rule", &origin(job), rule));
            rules.push(rule.arn());
        }
    }
    rules.extend(doorbell::doorbell(site, job, machine, queue, &unstarted));
    policy(site, job, &unstarted, rules);
    starts.unstarted = Some(unstarted);
    starts
}

/// EventBridge starts the machine.
pub(super) fn start_role(site: &mut Site<'_>, job: &Job, kind: &str, machine: &LogicalId) -> LogicalId {
    let start = vec![Statement::allow(&["states:StartExecution"], [machine.reference()])];
    roles::add_role(site, job, kind, "events.amazonaws.com", start)
}

fn object_rule(site: &Site<'_>, trigger: &Trigger, target: Json) -> Json {
    json!({
        "EventPattern": {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {
                "bucket": { "name": [trigger.bucket] },
                "object": { "key": [{ "prefix": trigger.prefix }] },
            },
        },
        "State": "ENABLED",
        "Tags": site.tags,
        "Targets": [target],
    })
}

/// What a rule hands over: `<name>` is filled from the event, with the quotes of a text where it is one.
fn objects() -> Json {
    json!({
        "InputPathsMap": { "event": "$.id", "at": "$.time", "bucket": "$.detail.bucket", "object": "$.detail.object" },
        "InputTemplate": r#"{"by":"trigger","event":<event>,"at":<at>,"bucket":<bucket>,"object":<object>}"#,
    })
}

/// The machine as a rule's target.
pub(super) fn target(machine: &LogicalId, role: &LogicalId, unstarted: &LogicalId, transformer: Json) -> Json {
    json!({
        "Id": "run",
        "Arn": machine.reference(),
        "RoleArn": role.arn(),
        "InputTransformer": transformer,
        "RetryPolicy": retry_policy(),
        "DeadLetterConfig": { "Arn": unstarted.arn() },
    })
}

pub(super) fn retry_policy() -> Json {
    json!({ "MaximumEventAgeInSeconds": PATIENCE_S, "MaximumRetryAttempts": ATTEMPTS })
}

/// Over TLS alone; and rules may put there what they could not start.
fn policy(site: &mut Site<'_>, job: &Job, unstarted: &LogicalId, rules: Vec<Json>) {
    let mut policy = super::iam::only_over_tls("sqs:*", vec![unstarted.arn()]);
    if !rules.is_empty()
        && let Some(statements) = policy["Statement"].as_array_mut()
    {
        statements.push(json!({
            "Sid": "WhatCouldNotStart",
            "Effect": "Allow",
            "Principal": { "Service": "events.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": [unstarted.arn()],
            "Condition": { "ArnEquals": { "aws:SourceArn": rules } },
        }));
    }
    let policy = json!({ "Queues": [unstarted.reference()], "PolicyDocument": policy });
    site.stack.add(
        id(job, "UnstartedPolicy"),
        Resource::new("AWS::SQS::QueuePolicy", &origin(job), policy),
    );
}
