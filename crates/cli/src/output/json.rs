//! What programs read: one JSON object a line. The shapes of rows are `kingtide_runtime::view::json`, which pages are served from as well.

use std::io::{self, Write};
use std::time::Duration;

use kingtide_runtime::view::{Run, RunState};
use serde_json::{Value, json};

use super::text::now;

pub(crate) use kingtide_runtime::view::json::{attempt, deadline, letter, params, queue, run, seconds, task, tasks};

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
    let mut line = json!({
        "run": run.id.0,
        "job": run.job,
        "state": state,
        "wall_s": seconds(wall),
        "tasks": tasks(&run.counts),
    });
    if run.due_at.is_some() {
        line["deadline"] = deadline(run, now());
    }
    line
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
