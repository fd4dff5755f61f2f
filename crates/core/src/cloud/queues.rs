//! A job's queue and its dead letters.

use serde_json::json;

use super::template::{LogicalId, Resource};
use super::{Site, iam, id, origin};
use crate::project::Job;

/// Both, by their ids.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    pub(super) queue: LogicalId,
    pub(super) dead: LogicalId,
}

/// A worker says that it lives every minute: what it holds is another's so much after its end.
const VISIBILITY_S: u32 = 180;
const RETENTION_S: u32 = 4 * 24 * 3600;
/// Longer than the queue's own: a dead letter is as old as its first sending.
const DEAD_RETENTION_S: u32 = 14 * 24 * 3600;
/// Receives that end with the infrastructure, beyond those that a job's retries take.
const LOSSES: u32 = 10;
const MOST_RECEIVES: u32 = 1000;

pub(super) fn queues(site: &mut Site<'_>, job: &Job) -> Queues {
    let base = |seconds: u32| {
        json!({
            "SqsManagedSseEnabled": true,
            "MessageRetentionPeriod": seconds,
            "Tags": site.tags,
        })
    };
    let (mut queue, dead) = (base(RETENTION_S), base(DEAD_RETENTION_S));
    let dead = site.stack.add(
        id(job, "DeadLetters"),
        Resource::new("AWS::SQS::Queue", &origin(job), dead),
    );
    let receives = (1 + job.retries).saturating_add(LOSSES).min(MOST_RECEIVES);
    queue["VisibilityTimeout"] = json!(VISIBILITY_S);
    queue["ReceiveMessageWaitTimeSeconds"] = json!(20);
    queue["RedrivePolicy"] = json!({ "deadLetterTargetArn": dead.arn(), "maxReceiveCount": receives });
    let queue = site
        .stack
        .add(id(job, "Queue"), Resource::new("AWS::SQS::Queue", &origin(job), queue));
    for (of, name) in [(&queue, "QueuePolicy"), (&dead, "DeadLettersPolicy")] {
        let policy = json!({
            "Queues": [of.reference()],
            "PolicyDocument": iam::only_over_tls("sqs:*", vec![of.arn()]),
        });
        site.stack.add(
            id(job, name),
            Resource::new("AWS::SQS::QueuePolicy", &origin(job), policy),
        );
    }
    Queues { queue, dead }
}
