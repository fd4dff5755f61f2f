//! Tasks that read a queue, and who decides how many there are to be: an ECS service, a deployment of Kubernetes, or whatever starts tasks.
//! A discrete-event simulation in virtual time; peers are its `Scaler`s.

use fastrand::Rng;

use super::agenda::{Agenda, MINUTE, Moment};
use super::queue::{Delivery, Queue, Receipt, Terms};
use super::start::{self, Starts};

/// What decides how many tasks there are to be; asked again and again.
pub(super) trait Scaler {
    /// From one look to the next.
    fn period(&self) -> Moment;
    /// When it looks for the first time: nobody does just when a burst begins.
    fn first(&mut self, random: &mut Rng) -> Moment {
        random.u64(0..self.period())
    }
    /// How many tasks there are to be; no less than what work is begun for is to be kept by `Consumers`.
    fn look(&mut self, seen: &Seen) -> usize;
    /// Tasks that are there all week.
    fn resting(&self) -> usize;
}

/// What there is to see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) now: Moment,
    pub(super) visible: usize,
    pub(super) in_flight: usize,
    pub(super) desired: usize,
    /// Tasks that are there, also those that are still starting.
    pub(super) tasks: usize,
    /// Tasks that have begun.
    pub(super) running: usize,
    pub(super) working: usize,
}

/// How the program in the tasks behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consumers {
    pub(super) terms: Terms,
    /// It extends the visibility of what it works on.
    pub(super) heartbeat: bool,
    /// Told to leave, it goes on for so long.
    pub(super) grace: Moment,
    /// Tasks that work are protected from being scaled in.
    pub(super) protected: bool,
    /// A task works off one message, and ends.
    pub(super) one_each: bool,
    /// Of those that could be ended, the ones that have not begun are ended first, as a ReplicaSet does.
    pub(super) young_first: bool,
    pub(super) delivery: Delivery,
    /// Without a message for so long, a task ends.
    pub(super) patience: Option<Moment>,
    /// So many tasks at once at most are on Spot capacity.
    pub(super) on_spot: usize,
    /// So many times an hour such a task is taken away. What it worked on is handed back at once.
    pub(super) reclaimed_hourly: f64,
}

impl Consumers {
    /// One message after the other, until it is told to leave, when it dies.
    pub(super) fn plain(terms: Terms) -> Consumers {
        Consumers {
            terms,
            heartbeat: false,
            grace: 0,
            protected: false,
            one_each: false,
            young_first: false,
            delivery: Delivery::Any,
            patience: None,
            on_spot: 0,
            reclaimed_hourly: 0.0,
        }
    }
}

/// What became of a burst.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Burst {
    /// When the last job was done; `None` where one never was.
    pub(super) done: Option<Moment>,
    /// Attempts that were ended in the middle.
    pub(super) killed: u32,
    /// Attempts at what another was working on, or had done.
    pub(super) repeated: u32,
    /// Dead letters: all of them wrong, since no program fails here.
    pub(super) dead: usize,
    /// What tasks are paid for beyond those that are there all week.
    pub(super) paid: Moment,
    /// And those on Spot capacity.
    pub(super) paid_spot: Moment,
    /// When all was over, the last task gone.
    pub(super) over: Moment,
    /// The most tasks at once.
    pub(super) most: usize,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Look,
    Begun(usize),
    Done(usize),
    Expired(Receipt),
    /// It was told to leave, and is out of time.
    Ended(usize),
    /// Its capacity is wanted elsewhere.
    Reclaimed(usize),
    /// It has waited long enough, if it still waits since then.
    Bored(usize, Moment),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Starting,
    Idle,
    Working(Receipt),
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Task {
    state: State,
    /// Since when it is paid for.
    since: Moment,
    leaving: bool,
    is_spot: bool,
    idle_since: Moment,
}

struct Fleet<'a> {
    consumers: Consumers,
    takes: &'a [Moment],
    agenda: Agenda<Event>,
    queue: Queue,
    tasks: Vec<Task>,
    desired: usize,
    starts: Starts,
    done: Vec<Option<Moment>>,
    burst: Burst,
}

/// What is not over then is over anyway: messages are kept for four days
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>).
const RETENTION: Moment = 4 * 24 * 60 * MINUTE;

