//! What `kingtide-aws` says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first of all, unasked.
    Hello(Hello),
    Stack(Box<Stack>),
    /// There is none of that name in that region.
    NoStack {
        region: String,
        account: String,
    },
    Registry(Registry),
    Resource(Resource),
    Contents(Contents),
    Premises(Premises),
    Started(Started),
    /// The run's `progress.json`, as it is.
    Progress {
        document: Json,
    },
    /// The run's `outcome.json`, as it is.
    Outcome {
        document: Json,
    },
    Sent {
        messages: u64,
    },
    Document(Document),
    Line {
        at_ms: i64,
        text: String,
    },
    Check(Check),
    Price(Price),
    /// That was all.
    Done,
    /// It came to nothing.
    Failed(Failed),
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    pub version: String,
}

/// A stack as CloudFormation has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    pub region: String,
    pub account: String,
    /// `UPDATE_COMPLETE`
    pub status: String,
    pub reason: Option<String>,
    pub changed_at_ms: i64,
    pub template: String,
    pub parameters: BTreeMap<String, String>,
    pub outputs: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// What was changed by hand, where that was asked.
    pub drift: Option<Vec<Drift>>,
}

/// A resource that is not what the template says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub logical_id: String,
    pub kind: String,
    /// It is gone.
    pub is_deleted: bool,
    /// `/Properties/VisibilityTimeout`, what it should be, and what it is.
    pub differences: Vec<(String, String, String)>,
}

/// Where images go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// `123456789012.dkr.ecr.eu-west-1.amazonaws.com`
    pub host: String,
    pub user: String,
    /// For some hours; never written anywhere.
    pub password: String,
    /// In the order of what was asked: where it is pushed.
    pub places: Vec<ImagePlace>,
}

/// Where an image is pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePlace {
    /// Of the registry: `flights-repository-x1y2`. One repository has all images of a stack.
    pub repository: String,
    /// `retrain-0123abcd`
    pub tag: String,
    /// Where the image is there already.
    pub digest: Option<String>,
}

/// What becomes of a resource while a stack changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    pub at_ms: i64,
    pub logical_id: String,
    /// `AWS::SQS::Queue`
    pub kind: String,
    /// `CREATE_IN_PROGRESS`
    pub status: String,
    pub reason: Option<String>,
}

/// What would be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub bucket: Option<String>,
    /// It was there before the stack: it is never removed.
    pub bucket_is_foreign: bool,
    pub objects: u64,
    pub bytes: u64,
    pub runs: u64,
    /// Runs that are under way: they would be ended.
    pub running: Vec<String>,
    /// Messages that wait, and dead letters, by queue.
    pub messages: BTreeMap<String, u64>,
    pub images: u64,
}

/// What bounds a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Premises {
    pub region: String,
    /// Fargate's vCPUs of an account and region; `None`: it may not be asked.
    pub vcpu_quota: Option<f64>,
    pub spot_vcpu_quota: Option<f64>,
    /// Taken by others already.
    pub vcpus_in_use: Option<f64>,
    /// Free in the stack's subnets.
    pub addresses: Option<u64>,
}

/// A run that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    pub run: i64,
    pub execution: String,
}

/// An object of the bucket. The key is without the stack's name: `runs/12/tasks.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub key: String,
    pub body: String,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// `credentials`, `vcpu-quota`, `addresses`, `image`, `permission`
    pub name: String,
    pub verdict: Verdict,
    pub text: String,
    pub help: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Fine,
    Doubtful,
    Wrong,
}

/// A line of the price list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    pub region: String,
    /// As in the table of prices: `fargate_vcpu_hour`.
    pub what: String,
    pub dollars: f64,
    /// `2026-10-01`
    pub date: String,
    pub source: String,
}

/// Why it came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub kind: FailureKind,
    /// A fragment that fits after `error: `.
    pub message: String,
    /// The outermost first.
    pub causes: Vec<String>,
    pub help: Option<String>,
}

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// None were found, or they have expired; the causes say where was looked.
    Credentials,
    /// There is none, or it does not exist.
    Region,
    /// They are not allowed to.
    Denied,
    /// The stack is not there, or in a state in which nothing can be done with it.
    Stack,
    /// It is another's already.
    NameTaken,
    Quota,
    /// No such run, log or image.
    NotFound,
    /// Nobody answered, or not in time: it may go better later.
    Unavailable,
    /// The template, or what else was asked, is refused.
    Refused,
}
