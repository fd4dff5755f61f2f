//! The engine: a pure state machine that works off runs. It is told events and answers with rows to write and things to
//! do; it never asks for the time, and holds only what is leased. `task.rs` has the transition table, `supply.rs` what is
//! leased next, `attempts.rs` what follows an attempt, `run.rs` how a run ends.

mod attempts;
mod change;
mod consumer;
pub mod event;
mod follow;
pub mod packing;
pub mod retry;
mod run;
pub mod state;
mod supply;
pub mod task;
pub mod window;

use std::collections::{BTreeMap, BTreeSet};

use self::attempts::stored;
pub use event::{Change, Effect, Event, Receive};
pub use task::IllegalTransition;

use self::consumer::Consumer;
use self::event::{Counts, Host, Ledger, Pool, Stop};
use self::packing::{Capacity, Packing};
use self::run::Run;
use self::task::State;
use crate::id::{AttemptId, RunId, TaskId};
use crate::time::Timestamp;

/// Works off runs on one machine.
#[derive(Debug)]
pub struct Engine {
    random: fastrand::Rng,
    packing: Packing,
    runs: BTreeMap<RunId, Run>,
    tasks: BTreeMap<TaskId, Task>,
    pools: BTreeMap<Pool, PoolState>,
    consumers: BTreeMap<String, Consumer>,
    next_instance: i64,
    supply: Supply,
    /// Those that answer.
    hosts: BTreeSet<Host>,
    finished: bool,
}

/// What one event, or several, lead to: first the changes are committed, then the effects are started.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    pub changes: Vec<Change>,
    pub effects: Vec<Effect>,
}

/// Whether new attempts start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    Open,
    /// What runs goes on.
    Draining,
    /// What runs is ended and put back.
    Releasing,
}

/// A task between its lease and its end.
#[derive(Debug)]
struct Task {
    state: State,
    attempt: u32,
    ledger: Ledger,
    pool: Pool,
    gpus: Vec<u32>,
    /// Of its message, while it is ahead or running.
    bytes: u64,
    /// Collected, until the output is published.
    exit: Option<event::Exit>,
}

/// Attempts that are alike; `active - placed` of them are ahead, waiting in the keeper.
#[derive(Debug, Default)]
struct PoolState {
    active: u32,
    placed: u32,
    /// Of their messages.
    bytes: u64,
}

impl Engine {
    /// `seed` decides the jitter of backoffs and nothing else.
    pub fn new(seed: u64, capacity: Capacity) -> Engine {
        Engine {
            random: fastrand::Rng::with_seed(seed),
            packing: Packing::new(capacity),
            runs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            pools: BTreeMap::new(),
            consumers: BTreeMap::new(),
            next_instance: 1,
            supply: Supply::Open,
            hosts: BTreeSet::new(),
            finished: true,
        }
    }

    /// Takes in one event. Afterwards `next_receive` is to be asked until it has no more questions.
    ///
    /// # Errors
    /// An event that the task's state cannot meet. The engine is then to be dropped and made anew from the store.
    pub fn apply(&mut self, now: Timestamp, event: Event) -> Result<Step, IllegalTransition> {
        let mut step = Step::default();
        match event {
            Event::RunOpened(open) => self.on_run_opened(now, *open, &mut step),
            Event::Received(received) => self.on_received(now, received, &mut step)?,
            Event::Started { attempt, at } => self.on_started(attempt, at, &mut step)?,
            Event::Exited { attempt, exit } => self.on_exited(now, attempt, *exit, &mut step)?,
            Event::Withdrawn { attempts } => self.on_withdrawn(now, &attempts, &mut step)?,
            Event::Collected { attempt, collected } => self.on_collected(now, attempt, collected, &mut step)?,
            Event::Published { attempt } => self.on_published(attempt, &mut step)?,
            Event::Ready(run) => self.on_ready(run),
            Event::Workers { run, most } => self.on_workers(run, most),
            Event::Arrived { run, count } => self.on_arrived(now, run, count),
            Event::Followed(followed) => self.on_followed(now, *followed, &mut step)?,
            Event::ConsumerOpened(open) => self.on_consumer_opened(now, *open),
            Event::ConsumerReady(job) => self.on_consumer_ready(&job),
            Event::Backlog {
                job,
                visible,
                in_flight,
            } => self.on_backlog(&job, visible, in_flight),
            Event::HostFound { host, holds, same } => self.on_host_found(now, host, &holds, same, &mut step)?,
            Event::HostAway(host) => {
                self.hosts.remove(&host);
            }
            Event::Lost { attempts } => {
                for attempt in attempts {
                    self.on_lost(now, attempt, &mut step)?;
                }
            }
            Event::HostLost(host) => {
                self.on_host_found(now, host, &BTreeSet::new(), false, &mut step)?;
                self.hosts.remove(&host);
            }
            Event::Cancel { run, late } => self.cancel(now, run, late, &mut step),
            Event::Purged(run) => self.end_run(now, run, run::Ending::Purged, &mut step),
            Event::Drain => self.drain(&mut step),
            Event::Release => self.release(&mut step),
            Event::Tick => {}
        }
        self.on_time(now, &mut step);
        self.employ(now, &mut step);
        self.close_runs(now, &mut step);
        Ok(step)
    }

