//! The simulator: the real engine over a model store and a model keeper, under seeded crashes, duplicates, late and lost
//! answers, clock jumps and restarts. One seed is one schedule; the same seed is the same schedule.
//!
//! It interprets effects itself, so it needs no ports and no mocks. A broken invariant panics with the seed.

pub mod aws;
pub mod consumer;
mod job;
mod keeper;
pub(crate) mod store;

use kingtide_core::engine::event::{Collected, Event, Exit, Host, Output};
use kingtide_core::engine::packing::Capacity;
use kingtide_core::engine::{Effect, Engine, Step};
use kingtide_core::id::{AttemptId, RunId};
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

use self::keeper::Keeper;
use self::store::Store;

/// A fault built into the shell on purpose: the simulator has to catch each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// Effects are started before their changes are on disk.
    ActBeforeCommit,
    /// A lease is not written.
    ForgetLease,
    /// A task that is to be tried again is not put back.
    LoseRetry,
}

/// What a schedule came to, for those who count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub events: u64,
    pub crashes: u64,
    pub executions: u64,
}

const RUN: RunId = RunId(1);

/// Runs one schedule to its end.
///
/// # Panics
/// When an invariant is broken; the message carries the seed.
pub fn run(seed: u64, mutation: Mutation) -> Outcome {
    let mut world = World::new(seed, mutation);
    world.drive();
    world.outcome
}

struct World {
    seed: u64,
    random: fastrand::Rng,
    mutation: Mutation,
    now: Timestamp,
    job: Job,
    capacity: Capacity,
    store: Store,
    keeper: Option<Keeper>,
    keepers: u64,
    /// The keeper that the leases were handed to.
    known_keeper: u64,
    engine: Option<Engine>,
    /// On the way to the runtime; lost when it dies or the connection breaks.
    inbox: Vec<(Timestamp, Event)>,
    connected: bool,
    outcome: Outcome,
    /// From here on nothing goes wrong any more, so that every schedule ends.
    calm_after: u64,
}

impl World {
    fn new(seed: u64, mutation: Mutation) -> World {
        let mut random = fastrand::Rng::with_seed(seed);
        let slots = random.u32(1..=3);
        let job = job::drawn(&mut random);
        let tasks = random.i64(1..=8);
        World {
            seed,
            mutation,
            now: Timestamp(1_000_000),
            capacity: Capacity {
                cpu_milli: slots * 1000,
                memory: 4 << 30,
                gpus: 1,
            },
            store: Store::new(RUN, tasks, seed),
            keeper: None,
            keepers: 0,
            known_keeper: 0,
            engine: None,
            inbox: Vec::new(),
            connected: false,
            outcome: Outcome::default(),
            calm_after: random.u64(20..200),
            job,
            random,
        }
    }

    fn drive(&mut self) {
        while !self.store.is_over() {
            self.outcome.events += 1;
            assert!(
                self.outcome.events < 20_000,
                "seed {}: it never ends\n{:#?}",
                self.seed,
                self.store
            );
            let calm = self.outcome.events > self.calm_after;
            if !calm {
                self.misfortune();
            }
            if self.store.is_over() {
                break;
            }
            if self.engine.is_none() {
                self.restart_runtime();
            }
            // It may have died again while it started.
            if self.engine.is_some() && !self.connected {
                self.connect();
            }
            self.advance();
        }
        self.store.assert_drained(self.seed, &self.job);
    }

