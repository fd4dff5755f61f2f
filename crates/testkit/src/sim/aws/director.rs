//! A dispatcher: what `core/dispatch` decides, over the models of cluster, queue and bucket. It may be killed between any two things that it
//! does; another goes on from what it has written down.

use std::time::Duration;

use kingtide_core::dispatch::{Dispatcher, Effect, Ending, Event, Memory, Observation, Opening};
use serde_json::json;

use super::cluster::{arn, number};
use super::{Happening, World};

const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Director {
    dispatcher: Dispatcher,
    /// Of `progress.json`, as it has written it last.
    version: u64,
    is_told: bool,
}

impl World {
    /// A dispatcher begins, or goes on.
    pub(super) fn direct(&mut self, task: u64) {
        if self.bucket.outcome.is_some() {
            // The run has ended, and whoever wrote that was lost.
            self.cluster
                .stop(task, self.now, Some("EssentialContainerExited"), "", Some(0));
            self.dispatcher_stopped(task);
            return;
        }
        let (version, written) = self.bucket.progress.clone();
        let memory =
            written.map(|json| Memory::read(&json).unwrap_or_else(|error| panic!("seed {}: {error}", self.seed)));
        let opening = Opening {
            memory,
            seed: self.random.u64(..),
            ..self.opening.clone()
        };
        let (dispatcher, effects) = Dispatcher::new(self.now, opening);
        let director = Director {
            dispatcher,
            version,
            is_told: false,
        };
        self.directors.insert(task, director);
        self.outcome.dispatchers += 1;
        self.carry_out(task, effects);
    }

    pub(super) fn tell_director(&mut self, task: u64, event: Event) {
        let now = self.now;
        let Some(director) = self.directors.get_mut(&task) else {
            return;
        };
        let mut effects = Vec::new();
        if matches!(event, Event::Observed(_)) && self.bucket.is_cancelled && !director.is_told {
            director.is_told = true;
            effects = director.dispatcher.apply(now, Event::Cancel);
        }
        effects.extend(director.dispatcher.apply(now, event));
        self.carry_out(task, effects);
    }

    fn carry_out(&mut self, task: u64, effects: Vec<Effect>) {
        for effect in effects {
            if self.strikes(400) {
                self.kill(task);
            }
            if !self.directors.contains_key(&task) {
                return;
            }
            self.act(task, effect);
        }
        let Some(director) = self.directors.get(&task) else {
            return;
        };
        if let Some(at) = director.dispatcher.next_wakeup() {
            self.at(at, Happening::Director(task, Box::new(Event::Tick)));
        }
    }

    fn act(&mut self, task: u64, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::Save(progress) => {
                let Some(director) = self.directors.get_mut(&task) else {
                    return;
                };
                if self.bucket.progress.0 != director.version {
                    // It has been replaced.
                    self.directors.remove(&task);
                    self.cluster
                        .stop(task, now, Some("EssentialContainerExited"), "replaced", Some(1));
                    self.dispatcher_stopped(task);
                    return;
                }
                director.version += 1;
                self.bucket.progress = (director.version, Some(progress.memory.json()));
                self.seen_dollars = progress.dollars;
            }
            Effect::Send(seqs) => {
                let event = match self.strikes(30) {
                    true => Event::NotSent {
                        seqs,
                        why: "ExpiredToken".to_owned(),
                    },
                    false => {
                        for seq in &seqs {
                            let copies = 1 + usize::from(self.strikes(40));
                            for _ in 0..copies {
                                self.sent += 1;
                                let message = self.sent;
                                self.queues[0].send(message, Some(*seq), now);
                            }
                            // Accepted, and never seen again: it is said not to be possible.
                            if self.strikes(200) {
                                self.queues[0].letters.remove(&self.sent.clone());
                            }
                        }
                        Event::Sent(seqs)
                    }
                };
                let latency = self.latency();
                self.after(latency, Happening::Director(task, Box::new(event)));
            }
            Effect::Launch(launch) => {
                let dollars = self.cluster.dollars(now);
                if let Some(cap) = self.opening.limits.max_cost {
                    let rate: f64 = self.sizes[0].hourly * self.cluster.workers() as f64 / 60.0;
                    assert!(
                        dollars <= cap + rate + 0.01,
                        "seed {}: it has cost {dollars} of {cap}, and {launch:?}",
                        self.seed
                    );
                }
                let answer = match self.strikes(30) {
                    true => Err("ThrottlingException: Rate exceeded".to_owned()),
                    false => self.cluster.run(&launch, now, &mut self.random, self.mutation),
                };
                let number = launch.number;
                let event = match answer {
                    Ok((tasks, starts, failures)) => {
                        self.outcome.launched += starts.len() as u64;
                        for start in starts {
                            self.at(start.pull, Happening::Pulled(start.task));
                            self.at(start.run, Happening::Started(start.task));
                        }
                        // The answer is lost on its way.
                        match self.strikes(60) {
                            true => Event::Refused {
                                number,
                                why: "the connection was closed".to_owned(),
                            },
                            false => Event::Launched {
                                number,
                                accepted: tasks.into_iter().map(arn).collect(),
                                failures,
                            },
                        }
                    }
                    Err(why) => Event::Refused { number, why },
                };
                let latency = self.latency();
                self.after(latency, Happening::Director(task, Box::new(event)));
            }
            Effect::Observe(_) => {
                let latency = self.latency();
                match self.strikes(40) {
                    true => {
                        let event = Event::Unseen("ExpiredToken".to_owned());
                        self.after(latency, Happening::Director(task, Box::new(event)));
                    }
                    // It is seen when it is answered.
                    false => self.after(latency, Happening::Look(task)),
                }
            }
            Effect::Stop { tasks, .. } => {
                for task in tasks.iter().filter_map(|arn| number(arn)) {
                    self.terminate(task, "UserInitiated");
                }
            }
            Effect::Abandon(seqs) => {
                let mut ends = Vec::new();
                for seq in seqs {
                    self.bucket.abandon(seq, now);
                    ends.extend(self.bucket.say_end(seq));
                }
                let event = Event::Abandoned(ends);
                self.after(SECOND, Happening::Director(task, Box::new(event)));
            }
            Effect::Warn(_) => self.outcome.warnings += 1,
            Effect::Finish(ending) => {
                self.finished(&ending);
                self.directors.remove(&task);
                self.cluster
                    .stop(task, now, Some("EssentialContainerExited"), "", Some(0));
                self.dispatcher_stopped(task);
            }
        }
    }

    pub(super) fn observe(&mut self) -> Observation {
        let now = self.now;
        let queues = &mut self.queues;
        let random = &mut self.random;
        Observation {
            begins: self.bucket.begins.clone(),
            ends: self.bucket.ends.values().copied().collect(),
            arrivals: self.bucket.arrivals.values().copied().collect(),
            tasks: self.cluster.describe(now, random),
            queues: queues.iter_mut().map(|queue| queue.count(now, random)).collect(),
        }
    }

    fn finished(&mut self, ending: &Ending) {
        let outcome = json!({ "state": ending.state.text(), "reason": ending.reason });
        self.bucket.outcome = Some(outcome);
        self.ending = Some(ending.clone());
        self.ended_at = self.now;
    }
}
