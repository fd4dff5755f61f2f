//! The dispatcher of a run on AWS, as a state machine: it sends the messages, starts workers, looks every fifteen seconds how the run stands,
//! starts more where the deadline takes more or where some were lost, and writes down how it ended. Pure: calls are effects, their answers
//! events. It stops no worker to have fewer: workers leave by themselves when nothing is there to receive (`core/drain`).
//!
//! It may be lost at any moment, and another goes on: from what it wrote down (`memory.rs`) before it did anything, and from what can be seen.
//! The counts of queues are late and approximate, so only `begins` and `ends` of the bucket are believed; counts are hints, acted upon where a
//! mistake costs little, and what has no end when the queue has long been empty is sent again.

mod answers;
mod crew;
mod demand;
mod event;
mod launches;
mod memory;
mod refusal;
mod round;
mod sizing;
mod tasks;
#[cfg(test)]
mod tests;
mod warning;
mod winding;

use std::time::Duration;

pub use self::event::{
    Backlog, Begin, Effect, End, Ending, Event, Foreseen, Launch, Limits, Market, Observation, Opening, Progress,
    Sighting, Size, Status, Workers,
};
use self::launches::Launches;
use self::memory::Why;
pub use self::memory::{Memory, MemoryError};
use self::tasks::Tasks;
use self::warning::Kind;
pub use self::warning::Warning;
use crate::plan::outlook::Outlook;
use crate::time::Timestamp;

/// How often it looks.
pub const EVERY: Duration = Duration::from_secs(15);
/// Counts of a queue are right after so long, and what has just begun or ended is listed (most often far sooner).
const LAG: Duration = Duration::from_secs(120);
/// What is not there after so long is not late.
const PATIENCE: Duration = Duration::from_secs(300);
/// So long nothing is started before the run is given up.
const GIVE_UP: Duration = Duration::from_secs(1800);

/// A dispatcher.
#[derive(Debug)]
pub struct Dispatcher {
    opening: Opening,
    memory: Memory,
    tasks: Tasks,
    outlook: Outlook,
    launches: Launches,
    random: fastrand::Rng,
    foreseen: Option<Foreseen>,
    /// What people were told, as it was last said.
    standing: Vec<(Kind, Warning)>,
    began_at: Timestamp,
    next_look: Timestamp,
    is_looking: bool,
    is_abandoning: bool,
    is_finished: bool,
    /// Tasks that run, as far as their workers live.
    running: usize,
    queues: Vec<Backlog>,
    /// Something has begun or ended, has arrived or was sent.
    moved_at: Timestamp,
    /// All queues are said to be empty since then, and so often.
    empty: Option<(Timestamp, u32)>,
    /// Something is said to be in them since then.
    full_since: Timestamp,
    /// Nothing is said to wait since then, though something has no end.
    missing_since: Option<Timestamp>,
    /// Messages that none of ours were waiting for are there since then.
    foreign_since: Option<Timestamp>,
    /// When messages of workers that were lost may be received again.
    due: Vec<Timestamp>,
    /// Workers in a row that left without having begun anything, and when that was seen last.
    futile: (u32, Timestamp),
    foreseen_at: Timestamp,
    last_begin: Timestamp,
    /// Workers in a row that failed, with nothing begun or ended in between, and why.
    false_starts: (u32, String),
    /// AWS said that more cannot be had; it is believed until then.
    most_seen: Option<usize>,
    most_until: Timestamp,
    send_again: Option<Timestamp>,
    unsent_since: Option<Timestamp>,
    unseen_since: Option<Timestamp>,
}

impl Dispatcher {
    /// A dispatcher, and the first things that it does.
    pub fn new(now: Timestamp, mut opening: Opening) -> (Dispatcher, Vec<Effect>) {
        let earlier = opening.memory.take();
        let is_first = earlier.is_none();
        let mut memory = earlier.unwrap_or_default();
        memory.dispatchers += 1;
        let random = fastrand::Rng::with_seed(opening.seed);
        let mut dispatcher = Dispatcher {
            tasks: Tasks::new(&opening.messages),
            // Nobody knows in which order they will be received.
            outlook: Outlook::in_no_order(opening.messages.iter().copied(), opening.luck),
            launches: Launches::new(now),
            random,
            foreseen: None,
            standing: Vec::new(),
            began_at: now,
            next_look: now + EVERY,
            is_looking: true,
            is_abandoning: false,
            is_finished: false,
            running: 0,
            queues: Vec::new(),
            moved_at: now,
            empty: None,
            full_since: now,
            missing_since: None,
            foreign_since: None,
            due: Vec::new(),
            futile: (0, now),
            foreseen_at: opening.opened_at,
            last_begin: opening.opened_at,
            false_starts: (0, String::new()),
            most_seen: None,
            most_until: now,
            send_again: None,
            unsent_since: None,
            unseen_since: None,
            memory,
            opening,
        };
        let effects = dispatcher.begin(now, is_first);
        (dispatcher, effects)
    }

