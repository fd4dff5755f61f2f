//! Workers over a queue that hands out twice and forgets nothing, and a bucket that is written only over what was read: whatever is killed,
//! each message ends once, and everybody leaves.

mod scenes;

use std::collections::BTreeMap;

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::project::load;

const SECOND: Duration = Duration::from_secs(1);

fn job(lines: &str) -> Job {
    let source = format!("[project]\nname = \"p\"\n[job.j]\ncommand = [\"true\"]\n{lines}\n");
    let (project, findings) = load(&source);
    project.unwrap_or_else(|| panic!("{findings:?}")).jobs["j"].clone()
}

/// A message in the queue: when it may be received; gone when it is deleted.
type Queue = BTreeMap<usize, Timestamp>;

/// What a worker waits for, and when that comes.
struct Worker {
    drain: Drain,
    held: Option<usize>,
    /// Answers on their way.
    coming: Vec<(Timestamp, Event)>,
    is_killed: bool,
}

/// Everything outside of the workers.
struct World {
    now: Timestamp,
    queue: Queue,
    entries: BTreeMap<usize, Entry>,
    dead: Vec<usize>,
    /// Successes that were recorded, by message.
    done: BTreeMap<usize, u32>,
    /// Programs that run, by message.
    running: BTreeMap<usize, u32>,
    random: Rng,
    /// Of a hundred programs so many fail.
    failing: u32,
}

impl World {
    fn new(messages: usize, failing: u32, seed: u64) -> World {
        World {
            now: Timestamp(0),
            queue: (0..messages).map(|number| (number, Timestamp(0))).collect(),
            entries: BTreeMap::new(),
            dead: Vec::new(),
            done: BTreeMap::new(),
            running: BTreeMap::new(),
            random: Rng::with_seed(seed),
            failing,
        }
    }

    fn perform(&mut self, worker: &mut Worker, effects: Vec<Effect>) {
        for effect in effects {
            let answer = match effect {
                Effect::Receive => {
                    let now = self.now;
                    let ready: Vec<usize> = self
                        .queue
                        .iter()
                        .filter(|(_, at)| **at <= now)
                        .map(|(id, _)| *id)
                        .collect();
                    let found = self.random.choice(&ready).copied();
                    worker.held = found;
                    if let Some(id) = found {
                        // One of twenty is handed out again although somebody holds it.
                        let hidden = if self.random.u32(..20) == 0 {
                            now
                        } else {
                            now + VISIBILITY
                        };
                        self.queue.insert(id, hidden);
                    }
                    let wait = if found.is_some() { SECOND } else { 20 * SECOND };
                    Some((wait, Event::Received(found.is_some())))
                }
                Effect::Claim => {
                    let id = worker.held.expect("it holds one");
                    let (entry, claim) = Entry::claim(self.entries.get(&id).copied(), self.now, VISIBILITY, None);
                    if let Some(entry) = entry {
                        self.entries.insert(id, entry);
                    }
                    Some((SECOND, Event::Claimed(claim)))
                }
                Effect::Run { .. } => {
                    let id = worker.held.expect("it holds one");
                    *self.running.entry(id).or_default() += 1;
                    assert_eq!(self.running[&id], 1, "two run the message {id}");
                    let code = i32::from(self.random.u32(..100) < self.failing);
                    let takes = SECOND * self.random.u32(1..900);
                    Some((takes, Event::Exited(End::Code(code))))
                }
                Effect::Extend(duration) => {
                    let id = worker.held.expect("it holds one");
                    let until = self.now + duration;
                    if let Some(at) = self.queue.get_mut(&id) {
                        *at = until;
                    }
                    let entry = self.entries[&id];
                    let extended = entry.extended(entry.attempt, until);
                    self.entries.extend(extended.map(|entry| (id, entry)));
                    None
                }
                Effect::Stop(_) => {
                    // The program ends by it, and what it would have come to no longer comes.
                    worker.coming.retain(|(_, event)| !matches!(event, Event::Exited(_)));
                    Some((5 * SECOND, Event::Exited(End::Signal(15))))
                }
                Effect::Record(record) => {
                    let id = worker.held.expect("it holds one");
                    let entry = self.entries[&id].ended(record.attempt, record.ledger, record.is_final);
                    self.entries.insert(id, entry.expect("the attempt is its own"));
                    if record.outcome == Outcome::Succeeded {
                        *self.done.entry(id).or_default() += 1;
                    }
                    Some((SECOND, Event::Recorded))
                }
                Effect::Close(close) => {
                    let id = worker.held.take().expect("it holds one");
                    match close {
                        // One of twenty comes back all the same: a server that was away has a copy.
                        Close::Delete if self.random.u32(..20) == 0 => {
                            self.queue.insert(id, self.now + 30 * SECOND);
                        }
                        Close::Delete => drop(self.queue.remove(&id)),
                        Close::Return(delay) => {
                            let at = self.now + delay;
                            self.queue.entry(id).and_modify(|hidden| *hidden = at);
                        }
                        Close::SendOn => panic!("nothing grows here"),
                        Close::Bury(reason) => {
                            assert!(!reason.is_empty(), "a dead letter says why");
                            self.queue.remove(&id);
                            self.dead.push(id);
                        }
                    }
                    Some((SECOND, Event::Closed))
                }
                Effect::Abandon => panic!("nothing is cancelled here"),
                Effect::Quit => None,
            };
            worker
                .coming
                .extend(answer.map(|(after, event)| (self.now + after, event)));
        }
    }

