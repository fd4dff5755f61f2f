//! Workers over a queue that hands out twice and forgets nothing, and a bucket that is written only over what was read: whatever is killed,
//! each message ends once, and everybody leaves.

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

#[test]
fn a_quiet_day() {
    let (mut drain, effects) = Drain::new(job(""), Terms::default(), 1);
    assert_eq!(effects, [Effect::Receive]);
    let at = |seconds: i64| Timestamp(seconds * 1000);
    assert_eq!(drain.apply(at(0), Event::Received(true)), [Effect::Claim]);
    let claim = Claim::Mine {
        attempt: 1,
        ledger: Ledger::default(),
    };
    let run = Effect::Run {
        attempt: 1,
        ledger: Ledger::default(),
    };
    assert_eq!(drain.apply(at(0), Event::Claimed(claim)), [run]);
    assert_eq!(drain.next_wakeup(), Some(at(60)));
    assert_eq!(drain.apply(at(59), Event::Tick), []);
    assert_eq!(drain.apply(at(60), Event::Tick), [Effect::Extend(VISIBILITY)]);
    let effects = drain.apply(at(70), Event::Exited(End::Code(0)));
    assert!(
        matches!(&effects[..], [Effect::Record(record)] if record.is_final && record.outcome == Outcome::Succeeded)
    );
    assert_eq!(drain.apply(at(70), Event::Recorded), [Effect::Close(Close::Delete)]);
    assert_eq!(drain.apply(at(71), Event::Closed), [Effect::Receive]);
    assert_eq!(drain.apply(at(90), Event::Received(false)), [Effect::Receive]);
    assert_eq!(drain.apply(at(110), Event::Received(false)), [Effect::Receive]);
    assert_eq!(drain.apply(at(130), Event::Received(false)), [Effect::Quit]);
    assert!(drain.is_gone());
}

#[test]
fn a_notice_gives_the_message_back_at_once_and_costs_no_retry() {
    let (mut drain, _) = Drain::new(job("retries = 0"), Terms::default(), 1);
    let now = Timestamp(0);
    drain.apply(now, Event::Received(true));
    let ledger = Ledger::default();
    drain.apply(now, Event::Claimed(Claim::Mine { attempt: 1, ledger }));
    assert_eq!(drain.apply(now, Event::Leave), [Effect::Stop(Stop::Release)]);
    let effects = drain.apply(now, Event::Exited(End::Signal(15)));
    assert!(matches!(&effects[..], [Effect::Record(record)] if !record.is_final && record.ledger == ledger));
    assert_eq!(
        drain.apply(now, Event::Recorded),
        [Effect::Close(Close::Return(Duration::ZERO))]
    );
    assert_eq!(drain.apply(now, Event::Closed), [Effect::Quit]);
}

#[test]
fn what_was_done_before_its_queue_knew_is_not_done_again() {
    let entry = Entry {
        attempt: 3,
        ledger: Ledger::default(),
        standing: Standing::Over,
    };
    assert_eq!(
        Entry::claim(Some(entry), Timestamp(0), VISIBILITY, None),
        (None, Claim::Done)
    );
    assert_eq!(entry.ended(3, Ledger::default(), true), None, "it has ended");
    let (mut drain, _) = Drain::new(job(""), Terms::default(), 1);
    drain.apply(Timestamp(0), Event::Received(true));
    let effects = drain.apply(Timestamp(0), Event::Claimed(Claim::Done));
    assert_eq!(effects, [Effect::Close(Close::Delete)]);
}

#[test]
fn what_may_not_run_twice_does_not() {
    let held = Entry {
        attempt: 1,
        ledger: Ledger::default(),
        standing: Standing::Held { until: Timestamp(0) },
    };
    let (_, claim) = Entry::claim(Some(held), Timestamp(1), VISIBILITY, None);
    let (mut drain, _) = Drain::new(job("on_crash = \"fail\""), Terms::default(), 1);
    drain.apply(Timestamp(1), Event::Received(true));
    let effects = drain.apply(Timestamp(1), Event::Claimed(claim));
    assert!(matches!(&effects[..], [Effect::Record(record)] if record.is_final && record.outcome == Outcome::Lost));
}

