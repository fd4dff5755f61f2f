//! The one loop: events in, one transaction, then the effects. See `docs/decisions/001-leases-ahead.md` for why a commit
//! is not on the way of a free slot.
//!
//! `turn/opening.rs` takes up runs and makes their jobs ready, `turn/hosts.rs` speaks with what runs attempts,
//! `turn/commit.rs` writes.

mod alone;
mod calls;
mod commit;
mod doors;
mod foresight;
mod hosts;
mod opening;
mod premises;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use kingtide_core::engine::{Engine, Event};
use kingtide_core::hex;
use kingtide_core::id::RunId;
use kingtide_core::project::{Job, Mode, Project};
use kingtide_exec::redact::Secrets;
use signal_hook::consts::SIGINT;

pub(crate) use self::alone::perform as perform_alone;
use self::calls::Calls;
use self::foresight::Watched;
use self::hosts::Hosts;
use self::opening::Preparation;
pub(crate) use self::premises::Mailbox;
use self::premises::Premises;
use crate::actuators::Actuators;
use crate::containers::Containers;
use crate::control::Wish;
use crate::endpoints;
use crate::forecaster::Forecaster;
use crate::inbox::{self, Inbound};
use crate::layout::Layout;
use crate::notice::Notice;
use crate::progress::Gauge;
use crate::runtime::{Doors, ExecuteOptions, RunError, Runtime, now};
use crate::store::{Store, StoreError};
use crate::surroundings::Inheritance;
use crate::{chores, docker, random};

/// What the loop is to do.
pub(crate) struct Errand<'a> {
    pub(crate) project: &'a Project,
    pub(crate) options: &'a ExecuteOptions,
    /// To be worked off from the start, whether new or left by an earlier runtime.
    pub(crate) runs: Vec<RunId>,
    pub(crate) first: Vec<Event>,
    /// Where it listens: it then goes on when no run is left, until it is told to leave.
    pub(crate) doors: Option<&'a Doors>,
}

/// What the loop leaves.
#[derive(Debug)]
pub(crate) struct Worked {
    /// How memory was limited: `v2`, `v1` or `watch`.
    pub(crate) limits: String,
}

/// Works off runs until they are over or drained, or until it is told to leave.
pub(crate) fn work_off(
    runtime: &mut Runtime,
    errand: &Errand<'_>,
    observe: &mut dyn FnMut(Notice),
) -> Result<Worked, RunError> {
    for run in &errand.runs {
        let (_, state, _) = runtime.store.run(*run)?.ok_or(RunError::NotOpen(*run))?;
        if state.is_over() {
            return Err(RunError::NotOpen(*run));
        }
    }
    let (mut premises, mut inbox) = Premises::open(runtime.layout.root(), errand.first.clone())?;
    loop {
        let worked = work_off_once(runtime, errand, &mut premises, &inbox, observe);
        // What was asked of the queues when the disk was full is refused, and the loop begins anew, as after a crash.
        let Err(RunError::Store(StoreError::DiskFull)) = worked else {
            return worked;
        };
        inbox = premises.begin_anew(&inbox);
        premises.pause(observe);
    }
}

fn work_off_once(
    runtime: &mut Runtime,
    errand: &Errand<'_>,
    premises: &mut Premises,
    inbox: &Receiver<Inbound>,
    observe: &mut dyn FnMut(Notice),
) -> Result<Worked, RunError> {
    let runs = runs_of(runtime, errand)?;
    let jobs = jobs_of(runtime, errand, &runs)?;
    let mut consumers = jobs.clone();
    consumers.retain(|job| job.mode == Mode::Consumer);
    consumers.dedup_by(|a, b| a.name == b.name);
    let mut turn = Turn::new(runtime, errand, premises, jobs, !consumers.is_empty())?;
    let worked = turn.work(errand, runs, consumers, inbox, observe);
    turn.calls.close();
    turn.hosts.hang_up();
    worked?;
    // What still arrives is told at once that nobody performs it.
    turn.premises.end(inbox);
    turn.close_doors();
    turn.tell_progress(true, observe);
    turn.actuators.containers.settle();
    for run in turn.actuators.contexts.keys() {
        // Nobody reads them any more, whatever became of the run.
        let _ = std::fs::remove_dir_all(turn.layout.messages(*run));
    }
    Ok(Worked {
        limits: turn.hosts.limits,
    })
}

/// What is to be worked off: some may be over, and others have come, when the loop begins anew.
fn runs_of(runtime: &Runtime, errand: &Errand<'_>) -> Result<Vec<RunId>, RunError> {
    let mut open = runtime.store.open_runs()?;
    if errand.doors.is_none() {
        open.retain(|run| errand.runs.contains(run));
    }
    Ok(open)
}

