//! What was written and what is to be done, in words short enough to be read aloud. A task is told by its number, an
//! attempt as `task.attempt`, a time as seconds from the beginning.

use std::time::Duration;

use kingtide_core::engine::event::{Change, Counts, Effect, Ledger, TaskRow};
use kingtide_core::id::AttemptId;
use kingtide_core::time::Timestamp;

use super::script::stop;

/// Tells times from here.
#[derive(Clone, Copy)]
pub(super) struct Teller {
    pub(super) began: Timestamp,
}

impl Teller {
    pub(super) fn time(self, at: Timestamp) -> String {
        seconds(at.since(self.began))
    }

    /// `None` for what only people are shown.
    pub(super) fn change(self, change: &Change) -> Option<String> {
        Some(match change {
            Change::Task(row) => self.row(row),
            Change::Started { .. } | Change::Reordered { .. } => return None,
            Change::Attempt(row) => {
                let reason = row.reason.as_ref().map(|why| format!(", {why}")).unwrap_or_default();
                format!("attempt {}: {}{reason}", attempt(row.attempt), row.outcome.text())
            }
            Change::Result { task, .. } => format!("task {}: its result is kept", task.seq),
            Change::Output { task, .. } => format!("task {}: its output is kept", task.seq),
            Change::Published { task } => format!("task {}: its output is in its place", task.seq),
            Change::CancelWaiting { .. } => "everything that waits: cancelled".to_owned(),
            Change::Counts { counts: of, .. } => format!("counts: {}", counts(of)),
            Change::RunEnded {
                state, late, reason, ..
            } => {
                let late = if *late { ", late" } else { "" };
                let reason = reason.as_ref().map(|why| format!(", {why}")).unwrap_or_default();
                format!("the run: {}{late}{reason}", state.text())
            }
            Change::InstanceOpened { instance, .. } => format!("instance {instance}: opened"),
            Change::InstanceEnded { instance, .. } => format!("instance {instance}: ended"),
        })
    }

    /// How a task stands.
    pub(super) fn row(self, row: &TaskRow) -> String {
        let mut text = format!("task {}: {}", row.task.seq, row.state.text());
        if row.attempt > 0 {
            text.push_str(&format!(", attempt {}", row.attempt));
        }
        if let Some(at) = row.visible_at {
            text.push_str(&format!(", not before {}", self.time(at)));
        }
        text.push_str(&ledger(row.ledger));
        if row.unpublished.is_some() {
            text.push_str(", output to be published");
        }
        if let Some(why) = &row.reason {
            text.push_str(&format!(" ({why})"));
        }
        text
    }

    pub(super) fn effect(self, effect: &Effect) -> String {
        let told = match effect {
            Effect::Start(start) => {
                let memory = start.memory.map(|bytes| format!(" in {}", mebibytes(bytes)));
                let memory = memory.unwrap_or_default();
                format!("start {}{memory}, {} at once", attempt(start.attempt), start.limit)
            }
            Effect::Withdraw { .. } => "hand back what has not started".to_owned(),
            Effect::Stop { attempts, stop: why } => {
                let attempts: Vec<String> = attempts.iter().copied().map(attempt).collect();
                format!("stop {} ({})", attempts.join(" "), stop(*why))
            }
            Effect::Acknowledge { attempt: of } => format!("forget {}", attempt(*of)),
            Effect::Collect {
                attempt: of,
                result,
                output,
            } => {
                let left = [result.as_ref().map(|_| "result"), output.as_ref().map(|_| "output")];
                let left: Vec<&str> = left.into_iter().flatten().collect();
                format!("collect the {} of {}", left.join(" and "), attempt(*of))
            }
            Effect::Publish { attempt: of, .. } => format!("publish the output of {}", attempt(*of)),
            Effect::Tell(failure) => {
                let again = failure.retry_in.map(|delay| format!(", again in {}", seconds(delay)));
                let again = again.unwrap_or_default();
                let (of, state) = (attempt(failure.attempt), failure.state.text());
                format!("say of {of}: {}, now {state}{again}", failure.reason)
            }
            Effect::Employ(_) | Effect::Dismiss { .. } | Effect::Reclaim { .. } | Effect::TellConsumer { .. } => {
                format!("{effect:?}")
            }
        };
        format!("-> {told}")
    }
}

/// As it is told everywhere here.
pub(super) fn attempt(attempt: AttemptId) -> String {
    format!("{}.{}", attempt.task.seq, attempt.number)
}

pub(super) fn counts(counts: &Counts) -> String {
    let parts = [
        (counts.succeeded, "succeeded"),
        (counts.skipped, "skipped"),
        (counts.failed, "failed"),
        (counts.rejected, "rejected"),
        (counts.cancelled, "cancelled"),
        (counts.attempts, "attempts"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, word)| format!("{number} {word}")).collect();
    format!("{} of {}", parts.join(", "), counts.total)
}

fn ledger(ledger: Ledger) -> String {
    let mut text = String::new();
    if ledger.failures > 0 {
        text.push_str(&format!(", failures {}", ledger.failures));
    }
    if ledger.losses > 0 {
        text.push_str(&format!(", losses {}", ledger.losses));
    }
    if let Some(bytes) = ledger.memory {
        text.push_str(&format!(", memory {}", mebibytes(bytes)));
    }
    text
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
