//! What the engine wants written: rows of the store, as far as they change.

use super::event::{Counts, Ledger, Outcome, RunState, TaskState, Usage};
use crate::id::{AttemptId, InstanceId, RunId, TaskId};
use crate::time::Timestamp;

/// Rows to write, in this order, in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Task(TaskRow),
    /// The running attempt is known to have started: shown to people, decides nothing.
    Started {
        task: TaskId,
        at: Timestamp,
    },
    /// It now takes so many times the share of the machine that it took: its place in the order moves with that.
    Reordered {
        task: TaskId,
        by: f64,
    },
    Attempt(Box<AttemptRow>),
    Result {
        task: TaskId,
        body: String,
    },
    Output {
        task: TaskId,
        files: u64,
        bytes: u64,
    },
    Published {
        task: TaskId,
    },
    /// An instance of a consumer is to start.
    InstanceOpened {
        instance: InstanceId,
        job: String,
        at: Timestamp,
    },
    /// An instance is gone, and everything of it.
    InstanceEnded {
        instance: InstanceId,
        reason: Option<String>,
        at: Timestamp,
    },
    /// Everything of the run that waits is cancelled.
    CancelWaiting {
        run: RunId,
        at: Timestamp,
    },
    Counts {
        run: RunId,
        counts: Counts,
    },
    RunEnded {
        run: RunId,
        state: RunState,
        late: bool,
        /// Why it did not succeed, in words.
        reason: Option<String>,
        at: Timestamp,
    },
}

/// The columns of a task that change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    pub task: TaskId,
    pub state: TaskState,
    /// Attempts so far, the leased one included.
    pub attempt: u32,
    pub ledger: Ledger,
    /// Of a waiting task: not before.
    pub visible_at: Option<Timestamp>,
    /// Of a task that is over.
    pub ended_at: Option<Timestamp>,
    /// Of the state, or of the last failure.
    pub reason: Option<String>,
    /// The folder of a success whose output is not in its place yet.
    pub unpublished: Option<String>,
}

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Of a consumer: the instance that had received the message.
    pub instance: Option<InstanceId>,
    pub attempt: AttemptId,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub exit_code: Option<i32>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub usage: Usage,
}
