//! Work with files that the engine decided, away from the loop: reading what attempts left, moving outputs to their place.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use kingtide_core::engine::Event;
use kingtide_core::engine::event::{Collected, Output};
use kingtide_core::id::AttemptId;
use kingtide_exec::collect::{self, Left, Uncollected};
use kingtide_exec::redact::Secrets;

use crate::inbox::Inbound;

/// How often a chore is tried again that the machine does not allow: nothing tells when it does.
const AGAIN: Duration = Duration::from_secs(1);

/// Work with files, away from the loop.
#[derive(Debug)]
pub(crate) enum Chore {
    Collect {
        attempt: AttemptId,
        result: Option<String>,
        output: Option<String>,
    },
    Publish {
        attempt: AttemptId,
        from: PathBuf,
        to: PathBuf,
    },
}

/// Does chores until no more can come. What fails for want of room on the disk is tried until there is some: it is no fault
/// of the program's.
pub(crate) fn do_chores(chores: &Receiver<Chore>, inbox: &Sender<Inbound>, secrets: &Secrets) {
    while let Ok(chore) = chores.recv() {
        let mut told = false;
        let event = loop {
            let trouble = match do_chore(&chore, secrets) {
                Ok(event) => break event,
                Err(trouble) => trouble,
            };
            if !std::mem::replace(&mut told, true) && inbox.send(Inbound::Said(trouble)).is_err() {
                return;
            }
            // Nothing tells when the machine allows it.
            std::thread::sleep(AGAIN);
        };
        if inbox.send(Inbound::Event(event)).is_err() {
            return;
        }
    }
}

/// The answer, or what is in its way.
fn do_chore(chore: &Chore, secrets: &Secrets) -> Result<Event, String> {
    match chore {
        Chore::Collect {
            attempt,
            result,
            output,
        } => {
            let collected = match collected(result.as_deref(), output.as_deref(), secrets) {
                Ok(collected) => Ok(collected),
                Err(Uncollected::Program(why)) => Err(why),
                Err(Uncollected::Machine(why)) => {
                    return Err(format!("the output of task {} waits: {why}", attempt.task.seq));
                }
            };
            Ok(Event::Collected {
                attempt: *attempt,
                collected,
            })
        }
        Chore::Publish { attempt, from, to } => match collect::publish(from, to) {
            Ok(()) => Ok(Event::Published { attempt: *attempt }),
            Err(error) => Err(format!(
                "the output of task {} cannot be moved to its place: {error}",
                attempt.task.seq
            )),
        },
    }
}

fn collected(result: Option<&str>, output: Option<&str>, secrets: &Secrets) -> Result<Collected, Uncollected> {
    let Left { result, summary } = collect::collect(result.map(Path::new), output.map(Path::new), secrets)?;
    let output = output.zip(summary).map(|(folder, summary)| Output {
        folder: folder.to_owned(),
        files: summary.files,
        bytes: summary.bytes,
    });
    Ok(Collected { result, output })
}