/// Whose runs may come.
fn jobs_of<'a>(runtime: &Runtime, errand: &Errand<'a>, runs: &[RunId]) -> Result<Vec<&'a Job>, RunError> {
    if errand.doors.is_some() {
        return Ok(errand.project.jobs.values().collect());
    }
    let mut jobs = Vec::new();
    for run in runs {
        let known = runtime.store.run(*run)?;
        jobs.extend(known.and_then(|(job, ..)| errand.project.jobs.get(&job)));
    }
    Ok(jobs)
}

struct Turn<'a> {
    store: &'a mut Store,
    premises: &'a mut Premises,
    project: &'a Project,
    options: &'a ExecuteOptions,
    layout: Layout,
    engine: Engine,
    actuators: Actuators,
    hosts: Hosts,
    gauges: BTreeMap<RunId, Gauge>,
    calls: Calls,
    forecaster: Forecaster,
    watched: BTreeMap<RunId, Watched>,
    /// By job: whether what its attempts need beside their messages is there.
    preparations: BTreeMap<String, Preparation>,
    renewed: Instant,
    stays: bool,
}

impl<'a> Turn<'a> {
    /// A loop that has not begun, for whatever of these jobs comes.
    fn new(
        runtime: &'a mut Runtime,
        errand: &Errand<'a>,
        premises: &'a mut Premises,
        jobs: Vec<&Job>,
        has_consumers: bool,
    ) -> Result<Turn<'a>, RunError> {
        let layout = runtime.layout.clone();
        let stays = errand.doors.is_some();
        let sender = premises.mailbox.current();
        let inheritance = Inheritance::gather(jobs, layout.project());
        let (chores_sender, to_do) = mpsc::channel();
        let answers = sender.clone();
        let secrets = Secrets::new(&inheritance.secrets.iter().map(String::as_str).collect::<Vec<_>>());
        std::thread::Builder::new()
            .name("chores".to_owned())
            .spawn(move || chores::do_chores(&to_do, &answers, &secrets))
            .map_err(RunError::Prepare)?;
        let inherited = Arc::new(inheritance.env);
        if stays || has_consumers {
            let given = errand.doors.and_then(|doors| doors.access_key.clone());
            premises.use_keys(layout.root(), given)?;
        }
        let docker = docker::Context {
            project_id: project_id(&layout),
            epoch: runtime.store.epoch(),
            root: layout.root().to_owned(),
            secrets: inheritance.secrets.clone(),
            host: None,
            keep: runtime.store.unpublished()?,
        };
        Ok(Turn {
            engine: Engine::new(seed(), errand.options.capacity),
            gauges: BTreeMap::new(),
            forecaster: Forecaster::start(premises.mailbox.clone()).map_err(RunError::Prepare)?,
            watched: BTreeMap::new(),
            actuators: Actuators {
                containers: Containers::new(docker, sender.clone()),
                keys: Arc::clone(&premises.keys),
                endpoint: premises.doors.endpoint(),
                consumers: HashMap::new(),
                instances: HashMap::new(),
                contexts: HashMap::new(),
                prepared: HashMap::new(),
                layout: layout.clone(),
                log_limit: errand.project.local.log_limit,
                inherited: Arc::clone(&inherited),
                inbox: sender.clone(),
                chores: chores_sender,
                messages: HashMap::new(),
                collecting: BTreeMap::new(),
            },
            hosts: Hosts::new(
                runtime.store.epoch(),
                &inherited,
                inheritance.secrets,
                &errand.options.executable,
                sender,
            ),
            preparations: BTreeMap::new(),
            calls: Calls::new(seed(), &endpoints::region()),
            layout,
            store: &mut runtime.store,
            premises,
            project: errand.project,
            options: errand.options,
            renewed: Instant::now(),
            stays,
        })
    }

    /// Takes up what there is, and goes on until it is over.
    fn work(
        &mut self,
        errand: &Errand<'a>,
        runs: Vec<RunId>,
        consumers: Vec<&'a Job>,
        inbox: &Receiver<Inbound>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        // Before anything starts that could look for them.
        if self.premises.doors.endpoints.is_none() {
            if let Some(doors) = errand.doors {
                self.open_doors(doors)?;
            } else if !consumers.is_empty() {
                self.open_doors(&Doors::for_consumers())?;
            }
        }
        let mut events = Vec::new();
        for job in consumers {
            events.push(self.open_consumer(job, observe)?);
        }
        for run in runs {
            events.extend(self.open(run, observe)?);
        }
        events.extend(self.premises.first.iter().cloned());
        events.extend(self.premises.leaving.clone());
        self.take(events, None, observe)?;
        self.premises.first.clear();
        self.connect(observe)?;
        self.write_endpoints(observe);
        if !std::mem::replace(&mut self.premises.is_ready, true) {
            observe(Notice::Ready(self.premises.doors.endpoints.clone()));
        }
        self.keep_on(inbox, observe)
    }

    fn keep_on(&mut self, inbox: &Receiver<Inbound>, observe: &mut dyn FnMut(Notice)) -> Result<(), RunError> {
        while !self.is_over() {
            let batch = inbox::next_batch(inbox, self.wait());
            self.digest(batch, observe)?;
            self.tell_progress(false, observe);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.engine.is_finished() && (!self.stays || self.engine.is_draining())
    }

    /// How long nothing has to happen; `None` when nothing has to by itself. A lease under which nothing runs is not
    /// renewed: who wants to take it over asks first.
    fn wait(&self) -> Option<Duration> {
        if self.calls.is_due(now()) {
            return Some(Duration::ZERO);
        }
        let renewal = (!self.is_idle()).then(|| self.store.renewal().saturating_sub(self.renewed.elapsed()));
        let wakeups = self.engine.next_wakeup().into_iter().chain(self.calls.next_wakeup());
        let wakeup = wakeups.min().map(|at| at.since(now()));
        [renewal, wakeup].into_iter().flatten().min()
    }

    /// Whether nothing runs that another runtime could take for its own.
    fn is_idle(&self) -> bool {
        self.stays && self.engine.leased() == 0 && self.engine.is_unmanned()
    }

    fn tell_progress(&mut self, last: bool, observe: &mut dyn FnMut(Notice)) {
        for gauge in self.gauges.values_mut() {
            gauge.tell(&self.engine, now(), last, observe);
        }
    }

    /// Turns what has arrived into events and takes them.
    fn digest(&mut self, batch: Vec<Inbound>, observe: &mut dyn FnMut(Notice)) -> Result<(), RunError> {
        let mut events = Vec::with_capacity(batch.len() + 1);
        let mut lost = false;
        for inbound in batch {
            match inbound {
                Inbound::Event(event) => events.push(event),
                Inbound::Reports(connection, reports) if connection == self.hosts.connections => {
                    for report in reports {
                        self.report(report, &mut events)?;
                    }
                }
                Inbound::KeeperGone(connection) if connection == self.hosts.connections => lost = true,
                Inbound::Reports(..) | Inbound::KeeperGone(_) => {}
                Inbound::DockerFound(held) => self.docker_found(&held, &mut events, observe)?,
                Inbound::Told(told) => self.told(told, &mut events, observe)?,
                Inbound::Signal(signal) => self.signal(signal, &mut events, observe),
                Inbound::Wish(wish) => self.wish(wish, &mut events, observe)?,
                Inbound::Prepared(job, outcome) => self.prepared(&job, outcome, &mut events, observe)?,
                Inbound::Call(call) => self.calls.arrived.push(*call),
                Inbound::Foreseen(foreseen) => self.foreseen(*foreseen, &mut events, observe)?,
                Inbound::Said(why) => observe(Notice::Said(why)),
            }
        }
        events.push(Event::Tick);
        if lost {
            self.hosts.lose_keeper();
            self.take(events, None, observe)?;
            return self.connect(observe);
        }
        self.take(events, None, observe)
    }

    fn wish(&mut self, wish: Wish, events: &mut Vec<Event>, observe: &mut dyn FnMut(Notice)) -> Result<(), RunError> {
        match wish {
            Wish::Cancel(run, reply) => {
                let open = self.engine.is_open(run);
                if open {
                    events.push(Event::Cancel { run, late: false });
                }
                reply.tell(if open {
                    Ok(())
                } else {
                    Err(format!("the run {run} is not open here"))
                });
            }
            Wish::Retry { run, workers, reply } => self.retry(run, workers, reply, events, observe)?,
            Wish::Abandon(run) => self.store.abandon(run)?,
            Wish::Load(load) => self.load(*load, events, observe)?,
            Wish::Ask(call) => self.calls.arrived.push(*call),
        }
        Ok(())
    }

    fn signal(&mut self, signal: i32, events: &mut Vec<Event>, observe: &mut dyn FnMut(Notice)) {
        self.premises.interrupts += 1;
        // A service manager's TERM is the polite word to whoever stays, and the second one to a run in the foreground.
        let is_polite = self.premises.interrupts == 1 && (signal == SIGINT || self.stays);
        let (event, said) = if is_polite {
            (
                Event::Drain,
                "nothing new starts; what runs goes on (Ctrl-C again ends it and puts it back)",
            )
        } else {
            (Event::Release, "ending what runs; its messages go back to the queue")
        };
        observe(Notice::Said(said.to_owned()));
        self.premises.leaving = Some(event.clone());
        events.push(event);
    }
}

/// What message ids and jitter are drawn from: two runtimes of a project never draw the same.
fn seed() -> u64 {
    match random::bytes() {
        Ok(bytes) => u64::from_le_bytes(bytes),
        Err(_) => u64::from(std::process::id()) ^ now().0 as u64,
    }
}

/// What containers of this project are marked with: another's for no other folder.
fn project_id(layout: &Layout) -> String {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(layout.project().as_os_str().as_encoded_bytes());
    hex::encode(&hash[..8])
}
