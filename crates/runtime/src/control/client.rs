//! The asking end of the control socket: what a command wants of the runtime that lives on the project.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kingtide_core::id::{AttemptId, RunId};
use kingtide_core::message::Message;
use kingtide_core::time::Timestamp;
use serde_json::{Value, json};

use super::{TIMEOUT, reach, standing};
use crate::notice::Progress;
use crate::sqs::fault::Fault;
use crate::sqs::operation::{Answer, Operation};

/// How long the loop may take for one chunk of messages, or to end what it is at: a slow disk is no reason to give up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the runtime was asked and did not do.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Its own words.
    #[error("{0}")]
    Refused(String),
    #[error("the Kingtide that works on this project could not be asked")]
    Talk(#[from] io::Error),
}

/// A run to be made by the runtime that lives.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    pub job: &'a str,
    /// Where its messages come from, in words.
    pub source: &'a str,
    pub workers: Option<u32>,
    /// By when, in place of what the job says.
    pub due: Option<Timestamp>,
}

/// What became of a wish to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// As this run.
    Run(RunId),
    /// Nothing had failed.
    Nothing,
}

/// Has what failed in a run run again by the runtime that lives; `None` when none lives.
pub fn retry(root: &Path, run: RunId, workers: Option<u32>) -> Result<Option<Retried>, ControlError> {
    let Some(stream) = connect(root)? else { return Ok(None) };
    writeln!(&stream, "{}", json!({ "retry": run.0, "workers": workers }))?;
    let reply = answer(&stream, PATIENCE)?;
    let run = reply["run"].as_i64().map(RunId);
    Ok(Some(run.map_or(Retried::Nothing, Retried::Run)))
}

/// Asks the runtime that lives on this project to cancel a run; `None` when none lives.
///
/// # Errors
/// What it said, or why it could not be asked.
pub fn cancel(root: &Path, run: RunId) -> Result<Option<()>, ControlError> {
    let Some(stream) = connect(root)? else { return Ok(None) };
    writeln!(&stream, "{}", json!({ "cancel": run.0 }))?;
    answer(&stream, PATIENCE).map(|_| Some(()))
}

/// Whether a runtime answers within so long. One that is stopped (SIGSTOP) does not.
pub fn is_answering(root: &Path, within: Duration) -> bool {
    let Ok(Some(stream)) = connect(root) else { return false };
    writeln!(&stream, "{}", json!({ "ping": true })).is_ok() && answer(&stream, within).is_ok()
}

/// What these attempts occupied when they were last sampled, in bytes and in their order; 0 of one that was not sampled yet, or that does
/// not run. `None` when no runtime lives. It answers within so long even if its loop waits for the disk.
///
/// # Errors
/// When it says nothing: it is stopped, or of a version that does not know the question.
pub fn memory(root: &Path, attempts: &[AttemptId], within: Duration) -> Result<Option<Vec<u64>>, ControlError> {
    let Some(stream) = connect(root)? else { return Ok(None) };
    let names: Vec<String> = attempts.iter().map(AttemptId::to_string).collect();
    writeln!(&stream, "{}", json!({ "memory": names }))?;
    let mut reply = answer(&stream, within)?;
    let memory = serde_json::from_value(reply["memory"].take()).map_err(io::Error::other)?;
    Ok(Some(memory))
}

/// What the runtime that lives shows of a run; `None` when none lives, or it does not work on that. It answers within so long even if its
/// loop waits for the disk.
///
/// # Errors
/// When it says nothing: it is stopped, or of a version that does not know the question.
pub fn progress(root: &Path, run: RunId, within: Duration) -> Result<Option<Progress>, ControlError> {
    let Some(stream) = connect(root)? else { return Ok(None) };
    writeln!(&stream, "{}", json!({ "progress": run.0 }))?;
    let reply = answer(&stream, within)?;
    Ok(standing::read(&reply["progress"]))
}

/// Has operations of the queues performed by the runtime that lives; `None` when none lives. What was performed is on disk when the
/// answers come.
///
/// # Errors
/// What it said, or why it could not be asked. When it fails in the middle nobody knows what was performed.
pub fn ask(root: &Path, operations: &[Operation]) -> Result<Option<Vec<Result<Answer, Fault>>>, ControlError> {
    let Some(stream) = connect(root)? else { return Ok(None) };
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&json!({ "ask": operations })).map_err(io::Error::other)?;
    line.push(b'\n');
    (&stream).write_all(&line)?;
    let mut reply = answer(&stream, PATIENCE)?;
    let answers = serde_json::from_value(reply["answers"].take()).map_err(io::Error::other)?;
    Ok(Some(answers))
}

/// Hands a run over to the runtime that lives; `None` when none lives. The run is durable when its number comes back.
///
/// # Errors
/// The inner one is the caller's own, of the message that could not be had: then nothing was submitted.
pub fn submit<E>(
    root: &Path,
    submission: &Submission<'_>,
    messages: &mut dyn Iterator<Item = Result<Message, E>>,
) -> Result<Option<Result<RunId, E>>, ControlError> {
    let Some(stream) = connect(root)? else { return Ok(None) };
    stream.set_write_timeout(Some(PATIENCE))?;
    let load = json!({
        "job": submission.job,
        "source": submission.source,
        "workers": submission.workers,
        "due": submission.due.map(|at| at.0),
    });
    let mut lines = BufWriter::with_capacity(64 * 1024, &stream);
    writeln!(lines, "{}", json!({ "load": load }))?;
    for message in messages {
        let message = match message {
            Ok(message) => message,
            Err(error) => return Ok(Some(Err(error))),
        };
        // It may have refused already: then it says why, and reads no further.
        if writeln!(lines, "{}", message.body()).is_err() {
            break;
        }
    }
    let _ = writeln!(lines).and_then(|()| lines.flush());
    // What is still buffered is of no use to a peer that has refused.
    drop(lines.into_parts());
    let reply = answer(&stream, PATIENCE)?;
    let run = reply["run"]
        .as_i64()
        .ok_or_else(|| io::Error::other("its answer names no run"))?;
    Ok(Some(Ok(RunId(run))))
}

/// `None` when nobody listens.
fn connect(root: &Path) -> Result<Option<UnixStream>, ControlError> {
    match reach(root, |path| UnixStream::connect(path)) {
        Ok(stream) => {
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(Some(stream))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn answer(stream: &UnixStream, within: Duration) -> Result<Value, ControlError> {
    stream.set_read_timeout(Some(within))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let reply: Value = serde_json::from_str(&line).map_err(io::Error::other)?;
    match reply["error"].as_str() {
        Some(error) => Err(ControlError::Refused(error.to_owned())),
        None => Ok(reply),
    }
}
