//! What a dispatcher is told (`Event`), what it wants done (`Effect`), and with what it begins (`Opening`).

use std::time::Duration;

use super::memory::Memory;
use super::warning::Warning;
use crate::engine::event::{Counts, Outcome, RunState};
use crate::plan::burst::Luck;
use crate::plan::lognormal::LogNormal;
use crate::project::Job;
use crate::time::Timestamp;

/// A run as a dispatcher takes it up.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Of stack and run: nobody else's launches have tokens made of it.
    pub name: String,
    pub job: Job,
    /// The messages of the run, with what is foreseen of each beside the others.
    pub messages: Vec<(i64, LogNormal)>,
    /// What is thought of a message that somebody else sends.
    pub other: LogNormal,
    /// The run is there for messages that others send: each that waits is to be worked off, whoever it belongs to.
    pub serves_others: bool,
    pub luck: Luck,
    pub opened_at: Timestamp,
    pub deadline: Option<Timestamp>,
    pub limits: Limits,
    /// The job's own size, and one for each doubling of its memory.
    pub sizes: Vec<Size>,
    /// From `RunTask` until a worker receives.
    pub start_up: Duration,
    /// Another execution has taken the event that started this one: there is nothing to do.
    pub taken_by: Option<String>,
    pub seed: u64,
    /// What an earlier dispatcher of this run has written down; `None` for the first.
    pub memory: Option<Memory>,
}

/// What may be had, and paid.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Of the account, at once; `None` where nobody could say.
    pub vcpus: Option<f64>,
    pub spot_vcpus: Option<f64>,
    /// Workers at once.
    pub workers: Option<u32>,
    /// Dollars of the run.
    pub max_cost: Option<f64>,
    /// Whether workers may be on Spot capacity.
    pub spot: bool,
}

/// A task definition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    pub vcpus: f64,
    /// Dollars of a worker for an hour.
    pub hourly: f64,
    pub spot_hourly: f64,
}

/// Where a worker's capacity comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Market {
    OnDemand,
    Spot,
}

/// What has happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The answer to `Effect::Observe`.
    Observed(Box<Observation>),
    /// The other answer: it could not be seen.
    Unseen(String),
    /// The answer to `Effect::Launch`: ARNs of tasks, and the reasons of those that were not started.
    Launched {
        number: u32,
        accepted: Vec<String>,
        failures: Vec<String>,
    },
    /// The other answer: the call failed, code and message.
    Refused { number: u32, why: String },
    /// The answer to `Effect::Send`: these are in the queue.
    Sent(Vec<i64>),
    /// The other answer: these are not.
    NotSent { seqs: Vec<i64>, why: String },
    /// The answer to `Effect::Abandon`: those that are over now, by that or already. What somebody holds is not among them.
    Abandoned(Vec<End>),
    /// Somebody wants the run to end.
    Cancel,
    /// The time that was asked for has come.
    Tick,
}

/// A look at bucket, cluster and queues. All of it may be late.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Attempts that have begun, each more than once if need be.
    pub begins: Vec<Begin>,
    /// Tasks that are over, each more than once if need be.
    pub ends: Vec<End>,
    /// Messages of others that have become tasks of this run.
    pub arrivals: Vec<i64>,
    /// What ECS says of the tasks of this run.
    pub tasks: Vec<Sighting>,
    /// By size; hints only.
    pub queues: Vec<Backlog>,
}

/// An attempt has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    pub seq: i64,
    pub attempt: u32,
    pub at: Timestamp,
}

/// A task is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub seq: i64,
    pub attempt: u32,
    /// Of its last attempt; `Stopped` of one that was abandoned.
    pub outcome: Outcome,
    pub took: Duration,
}

/// What ECS says of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// Its ARN.
    pub id: String,
    /// By its task definition.
    pub size: usize,
    pub market: Market,
    /// It is paid for from then on (`pullStartedAt`).
    pub paid_from: Option<Timestamp>,
    pub status: Status,
}

/// How a worker stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Anything before RUNNING.
    Starting,
    /// Anything from there until STOPPED.
    Running,
    Stopped {
        at: Timestamp,
        /// `stopCode`
        code: Option<String>,
        /// `stoppedReason`, or the container's where that says more.
        reason: Option<String>,
        /// Of the job's container.
        exit_code: Option<i32>,
    },
}

/// A queue's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    pub visible: u64,
    pub hidden: u64,
    pub delayed: u64,
}

/// What is to be done, in this order; what stands behind a `Save` only once that is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write it over what was written last (`If-Match`). Whoever finds something else there has been replaced: it ends at once, and does
    /// nothing more.
    Save(Box<Progress>),
    /// Send these at once, in this order; at most ten.
    Send(Vec<i64>),
    Launch(Launch),
    /// Look at everything; at these tasks, too, whether or not ECS lists them.
    Observe(Vec<String>),
    /// Stop these tasks.
    Stop {
        tasks: Vec<String>,
        reason: String,
    },
    /// These are not to be begun any more: their claims are written over with `drain::Entry::abandoned`. For each that is over then an end is
    /// written (`Stopped` for those that are over by this): whoever else should have may be lost. It is answered in any case.
    Abandon(Vec<i64>),
    /// Say it.
    Warn(Warning),
    /// Write how the run ended, and end.
    Finish(Box<Ending>),
}

/// A call of `RunTask`. The same number is always the same call: it may be made again.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    pub number: u32,
    /// At most ten.
    pub count: u32,
    pub size: usize,
    pub market: Market,
    /// `clientToken`: at most 64 characters.
    pub token: String,
}

/// How a run stands, for whoever looks on, and for the next dispatcher.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub at: Timestamp,
    pub counts: Counts,
    /// Tasks that have begun and are not over, as far as their workers live.
    pub running: u64,
    pub workers: Workers,
    pub foreseen: Option<Foreseen>,
    pub dollars: f64,
    /// What there is to say to people now.
    pub warnings: Vec<Warning>,
    pub memory: Memory,
}

/// How many workers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    pub wanted: u32,
    pub starting: u32,
    pub running: u32,
    pub lost: u32,
    /// All that there ever were.
    pub started: u32,
}

/// When the run is done, as far as can be foreseen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foreseen {
    pub median: Timestamp,
    /// With a chance of nineteen in twenty.
    pub high: Timestamp,
    /// Of the deadline, where there is one.
    pub chance: Option<f64>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    pub state: RunState,
    /// It has a deadline, and its last task was over after that.
    pub late: bool,
    /// Why it did not succeed, or why there was nothing to do.
    pub reason: Option<String>,
    pub counts: Counts,
    pub dollars: f64,
}

impl Backlog {
    /// Whether it is said to hold nothing.
    pub fn is_empty(&self) -> bool {
        self.visible + self.hidden + self.delayed == 0
    }
}

impl Size {
    pub(super) fn price(&self, market: Market) -> f64 {
        match market {
            Market::OnDemand => self.hourly,
            Market::Spot => self.spot_hourly,
        }
    }
}
