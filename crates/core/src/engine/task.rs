//! The one transition table of a task, used by live events and after a restart alike.
//!
//! Only the table is here: whether a failure is tried again is decided in `retry.rs`, who may start in `packing.rs`.

use crate::id::AttemptId;
use crate::time::Timestamp;

/// Where a task is. `Waiting` and the last five are rows of the store; the engine holds the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    /// Committed and handed to the keeper; running or next in a pool.
    Leased,
    /// Known to run: it has outlived the first 50 ms.
    Running {
        since: Timestamp,
    },
    /// Ended with 0 and left a result or an output that is being read. The row still says leased: a crash before the
    /// success is committed is answered by the keeper's report, or by a loss.
    Collecting,
    /// The success is committed; its output is on the way to its place.
    Publishing,
    Succeeded,
    Skipped,
    Failed,
    Rejected,
    Cancelled,
}

/// What happens to a task, already judged by the job's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Lease,
    Started {
        at: Timestamp,
    },
    /// Ended with 0; `leaves` a result or an output to collect.
    Succeeded {
        leaves: bool,
    },
    /// What it left is read, valid and durable; `publish` when there is an output.
    Collected {
        publish: bool,
    },
    Published,
    Skipped,
    Rejected,
    /// Failed, or left something invalid, or was lost; `again` when another attempt follows.
    Failed {
        again: bool,
    },
    /// Handed back at no cost: released by its exit code, withdrawn before it started, or stopped to make way.
    Released,
    Cancelled,
}

/// An event that no state of this kind can meet: a bug of ours, or a store that somebody else has written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attempt {attempt} cannot go on from {state:?} by {input:?}")]
pub struct IllegalTransition {
    pub attempt: AttemptId,
    pub state: State,
    pub input: Input,
}

impl State {
    /// Whether a task in this state is over.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            State::Succeeded | State::Skipped | State::Failed | State::Rejected | State::Cancelled
        )
    }
}

/// The transition table.
///
/// # Errors
/// `IllegalTransition` for every pair that is not in it.
pub fn next(attempt: AttemptId, state: State, input: Input) -> Result<State, IllegalTransition> {
    use State::{Collecting, Leased, Publishing, Running, Waiting};
    match (state, input) {
        (Waiting, Input::Lease) => Ok(Leased),
        (Waiting, Input::Cancelled) => Ok(State::Cancelled),

        (Leased, Input::Started { at }) => Ok(Running { since: at }),

        (Leased | Running { .. }, Input::Succeeded { leaves: true }) => Ok(Collecting),
        (Leased | Running { .. }, Input::Succeeded { leaves: false }) => Ok(State::Succeeded),
        (Leased | Running { .. }, Input::Skipped) => Ok(State::Skipped),
        (Leased | Running { .. }, Input::Rejected) => Ok(State::Rejected),
        (Leased | Running { .. } | Collecting, Input::Failed { again: true }) => Ok(Waiting),
        (Leased | Running { .. } | Collecting, Input::Failed { again: false }) => Ok(State::Failed),
        (Leased | Running { .. }, Input::Released) => Ok(Waiting),
        (Leased | Running { .. } | Collecting, Input::Cancelled) => Ok(State::Cancelled),

        // Whoever reads a queue himself may be done with a message after its visibility has ended.
        (Waiting, Input::Succeeded { leaves: false }) => Ok(State::Succeeded),
        (Waiting, Input::Failed { again: false }) => Ok(State::Failed),

        (Collecting, Input::Collected { publish: true }) => Ok(Publishing),
        (Collecting, Input::Collected { publish: false }) => Ok(State::Succeeded),
        (Publishing, Input::Published) => Ok(State::Succeeded),

        (state, input) => Err(IllegalTransition { attempt, state, input }),
    }
}
