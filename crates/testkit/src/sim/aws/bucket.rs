//! The bucket of a run, as `docs/decisions/008-run-on-aws.md` has it: what is written only over what was read, and what is only added.

use std::collections::BTreeMap;
use std::time::Duration;

use kingtide_core::dispatch::{Begin, End};
use kingtide_core::drain::{Entry, Standing};
use kingtide_core::engine::event::Outcome;
use kingtide_core::time::Timestamp;
use serde_json::Value as Json;

#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// `tasks/<seq>`, with how often it was written and how its last attempt ended.
    pub(super) tasks: BTreeMap<i64, Object>,
    pub(super) begins: Vec<Begin>,
    pub(super) ends: BTreeMap<i64, End>,
    /// `arrivals/<seq>`, by the message.
    pub(super) arrivals: BTreeMap<u64, i64>,
    /// `progress.json`: its version, and the dispatcher's memory in it.
    pub(super) progress: (u64, Option<Json>),
    pub(super) outcome: Option<Json>,
    pub(super) is_cancelled: bool,
    /// Successes that were recorded, by task: one at most.
    pub(super) successes: BTreeMap<i64, u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    pub(super) entry: Entry,
    pub(super) version: u64,
    /// Of the last attempt that has ended, and how long it took.
    pub(super) last: Option<(Outcome, Duration)>,
}

impl Bucket {
    pub(super) fn read(&self, seq: i64) -> (u64, Option<Entry>) {
        let object = self.tasks.get(&seq);
        object.map_or((0, None), |object| (object.version, Some(object.entry)))
    }

    /// Whatever was there before: whoever has to, compares the version first.
    pub(super) fn write(&mut self, seq: i64, entry: Entry, ended: Option<(Outcome, Duration)>) {
        let before = self.tasks.get(&seq);
        let version = before.map_or(0, |object| object.version) + 1;
        let last = ended.or(before.and_then(|object| object.last));
        self.tasks.insert(seq, Object { entry, version, last });
    }

    /// Writes no attempt follows, where nobody is at it.
    pub(super) fn abandon(&mut self, seq: i64, now: Timestamp) {
        let (_, read) = self.read(seq);
        if let Some(entry) = Entry::abandoned(read, now) {
            self.write(seq, entry, Some((Outcome::Stopped, Duration::ZERO)));
        }
    }

    /// Says that a task is over, where it is and nobody has.
    pub(super) fn say_end(&mut self, seq: i64) -> Option<End> {
        let object = self
            .tasks
            .get(&seq)
            .filter(|object| object.entry.standing == Standing::Over)?;
        let (outcome, took) = object.last.unwrap_or((Outcome::Stopped, Duration::ZERO));
        let end = End {
            seq,
            attempt: object.entry.attempt,
            outcome,
            took,
        };
        Some(*self.ends.entry(seq).or_insert(end))
    }

    /// The task that a message of somebody else is.
    pub(super) fn arrive(&mut self, message: u64, sent: i64) -> i64 {
        let next = sent + 1 + self.arrivals.len() as i64;
        *self.arrivals.entry(message).or_insert(next)
    }
}
