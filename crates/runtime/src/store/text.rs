//! How states are spelled in the database: one conversion each way, the same words as the `CHECK`s.

use kingtide_core::engine::event::{Outcome, RunState, Stored};

use super::StoreError;

pub(crate) fn stored(state: Stored) -> &'static str {
    match state {
        Stored::Waiting => "waiting",
        Stored::Leased => "leased",
        Stored::Succeeded => "succeeded",
        Stored::Skipped => "skipped",
        Stored::Failed => "failed",
        Stored::Rejected => "rejected",
        Stored::Cancelled => "cancelled",
    }
}

pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
        Outcome::Released => "released",
        Outcome::Rejected => "rejected",
        Outcome::TimedOut => "timed_out",
        Outcome::OutOfMemory => "out_of_memory",
        Outcome::Lost => "lost",
        Outcome::Stopped => "stopped",
    }
}

pub(crate) fn run_state(state: RunState) -> &'static str {
    match state {
        RunState::Open => "open",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
    }
}

pub(crate) fn parse_run_state(text: &str) -> Result<RunState, StoreError> {
    [
        RunState::Open,
        RunState::Succeeded,
        RunState::Failed,
        RunState::Cancelled,
    ]
    .into_iter()
    .find(|state| run_state(*state) == text)
    .ok_or_else(|| StoreError::Unknown(text.to_owned()))
}
