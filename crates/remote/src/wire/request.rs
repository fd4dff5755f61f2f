//! What `kingtide` asks of `kingtide-aws`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One question; its answer is all events up to `done` or `failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub target: Target,
    #[serde(flatten)]
    pub ask: Ask,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What the file says; else the environment and the profile decide.
    pub region: Option<String>,
    /// `flights`, or `flights-prod` of an environment: the stack's name, and the first part of every key.
    pub stack: String,
}

/// The questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// The stack as it is. Answered by `stack`, or `no-stack`.
    Describe {
        /// Also what was changed by hand: takes CloudFormation some seconds.
        drift: bool,
    },
    /// Where images are pushed, and what is there already. Where the stack has no repository yet, it is made what `base` says first: the bucket
    /// and the repository, as they are in the whole template (`cloud::base`). Answered by `registry`.
    Registry { base: Base, repositories: Vec<Repository> },
    /// Makes the stack what the template says, by a change set. Answered by `resource`s as they go, then `stack`.
    Deploy(Deploy),
    /// What would be lost. Answered by `contents`.
    Contents,
    /// Removes the stack, its images, and with `with_data` its bucket. Answered by `resource`s as they go.
    Destroy { with_data: bool },
    /// What bounds a run: quotas and addresses. Answered by `premises`.
    Premises,
    /// Opens a run and starts its execution. Answered by `started`.
    Start(Start),
    /// How a run stands, whenever that has changed, until it is over. Answered by `progress`es, then `outcome`.
    Watch { run: i64 },
    /// Messages for whoever works now, or for the run that they start. Answered by `sent`.
    Send { job: String, messages: Vec<Json> },
    /// Answered by `done`: the dispatcher ends it with its next look.
    Cancel { run: i64, by: String },
    /// Documents of runs, as they lie in the bucket (`docs/decisions/008-run-on-aws.md`). Answered by `document`s.
    Fetch(Fetch),
    /// The log of an attempt; of one that runs, what there is of it. Answered by `line`s.
    Log {
        run: i64,
        seq: i64,
        attempt: u32,
        follow: bool,
    },
    /// Credentials, permissions, quotas, addresses, images. Answered by `check`s.
    Doctor { images: Vec<String>, architecture: String },
    /// What AWS's price list says today of these regions. Answered by `price`s.
    Prices { regions: Vec<String> },
}

/// What has to be there before anything can be handed over, in the same stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// CloudFormation's JSON; its outputs name the `Bucket` and the `Repository`.
    pub template: String,
    pub tags: BTreeMap<String, String>,
}

/// An image that is to be pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// What is in it: `retrain`.
    pub name: String,
    /// By its content: where it is there already, nothing is pushed.
    pub tag: String,
}

/// What is deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    /// CloudFormation's JSON. One that is too large to be handed over by itself goes by the stack's own bucket.
    pub template: String,
    /// Images by digest.
    pub parameters: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// Files that go into the stack's bucket once it is there, before anything may start by itself: by their keys below the stack's name,
    /// their paths here.
    pub files: BTreeMap<String, String>,
}

/// A run to be opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub job: String,
    /// One line of JSON for each message, in a file: there may be a million.
    pub messages: String,
    /// How many lines.
    pub count: u64,
    /// Milliseconds since 1970.
    pub deadline: Option<i64>,
    /// At most so many workers.
    pub workers: Option<u32>,
    /// Dollars.
    pub max_cost: Option<f64>,
    /// What the planner knows of its tasks, in the order of the messages: mean and spread of the logarithm of seconds. Longest first is sent first.
    pub predictions: Vec<(f64, f64)>,
    pub by: String,
}

/// Which documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// The newest runs, at most so many, where none is named.
    pub newest: u32,
    /// These runs.
    pub runs: Vec<i64>,
    /// Runs of which all is known already: they are over, and do not change.
    pub known: Vec<i64>,
    /// Also every result.
    pub results: bool,
    /// Also what was put out, into this folder: `<run>/<seq>/…`.
    pub outputs: Option<String>,
}
