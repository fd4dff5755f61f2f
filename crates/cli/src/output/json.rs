//! What programs read: one JSON object a line.

use std::io::{self, Write};
use std::time::Duration;

use kingtide_core::message::Message;
use kingtide_core::time::Timestamp;
use kingtide_runtime::notice::Counts;
use kingtide_runtime::view::{Attempt, Run, RunState, Task};
use serde_json::{Value, json};

use super::text::rfc3339;

/// Writes an object as one line.
pub(crate) fn line(out: &mut impl Write, value: &Value) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// The last line of `run --json`. Its shape is a promise; so are its words.
pub(crate) fn ended(run: &Run, wall: Duration) -> Value {
    let state = match run.state {
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        // Unfinished, because it was interrupted: for whoever waits for it, that is the same.
        RunState::Cancelled | RunState::Open => "cancelled",
    };
    json!({
        "run": run.id.0,
        "job": run.job,
        "state": state,
        "wall_s": seconds(wall),
        "tasks": tasks(&run.counts),
    })
}

fn tasks(counts: &Counts) -> Value {
    json!({
        "total": counts.total,
        "succeeded": counts.succeeded,
        "skipped": counts.skipped,
        "failed": counts.failed + counts.rejected,
        "cancelled": counts.cancelled,
        "attempts": counts.attempts,
    })
}

/// A run as `status` and `history` print it.
pub(crate) fn run(run: &Run, now: Timestamp) -> Value {
    json!({
        "run": run.id.0,
        "job": run.job,
        "state": run.state.text(),
        "reason": run.reason,
        "late": run.late,
        "source": run.source,
        "retry_of": run.retry_of.map(|id| id.0),
        "created_at": rfc3339(run.created_at),
        "ended_at": run.ended_at.map(rfc3339),
        "wall_s": seconds(run.wall(now)),
        "tasks": tasks(&run.counts),
    })
}

pub(crate) fn task(task: &Task) -> Value {
    json!({
        "task": task.id.seq,
        "params": Value::Object(task.message.0.clone()),
        "state": task.state.text(),
        "reason": task.reason,
        "attempts": task.attempt,
        "failures": task.failures,
        "losses": task.losses,
        "started_at": task.started_at.map(rfc3339),
        "ended_at": task.ended_at.map(rfc3339),
    })
}

pub(crate) fn attempt(attempt: &Attempt) -> Value {
    json!({
        "attempt": attempt.id.number,
        "outcome": attempt.outcome.text(),
        "reason": attempt.reason,
        "exit_code": attempt.exit_code,
        "started_at": attempt.started_at.map(rfc3339),
        "ended_at": rfc3339(attempt.ended_at),
        "wall_s": attempt.wall().map(seconds),
        "cpu_s": seconds(Duration::from_millis(attempt.cpu_ms)),
        "memory_peak": attempt.memory_peak,
        "read_bytes": attempt.read_bytes,
        "written_bytes": attempt.written_bytes,
    })
}

pub(crate) fn params(message: &Message) -> Value {
    Value::Object(message.0.clone())
}

/// With milliseconds and no more.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::summary::sample;
    use super::*;

    #[test]
    fn the_last_line_of_a_run() {
        let facts = sample::failed();
        assert_eq!(
            ended(&facts.run, Duration::from_millis(151_234)).to_string(),
            concat!(
                r#"{"run":12,"job":"retrain","state":"failed","wall_s":151.234,"#,
                r#""tasks":{"total":105,"succeeded":98,"skipped":2,"failed":5,"cancelled":0,"attempts":113}}"#
            )
        );
    }

    #[test]
    fn an_interrupted_run_is_cancelled_for_whoever_waits() {
        let mut run = sample::failed().run;
        run.state = RunState::Open;
        assert_eq!(ended(&run, Duration::ZERO)["state"], "cancelled");
    }
}
