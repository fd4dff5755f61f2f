//! Does what the engine decided, after it is on disk: requests to the keeper in one write, containers by the engine that runs
//! them, chores on a thread of their own. `orders.rs` says what exactly is to be started.

mod orders;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use kingtide_core::engine::event::{End, Exit, Host, Usage};
use kingtide_core::engine::{Effect, Event};
use kingtide_core::id::{AttemptId, InstanceId, RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::project::Job;
use kingtide_exec::wire::Request;

use self::orders::Order;
use crate::chores::Chore;
use crate::containers::Containers;
use crate::inbox::Inbound;
use crate::keys::Keys;
use crate::layout::Layout;
use crate::notice::{ConsumerFailure, Failure, Notice};
use crate::progress::Gauge;
use crate::surroundings::Prepared;
use crate::{keeper, runtime};

/// What every attempt of a run shares.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) job: Job,
    pub(crate) host: Host,
    /// `retrain-12`
    pub(crate) name: String,
}

/// Where consumers find their queue.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// `127.0.0.1:9324`: for processes.
    pub(crate) loopback: SocketAddr,
    /// The port of the listener that containers reach, if there is one.
    pub(crate) bridge: Option<u16>,
    pub(crate) region: String,
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
    pub(crate) containers: Containers,
    pub(crate) keys: Arc<Keys>,
    /// Once it listens.
    pub(crate) endpoint: Option<Endpoint>,
    /// Consumers by job, and what runs their instances.
    pub(crate) consumers: HashMap<String, (Job, Host)>,
    /// Their instances.
    pub(crate) instances: HashMap<InstanceId, Host>,
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
                Effect::Start(start) => match self.order(&start) {
                    Ok(Order::Process(order)) => requests.push(Request::Start(order)),
                    Ok(Order::Container(order)) => self.containers.start(*order),
                    Err(why) => self.not_started(start.attempt, why),
                },
                Effect::Employ(employ) => {
                    let attempt = employ.instance.attempt();
                    self.keys.admit(employ.instance);
                    match self.instance(&employ) {
                        Ok(Order::Process(order)) => requests.push(Request::Start(order)),
                        Ok(Order::Container(order)) => self.containers.start(*order),
                        Err(why) => self.not_started(attempt, why),
                    }
                }
                // The queues are told by the loop, in its transaction.
                Effect::Dismiss { .. } | Effect::Reclaim { .. } => {}
                Effect::TellConsumer {
                    job,
                    instance,
                    reason,
                    tail,
                    next_in,
                } => observe(Notice::Consumer(ConsumerFailure {
                    job,
                    instance,
                    reason,
                    tail,
                    next_in,
                })),
                Effect::Withdraw { pool } => requests.push(Request::Withdraw {
                    pool: Some(keeper::pool(pool)),
                }),
                Effect::Stop { attempts, stop } => {
                    let reason = keeper::stop_reason(stop);
                    let (processes, containers) = self.by_host(&attempts);
                    if !processes.is_empty() {
                        let attempts = processes;
                        requests.push(Request::Stop { attempts, reason });
                    }
                    self.containers.stop(containers, reason);
                }
                Effect::Acknowledge { attempt } => {
                    if let Some(gauge) = gauges.get_mut(&attempt.task.run) {
                        gauge.settled(attempt);
                    }
                    self.collecting.remove(&attempt);
                    acknowledged.push(attempt);
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
            let (attempts, containers) = self.by_host(&acknowledged);
            if !attempts.is_empty() {
                requests.push(Request::Acknowledge { attempts });
            }
            self.containers.acknowledge(containers);
        }
        requests
    }

    /// An instance and everything of it is gone.
    pub(crate) fn forget_instance(&mut self, instance: InstanceId) {
        self.keys.revoke(instance);
        self.instances.remove(&instance);
    }

    /// Names of attempts for the keeper and for the engine of containers. Whose one is of a run that is not open here is not
    /// known: both are told, and one of them ignores it.
    fn by_host(&self, attempts: &[AttemptId]) -> (Vec<String>, Vec<String>) {
        let (mut processes, mut containers) = (Vec::new(), Vec::new());
        for attempt in attempts {
            let host = match attempt.instance() {
                Some(instance) => self.instances.get(&instance).copied(),
                None => self.contexts.get(&attempt.task.run).map(|context| context.host),
            };
            if host != Some(Host::Docker) {
                processes.push(attempt.to_string());
            }
            if host != Some(Host::Keeper) {
                containers.push(attempt.to_string());
            }
        }
        (processes, containers)
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
