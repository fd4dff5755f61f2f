//! What begins a run when somebody sends a message while none is open. The job's own queue is only ever read by its workers: a pipe listens to a
//! second one that `send` rings, or an alarm sees that something waits.

use serde_json::{Value as Json, json};

use super::iam::{self, Statement};
use super::template::{LogicalId, Resource};
use super::{Site, alarms, id, origin, roles, starts};
use crate::project::Job;
use crate::project::aws::Doorbell;

/// Somebody who rings and is not heard for so long is not heard any more: the message itself waits in the job's queue.
const RING_RETENTION_S: u32 = 24 * 3600;
const RING_RECEIVES: u32 = 10;

/// The rules that start the machine, by their ARNs.
pub(super) fn doorbell(
    site: &mut Site<'_>,
    job: &Job,
    machine: &LogicalId,
    queue: &LogicalId,
    unstarted: &LogicalId,
) -> Vec<Json> {
    match job.cloud.doorbell {
        None => Vec::new(),
        Some(Doorbell::Pipe) => {
            pipe(site, job, machine, unstarted);
            Vec::new()
        }
        Some(Doorbell::Alarm) => vec![alarm(site, job, machine, queue, unstarted)],
    }
}

/// A second queue, and a pipe that starts a run for each ring; that of a run which is open already ends at once.
fn pipe(site: &mut Site<'_>, job: &Job, machine: &LogicalId, unstarted: &LogicalId) {
    let bell = json!({
        "SqsManagedSseEnabled": true,
        "MessageRetentionPeriod": RING_RETENTION_S,
        "ReceiveMessageWaitTimeSeconds": 20,
        "RedrivePolicy": { "deadLetterTargetArn": unstarted.arn(), "maxReceiveCount": RING_RECEIVES },
        "Tags": site.tags,
    });
    let bell = site.stack.add(
        id(job, "Doorbell"),
        Resource::new("AWS::SQS::Queue", &origin(job), bell),
    );
    let policy = json!({
        "Queues": [bell.reference()],
        "PolicyDocument": iam::only_over_tls("sqs:*", vec![bell.arn()]),
    });
    site.stack.add(
        id(job, "DoorbellPolicy"),
        Resource::new("AWS::SQS::QueuePolicy", &origin(job), policy),
    );
    let receive = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    let statements = vec![
        Statement::allow(&receive, [bell.arn()]),
        Statement::allow(&["states:StartExecution"], [machine.reference()]),
    ];
    let role = roles::add_role(site, job, "DoorbellRole", "pipes.amazonaws.com", statements);
    let pipe = json!({
        "RoleArn": role.arn(),
        "Source": bell.arn(),
        "SourceParameters": { "SqsQueueParameters": { "BatchSize": 1 } },
        "Target": machine.reference(),
        "TargetParameters": {
            "StepFunctionStateMachineParameters": { "InvocationType": "FIRE_AND_FORGET" },
            "InputTemplate": r#"{"by":"doorbell","event":"<$.messageId>"}"#,
        },
        "Tags": tags(site),
    });
    let pipe = Resource::new("AWS::Pipes::Pipe", &origin(job), pipe)
        .noted(
            "idle",
            "0.26 USD a month for 650,000 receives that find nothing; nothing while the account's first million requests last",
        )
        .noted("starts", "within seconds of a `send`");
    site.stack.add(id(job, "Pipe"), pipe);
    site.output(job, "DoorbellUrl", "Rung after a message was sent", bell.reference());
}

/// Whoever sends; edges only, so that a run ends when the alarm has had time to see an empty queue (`variables::LINGER_S`).
fn alarm(site: &mut Site<'_>, job: &Job, machine: &LogicalId, queue: &LogicalId, unstarted: &LogicalId) -> Json {
    let description = format!("Messages for {} wait: a run begins", job.name);
    let waiting = alarms::not_empty(site, job, description, queue, 60).noted(
        "starts",
        "1 to 2 minutes after a message was sent; up to 15 where nothing was asked of the queue for 6 hours",
    );
    let waiting = site.stack.add(id(job, "WaitingAlarm"), waiting);
    let role = starts::start_role(site, job, "DoorbellRole", machine);
    let input = json!({
        "InputPathsMap": { "event": "$.id", "at": "$.time" },
        "InputTemplate": r#"{"by":"doorbell","event":<event>,"at":<at>}"#,
    });
    let rule = json!({
        "EventPattern": {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "resources": [waiting.arn()],
            "detail": { "state": { "value": ["ALARM"] } },
        },
        "State": "ENABLED",
        "Tags": site.tags,
        "Targets": [starts::target(machine, &role, unstarted, input)],
    });
    let rule = Resource::new("AWS::Events::Rule", &origin(job), rule);
    site.stack.add(id(job, "DoorbellRule"), rule).arn()
}

/// Pipes take theirs as an object.
fn tags(site: &Site<'_>) -> Json {
    let pairs = site.tags.as_array().into_iter().flatten();
    let pair = |tag: &Json| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].clone()));
    Json::Object(pairs.filter_map(pair).collect())
}
