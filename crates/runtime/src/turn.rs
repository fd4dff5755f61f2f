//! The one loop: events in, one transaction, then the effects. See `docs/decisions/001-leases-ahead.md` for why a commit
//! is not on the way of a free slot.
//!
//! `turn/opening.rs` takes up runs and makes their jobs ready, `turn/hosts.rs` speaks with what runs attempts,
//! `turn/commit.rs` writes.

mod alone;
mod calls;
mod commit;
mod doors;
mod hosts;
mod opening;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use kingtide_core::engine::{Engine, Event};
use kingtide_core::id::RunId;
use kingtide_core::project::{Mode, Project};
use kingtide_exec::redact::Secrets;
use signal_hook::consts::SIGINT;

pub(crate) use self::alone::perform as perform_alone;
use self::calls::Calls;
use self::doors::Open;
use self::hosts::Hosts;
use self::opening::Preparation;
use crate::actuators::Actuators;
use crate::containers::Containers;
use crate::control::{self, Wish};
use crate::endpoints;
use crate::inbox::{self, Inbound};
use crate::keys::Keys;
use crate::layout::Layout;
use crate::notice::Notice;
use crate::progress::Gauge;
use crate::runtime::{Doors, ExecuteOptions, RunError, Runtime, now};
use crate::samples::Samples;
use crate::store::{Store, StoreError};
use crate::surroundings::Inheritance;
use crate::{chores, docker, hex, random, signals};

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
    let mut is_paused = false;
    loop {
        let worked = work_off_once(runtime, errand, is_paused, observe);
        // What was asked of the queues when the disk was full is refused, and the loop begins anew, as after a crash.
        let Err(RunError::Store(StoreError::DiskFull)) = worked else {
            return worked;
        };
        if !is_paused {
            let text = "the disk is full: paused, nothing is lost; waiting for room";
            observe(Notice::Said(text.to_owned()));
        }
        is_paused = true;
        // Nothing tells when there is room again.
        std::thread::sleep(commit::DISK_FULL_PAUSE);
    }
}

fn work_off_once(
    runtime: &mut Runtime,
    errand: &Errand<'_>,
    is_again: bool,
    observe: &mut dyn FnMut(Notice),
) -> Result<Worked, RunError> {
    let layout = runtime.layout.clone();
    let stays = errand.doors.is_some();
    let mut runs = errand.runs.clone();
    if is_again {
        // Some may be over by now, others have come.
        let open = runtime.store.open_runs()?;
        runs.retain(|run| open.contains(run));
        runs.extend(open.into_iter().filter(|run| stays && !errand.runs.contains(run)));
    }
    // Signals first: from here on Ctrl-C puts back what was leased.
    let (sender, inbox) = mpsc::channel();
    let _signals = signals::listen(sender.clone()).map_err(RunError::Prepare)?;
    std::fs::create_dir_all(layout.root()).map_err(|source| RunError::Folder {
        path: layout.root().to_owned(),
        source,
    })?;
    let wishes = sender.clone();
    let samples = Samples::default();
    control::listen(layout.root(), samples.clone(), move |wish| {
        wishes.send(Inbound::Wish(wish)).is_ok()
    })
    .map_err(RunError::Prepare)?;
    let mut jobs = Vec::new();
    for run in &runs {
        jobs.extend(
            runtime
                .store
                .run(*run)?
                .and_then(|(job, ..)| errand.project.jobs.get(&job)),
        );
    }
    if stays {
        jobs = errand.project.jobs.values().collect();
    }
    let mut consumers = jobs.clone();
    consumers.retain(|job| job.mode == Mode::Consumer);
    consumers.dedup_by(|a, b| a.name == b.name);
    let inheritance = Inheritance::gather(jobs, layout.project());
    let (chores_sender, to_do) = mpsc::channel();
    let answers = sender.clone();
    let secrets = Secrets::new(&inheritance.secrets.iter().map(String::as_str).collect::<Vec<_>>());
    std::thread::Builder::new()
        .name("chores".to_owned())
        .spawn(move || chores::do_chores(&to_do, &answers, &secrets))
        .map_err(RunError::Prepare)?;
    let inherited = Arc::new(inheritance.env);
    let keys = match stays || !consumers.is_empty() {
        true => Keys::open(layout.root(), errand.doors.and_then(|doors| doors.access_key.clone())),
        false => Ok(Keys::default()),
    };
    let keys = Arc::new(keys.map_err(RunError::Prepare)?);
    let docker = docker::Context {
        project_id: project_id(&layout),
        epoch: runtime.store.epoch(),
        root: layout.root().to_owned(),
        secrets: inheritance.secrets.clone(),
        host: None,
        keep: runtime.store.unpublished()?,
    };
    let mut turn = Turn {
        engine: Engine::new(seed(), errand.options.capacity),
        gauges: BTreeMap::new(),
        samples,
        actuators: Actuators {
            containers: Containers::new(docker, sender.clone()),
            keys,
            endpoint: None,
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
            sender.clone(),
        ),
        preparations: BTreeMap::new(),
        calls: Calls::new(seed(), &endpoints::region()),
        layout,
        store: &mut runtime.store,
        project: errand.project,
        options: errand.options,
        sender,
        renewed: Instant::now(),
        interrupts: 0,
        stays,
        doors: Open::default(),
    };
    // Before anything starts that could look for them.
    if let Some(doors) = errand.doors {
        turn.open_doors(doors)?;
    } else if !consumers.is_empty() {
        turn.open_doors(&Doors::for_consumers())?;
    }
    let mut events = Vec::new();
    for job in consumers {
        events.push(turn.open_consumer(job, observe)?);
    }
    for run in runs {
        events.extend(turn.open(run, observe)?);
    }
    if !is_again {
        events.extend(errand.first.iter().cloned());
    }
    turn.take(events, None, observe)?;
    turn.connect(observe)?;
    turn.write_endpoints(observe);
    if !is_again {
        observe(Notice::Ready(turn.doors.endpoints.clone()));
    }
    turn.keep_on(&inbox, observe)?;
    turn.calls.close();
    // What still arrives is told at once that nobody performs it.
    drop(inbox);
    turn.close_doors();
    turn.tell_progress(true, observe);
    turn.hosts.hang_up();
    turn.actuators.containers.settle();
    for run in turn.actuators.contexts.keys() {
        // Nobody reads them any more, whatever became of the run.
        let _ = std::fs::remove_dir_all(turn.layout.messages(*run));
    }
    Ok(Worked {
        limits: turn.hosts.limits,
    })
}

struct Turn<'a> {
    store: &'a mut Store,
    project: &'a Project,
    options: &'a ExecuteOptions,
    layout: Layout,
    engine: Engine,
    actuators: Actuators,
    hosts: Hosts,
    gauges: BTreeMap<RunId, Gauge>,
    samples: Samples,
    calls: Calls,
    /// By job: whether what its attempts need beside their messages is there.
    preparations: BTreeMap<String, Preparation>,
    sender: Sender<Inbound>,
    renewed: Instant,
    interrupts: u32,
    stays: bool,
    doors: Open,
}

impl Turn<'_> {
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
        self.interrupts += 1;
        // A service manager's TERM is the polite word to whoever stays, and the second one to a run in the foreground.
        let is_polite = self.interrupts == 1 && (signal == SIGINT || self.stays);
        let (event, said) = if is_polite {
            (
                Event::Drain,
                "nothing new starts; what runs goes on (Ctrl-C again ends it and puts it back)",
            )
        } else {
            (Event::Release, "ending what runs; its messages go back to the queue")
        };
        observe(Notice::Said(said.to_owned()));
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