    fn begin(&mut self, now: Timestamp, is_first: bool) -> Vec<Effect> {
        if let Some(execution) = &self.opening.taken_by {
            self.is_finished = true;
            let reason = format!("the event that started it was taken by {execution}");
            return vec![Effect::Finish(Box::new(self.nothing(reason)))];
        }
        if !self.memory.is_sent && self.memory.ending.is_none() {
            let seqs: Vec<i64> = self.tasks.open.keys().copied().collect();
            self.tasks.enqueue(seqs);
        }
        let mut effects = Vec::new();
        if is_first {
            // Nobody has begun anything: what it takes is known without a look.
            effects = self.round(now);
        } else {
            // Launches that were not answered may have been lost on the way: the same token is the same tasks.
            for asked in self.memory.asked.values_mut() {
                asked.again = None;
            }
            effects.push(Effect::Save(Box::new(self.progress(now))));
            if self.memory.ending.is_none() {
                let asked = self.memory.asked.values();
                effects.extend(asked.map(|asked| Effect::Launch(asked.launch.clone())));
            } else {
                self.memory.asked.clear();
            }
        }
        effects.push(self.look());
        effects
    }

    /// When `Event::Tick` is due.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        if self.is_finished {
            return None;
        }
        let look = (!self.is_looking).then_some(self.next_look);
        let launches = match self.memory.ending {
            None => self.launches.next_wakeup(&self.memory),
            Some(_) => None,
        };
        [look, launches, self.send_again].into_iter().flatten().min()
    }

    /// Whether the run has ended.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// How the run stands.
    pub fn progress(&self, now: Timestamp) -> Progress {
        let running = self.memory.running();
        Progress {
            at: now,
            counts: self.tasks.counts,
            running: self.running as u64,
            workers: Workers {
                wanted: self.memory.wanted,
                starting: (self.memory.crew.len() - running) as u32,
                running: running as u32,
                lost: self.memory.lost,
                started: self.memory.started,
            },
            foreseen: self.foreseen,
            dollars: self.memory.dollars(now, &self.opening.sizes),
            warnings: self.standing.iter().map(|(_, warning)| warning.clone()).collect(),
            memory: self.memory.clone(),
        }
    }

    /// Takes in what has happened. What comes too late to mean anything is passed over.
    pub fn apply(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        if self.is_finished {
            return Vec::new();
        }
        match event {
            Event::Observed(seen) => {
                self.is_looking = false;
                self.next_look = now + EVERY;
                self.unseen_since = None;
                self.unsay(Kind::Unseen);
                self.take_in(now, &seen);
                self.round(now)
            }
            Event::Unseen(reason) => self.on_unseen(now, reason),
            Event::Launched {
                number,
                accepted,
                failures,
            } => self.on_launched(now, number, accepted, &failures),
            Event::Refused { number, why } => self.on_refused(now, number, &why),
            Event::Sent(seqs) => {
                self.tasks.sent(now, &seqs);
                self.moved_at = now;
                self.unsent_since = None;
                self.unsay(Kind::Unsent);
                self.memory.is_sent |= self.tasks.all_sent();
                self.sends()
            }
            Event::NotSent { seqs, why } => self.on_not_sent(now, &seqs, why),
            Event::Abandoned(ends) => {
                self.is_abandoning = false;
                self.on_abandoned(now, &ends);
                // What is left is seen with the next look.
                self.finish_if_done(now)
            }
            Event::Cancel => {
                if !matches!(self.memory.ending, Some((Why::Cancelled, _))) {
                    self.memory.ending = Some((Why::Cancelled, now));
                    self.next_look = now;
                }
                self.look_if_due(now)
            }
            Event::Tick => self.on_tick(now),
        }
    }

    fn on_tick(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.memory.ending.is_none() {
            if self.is_capped(now) {
                self.memory.asked.retain(|_, asked| asked.again.is_none());
            }
            let again = self.launches.again(now, &mut self.memory);
            let new = self.pour(now);
            if !new.is_empty() {
                effects.push(Effect::Save(Box::new(self.progress(now))));
            }
            effects.extend(again.into_iter().chain(new).map(Effect::Launch));
        }
        if self.send_again.is_some_and(|at| at <= now) {
            self.send_again = None;
            effects.extend(self.sends());
        }
        effects.extend(self.look_if_due(now));
        effects
    }

    fn look_if_due(&mut self, now: Timestamp) -> Vec<Effect> {
        match !self.is_looking && self.next_look <= now {
            true => vec![self.look()],
            false => Vec::new(),
        }
    }

    fn look(&mut self) -> Effect {
        self.is_looking = true;
        Effect::Observe(self.memory.crew.keys().cloned().collect())
    }

    fn on_unseen(&mut self, now: Timestamp, reason: String) -> Vec<Effect> {
        self.is_looking = false;
        self.next_look = now + EVERY;
        let since = *self.unseen_since.get_or_insert(now);
        let mut warnings = Vec::new();
        if now.since(since) >= LAG {
            self.say(Kind::Unseen, Warning::Unseen { reason }, &mut warnings);
        }
        warnings.into_iter().map(Effect::Warn).collect()
    }

    /// Says something once, until it is no longer so.
    fn say(&mut self, kind: Kind, warning: Warning, warnings: &mut Vec<Warning>) {
        self.standing.retain(|(other, _)| *other != kind);
        self.standing.push((kind, warning.clone()));
        if self.memory.said.insert(kind) {
            warnings.push(warning);
        }
    }

    /// It is no longer so; whether it had been said.
    fn unsay(&mut self, kind: Kind) -> bool {
        self.standing.retain(|(other, _)| *other != kind);
        self.memory.said.remove(&kind)
    }
}
