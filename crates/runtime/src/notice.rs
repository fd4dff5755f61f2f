//! What the loop tells whoever watches it. It never waits for the watcher.

use std::time::Duration;

pub use kingtide_core::engine::event::Counts;
use kingtide_core::engine::event::{RunState, TaskState};
use kingtide_core::id::{InstanceId, RunId};
pub use kingtide_core::plan::outlook::Prediction;
use kingtide_core::time::Timestamp;

use crate::endpoints::Endpoints;

/// Something to show.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Everything that listens does, there where something does: from now on the project is up.
    Ready(Option<Endpoints>),
    /// A run is taken up.
    Opened {
        run: RunId,
        /// `retrain-12`
        name: String,
        total: u64,
    },
    /// At most every 100 ms of each run, and once at the end.
    Progress(Progress),
    /// An attempt that did not succeed, as it happens.
    Failed(Failure),
    /// A run is over; everything of it is committed.
    Ended {
        run: RunId,
        name: String,
        state: RunState,
        reason: Option<String>,
        counts: Counts,
    },
    /// An instance of a consumer that did not end well.
    Consumer(ConsumerFailure),
    /// A sentence about the runtime itself: paused for a full disk, draining after Ctrl-C, taken over.
    Said(String),
}

/// How a run stands.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    pub run: RunId,
    /// `retrain-12`
    pub name: String,
    pub now: Timestamp,
    pub started_at: Timestamp,
    pub counts: Counts,
    /// Those whose start is known, oldest first, at most 50.
    pub running: Vec<Running>,
    /// How many of its tasks are leased in all.
    pub leased: u64,
    pub remaining: Option<Duration>,
    /// Where something is known of how long tasks take.
    pub forecast: Option<Forecast>,
    pub load: Load,
    /// Nothing new is started any more (first Ctrl-C).
    pub draining: bool,
}

/// A task whose program is running.
#[derive(Clone, Debug)]
pub struct Running {
    pub seq: i64,
    pub attempt: u32,
    /// `dest=BOS depth=4`, at most 80 characters.
    pub label: String,
    pub started_at: Timestamp,
    pub memory: u64,
    pub prediction: Option<Prediction>,
}

/// When a run is done, as far as is known now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// As likely before as after.
    pub p50: Timestamp,
    /// Before it 19 times of 20.
    pub p95: Timestamp,
    pub due: Option<Due>,
}

/// By when a run is to be done, and how likely it will be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Due {
    pub at: Timestamp,
    pub chance: f64,
    /// The chance that is wanted.
    pub confidence: f64,
}

/// What of the machine is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Attempts of this run that fit side by side, and those that are there.
    pub slots: u32,
    pub taken: u32,
    /// Thousandths of a core that what runs uses, as last sampled, of those that are given.
    pub cpu_milli: u32,
    pub cpu_milli_given: u32,
    /// Bytes, likewise.
    pub memory: u64,
    pub memory_given: u64,
}

/// An attempt that did not succeed.
#[derive(Clone, Debug)]
pub struct Failure {
    pub job: String,
    pub run: RunId,
    pub seq: i64,
    pub attempt: u32,
    pub label: String,
    /// `exit code 1`, `out of memory (limit 2 GiB)`.
    pub reason: String,
    /// The last lines of its log.
    pub tail: String,
    /// When it is tried again; `None` when this was the last.
    pub retry_in: Option<Duration>,
    /// What the task is now.
    pub state: TaskState,
}

/// An instance of a consumer that did not end well.
#[derive(Clone, Debug)]
pub struct ConsumerFailure {
    pub job: String,
    pub instance: InstanceId,
    pub reason: String,
    /// The last lines of its log.
    pub tail: String,
    /// When another may start.
    pub next_in: Duration,
}
