//! A job's queues, one for each rung of its ladder, and their dead letters.

use serde_json::{Value as Json, json};

use super::template::{LogicalId, Resource};
use super::{Site, iam, id, origin};
use crate::project::{Job, Mode};

/// All of a job's.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    /// The smallest rung's first; never empty.
    pub(super) rungs: Vec<LogicalId>,
    pub(super) dead: LogicalId,
}

/// A worker says that it lives every minute: what it holds is another's so much after its end.
const VISIBILITY_S: u32 = 180;
const RETENTION_S: u32 = 4 * 24 * 3600;
/// Longer than the queue's own: a dead letter is as old as its first sending.
const DEAD_RETENTION_S: u32 = 14 * 24 * 3600;
/// Of a consumer's messages: receives that end with the infrastructure, beyond those that the job's retries take.
const LOSSES: u32 = 10;
/// Workers count attempts themselves, and bury what has failed with its reason. Receives are more: what was released, what another is at, a
/// task of more than twelve hours, which the queue hands out in any case. So SQS itself is to give up none of them.
const MOST_RECEIVES: u32 = 1000;

pub(super) fn queues(site: &mut Site<'_>, job: &Job, rungs: usize) -> Queues {
    let dead = add(site, job, "DeadLetters", base(site, DEAD_RETENTION_S));
    let receives = match job.mode {
        Mode::Consumer => (1 + job.retries).saturating_add(LOSSES).min(MOST_RECEIVES),
        Mode::Task => MOST_RECEIVES,
    };
    let rungs = (0..rungs).map(|rung| {
        let mut queue = base(site, RETENTION_S);
        queue["VisibilityTimeout"] = json!(VISIBILITY_S);
        queue["ReceiveMessageWaitTimeSeconds"] = json!(20);
        queue["RedrivePolicy"] = json!({ "deadLetterTargetArn": dead.arn(), "maxReceiveCount": receives });
        add(site, job, &grown("Queue", rung), queue)
    });
    Queues {
        rungs: rungs.collect(),
        dead,
    }
}

impl Queues {
    /// What whoever sends a message means.
    pub(super) fn first(&self) -> &LogicalId {
        &self.rungs[0]
    }

    pub(super) fn arns(&self) -> Vec<Json> {
        self.rungs.iter().map(LogicalId::arn).collect()
    }
}

/// What something of a rung is called. By its number: a job that is given more memory keeps its queues.
pub(super) fn grown(kind: &str, rung: usize) -> String {
    match rung {
        0 => kind.to_owned(),
        rung => format!("{kind}Grown{rung}"),
    }
}

fn base(site: &Site<'_>, retention_s: u32) -> Json {
    json!({ "SqsManagedSseEnabled": true, "MessageRetentionPeriod": retention_s, "Tags": site.tags })
}

/// A queue that nobody reaches but over TLS.
fn add(site: &mut Site<'_>, job: &Job, kind: &str, properties: Json) -> LogicalId {
    let queue = Resource::new("AWS::SQS::Queue", &origin(job), properties);
    let queue = site.stack.add(id(job, kind), queue);
    let policy = json!({
        "Queues": [queue.reference()],
        "PolicyDocument": iam::only_over_tls("sqs:*", vec![queue.arn()]),
    });
    site.stack.add(
        id(job, &format!("{kind}Policy")),
        Resource::new("AWS::SQS::QueuePolicy", &origin(job), policy),
    );
    queue
}
