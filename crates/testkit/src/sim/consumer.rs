//! A consumer over a model queue: instances that receive, delete, give back, crash and leave as the seed wants, while
//! messages come and the runtime dies. The engine must have as many instances as are wanted, end none that holds a message,
//! count every message once, and come to rest with nothing left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kingtide_core::engine::Engine;
use kingtide_core::engine::event::{
    Counts, End, Event, Exit, Fate, Host, Ledger, OpenConsumer, OpenRun, RunState, Stop, TaskState, Usage,
};
use kingtide_core::engine::packing::Capacity;
use kingtide_core::id::{AttemptId, InstanceId, RunId, TaskId};
use kingtide_core::project::{Job, Mode};
use kingtide_core::time::Timestamp;

use super::job;

mod interpret;

const RUN: RunId = RunId(1);
const SLOTS: u32 = 4;

/// A fault built into the shell on purpose: the simulator has to catch each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// What an instance held when it ended is never visible again.
    ForgetReclaim,
    /// An instance that was told to leave is still handed messages.
    HandToLeaving,
}

#[derive(Clone, Debug, PartialEq)]
struct Letter {
    state: TaskState,
    attempt: u32,
    holder: Option<InstanceId>,
    receives: u32,
}

struct World {
    seed: u64,
    random: fastrand::Rng,
    mutation: Mutation,
    now: Timestamp,
    job: Job,
    engine: Option<Engine>,
    letters: BTreeMap<TaskId, Letter>,
    counts: Counts,
    state: RunState,
    /// In the engine of containers or the keeper: they outlive the runtime.
    programs: BTreeSet<InstanceId>,
    /// Told to end; they do so soon.
    asked: BTreeSet<InstanceId>,
    leaving: BTreeSet<InstanceId>,
    /// Rows.
    instances: BTreeSet<InstanceId>,
    next: i64,
    /// Messages that will still be sent.
    to_come: i64,
    /// What the engine was told last.
    backlog: Option<(u64, u64)>,
    steps: u64,
}

/// Runs one schedule to its end; how many messages were worked off.
///
/// # Panics
/// When an invariant is broken; the message carries the seed.
pub fn run(seed: u64, mutation: Mutation) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut job = job::drawn(&mut random);
    job.mode = Mode::Consumer;
    job.resources.gpus = 0;
    job.resources.memory = None;
    job.max_workers = random.bool().then(|| random.u32(1..=5));
    let mut world = World {
        seed,
        mutation,
        now: Timestamp(1_000_000),
        engine: None,
        letters: BTreeMap::new(),
        counts: Counts::default(),
        state: RunState::Open,
        programs: BTreeSet::new(),
        asked: BTreeSet::new(),
        leaving: BTreeSet::new(),
        instances: BTreeSet::new(),
        next: 1,
        to_come: random.i64(1..20),
        backlog: None,
        steps: 0,
        job,
        random,
    };
    world.drive();
    world.counts.done()
}

impl World {
    fn drive(&mut self) {
        while self.state == RunState::Open || !self.programs.is_empty() {
            self.steps += 1;
            assert!(
                self.steps < 20_000,
                "seed {}: it never ends: {:?}",
                self.seed,
                self.letters
            );
            if self.engine.is_none() {
                self.start();
            }
            let calm = self.steps > 300;
            match self.random.u32(0..100) {
                0..10 if self.to_come > 0 => self.send(),
                10..40 => self.receive(),
                40..60 => self.finish(calm),
                60..66 if !calm => self.crash_instance(),
                66..70 if !calm => self.expire(),
                70..72 if !calm => {
                    // The runtime dies; what it was told goes with it.
                    self.engine = None;
                    self.leaving.clear();
                }
                72..80 => self.leave(),
                _ => self.tick(),
            }
            if calm && self.to_come > 0 {
                self.send();
            }
            self.check();
        }
        assert_eq!(self.instances.len(), 0, "seed {}: instances are left", self.seed);
        assert_eq!(
            self.counts.done(),
            self.letters.len() as u64,
            "seed {}: {:?}",
            self.seed,
            self.letters
        );
        assert!(
            self.letters.values().all(|letter| letter.state.is_over()),
            "seed {}: a message is left: {:?}",
            self.seed,
            self.letters
        );
    }

    fn check(&self) {
        let most = self.job.max_workers.unwrap_or(u32::MAX).min(SLOTS) as usize;
        assert!(
            self.programs.len() <= most,
            "seed {}: {} instances, and {most} are allowed",
            self.seed,
            self.programs.len()
        );
        if let Some(engine) = &self.engine {
            engine.sanity_check();
        }
    }

