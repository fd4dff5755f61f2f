//! A run on AWS from its execution's start to its end, in virtual time: the compiled state machine (`states/`), the dispatcher (`core/dispatch`)
//! and workers (`core/drain`) over models of ECS (`cluster.rs`), SQS (`queue.rs`) and the bucket (`bucket.rs`), under seeded misfortune: tasks
//! killed at any point, hosts that retire, Spot notices, throttled and lost calls, droughts of capacity, duplicates, lost heartbeats, credentials
//! that expire, dispatchers that live on although they were replaced. One seed is one run; a broken promise panics with the seed.

mod bucket;
mod cluster;
mod director;
mod fate;
mod hand;
mod promises;
mod queue;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use fastrand::Rng;
use kingtide_core::cloud;
use kingtide_core::dispatch::{self, Ending, Limits, Opening, Size};
use kingtide_core::drain;
use kingtide_core::plan::burst::Luck;
use kingtide_core::plan::lognormal::LogNormal;
use kingtide_core::project::{Job, load};
use kingtide_core::time::Timestamp;
use serde_json::json;

use self::bucket::Bucket;
use self::cluster::Cluster;
use self::director::Director;
use self::hand::Hand;
use self::queue::Queue;
use crate::states::{Answer, Execution, Machine};

/// A fault built into the shell on purpose: the simulator has to catch each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// A claim, and what came of it, is written whoever has written in between.
    ClaimBlindly,
    /// A launch that is made again is another launch.
    ForgetTokens,
    /// Whoever finds a task over does not see to it that a dispatcher sees that.
    ForgetEnds,
    /// A dispatcher that is lost is not started again.
    LeaveAlone,
}

/// What a run came to, for those who count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub happenings: u64,
    pub misfortunes: u64,
    pub dispatchers: u64,
    pub launched: u64,
    pub executions: u64,
    pub warnings: u64,
}

const GIB: u64 = 1 << 30;
const SECOND: Duration = Duration::from_secs(1);
/// More, and it hangs.
const MOST_HAPPENINGS: u64 = 60_000;

/// Runs one schedule to its end.
///
/// # Panics
/// When a promise is broken; the message carries the seed.
pub fn run(seed: u64, mutation: Mutation) -> Outcome {
    let mut world = World::new(seed, mutation);
    world.drive();
    world.keep_promises();
    world.outcome
}

enum Happening {
    /// What the execution has asked for has come.
    Answered(Answer),
    /// It asks again.
    Retried,
    Pulled(u64),
    Started(u64),
    /// The program behind TERM has had its time.
    Killed(u64),
    Director(u64, Box<dispatch::Event>),
    /// A dispatcher sees how everything stands.
    Look(u64),
    /// To a worker; where it is about a program, about which.
    Hand(u64, Option<u64>, drain::Event),
    ClaimWritten(u64, u64),
    /// Somebody sends a message.
    Arrival,
    Cancel,
    /// Something goes wrong.
    Misfortune,
}

struct World {
    seed: u64,
    random: Rng,
    mutation: Mutation,
    now: Timestamp,
    calm_after: Timestamp,
    agenda: BTreeMap<(Timestamp, u64), Happening>,
    numbers: u64,
    job: Job,
    opening: Opening,
    sizes: Vec<Size>,
    /// Of the run itself; what others send comes after them.
    messages: i64,
    /// Of a hundred programs so many fail, and each takes so long at most.
    failing: u32,
    longest: Duration,
    /// Some need more memory than the smallest workers have.
    is_hungry: bool,
    execution: Execution,
    /// The dispatcher whose end the execution awaits.
    awaited: Option<u64>,
    cluster: Cluster,
    queues: Vec<Queue>,
    /// Messages that were ever sent.
    sent: u64,
    dead: Vec<i64>,
    bucket: Bucket,
    directors: BTreeMap<u64, Director>,
    hands: BTreeMap<u64, Hand>,
    ending: Option<Ending>,
    ended_at: Timestamp,
    seen_dollars: f64,
    most_workers: usize,
    outcome: Outcome,
}

/// The machine as it is compiled, once.
static MACHINE: LazyLock<(Machine, Job)> = LazyLock::new(|| {
    let source = "[project]\nname = \"p\"\n[aws]\nregion = \"eu-west-1\"\n[job.j]\ncommand = [\"true\"]\nparams = \"p.csv\"\n\
                  memory = \"1GiB\"\nmemory_max = \"2GiB\"\n";
    let (project, findings) = load(source);
    let project = project.unwrap_or_else(|| panic!("{findings:?}"));
    let stack = cloud::compile(&project, None).unwrap_or_else(|findings| panic!("{findings:?}"));
    let machine = Machine::of_template(&stack.template(), "JMachine").unwrap_or_else(|why| panic!("{why}"));
    (machine, project.jobs["j"].clone())
});