    /// When `Event::Tick` is due.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let runs = self.runs.iter().filter_map(|(id, run)| self.run_wakeup(*id, run));
        runs.chain(self.consumers_wakeup()).min()
    }

    /// Counts of a run that is open.
    pub fn counts(&self, run: RunId) -> Option<Counts> {
        self.runs.get(&run).map(|run| run.counts)
    }

    /// What the machine gives.
    pub fn capacity(&self) -> Capacity {
        self.packing.capacity()
    }

    /// How many attempts of a run fit side by side when nothing else runs, and how many are there; 0 of one that is not open.
    pub fn slots(&self, run: RunId) -> (u32, u32) {
        let Some(of) = self.runs.get(&run) else { return (0, 0) };
        let slots = Packing::new(self.packing.capacity()).room(of.job.resources);
        let pools = self.pools.iter().filter(|(pool, _)| pool.run == run);
        (slots.min(of.workers), pools.map(|(_, state)| state.placed).sum())
    }

    /// How many tasks of a run are leased at the moment.
    pub fn leased_of(&self, run: RunId) -> usize {
        let tasks = self.tasks.range(run.task(i64::MIN)..=run.task(i64::MAX));
        tasks.filter(|(_, task)| task.is_leased()).count()
    }

    /// How many tasks are leased at the moment.
    pub fn leased(&self) -> usize {
        self.tasks.values().filter(|task| task.is_leased()).count()
    }

    /// Attempts known to run, with their start.
    pub fn running(&self) -> impl Iterator<Item = (AttemptId, Timestamp)> {
        self.tasks.iter().filter_map(|(id, task)| match task.state {
            State::Running { since } => Some((id.attempt(task.attempt), since)),
            _ => None,
        })
    }

    /// Whether nothing new is started.
    pub fn is_draining(&self) -> bool {
        self.supply != Supply::Open
    }

    /// Whether every run that was opened is over or drained and nothing is left to wait for.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    fn drain(&mut self, step: &mut Step) {
        if self.supply == Supply::Open {
            self.supply = Supply::Draining;
        }
        step.effects
            .extend(self.pools.keys().map(|pool| Effect::Withdraw { pool: *pool }));
    }

    fn release(&mut self, step: &mut Step) {
        self.drain(step);
        self.supply = Supply::Releasing;
        let attempts = self.leased_attempts(|_| true);
        if !attempts.is_empty() {
            step.effects.push(Effect::Stop {
                attempts,
                stop: Stop::Release,
            });
        }
    }

    /// Whether a run is being worked off.
    pub fn is_open(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
    }

    /// What runs a run's attempts.
    fn host(&self, run: RunId) -> Option<Host> {
        self.runs.get(&run).map(|run| run.host)
    }

    fn leased_attempts(&self, of: impl Fn(RunId) -> bool) -> Vec<AttemptId> {
        let leased = self.tasks.iter().filter(|(id, task)| of(id.run) && task.is_leased());
        leased.map(|(id, task)| id.attempt(task.attempt)).collect()
    }

    /// What must hold after every event, whatever came before.
    ///
    /// # Panics
    /// When it does not: a bug of ours.
    pub fn sanity_check(&self) {
        for (pool, state) in &self.pools {
            let active = self
                .tasks
                .values()
                .filter(|task| task.pool == *pool && task.is_leased())
                .count();
            assert_eq!(active, state.active as usize, "{pool:?} counts its attempts");
            assert!(
                state.placed <= state.active && state.active > 0,
                "{pool:?} has no more places than attempts"
            );
        }
        for (id, task) in &self.tasks {
            assert!(self.runs.contains_key(&id.run), "the task {id} has an open run");
            assert!(
                !task.state.is_final() && task.state != State::Waiting,
                "the task {id} is held for nothing"
            );
            assert!(
                !task.is_leased() || self.pools.contains_key(&task.pool),
                "the attempt of {id} has a pool"
            );
        }
        for (id, run) in &self.runs {
            let active = self
                .tasks
                .range(id.task(i64::MIN)..=id.task(i64::MAX))
                .filter(|(_, task)| !task.is_counted());
            assert!(
                run.counts.done() + active.count() as u64 <= run.counts.total,
                "the run {id} counts no task twice"
            );
        }
    }
}

impl Task {
    /// Whether the keeper has it, or should.
    fn is_leased(&self) -> bool {
        matches!(self.state, State::Leased | State::Running { .. })
    }

    /// Whether it is among the run's counts already.
    fn is_counted(&self) -> bool {
        self.state == State::Publishing
    }
}