    /// One of the things that go wrong, now and then.
    fn misfortune(&mut self) {
        match self.random.u32(0..100) {
            0..4 => self.kill_runtime(),
            4..7 => self.kill_keeper(),
            7..8 => {
                self.kill_runtime();
                self.kill_keeper();
            }
            // The connection breaks: what was on the way is lost, the keeper tells it again.
            8..10 => self.disconnect(),
            10..12 => self.now = Timestamp(self.now.0 + self.random.i64(-5_000..60_000)),
            // Delivered twice.
            12..16 if !self.inbox.is_empty() => {
                let twice = self.inbox[self.random.usize(0..self.inbox.len())].clone();
                self.inbox
                    .push((self.now + Duration::from_millis(self.random.u64(0..500)), twice.1));
            }
            // Late.
            16..20 if !self.inbox.is_empty() => {
                let late = self.random.usize(0..self.inbox.len());
                self.inbox[late].0 = self.now + Duration::from_millis(self.random.u64(0..5_000));
            }
            20..21 => {
                if let Some(event) = self.interruption() {
                    self.inbox.push((self.now, event));
                }
            }
            _ => {}
        }
    }

    /// What people do to a run.
    fn interruption(&mut self) -> Option<Event> {
        match self.random.u32(0..10) {
            0 => Some(Event::Cancel {
                run: RUN,
                late: self.random.bool(),
            }),
            1..4 => Some(Event::Drain),
            4..6 => Some(Event::Release),
            _ => None,
        }
    }

    fn kill_runtime(&mut self) {
        self.engine = None;
        self.disconnect();
        self.inbox.clear();
        self.outcome.crashes += 1;
    }

    fn disconnect(&mut self) {
        self.connected = false;
        // What the runtime's own threads answer does not travel over that connection.
        self.inbox
            .retain(|(_, event)| matches!(event, Event::Collected { .. } | Event::Published { .. }));
        if let Some(keeper) = &mut self.keeper {
            keeper.withdraw_all();
        }
    }

    fn kill_keeper(&mut self) {
        self.keeper = None;
        self.disconnect();
        self.outcome.crashes += 1;
        if self.engine.is_some() && self.random.bool() {
            self.apply(vec![Event::HostLost(Host::Keeper)]);
        }
    }

    fn restart_runtime(&mut self) {
        let mut engine = Engine::new(self.random.u64(..), self.capacity);
        let open = self.store.open_run(&self.job, None);
        let step = engine
            .apply(self.now, Event::RunOpened(Box::new(open)))
            .expect("a run is opened");
        self.engine = Some(engine);
        self.finish(step);
    }

    fn connect(&mut self) {
        if self.keeper.is_none() {
            self.keepers += 1;
            self.keeper = Some(Keeper::new(self.keepers, self.capacity.cpu_milli / 1000));
        }
        let keeper = self.keeper.as_mut().expect("made above");
        let (same, holds, withdrawn) = (keeper.id == self.known_keeper, keeper.holds(), keeper.take_withdrawn());
        let ended: Vec<(AttemptId, Exit)> = keeper.ended();
        self.known_keeper = keeper.id;
        self.connected = true;
        let mut events = vec![
            Event::Withdrawn { attempts: withdrawn },
            Event::HostFound {
                host: Host::Keeper,
                holds,
                same,
            },
        ];
        events.extend(ended.into_iter().map(|(attempt, exit)| Event::Exited {
            attempt,
            exit: Box::new(exit),
        }));
        self.apply(events);
    }