#[test]
fn what_outgrows_a_worker_goes_to_a_larger_one() {
    let terms = Terms {
        memory: Some(1 << 30),
        stays: false,
    };
    let grows = job("memory = \"1GiB\"\nmemory_max = \"4GiB\"");
    let (mut drain, _) = Drain::new(grows.clone(), terms, 1);
    let now = Timestamp(0);
    drain.apply(now, Event::Received(true));
    let ledger = Ledger::default();
    drain.apply(now, Event::Claimed(Claim::Mine { attempt: 1, ledger }));
    let effects = drain.apply(now, Event::Exited(End::OutOfMemory));
    let [Effect::Record(record)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(!record.is_final && record.ledger.memory == Some(2 << 30) && record.ledger.failures == 0);
    assert_eq!(drain.apply(now, Event::Recorded), [Effect::Close(Close::SendOn)]);
    // The small queue's copy comes again: its worker was lost before the queue knew.
    let grown = Entry {
        attempt: 1,
        ledger: record.ledger,
        standing: Standing::Ended,
    };
    let claim = |memory| Entry::claim(Some(grown), now, VISIBILITY, memory).1;
    assert_eq!(claim(Some(1 << 30)), Claim::Outgrown);
    assert!(matches!(claim(Some(2 << 30)), Claim::Mine { attempt: 2, .. }));
    assert!(matches!(claim(None), Claim::Mine { attempt: 2, .. }));
}

#[test]
fn what_is_cancelled_is_not_begun_and_no_dead_letter() {
    let (mut drain, _) = Drain::new(job(""), Terms::default(), 1);
    let now = Timestamp(0);
    drain.apply(now, Event::Received(true));
    assert_eq!(drain.apply(now, Event::Claimed(Claim::Cancelled)), [Effect::Abandon]);
    assert_eq!(drain.apply(now, Event::Recorded), [Effect::Close(Close::Delete)]);
    let over = Entry::abandoned(None, now).expect("nobody is at it");
    assert_eq!((over.attempt, over.standing), (0, Standing::Over));
    assert_eq!(Entry::abandoned(Some(over), now), None, "it is over");
    let (held, _) = Entry::claim(None, now, VISIBILITY, None);
    assert_eq!(Entry::abandoned(held, now), None, "somebody is at it");
    assert!(Entry::abandoned(held, now + VISIBILITY).is_some(), "nobody is any more");
}

#[test]
fn what_was_left_and_cannot_be_taken_is_a_failure() {
    let (mut drain, _) = Drain::new(job("retries = 0"), Terms::default(), 1);
    let now = Timestamp(0);
    drain.apply(now, Event::Received(true));
    let ledger = Ledger::default();
    drain.apply(now, Event::Claimed(Claim::Mine { attempt: 1, ledger }));
    let effects = drain.apply(now, Event::Invalid("the result file is not JSON".to_owned()));
    assert!(matches!(&effects[..], [Effect::Record(record)] if record.is_final && record.outcome == Outcome::Failed));
    let effects = drain.apply(now, Event::Recorded);
    assert_eq!(
        effects,
        [Effect::Close(Close::Bury("the result file is not JSON".to_owned()))]
    );
}

#[test]
fn a_service_stays_until_it_is_told_to_leave() {
    let terms = Terms {
        stays: true,
        ..Terms::default()
    };
    let (mut drain, _) = Drain::new(job(""), terms, 1);
    for _ in 0..10 {
        assert_eq!(drain.apply(Timestamp(0), Event::Received(false)), [Effect::Receive]);
    }
    drain.apply(Timestamp(0), Event::Leave);
    assert_eq!(drain.apply(Timestamp(0), Event::Received(false)), [Effect::Quit]);
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
