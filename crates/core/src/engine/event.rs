//! What the engine is told (`Event`) and what it wants done (`Effect`); what it wants written is `change.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

pub use super::change::{AttemptRow, Change, TaskRow};
pub use super::follow::{Fate, Followed};
pub use super::state::{Named, Outcome, RunState, TaskState};
use crate::id::{AttemptId, InstanceId, RunId, TaskId};
use crate::project::Job;
use crate::time::Timestamp;

/// Something that happened. Every event may come late, twice, or for an attempt that is no longer the current one.
#[derive(Clone, Debug)]
pub enum Event {
    /// A run is to be worked off: a new one, or one that an earlier runtime left.
    RunOpened(Box<OpenRun>),
    /// The answer to `Effect::Receive`: the first waiting messages in order, not yet leased.
    Received(Received),
    Started {
        attempt: AttemptId,
        at: Timestamp,
    },
    Exited {
        attempt: AttemptId,
        exit: Box<Exit>,
    },
    /// The keeper hands these back; they never started.
    Withdrawn {
        attempts: Vec<AttemptId>,
    },
    /// The answer to `Effect::Collect`.
    Collected {
        attempt: AttemptId,
        collected: Result<Collected, String>,
    },
    /// The answer to `Effect::Publish`.
    Published {
        attempt: AttemptId,
    },
    /// What the attempts of this run need is there: they may start.
    Ready(RunId),
    /// From now on so many attempts of this run at once; what runs beyond them goes on.
    Workers {
        run: RunId,
        most: u32,
    },
    /// Messages of this run have been sent while it was open; they wait.
    Arrived {
        run: RunId,
        count: u64,
    },
    /// A task of a consumer's job follows what happens to its message.
    Followed(Box<Followed>),
    /// A job whose program reads the queue itself is to have its instances.
    ConsumerOpened(Box<OpenConsumer>),
    /// What its program needs is there: instances may start.
    ConsumerReady(String),
    /// How a consumer's queue stands.
    Backlog {
        job: String,
        /// To be received now.
        visible: u64,
        /// Received and not deleted.
        in_flight: u64,
    },
    /// A host answers. `same` is the one that the leases were handed to: what it does not hold, it was never told
    /// and goes back at no cost; with another it is lost.
    HostFound {
        host: Host,
        holds: BTreeSet<AttemptId>,
        same: bool,
    },
    /// The host is gone and so is everything it ran.
    HostLost(Host),
    /// The host does not answer; what it runs may go on, and `HostFound` follows when it does.
    HostAway(Host),
    /// These ended with the infrastructure, and the host has forgotten them.
    Lost {
        attempts: Vec<AttemptId>,
    },
    /// End the run: `late` when its time is up, else because somebody wants it.
    Cancel {
        run: RunId,
        late: bool,
    },
    /// What waits in this run was purged; what runs goes on, and is the last of it.
    Purged(RunId),
    /// Start nothing new; what runs goes on.
    Drain,
    /// End what runs; its messages go back.
    Release,
    /// The time the engine asked for has come.
    Tick,
}

/// What runs attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// The keeper, as processes.
    Keeper,
    /// The Docker Engine, as containers.
    Docker,
    /// Nobody of ours: whoever reads the job's queue.
    Outside,
}

/// A consumer as the store knows it.
#[derive(Clone, Debug)]
pub struct OpenConsumer {
    pub job: Job,
    pub host: Host,
    /// Whether what its program needs is there; else `Event::ConsumerReady` follows.
    pub ready: bool,
    /// Started by an earlier runtime, and the tasks whose messages each holds.
    pub instances: Vec<(InstanceId, BTreeSet<TaskId>)>,
    /// The next number to give to one: greater than any that was given before.
    pub next: InstanceId,
}

/// A run as the store knows it.
#[derive(Clone, Debug)]
pub struct OpenRun {
    pub run: RunId,
    pub job: Job,
    pub host: Host,
    /// Whether what its attempts need is there; else `Event::Ready` follows.
    pub ready: bool,
    /// Of a run of messages that others send: it ends when nothing has happened in it for so long.
    pub idle: Option<Duration>,
    /// At most so many attempts at once, whatever the machine has room for.
    pub workers: Option<u32>,
    pub deadline: Option<Timestamp>,
    pub counts: Counts,
    /// Leased when the earlier runtime went.
    pub leased: Vec<Leased>,
    /// Successes whose output is not in its place yet: the attempt and the folder.
    pub unpublished: Vec<(AttemptId, String)>,
}

/// A task that an earlier runtime had leased.
#[derive(Clone, Debug, PartialEq)]
pub struct Leased {
    pub attempt: AttemptId,
    pub ledger: Ledger,
}

