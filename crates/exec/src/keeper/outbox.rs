//! What the keeper has to say. The ends of attempts are kept until they are acknowledged; samples are said once.
//!
//! Ends of short attempts are held back for up to `HOLD` while more of their pool is ahead, so that a runtime that works
//! off thousands of them is woken once for many.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::keeper::work::{Left, WorkFolder};
use crate::wire::{Attempt, Exited, Report, Usage};

pub(crate) const HOLD: Duration = Duration::from_millis(20);
/// Attempts that took longer are never held back.
pub(crate) const SHORT: Duration = Duration::from_millis(100);
/// Nor are more than so many.
const MOST_HELD: usize = 256;

/// An attempt whose leader has ended, with its work folder and what lay in there then.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) exited: Box<Exited>,
    pub(crate) folder: Option<(WorkFolder, Left)>,
}

/// Filled by the slots, emptied by the main thread.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Ended, and not yet known to have left no process behind.
    fresh: Vec<Ending>,
    /// When to look at them.
    due: Option<Instant>,
    /// Seen off and not acknowledged.
    ended: BTreeMap<Attempt, Box<Exited>>,
    withdrawn: BTreeSet<Attempt>,
    /// Not yet said to the runtime that is connected.
    unsaid_ends: VecDeque<Attempt>,
    unsaid_withdrawn: Vec<Attempt>,
    unsaid: Vec<Report>,
    samples: BTreeMap<Attempt, Usage>,
}

impl Outbox {
    /// An attempt has ended. True if the main thread must be woken: for the first of a group it has to set its alarm.
    pub(crate) fn ended(&mut self, ending: Ending, may_wait: bool) -> bool {
        self.fresh.push(ending);
        let now = Instant::now();
        if may_wait && self.fresh.len() < MOST_HELD {
            if self.due.is_some() {
                return false;
            }
            self.due = Some(now + HOLD);
            return true;
        }
        let is_due = self.due.is_some_and(|due| due <= now);
        self.due = Some(now);
        !is_due
    }

    /// The ends that are due, to be seen off.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Ending> {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            return std::mem::take(&mut self.fresh);
        }
        Vec::new()
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// No process of it is left: it may be told.
    pub(crate) fn settle(&mut self, exited: Box<Exited>) {
        self.samples.remove(&exited.attempt);
        self.unsaid_ends.push_back(exited.attempt.clone());
        self.ended.insert(exited.attempt.clone(), exited);
    }

    pub(crate) fn withdraw(&mut self, attempts: Vec<Attempt>) {
        self.withdrawn.extend(attempts.iter().cloned());
        self.unsaid_withdrawn.extend(attempts);
    }

    pub(crate) fn say(&mut self, report: Report) {
        self.unsaid.push(report);
    }

    /// A newer sample takes the place of one that was not said.
    pub(crate) fn sample(&mut self, attempt: &str, usage: Usage) {
        self.samples.insert(attempt.to_owned(), usage);
    }

    /// Whether the end of an attempt is known and not acknowledged.
    pub(crate) fn holds(&self, attempt: &str) -> bool {
        self.ended.contains_key(attempt)
            || self.withdrawn.contains(attempt)
            || self.fresh.iter().any(|ending| ending.exited.attempt == attempt)
    }

    pub(crate) fn acknowledge(&mut self, attempt: &str) {
        self.ended.remove(attempt);
        self.withdrawn.remove(attempt);
    }

    /// A runtime has connected: all that was not acknowledged is to be said to it, and `Welcome` lists what there is.
    pub(crate) fn begin(&mut self) -> (Vec<Attempt>, Vec<Attempt>) {
        self.unsaid.clear();
        self.samples.clear();
        self.unsaid_withdrawn.clear();
        self.unsaid_ends = self.ended.keys().cloned().collect();
        let fresh = self.fresh.iter().map(|ending| ending.exited.attempt.clone());
        (
            self.ended.keys().cloned().chain(fresh).collect(),
            self.withdrawn.iter().cloned().collect(),
        )
    }

    /// Nobody listens.
    pub(crate) fn quiet(&mut self) {
        self.unsaid.clear();
        self.samples.clear();
    }

    /// Appends what is to be said, as long as fewer than `most` bytes wait to be sent.
    pub(crate) fn fill(&mut self, frames: &mut Vec<u8>, most: usize) {
        let samples = std::mem::take(&mut self.samples);
        if frames.len() >= most {
            return;
        }
        for report in self.unsaid.drain(..) {
            crate::wire::encode(&report, frames);
        }
        for (attempt, usage) in samples {
            crate::wire::encode(&Report::Sample { attempt, usage }, frames);
        }
        while frames.len() < most
            && let Some(attempt) = self.unsaid_ends.pop_front()
        {
            if let Some(exited) = self.ended.get(&attempt) {
                crate::wire::encode(&Said::Exited(exited), frames);
            }
        }
        if !self.unsaid_withdrawn.is_empty() {
            let attempts = std::mem::take(&mut self.unsaid_withdrawn);
            crate::wire::encode(&Report::Withdrawn { attempts }, frames);
        }
    }

    /// Whether every end has been said off and there is nothing on its way to it.
    pub(crate) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    pub(crate) fn unacknowledged(&self) -> (Vec<&Exited>, Vec<&Attempt>) {
        (
            self.ended.values().map(|exited| &**exited).collect(),
            self.withdrawn.iter().collect(),
        )
    }

    /// What an earlier keeper has left.
    pub(crate) fn inherit(&mut self, ended: Vec<Exited>, withdrawn: Vec<Attempt>) {
        self.ended.extend(
            ended
                .into_iter()
                .map(|exited| (exited.attempt.clone(), Box::new(exited))),
        );
        self.withdrawn.extend(withdrawn);
    }
}

/// A report of an end that stays in the box.
#[derive(serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Said<'a> {
    Exited(&'a Exited),
}
