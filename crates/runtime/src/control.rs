//! Verbs from other processes: one JSON object a line, on a Unix socket that only the user may reach.
//!
//! The socket is only how to reach the runtime; who may write is the lease's business. Each connection says one thing and
//! hears one answer: `{"ping":true}`, `{"cancel":12}`, `{"retry":12}`, `{"memory":["12/3/1"]}` (of attempts that
//! run), `{"progress":12}` (what is shown of a run), `{"ask":[…]}` with operations of the queues, or `{"load":{…}}` followed
//! by one message a line and an empty line. `client.rs` is the other end.

mod client;
mod standing;

use std::fs::Permissions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use kingtide_core::id::RunId;
use kingtide_core::message::{MAX_BODY_BYTES, Message};
use kingtide_core::time::Timestamp;
use serde_json::{Value, json};

use tokio::sync::oneshot;

pub use client::{ControlError, Retried, Submission, ask, cancel, is_answering, memory, progress, retry, submit};

use crate::asker;
use crate::samples::Samples;
use crate::sqs::Call;
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::{Answer, Caller, Operation};

const SOCKET: &str = "control.sock";
/// How long a peer may be silent in the middle of what it says.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that are handed to the loop at once: as many as one transaction may take without holding up the others.
const CHUNK: usize = 4096;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// The longest line that begins a conversation: what may be asked at once (`asker::ROUND_BYTES`), each byte written as six, and more.
const LINE_BYTES: u64 = 32 * 1024 * 1024;

/// What another process wants.
#[derive(Debug)]
pub(crate) enum Wish {
    Cancel(RunId, Reply<()>),
    Load(Box<Load>),
    /// What failed in a run is to run again; `None` when nothing did.
    Retry {
        run: RunId,
        workers: Option<u32>,
        reply: Reply<Option<RunId>>,
    },
    /// The peer that was handing over this run has gone in the middle.
    Abandon(RunId),
    /// Something of the queues.
    Ask(Box<Call>),
}

/// Some of the messages of a new run.
#[derive(Debug)]
pub(crate) struct Load {
    /// `None` for the first of them, which make the run.
    pub(crate) run: Option<RunId>,
    pub(crate) job: String,
    pub(crate) source: String,
    pub(crate) workers: Option<u32>,
    /// By when, in place of what the job says.
    pub(crate) due: Option<Timestamp>,
    pub(crate) messages: Vec<Message>,
    pub(crate) is_last: bool,
    pub(crate) reply: Reply<RunId>,
}

/// Where the loop says what became of a wish. One that is dropped unsaid is an error to whoever waits.
#[derive(Debug)]
pub(crate) struct Reply<T>(SyncSender<Result<T, String>>);

impl<T> Reply<T> {
    fn new() -> (Reply<T>, Receiver<Result<T, String>>) {
        let (sender, receiver) = mpsc::sync_channel(1);
        (Reply(sender), receiver)
    }

    pub(crate) fn tell(self, outcome: Result<T, String>) {
        // A peer that has hung up has got what it wanted.
        let _ = self.0.send(outcome);
    }
}

/// Answers wishes until the process ends. `tell` hands one to the loop and says whether there still is one.
pub(crate) fn listen(
    root: &Path,
    samples: Samples,
    tell: impl Fn(Wish) -> bool + Send + Sync + 'static,
) -> io::Result<()> {
    let path = root.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = reach(root, |path| UnixListener::bind(path))?;
    // Whatever the umask: who may write to the project's folder is not yet who may end its runs.
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    let tell = std::sync::Arc::new(tell);
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tell = std::sync::Arc::clone(&tell);
            let samples = samples.clone();
            let answer = move || {
                // A peer that hangs up has got what it wanted.
                let _ = answer(&stream, &samples, &*tell);
            };
            // With no thread to be had the connection is closed, which the peer is told.
            let _ = std::thread::Builder::new().name("control".to_owned()).spawn(answer);
        }
    })?;
    Ok(())
}

fn answer(stream: &UnixStream, samples: &Samples, tell: &impl Fn(Wish) -> bool) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    io::Read::take(&mut lines, LINE_BYTES).read_line(&mut line)?;
    let mut wish: Value = serde_json::from_str(&line).unwrap_or_default();
    let reply = if wish["ask"].is_array() {
        perform(wish["ask"].take(), tell)
    } else if let Some(run) = wish["cancel"].as_i64() {
        said(
            hand_over(tell, |reply| Wish::Cancel(RunId(run), reply)),
            |()| json!({ "ok": true }),
        )
    } else if wish["ping"].as_bool() == Some(true) {
        // Answered here and not by the loop, which may be waiting for the very writer that asks.
        json!({ "ok": true })
    } else if let Some(attempts) = wish["memory"].as_array() {
        // Nor does it hold up the loop to look every second.
        json!({ "memory": attempts.iter().map(|attempt| memory_of(attempt, samples)).collect::<Vec<_>>() })
    } else if let Some(run) = wish["progress"].as_i64() {
        json!({ "progress": samples.progress(RunId(run)).as_ref().map(standing::write) })
    } else if let Some(run) = wish["retry"].as_i64() {
        let outcome = hand_over(tell, |reply| Wish::Retry {
            run: RunId(run),
            workers: workers(&wish),
            reply,
        });
        said(outcome, |run| json!({ "run": run.map(|run| run.0) }))
    } else if wish["load"].is_object() {
        said(load(&mut lines, &wish["load"], tell)?, |run| json!({ "run": run.0 }))
    } else {
        json!({ "error": "not understood; is the other one an older Kingtide?" })
    };
    writeln!(&*stream, "{reply}")
}

