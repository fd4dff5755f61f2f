//! A worker: what `core/drain` decides, over the models of queue and bucket. It may be killed between any two things that it does, and what it
//! asks may be answered late.

use std::time::Duration;

use kingtide_core::dispatch::Begin;
use kingtide_core::drain::{Claim, Close, Drain, Effect, Entry, Event, Record, Standing, Terms, VISIBILITY};
use kingtide_core::engine::event::{End, Outcome};
use kingtide_core::time::Timestamp;

use super::queue::Received;
use super::{Happening, Mutation, World};

const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Hand {
    drain: Drain,
    size: usize,
    held: Option<Held>,
    /// Programs that were started, so that the end of one that was told to stop is not taken for another's.
    programs: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    received: Received,
    seq: i64,
    began: Timestamp,
}

impl World {
    /// A worker begins.
    pub(super) fn employ(&mut self, task: u64, size: usize) {
        let memory = (size + 1 < self.sizes.len()).then(|| super::GIB << size);
        let (drain, effects) = Drain::new(self.job.clone(), Terms { memory, stays: false }, self.random.u64(..));
        let hand = Hand {
            drain,
            size,
            held: None,
            programs: 0,
        };
        self.hands.insert(task, hand);
        self.handle(task, effects);
    }

    pub(super) fn tell_hand(&mut self, task: u64, program: Option<u64>, event: Event) {
        let now = self.now;
        let Some(hand) = self.hands.get_mut(&task) else { return };
        if program.is_some_and(|program| program != hand.programs) {
            return;
        }
        let effects = hand.drain.apply(now, event);
        self.handle(task, effects);
    }

    fn handle(&mut self, task: u64, effects: Vec<Effect>) {
        for effect in effects {
            if self.strikes(300) {
                self.kill(task);
            }
            if !self.hands.contains_key(&task) {
                return;
            }
            self.perform(task, effect);
        }
        let Some(hand) = self.hands.get(&task) else { return };
        if let Some(at) = hand.drain.next_wakeup() {
            self.at(at, Happening::Hand(task, None, Event::Tick));
        }
    }

    fn perform(&mut self, task: u64, effect: Effect) {
        let now = self.now;
        let Some(hand) = self.hands.get_mut(&task) else { return };
        match effect {
            Effect::Receive => {
                let size = hand.size;
                let is_calm = self.is_calm();
                let found = self.queues[size].receive(now, &mut self.random, is_calm);
                let event = match found {
                    Some(received) => {
                        let sent = self.messages;
                        let seq = received
                            .seq
                            .unwrap_or_else(|| self.bucket.arrive(received.message, sent));
                        let held = Held {
                            received,
                            seq,
                            began: now,
                        };
                        if let Some(hand) = self.hands.get_mut(&task) {
                            hand.held = Some(held);
                        }
                        (self.latency(), Event::Received(true))
                    }
                    None => (20 * SECOND, Event::Received(false)),
                };
                self.after(event.0, Happening::Hand(task, None, event.1));
            }
            Effect::Claim => {
                let Some(held) = hand.held else { return };
                let read = self.bucket.read(held.seq).0;
                let latency = self.latency();
                self.after(latency, Happening::ClaimWritten(task, read));
            }
            Effect::Run { attempt, .. } => {
                hand.programs += 1;
                let (program, size) = (hand.programs, hand.size);
                let Some(held) = &mut hand.held else { return };
                held.began = now;
                let seq = held.seq;
                self.bucket.begins.push(Begin { seq, attempt, at: now });
                self.outcome.executions += 1;
                let grows = self.is_hungry && seq % 5 == 0 && size == 0;
                let end = match grows {
                    true => End::OutOfMemory,
                    false => End::Code(i32::from(self.random.u32(..100) < self.failing)),
                };
                let takes = self.longest.mul_f64(self.random.f64()) + SECOND;
                self.after(takes, Happening::Hand(task, Some(program), Event::Exited(end)));
            }
            Effect::Extend(duration) => {
                let Some(held) = hand.held else { return };
                let size = hand.size;
                // A heartbeat that is lost.
                if self.strikes(40) {
                    return;
                }
                self.queues[size].hide(&held.received, now + duration);
                let (_, read) = self.bucket.read(held.seq);
                let attempt = self.attempt_of(task, held.seq);
                match read.and_then(|entry| entry.extended(attempt, now + duration)) {
                    Some(entry) => self.bucket.write(held.seq, entry, None),
                    None => self.after(SECOND, Happening::Hand(task, None, Event::Unheld)),
                }
            }
            Effect::Stop(_) => {
                hand.programs += 1;
                let program = hand.programs;
                self.after(
                    5 * SECOND,
                    Happening::Hand(task, Some(program), Event::Exited(End::Signal(15))),
                );
            }
            Effect::Record(record) => self.record(task, &record),
            Effect::Abandon => {
                let Some(held) = hand.held else { return };
                self.bucket.abandon(held.seq, now);
                self.bucket.say_end(held.seq);
                self.after(SECOND, Happening::Hand(task, None, Event::Recorded));
            }
            Effect::Close(close) => self.close(task, &close),
            Effect::Quit => {
                self.hands.remove(&task);
                let code = self.cluster.tasks[&task].stopping;
                let code = code.unwrap_or("EssentialContainerExited");
                self.cluster
                    .stop(task, now, Some(code), "Essential container in task exited", Some(0));
            }
        }
    }

