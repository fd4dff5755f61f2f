//! Does what the engine decided, after it is on disk: requests to the keeper in one write, chores on a thread of their own.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
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
use crate::layout::Layout;
use crate::notice::{Failure, Notice};
use crate::progress::Gauge;
use crate::surroundings::Prepared;
use crate::{collect, keeper, runtime};

/// How often a chore is tried again that the machine does not allow: nothing tells when it does.
const AGAIN: Duration = Duration::from_secs(1);

/// What every attempt of a run shares.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) job: Job,
    /// `retrain-12`
    pub(crate) name: String,
}

/// Starts what was decided.
#[derive(Debug)]
pub(crate) struct Actuators {
    /// Of the runs that were opened.
    pub(crate) contexts: HashMap<RunId, Context>,
    /// By job: what its attempts need beside their messages.
    pub(crate) prepared: HashMap<String, Prepared>,
    pub(crate) layout: Layout,
    pub(crate) log_limit: u64,
    /// What attempts inherit; the keeper has it already.
    pub(crate) inherited: Arc<BTreeMap<String, String>>,
    pub(crate) inbox: Sender<Inbound>,
    pub(crate) chores: Sender<Chore>,
    /// Bodies of what is leased and not yet started.
    pub(crate) messages: HashMap<TaskId, Message>,
    /// A path in the work folder of what is being collected or published, until it is acknowledged. No row names it yet.
    pub(crate) collecting: BTreeMap<AttemptId, String>,
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
        gauges: &mut BTreeMap<RunId, Gauge>,
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
                    if let Some(gauge) = gauges.get_mut(&attempt.task.run) {
                        gauge.settled(attempt);
                    }
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
                    let context = &self.contexts[&attempt.task.run];
                    let to = self.layout.output(&context.job.name, attempt.task);
                    self.chore(Chore::Publish {
                        attempt,
                        from: folder.into(),
                        to,
                    });
                }
                Effect::Tell(failure) => observe(Notice::Failed(Failure {
                    job: self
                        .contexts
                        .get(&failure.attempt.task.run)
                        .map_or_else(String::new, |context| context.job.name.clone()),
                    run: failure.attempt.task.run,
                    seq: failure.attempt.task.seq,
                    attempt: failure.attempt.number,
                    label: gauges
                        .get(&failure.attempt.task.run)
                        .map_or_else(String::new, |gauge| gauge.label(failure.attempt.task)),
                    reason: failure.reason,
                    tail: failure.tail,
                    retry_in: failure.retry_in,
                    state: failure.state,
                })),
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
        let Context { job, name } = self.contexts.get(&attempt.task.run).ok_or("its run is gone")?;
        let prepared = self.prepared.get(&job.name).ok_or("its job is not ready")?;
        let inherits = |name: &str| self.inherited.contains_key(name);
        let invocation =
            contract::invocation(job, &message, attempt, name, inherits).map_err(|missing| missing.to_string())?;
        let mut env = invocation.env;
        if invocation.message_file {
            let file = self.message_file(attempt.task, &message)?;
            env.push(("KINGTIDE_MESSAGE_FILE".to_owned(), file));
        }
        if !start.gpus.is_empty() {
            let gpus: Vec<String> = start.gpus.iter().map(u32::to_string).collect();
            env.push(("CUDA_VISIBLE_DEVICES".to_owned(), gpus.join(",")));
        }
        env.extend(prepared.env.iter().cloned());
        let workdir = match &job.workdir {
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
            timeout_ms: job.timeout.map(milliseconds),
            stop_timeout_ms: milliseconds(job.stop_timeout),
            log: self.layout.log(&job.name, attempt).to_string_lossy().into_owned(),
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
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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