/// Hands operations to the loop together, so that they share a flush, and waits for all of their answers.
fn perform(wish: Value, tell: &impl Fn(Wish) -> bool) -> Value {
    let operations: Vec<Operation> = match serde_json::from_value(wish) {
        Ok(operations) => operations,
        Err(error) => {
            return json!({ "error": format!("not understood ({error}); is the other one an older Kingtide?") });
        }
    };
    let left = || {
        Fault::new(
            Code::ServiceUnavailable,
            "the Kingtide that lives here left before it answered",
        )
    };
    let asked: Vec<_> = operations
        .into_iter()
        .map(|operation| {
            let (reply, answer) = oneshot::channel();
            let caller = Caller {
                access_key: Some(asker::SENDER.to_owned()),
            };
            // One that is dropped untold is answered below.
            tell(Wish::Ask(Box::new(Call {
                caller,
                operation,
                reply,
            })));
            answer
        })
        .collect();
    let answers: Vec<Result<Answer, Fault>> = asked
        .into_iter()
        .map(|answer| answer.blocking_recv().unwrap_or_else(|_| Err(left())))
        .collect();
    match serde_json::to_value(answers) {
        Ok(answers) => json!({ "answers": answers }),
        Err(error) => json!({ "error": format!("the answer cannot be told here: {error}") }),
    }
}

/// 0 of an attempt that does not run, or was not sampled yet.
fn memory_of(attempt: &Value, samples: &Samples) -> u64 {
    let attempt = attempt.as_str().and_then(|attempt| attempt.parse().ok());
    attempt.map_or(0, |attempt| samples.memory(attempt))
}

fn workers(wish: &Value) -> Option<u32> {
    wish["workers"].as_u64().and_then(|workers| u32::try_from(workers).ok())
}

fn said<T>(outcome: Result<T, String>, ok: impl FnOnce(T) -> Value) -> Value {
    match outcome {
        Ok(value) => ok(value),
        Err(error) => json!({ "error": error }),
    }
}

/// Hands a wish to the loop and waits for its answer.
fn hand_over<T>(tell: &impl Fn(Wish) -> bool, wish: impl FnOnce(Reply<T>) -> Wish) -> Result<T, String> {
    let (reply, answer) = Reply::new();
    if !tell(wish(reply)) {
        return Err("it has just left".to_owned());
    }
    answer
        .recv()
        .unwrap_or_else(|_| Err("it left before it answered".to_owned()))
}

/// Reads messages up to an empty line and hands them on in chunks.
fn load(
    lines: &mut BufReader<&UnixStream>,
    wish: &Value,
    tell: &impl Fn(Wish) -> bool,
) -> io::Result<Result<RunId, String>> {
    let text = |name: &str| wish[name].as_str().unwrap_or_default().to_owned();
    let mut run = None;
    let mut line = String::new();
    loop {
        let (mut messages, mut bytes, mut is_last) = (Vec::new(), 0, false);
        while messages.len() < CHUNK && bytes < CHUNK_BYTES {
            line.clear();
            let read = io::Read::take(&mut *lines, (MAX_BODY_BYTES + 2) as u64).read_line(&mut line);
            let message = match (&read, line.strip_suffix('\n')) {
                (Ok(_), Some("")) => {
                    is_last = true;
                    break;
                }
                (Ok(_), Some(body)) => Message::parse(body),
                _ => None,
            };
            let Some(message) = message else {
                if let Some(run) = run {
                    tell(Wish::Abandon(run));
                }
                read?;
                return Ok(Err("a message was cut off or is no JSON object".to_owned()));
            };
            bytes += line.len();
            messages.push(message);
        }
        let outcome = hand_over(tell, |reply| {
            Wish::Load(Box::new(Load {
                run,
                job: text("job"),
                source: text("source"),
                workers: workers(wish),
                due: wish["due"].as_i64().map(Timestamp),
                messages,
                is_last,
                reply,
            }))
        });
        match outcome {
            Ok(made) if !is_last => run = Some(made),
            outcome => return Ok(outcome),
        }
    }
}

/// A socket's path may have 107 bytes, a project's folder more: it is reached through the folder's descriptor.
fn reach<T>(root: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let folder = std::fs::File::open(root)?;
    let path: PathBuf = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()).into();
    with(&path)
}
