//! Does what the engine decided, after it is on disk: requests to the keeper in one write, chores on a thread of their own.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use kingtide_core::contract;
use kingtide_core::engine::event::{Collected, End, Exit, Output, Start, Usage};
use kingtide_core::engine::{Effect, Event};
use kingtide_core::id::{AttemptId, RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::project::Job;
use kingtide_exec::redact::Secrets;
use kingtide_exec::wire::{self, Request};

use crate::collect::{OutputError, ResultError};
use crate::inbox::Inbound;
use crate::layout::{Layout, run_name};
use crate::notice::{Failure, Notice};
use crate::progress::Gauge;
use crate::{collect, keeper, runtime};

/// How often a chore is tried again that the machine does not allow: nothing tells when it does.
const AGAIN: Duration = Duration::from_secs(1);

/// What every attempt of the job shares.
#[derive(Debug)]
pub(crate) struct Actuators {
    pub(crate) job: Job,
    pub(crate) run: RunId,
    pub(crate) layout: Layout,
    pub(crate) log_limit: u64,
    /// What attempts inherit; the keeper has it already.
    pub(crate) inherited: BTreeMap<String, String>,
    /// On top of the contract's variables: secrets, the Python environment.
    pub(crate) extra_env: Vec<(String, String)>,
    pub(crate) inbox: Sender<Inbound>,
    pub(crate) chores: Sender<Chore>,
    /// Bodies of what is leased and not yet started.
    pub(crate) messages: HashMap<TaskId, Message>,
    /// A path in the work folder of what is being collected or published, until it is acknowledged. No row names it yet.
    pub(crate) collecting: BTreeMap<AttemptId, String>,
    pub(crate) finished: bool,
}

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

impl Actuators {
    /// The requests for the keeper; everything else is started.
    pub(crate) fn perform(
        &mut self,
        effects: Vec<Effect>,
        gauge: &mut Gauge,
        observe: &mut dyn FnMut(Notice),
    ) -> Vec<Request> {
        let mut requests = Vec::new();
        let mut acknowledged = Vec::new();
        for effect in effects {
            match effect {
                Effect::Start(start) => match self.start(&start) {
                    Ok(request) => requests.push(Request::Start(Box::new(request))),
                    Err(why) => self.not_started(start.attempt, why),
                },
                Effect::Withdraw { pool } => requests.push(Request::Withdraw {
                    pool: Some(keeper::pool(pool)),
                }),
                Effect::Stop { attempts, stop } => {
                    let attempts = attempts.iter().map(AttemptId::to_string).collect();
                    requests.push(Request::Stop {
                        attempts,
                        reason: keeper::stop_reason(stop),
                    });
                }
                Effect::Acknowledge { attempt } => {
                    gauge.settled(attempt);
                    self.collecting.remove(&attempt);
                    acknowledged.push(attempt.to_string());
                }
                Effect::Collect {
                    attempt,
                    result,
                    output,
                } => {
                    self.collecting
                        .extend(result.as_ref().or(output.as_ref()).map(|path| (attempt, path.clone())));
                    self.chore(Chore::Collect {
                        attempt,
                        result,
                        output,
                    });
                }
                Effect::Publish { attempt, folder } => {
                    let to = self.layout.output(&self.job.name, attempt.task);
                    self.chore(Chore::Publish {
                        attempt,
                        from: folder.into(),
                        to,
                    });
                }
                Effect::Tell(failure) => observe(Notice::Failed(Failure {
                    run: failure.attempt.task.run,
                    seq: failure.attempt.task.seq,
                    attempt: failure.attempt.number,
                    label: gauge.label(failure.attempt.task),
                    reason: failure.reason,
                    tail: failure.tail,
                    retry_in: failure.retry_in,
                    state: failure.state,
                })),
                Effect::Finished => self.finished = true,
            }
        }
        if !acknowledged.is_empty() {
            requests.push(Request::Acknowledge { attempts: acknowledged });
        }
        requests
    }

    fn start(&mut self, start: &Start) -> Result<wire::Start, String> {
        let attempt = start.attempt;
        let message = self.messages.remove(&attempt.task).ok_or("its message is gone")?;
        let name = run_name(&self.job.name, self.run);
        let inherits = |name: &str| self.inherited.contains_key(name);
        let invocation = contract::invocation(&self.job, &message, attempt, &name, inherits)
            .map_err(|missing| missing.to_string())?;
        let mut env = invocation.env;
        if invocation.message_file {
            let file = self.message_file(attempt.task, &message)?;
            env.push(("KINGTIDE_MESSAGE_FILE".to_owned(), file));
        }
        if !start.gpus.is_empty() {
            let gpus: Vec<String> = start.gpus.iter().map(u32::to_string).collect();
            env.push(("CUDA_VISIBLE_DEVICES".to_owned(), gpus.join(",")));
        }
        env.extend(self.extra_env.iter().cloned());
        let workdir = match &self.job.workdir {
            Some(folder) => self.layout.project().join(folder),
            None => self.layout.project().to_owned(),
        };
        Ok(wire::Start {
            attempt: attempt.to_string(),
            pool: keeper::pool(start.pool),
            limit: start.limit,
            argv: invocation.argv,
            workdir: workdir.to_string_lossy().into_owned(),
            env,
            memory: start.memory,
            timeout_ms: self.job.timeout.map(milliseconds),
            stop_timeout_ms: milliseconds(self.job.stop_timeout),
            log: self.layout.log(&self.job.name, attempt).to_string_lossy().into_owned(),
            log_limit: self.log_limit,
        })
    }

    fn message_file(&self, task: TaskId, message: &Message) -> Result<String, String> {
        let folder = self.layout.messages(task.run);
        let file = folder.join(format!("{}.json", task.seq));
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&file, message.body()))
            .map_err(|error| format!("its message cannot be written to `{}`: {error}", file.display()))?;
        Ok(file.to_string_lossy().into_owned())
    }

    /// An attempt that did not even reach the keeper has failed by itself.
    fn not_started(&self, attempt: AttemptId, why: String) {
        let now = runtime::now();
        let exit = Exit {
            end: End::NotStarted(why),
            started_at: now,
            ended_at: now,
            usage: Usage::default(),
            result: None,
            output: None,
            tail: String::new(),
        };
        self.tell(Event::Exited {
            attempt,
            exit: Box::new(exit),
        });
    }

    fn tell(&self, event: Event) {
        self.inbox
            .send(Inbound::Event(event))
            .expect("the loop holds its own inbox open");
    }

    fn chore(&self, chore: Chore) {
        self.chores.send(chore).expect("the chores end after the loop");
    }
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
            if !std::mem::replace(&mut told, true) && inbox.send(Inbound::Trouble(trouble)).is_err() {
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

/// Why what an attempt left cannot be taken.
enum Uncollected {
    /// It is not what it should be: the attempt has failed.
    Program(String),
    /// It cannot be read or kept now.
    Machine(String),
}

fn collected(result: Option<&str>, output: Option<&str>, secrets: &Secrets) -> Result<Collected, Uncollected> {
    let result = match result {
        None => None,
        Some(path) => match collect::read_result(path.as_ref(), secrets) {
            Ok(read) => read.map(|read| read.body),
            Err(error @ ResultError::Unreadable(_)) => return Err(Uncollected::Machine(chain(&error))),
            Err(error) => return Err(Uncollected::Program(chain(&error))),
        },
    };
    let output = match output {
        None => None,
        Some(folder) => match collect::prepare_output(folder.as_ref()) {
            Ok(summary) => Some(Output {
                folder: folder.to_owned(),
                files: summary.files,
                bytes: summary.bytes,
            }),
            Err(error @ OutputError::Unwritable(_)) => return Err(Uncollected::Machine(chain(&error))),
            Err(error) => return Err(Uncollected::Program(chain(&error))),
        },
    };
    Ok(Collected { result, output })
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
