//! The tasks of a run, as the bucket tells of them: which are over, which have begun, which wait, and since when their messages are in the
//! queue. A task that has begun need not run: its worker may be lost, or it may wait for its next attempt. More than there are workers cannot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::event::{Begin, End};
use crate::engine::event::{Counts, Outcome};
use crate::plan::lognormal::LogNormal;
use crate::time::Timestamp;

/// Messages of one call (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>).
const PER_CALL: usize = 10;
/// Calls under way.
const CALLS: usize = 20;

/// A task that is not over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) of: LogNormal,
    /// The last attempt that is known to have begun, and when.
    pub(super) begun: Option<(u32, Timestamp)>,
    /// When its message was sent, if it was by this dispatcher.
    pub(super) sent_at: Option<Timestamp>,
}

/// All tasks of a run.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) open: BTreeMap<i64, Task>,
    over: BTreeSet<i64>,
    pub(super) counts: Counts,
    /// To be sent, in this order.
    to_send: VecDeque<i64>,
    sending: BTreeSet<i64>,
}

impl Tasks {
    pub(super) fn new(messages: &[(i64, LogNormal)]) -> Tasks {
        let mut tasks = Tasks {
            open: BTreeMap::new(),
            over: BTreeSet::new(),
            counts: Counts::default(),
            to_send: VecDeque::new(),
            sending: BTreeSet::new(),
        };
        for (seq, of) in messages {
            tasks.add(*seq, *of);
        }
        tasks
    }

    /// One more; whether it was not known.
    pub(super) fn add(&mut self, seq: i64, of: LogNormal) -> bool {
        if self.over.contains(&seq) || self.open.contains_key(&seq) {
            return false;
        }
        let task = Task {
            of,
            begun: None,
            sent_at: None,
        };
        self.open.insert(seq, task);
        self.counts.total += 1;
        true
    }

    /// An attempt has begun; whether that is news.
    pub(super) fn begin(&mut self, begin: &Begin) -> bool {
        let Some(task) = self.open.get_mut(&begin.seq) else {
            return false;
        };
        let is_news = task.begun.is_none_or(|(attempt, _)| attempt < begin.attempt);
        if is_news {
            task.begun = Some((begin.attempt, begin.at));
        }
        is_news
    }

    /// A task is over; what it was, if that is news.
    pub(super) fn end(&mut self, end: &End) -> Option<Task> {
        let task = self.open.remove(&end.seq)?;
        self.over.insert(end.seq);
        self.to_send.retain(|seq| *seq != end.seq);
        self.sending.remove(&end.seq);
        let counts = &mut self.counts;
        counts.attempts += u64::from(end.attempt);
        let state = match end.outcome {
            Outcome::Succeeded => &mut counts.succeeded,
            Outcome::Skipped => &mut counts.skipped,
            Outcome::Rejected => &mut counts.rejected,
            Outcome::Stopped | Outcome::Released => &mut counts.cancelled,
            Outcome::Failed | Outcome::TimedOut | Outcome::OutOfMemory | Outcome::Lost => &mut counts.failed,
        };
        *state += 1;
        Some(task)
    }

    /// Those that run, where at most so many can: the last to have begun.
    pub(super) fn running(&self, workers: usize) -> Vec<(i64, Timestamp)> {
        let begun = self.open.iter().filter_map(|(seq, task)| Some((*seq, task.begun?.1)));
        let mut running: Vec<(i64, Timestamp)> = begun.collect();
        running.sort_by_key(|(seq, at)| (std::cmp::Reverse(*at), *seq));
        running.truncate(workers);
        running
    }

    /// How many were sent so shortly before, or are to be, and have not begun.
    pub(super) fn fresh(&self, now: Timestamp, lag: Duration) -> usize {
        let is_fresh = |task: &&Task| {
            let has_begun = |at| task.begun.is_some_and(|(_, begun)| begun >= at);
            task.sent_at.is_some_and(|at| now.since(at) < lag && !has_begun(at))
        };
        self.open.values().filter(is_fresh).count() + self.to_send.len() + self.sending.len()
    }

    /// Sends these, the longest first; those that are on their way already are not sent twice.
    pub(super) fn enqueue(&mut self, seqs: impl IntoIterator<Item = i64>) {
        let waiting: BTreeSet<i64> = self.to_send.iter().copied().collect();
        let seqs = seqs
            .into_iter()
            .filter(|seq| !waiting.contains(seq) && !self.sending.contains(seq));
        let known = seqs.filter_map(|seq| Some((seq, self.open.get(&seq)?.of.quantile(0.8))));
        let mut order: Vec<(i64, Duration)> = known.collect();
        // Alike ones stay in the order of their numbers.
        order.sort_by_key(|(_, takes)| std::cmp::Reverse(*takes));
        self.to_send.extend(order.into_iter().map(|(seq, _)| seq));
    }

    /// The next calls.
    pub(super) fn batches(&mut self) -> Vec<Vec<i64>> {
        let mut batches = Vec::new();
        while self.sending.len() < CALLS * PER_CALL && !self.to_send.is_empty() {
            let count = self.to_send.len().min(PER_CALL);
            let batch: Vec<i64> = self.to_send.drain(..count).collect();
            self.sending.extend(&batch);
            batches.push(batch);
        }
        batches
    }

    pub(super) fn sent(&mut self, now: Timestamp, seqs: &[i64]) {
        for seq in seqs {
            self.sending.remove(seq);
            if let Some(task) = self.open.get_mut(seq) {
                task.sent_at = Some(now);
            }
        }
    }

    /// They are sent again, after those that wait.
    pub(super) fn not_sent(&mut self, seqs: &[i64]) {
        for seq in seqs {
            if self.sending.remove(seq) && self.open.contains_key(seq) {
                self.to_send.push_back(*seq);
            }
        }
    }

    pub(super) fn forget_sending(&mut self) {
        self.to_send.clear();
        self.sending.clear();
    }

    /// Whether nothing is on its way into the queue.
    pub(super) fn all_sent(&self) -> bool {
        self.to_send.is_empty() && self.sending.is_empty()
    }
}