    /// The next thing that happens to a worker, if anything does.
    fn step(&mut self, worker: &mut Worker) {
        worker.coming.sort_by_key(|(at, _)| *at);
        let tick = worker.drain.next_wakeup().filter(|at| *at <= self.now);
        let event = match worker.coming.first() {
            Some((at, _)) if *at <= self.now => worker.coming.remove(0).1,
            _ if tick.is_some() => Event::Tick,
            _ => return,
        };
        if matches!(event, Event::Exited(_)) {
            self.stopped(worker);
        }
        let effects = worker.drain.apply(self.now, event);
        self.perform(worker, effects);
    }

    fn stopped(&mut self, worker: &Worker) {
        if let Some(running) = worker.held.and_then(|id| self.running.get_mut(&id)) {
            *running = running.saturating_sub(1);
        }
    }
}

/// Runs it to its end; a thousandth of all seconds kills a worker, and another takes its place.
fn simulate(lines: &str, messages: usize, workers: usize, failing: u32, seed: u64) -> World {
    let mut world = World::new(messages, failing, seed);
    let start = |world: &mut World| {
        let (drain, effects) = Drain::new(job(lines), Terms::default(), world.random.u64(..));
        let mut worker = Worker {
            drain,
            held: None,
            coming: Vec::new(),
            is_killed: false,
        };
        world.perform(&mut worker, effects);
        worker
    };
    let mut all: Vec<Worker> = (0..workers).map(|_| start(&mut world)).collect();
    for _ in 0..200_000 {
        world.now = world.now + SECOND;
        let mut lost = 0;
        for worker in &mut all {
            let is_running = worker
                .held
                .is_some_and(|id| world.running.get(&id).is_some_and(|count| *count > 0));
            match world.random.u32(..4000) {
                // Killed: the machine is gone, and the program with it.
                0 if !worker.drain.is_gone() => {
                    if is_running && !worker.coming.is_empty() {
                        world.stopped(worker);
                    }
                    worker.is_killed = true;
                }
                1 if !worker.drain.is_gone() => {
                    let effects = worker.drain.apply(world.now, Event::Leave);
                    world.perform(worker, effects);
                }
                _ => {}
            }
            if !worker.is_killed {
                world.step(worker);
            }
            lost += usize::from(worker.is_killed || (worker.drain.is_gone() && !world.queue.is_empty()));
        }
        all.retain(|worker| !worker.is_killed && !worker.drain.is_gone());
        // The dispatcher replaces what was lost while there is something to do.
        if !world.queue.is_empty() {
            for _ in 0..lost {
                let worker = start(&mut world);
                all.push(worker);
            }
        }
        if all.is_empty() {
            return world;
        }
    }
    panic!(
        "seed {seed}: it does not end: {} messages, {} workers",
        world.queue.len(),
        all.len()
    );
}

#[track_caller]
fn each_ends_once(world: &World, messages: usize) {
    for id in 0..messages {
        let done = world.done.get(&id).copied().unwrap_or(0);
        let dead = world.dead.iter().filter(|dead| **dead == id).count() as u32;
        assert_eq!(
            done + dead,
            1,
            "the message {id}: done {done} times, buried {dead} times"
        );
        assert_eq!(world.entries[&id].standing, Standing::Over);
    }
    assert!(world.queue.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn each_message_ends_once_and_everybody_leaves(
        messages in 1_usize..40,
        workers in 1_usize..12,
        failing in 0_u32..60,
        seed in any::<u64>(),
    ) {
        let world = simulate("retries = 2\nbackoff = { first = \"1s\", jitter = 0.5 }", messages, workers, failing, seed);
        each_ends_once(&world, messages);
    }
}