    /// Lets time pass to the next thing that happens.
    fn advance(&mut self) {
        let (Some(engine), true) = (&self.engine, self.connected && !self.store.is_over()) else {
            return;
        };
        if engine.is_finished() && !self.store.is_over() {
            // Drained: somebody resumes it later.
            self.kill_runtime();
            return;
        }
        let ends = self.keeper.as_ref().and_then(Keeper::next_end);
        let arrives = self.inbox.iter().map(|(at, _)| *at).min();
        let next = [ends, arrives, engine.next_wakeup()].into_iter().flatten().min();
        let Some(next) = next else {
            panic!(
                "seed {}: it hangs\n{:#?}\n{:#?}\n{:#?}",
                self.seed, self.engine, self.store, self.keeper
            )
        };
        self.now = self.now.max(next);
        if let Some(keeper) = &mut self.keeper {
            for (attempt, exit) in keeper.end_due(self.now) {
                let delay = Duration::from_millis(self.random.u64(0..20));
                self.inbox.push((
                    self.now + delay,
                    Event::Exited {
                        attempt,
                        exit: Box::new(exit),
                    },
                ));
            }
            self.outcome.executions += keeper.start_next(self.now, &mut self.store, &mut self.random, self.seed);
        }
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) = self.inbox.drain(..).partition(|(at, _)| *at <= now);
        self.inbox = later;
        let mut events: Vec<Event> = due.into_iter().map(|(_, event)| event).collect();
        self.random.shuffle(&mut events);
        events.push(Event::Tick);
        self.apply(events);
    }

    /// The runtime's loop, once: apply, ask, commit, act; it may die between any two of them.
    fn apply(&mut self, events: Vec<Event>) {
        let Some(engine) = &mut self.engine else { return };
        let mut all = Step::default();
        // What it asks for between its changes it sees as written, though nothing is committed yet.
        let mut overlay = self.store.clone();
        for event in events {
            let step = engine.apply(self.now, event);
            let step = step.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
            engine.sanity_check();
            overlay.write(&step.changes, self.mutation, self.seed);
            all.changes.extend(step.changes);
            all.effects.extend(step.effects);
        }
        while let Some(receive) = engine.next_receive(self.now) {
            let received = overlay.receive(receive, self.now);
            let step = engine.apply(self.now, Event::Received(received));
            let step = step.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
            engine.sanity_check();
            overlay.write(&step.changes, self.mutation, self.seed);
            all.changes.extend(step.changes);
            all.effects.extend(step.effects);
        }
        self.finish(all);
    }

    fn finish(&mut self, step: Step) {
        let calm = self.outcome.events > self.calm_after;
        let crash = if calm { 99 } else { self.random.u32(0..100) };
        if self.mutation == Mutation::ActBeforeCommit {
            self.act(step.effects.clone());
            self.outcome.executions += match &mut self.keeper {
                Some(keeper) => keeper.start_next(self.now, &mut self.store, &mut self.random, self.seed),
                None => 0,
            };
        }
        if crash == 0 {
            self.kill_runtime();
            return;
        }
        self.store.write(&step.changes, self.mutation, self.seed);
        if crash == 1 {
            self.kill_runtime();
            return;
        }
        if self.mutation != Mutation::ActBeforeCommit {
            self.act(step.effects);
        }
        if let Some(keeper) = &mut self.keeper {
            self.outcome.executions += keeper.start_next(self.now, &mut self.store, &mut self.random, self.seed);
        }
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let delay = Duration::from_millis(self.random.u64(0..50));
            let at = self.now + delay;
            match effect {
                Effect::Collect {
                    attempt,
                    result,
                    output,
                } => {
                    let collected = if self.random.u32(0..10) == 0 {
                        Err("the result is not JSON".to_owned())
                    } else {
                        let output = output.map(|folder| Output {
                            folder,
                            files: 1,
                            bytes: 1,
                        });
                        Ok(Collected {
                            result: result.map(|_| "{}".to_owned()),
                            output,
                        })
                    };
                    self.inbox.push((at, Event::Collected { attempt, collected }));
                }
                Effect::Publish { attempt, .. } => {
                    self.store.publish(attempt, self.seed);
                    self.inbox.push((at, Event::Published { attempt }));
                }
                Effect::Tell(_) => {}
                effect => {
                    if let (Some(keeper), true) = (&mut self.keeper, self.connected) {
                        let withdrawn = keeper.obey(effect, self.now);
                        if !withdrawn.is_empty() {
                            self.inbox.push((at, Event::Withdrawn { attempts: withdrawn }));
                        }
                    }
                }
            }
        }
    }
}

/// All distinct attempts in a set of events' holds; kept here so that the keeper and the world agree on the type.
type Holds = BTreeSet<AttemptId>;