/// What a task has been through; what `retries` and the losses are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Attempts that count against `retries`.
    pub failures: u32,
    /// Attempts lost by the infrastructure.
    pub losses: u32,
    /// Bytes, when grown after an out-of-memory kill.
    pub memory: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Received {
    pub run: RunId,
    /// These are all that may go now.
    pub exhausted: bool,
    pub deliveries: Vec<Delivery>,
    /// When the first of those that wait for their time may go.
    pub next_visible: Option<Timestamp>,
}

/// A waiting message, as it is offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub task: TaskId,
    /// Attempts so far.
    pub attempts: u32,
    pub ledger: Ledger,
    /// Of the message's body.
    pub bytes: u64,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    pub end: End,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub usage: Usage,
    /// Absolute paths, when there is something.
    pub result: Option<String>,
    pub output: Option<String>,
    /// The last lines of its log.
    pub tail: String,
}

impl Exit {
    /// Of what was told to end before it had begun.
    pub(super) fn withdrawn(now: Timestamp) -> Exit {
        Exit {
            end: End::Stopped(Stop::Release),
            started_at: now,
            ended_at: now,
            usage: Usage::default(),
            result: None,
            output: None,
            tail: String::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(i32),
    OutOfMemory,
    /// By its own `timeout`.
    TimedOut,
    /// By `Effect::Stop`.
    Stopped(Stop),
    /// It could not be started; why, in words.
    NotStarted(String),
    /// It failed while the disk was full.
    DiskFull,
}

/// Why a running attempt is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Cancel,
    Release,
    /// It is not the task's current attempt.
    Fence,
}

/// What an attempt's process tree used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_ms: u64,
    pub memory_peak: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// What a successful attempt left, read and durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Canonical JSON: an object, or an array of objects.
    pub result: Option<String>,
    pub output: Option<Output>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it lies now.
    pub folder: String,
    pub files: u64,
    pub bytes: u64,
}

/// Tasks of a run by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub total: u64,
    pub succeeded: u64,
    pub skipped: u64,
    pub failed: u64,
    pub rejected: u64,
    pub cancelled: u64,
    /// Attempts that have ended, losses included; what was withdrawn before it started is none.
    pub attempts: u64,
}

impl Counts {
    /// Tasks that are over, however they ended.
    pub fn done(&self) -> u64 {
        self.succeeded + self.skipped + self.failed + self.rejected + self.cancelled
    }
}

/// Something to do once the changes are on disk. Each is keyed by its attempt and kind; doing it twice does no harm.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Start(Start),
    /// Hand back what a pool has not started.
    Withdraw {
        pool: Pool,
    },
    Stop {
        attempts: Vec<AttemptId>,
        stop: Stop,
    },
    /// The host may forget this report and reuse its folder.
    Acknowledge {
        attempt: AttemptId,
    },
    /// Read and check what the attempt left.
    Collect {
        attempt: AttemptId,
        result: Option<String>,
        output: Option<String>,
    },
    /// Move the output to its place.
    Publish {
        attempt: AttemptId,
        folder: String,
    },
    /// Start an instance of this consumer.
    Employ(Employ),
    /// It is handed no message any more.
    Dismiss {
        instance: InstanceId,
    },
    /// What it held may be received again at once.
    Reclaim {
        instance: InstanceId,
        why: String,
    },
    /// Tell people about an attempt that did not succeed.
    Tell(Failure),
    /// Tell people about a consumer whose instance did not end well.
    TellConsumer {
        job: String,
        instance: InstanceId,
        reason: String,
        tail: String,
        next_in: Duration,
    },
}

/// Start an attempt as soon as its pool has room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub attempt: AttemptId,
    pub pool: Pool,
    /// How many of the pool may run at once from now on.
    pub limit: u32,
    /// Bytes to limit it to.
    pub memory: Option<u64>,
    /// Indices of the GPUs it may use.
    pub gpus: Vec<u32>,
}

/// Start an instance of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Employ {
    pub job: String,
    pub instance: InstanceId,
    /// Bytes to limit it to.
    pub memory: Option<u64>,
    /// Indices of the GPUs it may use.
    pub gpus: Vec<u32>,
}

/// Attempts that occupy the same: of one run, with one size of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool {
    pub run: RunId,
    pub memory: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub attempt: AttemptId,
    pub reason: String,
    pub tail: String,
    /// `None` also of one that is back in the queue at no cost: released, lost or put back.
    pub retry_in: Option<Duration>,
    /// The task's new state.
    pub state: TaskState,
}

/// A read that the engine wants answered within the same transaction, before anything is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receive {
    pub run: RunId,
    pub max: u32,
}
