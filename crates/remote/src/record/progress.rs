//! `progress.json`: how a run stands, written by its dispatcher in each round for whoever looks on, and for the next dispatcher.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::Counts;

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub at_ms: i64,
    pub counts: Counts,
    /// Tasks that have begun and are not over.
    #[serde(default)]
    pub running: u64,
    pub workers: Workers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<Foreseen>,
    /// So far.
    #[serde(default)]
    pub dollars: f64,
    /// What there is to say to people: late, quota in the way, throttled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the dispatcher needs to go on after its own loss; read by nobody else.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub state: Value,
}

/// Tasks of ECS that work for a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Workers {
    pub wanted: u32,
    pub starting: u32,
    pub running: u32,
    /// Stopped before they had a word to say, or in mid-task.
    pub lost: u32,
    /// All that were ever started.
    pub started: u32,
}

/// When the run is done, by what is known now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foreseen {
    pub median_ms: i64,
    /// With a chance of nineteen in twenty.
    pub high_ms: i64,
    /// The chance to be done by the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
}