    fn start(&mut self) {
        self.engine = Some(Engine::new(
            self.seed,
            Capacity {
                cpu_milli: SLOTS * self.job.resources.cpu_milli,
                memory: 1 << 40,
                gpus: 0,
            },
        ));
        self.backlog = None;
        let leased = self
            .letters
            .iter()
            .filter(|(_, letter)| letter.state == TaskState::Leased);
        let leased = leased.map(|(task, letter)| kingtide_core::engine::event::Leased {
            attempt: task.attempt(letter.attempt),
            ledger: Ledger::default(),
        });
        let leased = leased.collect();
        let held = |id: InstanceId| {
            let of = self.letters.iter().filter(|(_, letter)| letter.holder == Some(id));
            (id, of.map(|(task, _)| *task).collect())
        };
        let instances = self.instances.iter().map(|id| held(*id)).collect();
        let consumer = Event::ConsumerOpened(Box::new(OpenConsumer {
            job: self.job.clone(),
            host: Host::Keeper,
            ready: true,
            instances,
            next: InstanceId(self.next),
        }));
        let run = Event::RunOpened(Box::new(OpenRun {
            run: RUN,
            job: self.job.clone(),
            host: Host::Outside,
            ready: true,
            idle: Some(Duration::from_secs(60)),
            workers: None,
            deadline: None,
            counts: self.counts,
            leased,
            unpublished: Vec::new(),
        }));
        let holds: BTreeSet<AttemptId> = self.programs.iter().map(|id| id.attempt()).collect();
        self.apply(vec![consumer]);
        if self.state == RunState::Open {
            self.apply(vec![run]);
        }
        self.apply(vec![Event::HostFound {
            host: Host::Keeper,
            holds,
            same: true,
        }]);
    }

    fn send(&mut self) {
        if self.state != RunState::Open {
            self.to_come = 0;
            return;
        }
        self.to_come -= 1;
        let task = RUN.task(self.letters.len() as i64 + 1);
        let letter = Letter {
            state: TaskState::Waiting,
            attempt: 0,
            holder: None,
            receives: 0,
        };
        self.letters.insert(task, letter);
        self.counts.total += 1;
        self.apply(vec![Event::Arrived { run: RUN, count: 1 }]);
    }

    fn some(&mut self, which: impl Fn(&Letter) -> bool) -> Option<TaskId> {
        let tasks: Vec<TaskId> = self
            .letters
            .iter()
            .filter(|(_, letter)| which(letter))
            .map(|(task, _)| *task)
            .collect();
        (!tasks.is_empty()).then(|| tasks[self.random.usize(0..tasks.len())])
    }

    /// An instance, or somebody else, receives.
    fn receive(&mut self) {
        let Some(task) = self.some(|letter| letter.state == TaskState::Waiting) else {
            return;
        };
        let hands = self.programs.iter().copied();
        let mut hands: Vec<InstanceId> = match self.mutation {
            Mutation::HandToLeaving => hands.collect(),
            _ => hands
                .filter(|id| !self.leaving.contains(id) && !self.asked.contains(id))
                .collect(),
        };
        self.random.shuffle(&mut hands);
        let holder = hands.pop();
        if holder.is_none() && self.random.u32(0..20) > 0 {
            return;
        }
        if self.letters[&task].receives >= 6 {
            self.follow(task, Fate::Buried("received too often".to_owned()));
            return;
        }
        self.follow(task, Fate::Received(holder));
    }

    fn finish(&mut self, calm: bool) {
        // A program that has ended is done with nothing.
        let programs = self.programs.clone();
        let lives = |letter: &Letter| letter.holder.is_none_or(|id| programs.contains(&id));
        let Some(task) = self.some(|letter| letter.state == TaskState::Leased && lives(letter)) else {
            return;
        };
        if calm || self.random.u32(0..10) > 0 {
            self.follow(task, Fate::Deleted);
        } else {
            self.follow(task, Fate::Returned("put back".to_owned()));
        }
    }

    fn expire(&mut self) {
        if let Some(task) = self.some(|letter| letter.state == TaskState::Leased) {
            self.follow(task, Fate::Returned("its visibility timeout ended".to_owned()));
        }
    }

    fn crash_instance(&mut self) {
        let all: Vec<InstanceId> = self.programs.iter().copied().collect();
        if !all.is_empty() {
            let id = all[self.random.usize(0..all.len())];
            let code = self.random.i32(0..2);
            self.exit(id, End::Code(code));
        }
    }

    /// Those that were asked to leave do.
    fn leave(&mut self) {
        for id in std::mem::take(&mut self.asked) {
            if self.programs.contains(&id) {
                self.exit(id, End::Stopped(Stop::Release));
            }
        }
    }

    fn exit(&mut self, id: InstanceId, end: End) {
        self.programs.remove(&id);
        let exit = Exit {
            end,
            started_at: self.now,
            ended_at: self.now,
            usage: Usage::default(),
            result: None,
            output: None,
            tail: String::new(),
        };
        self.apply(vec![Event::Exited {
            attempt: id.attempt(),
            exit: Box::new(exit),
        }]);
    }

    fn tick(&mut self) {
        let wakeup = self.engine.as_ref().and_then(Engine::next_wakeup);
        let soon = Timestamp(self.now.0 + self.random.i64(1..2_000));
        self.now = wakeup
            .filter(|at| *at > self.now)
            .map_or(soon, |at| at.min(soon).max(self.now));
        if self.random.u32(0..4) == 0 {
            self.now = wakeup.map_or(self.now, |at| at.max(self.now));
        }
        self.apply(vec![Event::Tick]);
    }
}