/// A message for each of `takes` is there at once.
pub(super) fn simulate(consumers: Consumers, scaler: &mut dyn Scaler, takes: &[Moment], random: &mut Rng) -> Burst {
    let resting = scaler.resting();
    let mut fleet = Fleet {
        consumers,
        takes,
        agenda: Agenda::new(),
        queue: Queue::holding(takes.len(), consumers.terms),
        tasks: Vec::new(),
        desired: resting,
        starts: Starts::default(),
        done: vec![None; takes.len()],
        burst: Burst::default(),
    };
    for _ in 0..resting {
        fleet.tasks.push(Task {
            state: State::Idle,
            since: 0,
            leaving: false,
            is_spot: false,
            idle_since: 0,
        });
    }
    fleet.agenda.after(scaler.first(random), Event::Look);
    fleet.hand_out(random);
    while let Some(event) = fleet.agenda.next() {
        if fleet.agenda.now() > RETENTION || fleet.is_over(resting) {
            break;
        }
        fleet.meet(event, scaler, random);
        fleet.hand_out(random);
    }
    fleet.close(resting)
}

impl Fleet<'_> {
    fn is_over(&self, resting: usize) -> bool {
        let left = self.queue.visible() + self.queue.in_flight();
        left == 0 && self.present() <= resting && self.tasks.iter().all(|task| task.state != State::Starting)
    }

    /// Tasks that are neither gone nor told to be.
    fn present(&self) -> usize {
        let present = |task: &&Task| task.state != State::Gone && !task.leaving;
        self.tasks.iter().filter(present).count()
    }

    fn meet(&mut self, event: Event, scaler: &mut dyn Scaler, random: &mut Rng) {
        match event {
            Event::Look => {
                self.agenda.after(scaler.period(), Event::Look);
                let count = |state: fn(&Task) -> bool| self.tasks.iter().filter(|task| state(task)).count();
                let seen = Seen {
                    now: self.agenda.now(),
                    visible: self.queue.visible(),
                    in_flight: self.queue.in_flight(),
                    desired: self.desired,
                    tasks: count(|task| task.state != State::Gone),
                    running: count(|task| matches!(task.state, State::Idle | State::Working(_))),
                    working: count(|task| matches!(task.state, State::Working(_))),
                };
                self.desired = scaler.look(&seen);
                self.steer(random);
            }
            Event::Begun(task) if self.tasks[task].state == State::Starting => {
                self.rest(task);
                if self.tasks[task].is_spot && self.consumers.reclaimed_hourly > 0.0 {
                    let lives = start::lifetime(self.consumers.reclaimed_hourly, random);
                    self.agenda.after(lives, Event::Reclaimed(task));
                }
            }
            Event::Done(task) => self.finish(task, random),
            Event::Expired(receipt) => drop(self.queue.expire(receipt)),
            Event::Ended(task) => self.kill(task, random),
            Event::Reclaimed(task) => {
                let held = self.tasks[task].state;
                self.kill(task, random);
                if let State::Working(receipt) = held {
                    self.queue.expire(receipt);
                }
            }
            Event::Bored(task, since) if self.is_idle_since(task, since) => self.leave(task),
            Event::Begun(_) | Event::Bored(..) => {}
        }
    }

    /// As many tasks as there are to be.
    fn steer(&mut self, random: &mut Rng) {
        let present = self.present();
        for _ in present..self.desired {
            let start = self.starts.next(self.agenda.now(), random);
            self.agenda.at(start.begins, Event::Begun(self.tasks.len()));
            let spot = |task: &&Task| task.is_spot && task.state != State::Gone;
            self.tasks.push(Task {
                state: State::Starting,
                since: start.paid_from,
                leaving: false,
                is_spot: self.tasks.iter().filter(spot).count() < self.consumers.on_spot,
                idle_since: 0,
            });
        }
        for _ in self.desired..present {
            let Some(task) = self.victim(random) else { break };
            self.dismiss(task, random);
        }
        self.burst.most = self.burst.most.max(self.present());
    }

    /// Whom a scale-in ends: within a zone, anyone
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html>).
    fn victim(&self, random: &mut Rng) -> Option<usize> {
        let candidates: Vec<usize> = (0..self.tasks.len())
            .filter(|number| {
                let task = &self.tasks[*number];
                let working = matches!(task.state, State::Working(_));
                task.state != State::Gone && !task.leaving && !(working && self.consumers.protected)
            })
            .collect();
        let young = candidates.iter().copied();
        let young = young.filter(|task| self.consumers.young_first && self.tasks[*task].state == State::Starting);
        random
            .choice(young.collect::<Vec<_>>())
            .or_else(|| random.choice(candidates))
    }

    fn dismiss(&mut self, task: usize, random: &mut Rng) {
        self.tasks[task].leaving = true;
        match self.tasks[task].state {
            State::Working(_) if self.consumers.grace > 0 => {
                self.agenda.after(self.consumers.grace, Event::Ended(task));
            }
            _ => self.kill(task, random),
        }
    }

    fn kill(&mut self, task: usize, random: &mut Rng) {
        match self.tasks[task].state {
            State::Gone => return,
            State::Working(receipt) => {
                self.burst.killed += 1;
                if self.consumers.heartbeat {
                    // The last word for it was somewhere in the half before it was due.
                    let visibility = self.queue.terms.visibility;
                    let left = random.u64(visibility / 2..=visibility);
                    self.agenda.after(left, Event::Expired(receipt));
                }
            }
            State::Starting | State::Idle => {}
        }
        self.leave(task);
    }

    /// It is paid for until now, and for a minute at least.
    fn leave(&mut self, task: usize) {
        let now = self.agenda.now();
        let task = &mut self.tasks[task];
        task.state = State::Gone;
        // Whoever is ended before the image is pulled costs nothing.
        if now > task.since {
            let paid = match task.is_spot {
                true => &mut self.burst.paid_spot,
                false => &mut self.burst.paid,
            };
            *paid += (now - task.since).max(MINUTE);
        }
    }

    /// It waits for a message.
    fn rest(&mut self, task: usize) {
        let now = self.agenda.now();
        self.tasks[task].state = State::Idle;
        self.tasks[task].idle_since = now;
        if let Some(patience) = self.consumers.patience {
            self.agenda.after(patience, Event::Bored(task, now));
        }
    }

    fn is_idle_since(&self, task: usize, since: Moment) -> bool {
        self.tasks[task].state == State::Idle && self.tasks[task].idle_since == since
    }

    fn finish(&mut self, task: usize, random: &mut Rng) {
        let State::Working(receipt) = self.tasks[task].state else {
            return;
        };
        let now = self.agenda.now();
        self.done[receipt.letter].get_or_insert(now);
        self.queue.delete(receipt);
        self.rest(task);
        if self.consumers.one_each || self.tasks[task].leaving {
            self.leave(task);
        } else if self.consumers.protected && self.present() > self.desired {
            // No longer protected, and one too many.
            self.dismiss(task, random);
        }
    }

    /// Whoever is idle waits for a message: who gets one that is there is chance.
    fn hand_out(&mut self, random: &mut Rng) {
        loop {
            let idle = (0..self.tasks.len()).filter(|task| self.tasks[*task].state == State::Idle);
            let idle: Vec<usize> = idle.filter(|task| !self.tasks[*task].leaving).collect();
            let Some(task) = random.choice(idle) else { return };
            let waits = |task: &&Task| matches!(task.state, State::Idle | State::Starting);
            let waiting = self.tasks.iter().filter(waits).count();
            let Some(receipt) = self.queue.receive(self.consumers.delivery, waiting, random) else {
                return;
            };
            let letter = receipt.letter;
            let busy = self.tasks.iter().any(|task| match task.state {
                State::Working(other) => other.letter == letter,
                _ => false,
            });
            self.burst.repeated += u32::from(busy || self.done[letter].is_some());
            self.tasks[task].state = State::Working(receipt);
            self.agenda.after(self.takes[letter], Event::Done(task));
            if !self.consumers.heartbeat {
                self.agenda.after(self.queue.terms.visibility, Event::Expired(receipt));
            }
        }
    }

    fn close(mut self, resting: usize) -> Burst {
        let now = self.agenda.now();
        for task in 0..self.tasks.len() {
            if self.tasks[task].state != State::Gone {
                self.leave(task);
            }
        }
        self.burst.paid = self.burst.paid.saturating_sub(resting as u64 * now);
        self.burst.over = now;
        self.burst.dead = self.queue.dead();
        let last = self.done.iter().copied().collect::<Option<Vec<Moment>>>();
        self.burst.done = last.and_then(|done| done.into_iter().max());
        self.burst
    }
}

#[cfg(test)]
mod tests;
