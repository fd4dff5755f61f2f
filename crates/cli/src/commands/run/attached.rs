//! A run that another process works off: handed over to the runtime that lives on the project, or left to one that is
//! started for it. Here it is only watched.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use kingtide_core::id::RunId;
use kingtide_runtime::Runtime;
use kingtide_runtime::control::{self, ControlError, Retried, Submission};
use kingtide_runtime::view::Run;
use serde_json::json;

use super::launch::{Launch, note, nothing_to_retry, sum_up};
use super::messages::{Messages, Wish};
use crate::commands::status;
use crate::departure::Departure;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::json;

/// Hands the run over. `taken` is what to say when the other one takes no runs.
pub(super) fn start(launch: &Launch<'_>, wish: &Wish, messages: &Messages, taken: Failure) -> Outcome {
    let root = launch.place.layout().root().to_owned();
    let submission = Submission {
        job: &launch.job.name,
        source: &messages.source,
        workers: launch.workers,
        due: launch.due,
    };
    let mut refused = None;
    let run = Messages::hand_over(launch.place, launch.job, wish, |rows| {
        match control::submit(&root, &submission, rows) {
            Ok(Some(outcome)) => Ok(outcome.map(Some)),
            Ok(None) => Ok(Ok(None)),
            Err(ControlError::Refused(why)) => {
                refused = Some(why);
                Ok(Ok(None))
            }
            Err(error) => Err(Failure::from(error)),
        }
    })?;
    match (run, refused) {
        (Some(run), _) => follow(launch, run),
        (None, Some(why)) => Err(taken.because(why)),
        (None, None) => Err(taken),
    }
}

/// Has what failed in a run run again.
pub(super) fn again(launch: &Launch<'_>, old: &Run, taken: Failure) -> Outcome {
    match control::retry(launch.place.layout().root(), old.id, launch.workers) {
        Ok(Some(Retried::Run(run))) => follow(launch, run),
        Ok(Some(Retried::Nothing)) => nothing_to_retry(launch, old),
        Ok(None) => Err(taken),
        Err(ControlError::Refused(why)) => Err(taken.because(why)),
        Err(error) => Err(Failure::from(error)),
    }
}

/// Leaves a run of ours to a process of its own.
pub(super) fn detach(runtime: Runtime, launch: &Launch<'_>, run: RunId) -> Outcome {
    // Its lease goes with it; the other one takes it.
    runtime.leave().map_err(super::launch::failed)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["run", &launch.job.name, "--resume", "--quiet", "--project"])
        .arg(&launch.place.file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(workers) = launch.workers {
        command.args(["--workers", &workers.to_string()]);
    }
    // A group of its own: neither Ctrl-C in this terminal nor its end reaches it.
    let child = command.process_group(0).spawn()?;
    say_detached(launch, run, &format!("worked off by process {}", child.id()))
}

fn say_detached(launch: &Launch<'_>, run: RunId, by: &str) -> Outcome {
    let name = format!("{}-{run}", launch.job.name);
    if launch.settings.json {
        let line = json!({ "run": run.0, "job": launch.job.name, "name": name, "detached": true });
        json::line(&mut std::io::stdout().lock(), &line)?;
    } else {
        note(
            launch,
            &format!("{name} is {by}: `kingtide status --watch {name}` follows it"),
        );
    }
    Ok(Exit::Done)
}

/// Watches a run to its end. Ctrl-C and `q` end the watching and nothing else.
fn follow(launch: &Launch<'_>, run: RunId) -> Outcome {
    if launch.is_detached {
        return say_detached(launch, run, "worked off by the Kingtide that lives here");
    }
    let departure = Departure::new()?;
    departure.on_signals()?;
    let row = launch.place.database()?.snapshot()?.run(run)?;
    let row = row.ok_or_else(|| Failure::new(format!("{}-{run} is not in the database", launch.job.name)))?;
    status::watch(launch.place, &row, launch.settings, &departure)?;
    if departure.is_wanted() {
        let name = row.name();
        note(launch, &format!("{name} goes on; `kingtide cancel {name}` ends it"));
        return Ok(Exit::Cancelled);
    }
    sum_up(launch, run, None, None)
}