impl World {
    fn new(seed: u64, mutation: Mutation) -> World {
        let mut random = Rng::with_seed(seed);
        let now = Timestamp(1_000_000_000);
        let (machine, job) = &*MACHINE;
        let mut job = job.clone();
        job.retries = random.u32(..3);
        job.backoff.first = SECOND * random.u32(1..300);
        job.backoff.max = SECOND * 600;
        if random.u32(..8) == 0 {
            job.max_duration = Some(SECOND * random.u32(600..7200));
        }
        let size = |number: u32| Size {
            vcpus: f64::from(number),
            hourly: 0.06 * f64::from(number),
            spot_hourly: 0.02 * f64::from(number),
        };
        let sizes = vec![size(1), size(2)];
        let messages = random.i64(0..=12);
        let longest = SECOND * random.u32(30..1800);
        let of = |random: &mut Rng| LogNormal::around(longest.mul_f64(0.2 + random.f64()), 0.4);
        let limits = Limits {
            vcpus: Some(f64::from(random.u32(3..12))),
            spot_vcpus: Some(8.0),
            workers: Some(random.u32(1..8)),
            max_cost: (random.u32(..5) == 0).then(|| 0.005 + random.f64() * 0.1),
            spot: random.bool(),
        };
        let opening = Opening {
            name: "p/1".to_owned(),
            job: job.clone(),
            messages: (1..=messages).map(|seq| (seq, of(&mut random))).collect(),
            other: of(&mut random),
            serves_others: messages == 0,
            luck: Luck::NONE,
            opened_at: now,
            // What is foreseen takes time to foresee.
            deadline: (random.u32(..10) == 0).then(|| now + SECOND * random.u32(600..7200)),
            limits,
            sizes: sizes.clone(),
            start_up: SECOND * 45,
            taken_by: None,
            seed,
            memory: None,
        };
        let (execution, call) = Execution::start(machine.clone(), "e-1", json!({ "by": "cli" }), now, random.u64(..));
        let mut cluster = Cluster::new(sizes.clone(), limits.vcpus.unwrap_or(100.0) + 8.0, now);
        if random.u32(..6) == 0 {
            let from = now + SECOND * random.u32(..1200);
            cluster.drought = (from, from + SECOND * random.u32(60..4000));
        }
        cluster.image_is_missing = random.u32(..25) == 0;
        let mut world = World {
            seed,
            mutation,
            now,
            calm_after: now + SECOND * random.u32(600..7200),
            agenda: BTreeMap::new(),
            numbers: 0,
            job,
            opening,
            sizes,
            messages,
            failing: *random.choice(&[0, 0, 10, 40]).expect("a choice"),
            longest,
            is_hungry: random.u32(..4) == 0,
            execution,
            awaited: None,
            cluster,
            queues: vec![Queue::default(), Queue::default()],
            sent: 0,
            dead: Vec::new(),
            bucket: Bucket::default(),
            directors: BTreeMap::new(),
            hands: BTreeMap::new(),
            ending: None,
            ended_at: now,
            seen_dollars: 0.0,
            most_workers: 0,
            outcome: Outcome::default(),
            random,
        };
        if messages == 0 || world.random.u32(..5) == 0 {
            for _ in 0..world.random.u32(1..4) {
                let after = SECOND * world.random.u32(..900);
                world.after(if messages == 0 { SECOND } else { after }, Happening::Arrival);
            }
        }
        if world.random.u32(..12) == 0 {
            let after = SECOND * world.random.u32(1..3600);
            world.after(after, Happening::Cancel);
        }
        world.after(SECOND, Happening::Misfortune);
        world.ask(call);
        world
    }

    fn at(&mut self, at: Timestamp, happening: Happening) {
        self.numbers += 1;
        self.agenda.insert((at.max(self.now), self.numbers), happening);
    }

    fn after(&mut self, after: Duration, happening: Happening) {
        self.at(self.now + after, happening);
    }

    fn is_calm(&self) -> bool {
        self.now >= self.calm_after
    }

    /// Whether something goes wrong that goes wrong once in so many times.
    fn strikes(&mut self, one_in: u32) -> bool {
        let strikes = !self.is_calm() && self.random.u32(..one_in) == 0;
        self.outcome.misfortunes += u64::from(strikes);
        strikes
    }

    /// Until a call is answered; with credentials that have expired, far longer.
    fn latency(&mut self) -> Duration {
        match self.strikes(200) {
            true => SECOND * self.random.u32(30..400),
            false => Duration::from_millis(self.random.u64(20..400)),
        }
    }

    fn drive(&mut self) {
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            self.now = at;
            self.outcome.happenings += 1;
            assert!(
                self.outcome.happenings < MOST_HAPPENINGS,
                "seed {}: it does not end: {:?} at `{}`, {} workers, {:?}",
                self.seed,
                self.execution.ending(),
                self.execution.state(),
                self.cluster.workers(),
                self.bucket.ends.len(),
            );
            self.happen(happening);
            self.most_workers = self.most_workers.max(self.cluster.workers());
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Answered(answer) => {
                let call = self.execution.answer(self.now, answer);
                self.ask(call);
            }
            Happening::Retried => {
                let call = self.execution.tick(self.now);
                self.ask(call);
            }
            Happening::Pulled(task) => {
                let now = self.now;
                if let Some(task) = self.cluster.tasks.get_mut(&task).filter(|task| task.is_alive()) {
                    task.pulled_at = Some(now);
                }
            }
            Happening::Started(task) => self.started(task),
            Happening::Killed(task) => self.stopped(task, None),
            Happening::Director(task, event) => self.tell_director(task, *event),
            Happening::Look(task) => {
                let seen = self.observe();
                self.tell_director(task, dispatch::Event::Observed(Box::new(seen)));
            }
            Happening::Hand(task, program, event) => self.tell_hand(task, program, event),
            Happening::ClaimWritten(task, read) => self.claim(task, read),
            Happening::Arrival => {
                // Of a run that has ended it is the next one's.
                if self.bucket.outcome.is_none() {
                    self.sent += 1;
                    let message = self.sent;
                    self.queues[0].send(message, None, self.now);
                }
            }
            Happening::Cancel => self.bucket.is_cancelled = self.bucket.outcome.is_none(),
            Happening::Misfortune => self.misfortune(),
        }
    }
}