    /// Which attempt this worker is at: that of its last begin.
    fn attempt_of(&self, task: u64, seq: i64) -> u32 {
        let held = self.hands.get(&task).and_then(|hand| hand.held);
        let begin = self
            .bucket
            .begins
            .iter()
            .rev()
            .find(|begin| begin.seq == seq && held.is_some_and(|held| held.began == begin.at));
        begin.map_or(0, |begin| begin.attempt)
    }

    /// What was read is compared with what is there now.
    pub(super) fn claim(&mut self, task: u64, read: u64) {
        let now = self.now;
        let Some((held, size)) = self.hands.get(&task).and_then(|hand| Some((hand.held?, hand.size))) else {
            return;
        };
        let (version, entry) = self.bucket.read(held.seq);
        if version != read && self.mutation != Mutation::ClaimBlindly {
            let latency = self.latency();
            self.after(latency, Happening::ClaimWritten(task, version));
            return;
        }
        // Whoever writes without looking believes that nobody is at it.
        let is_held = |entry: &Entry| matches!(entry.standing, Standing::Held { .. });
        let entry = entry.filter(|entry| self.mutation != Mutation::ClaimBlindly || !is_held(entry));
        let memory = (size + 1 < self.sizes.len()).then(|| super::GIB << size);
        let (written, claim) = match self.bucket.is_cancelled {
            true if entry.is_none_or(|entry| Entry::abandoned(Some(entry), now).is_some()) => (None, Claim::Cancelled),
            _ => Entry::claim(entry, now, VISIBILITY, memory),
        };
        if let Some(entry) = written {
            let lost = matches!(claim, Claim::Lost { .. }).then_some((Outcome::Lost, Duration::ZERO));
            self.bucket.write(held.seq, entry, lost);
        }
        if claim == Claim::Done && self.mutation != Mutation::ForgetEnds {
            self.bucket.say_end(held.seq);
        }
        let latency = self.latency();
        self.after(latency, Happening::Hand(task, None, Event::Claimed(claim)));
    }

    fn record(&mut self, task: u64, record: &Record) {
        let now = self.now;
        let Some(held) = self.hands.get(&task).and_then(|hand| hand.held) else {
            return;
        };
        let (_, read) = self.bucket.read(held.seq);
        let entry = match self.mutation {
            Mutation::ClaimBlindly => Some(Entry {
                attempt: record.attempt,
                ledger: record.ledger,
                standing: if record.is_final {
                    Standing::Over
                } else {
                    Standing::Ended
                },
            }),
            _ => read.and_then(|entry| entry.ended(record.attempt, record.ledger, record.is_final)),
        };
        let Some(entry) = entry else {
            self.after(SECOND, Happening::Hand(task, None, Event::Unheld));
            return;
        };
        self.bucket
            .write(held.seq, entry, Some((record.outcome, now.since(held.began))));
        if record.outcome == Outcome::Succeeded {
            *self.bucket.successes.entry(held.seq).or_default() += 1;
        }
        // It is over, and whoever looks does not see it yet.
        if self.strikes(50) {
            self.kill(task);
            return;
        }
        if record.is_final {
            self.bucket.say_end(held.seq);
        }
        self.after(SECOND, Happening::Hand(task, None, Event::Recorded));
    }

    fn close(&mut self, task: u64, close: &Close) {
        let (now, is_calm) = (self.now, self.is_calm());
        let Some(hand) = self.hands.get_mut(&task) else { return };
        let (size, Some(held)) = (hand.size, hand.held.take()) else {
            return;
        };
        let received = held.received;
        match close {
            Close::Delete => self.queues[size].delete(&received, now, &mut self.random, is_calm),
            Close::Return(delay) => self.queues[size].hide(&received, now + *delay),
            Close::Bury(reason) => {
                assert!(!reason.is_empty(), "seed {}: a dead letter says why", self.seed);
                self.dead.push(held.seq);
                self.queues[size].delete(&received, now, &mut self.random, is_calm);
            }
            Close::SendOn => {
                self.sent += 1;
                let message = self.sent;
                // It goes by its task from now on, whoever has sent it first.
                self.queues[size + 1].send(message, Some(held.seq), now);
                self.queues[size].delete(&received, now, &mut self.random, is_calm);
            }
        }
        self.after(SECOND, Happening::Hand(task, None, Event::Closed));
    }
}
