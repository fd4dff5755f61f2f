//! A run: what it was opened with, what became of messages that others sent into it, and how it ended.

use kingtide_core::engine::event::{self, RunState};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::format::word;

/// Whose number it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number {
    pub job: String,
    /// The ARN of the execution of the state machine.
    pub execution: String,
}

/// `run.json`: a run as it was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDocument {
    pub run: i64,
    pub job: String,
    pub execution: String,
    pub opened_ms: i64,
    pub by: Opener,
    /// How many messages `messages.jsonl` has; what others send comes after them.
    pub total: u64,
    /// By when it is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<i64>,
    /// At most so many workers, by whoever opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// At most so many dollars, by whoever opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<f64>,
    /// What the execution was started with.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub inputs: Map<String, Value>,
}

/// `predictions.json`: how long tasks will take, as whoever opened the run foresees it from earlier ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictions {
    /// In the order of the messages: mean and spread of the logarithm of seconds.
    pub predictions: Vec<(f64, f64)>,
}

/// Who opened a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opener {
    Cli,
    Schedule,
    Trigger,
    Doorbell,
}

/// `arrivals/<seq>`: a message that somebody else sent, as a task of the run whose worker received it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// By which the queue knows it, whenever it is received.
    pub message_id: String,
    pub body: String,
    pub arrived_ms: i64,
}

/// `cancel`: somebody wants the run to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    pub at_ms: i64,
    pub by: String,
}

/// `outcome.json`: how a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    pub run: i64,
    pub job: String,
    #[serde(with = "word")]
    pub state: RunState,
    /// It ended after its deadline.
    #[serde(default)]
    pub late: bool,
    /// Why it did not succeed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub counts: Counts,
    pub opened_ms: i64,
    pub ended_ms: i64,
    /// Of its tasks' metered seconds; an estimate by the price table of its version.
    #[serde(default)]
    pub dollars: f64,
}

/// Tasks of a run by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub total: u64,
    pub succeeded: u64,
    pub skipped: u64,
    pub failed: u64,
    pub rejected: u64,
    pub cancelled: u64,
    pub attempts: u64,
}

impl From<event::Counts> for Counts {
    fn from(counts: event::Counts) -> Counts {
        let event::Counts {
            total,
            succeeded,
            skipped,
            failed,
            rejected,
            cancelled,
            attempts,
        } = counts;
        Counts {
            total,
            succeeded,
            skipped,
            failed,
            rejected,
            cancelled,
            attempts,
        }
    }
}

impl From<Counts> for event::Counts {
    fn from(counts: Counts) -> event::Counts {
        let Counts {
            total,
            succeeded,
            skipped,
            failed,
            rejected,
            cancelled,
            attempts,
        } = counts;
        event::Counts {
            total,
            succeeded,
            skipped,
            failed,
            rejected,
            cancelled,
            attempts,
        }
    }
}
