//! What a run promises, whatever has happened: looked at when nothing is left to happen.

use std::time::Duration;

use kingtide_core::drain::Standing;
use kingtide_core::engine::event::{Outcome, RunState};

use super::World;
use crate::states::Ending;

/// Counts of queues are a minute old at most, and looked at four times a minute.
const LATE: Duration = Duration::from_secs(120);

impl World {
    pub(super) fn keep_promises(&self) {
        let seed = self.seed;
        let ending = self.execution.ending();
        let Some(ending) = ending else {
            panic!(
                "seed {seed}: the execution has not ended, at `{}`",
                self.execution.state()
            )
        };
        let Some(of) = &self.ending else {
            panic!("seed {seed}: the execution has ended and the run has not: {ending:?}")
        };
        match of.state {
            RunState::Succeeded => assert!(
                matches!(ending, Ending::Succeeded(_)),
                "seed {seed}: {ending:?}, {of:?}"
            ),
            _ => assert!(
                matches!(ending, Ending::Failed { .. }),
                "seed {seed}: {ending:?}, {of:?}"
            ),
        }
        let left: Vec<u64> = self.cluster.alive().map(|(id, _)| id).collect();
        assert!(left.is_empty(), "seed {seed}: tasks are left: {left:?}");
        // Every message is over, once.
        let mut all: Vec<i64> = (1..=self.messages).collect();
        all.extend(self.bucket.arrivals.values());
        assert_eq!(of.counts.total, all.len() as u64, "seed {seed}: {of:?}");
        let over =
            of.counts.succeeded + of.counts.skipped + of.counts.failed + of.counts.rejected + of.counts.cancelled;
        assert_eq!(over, of.counts.total, "seed {seed}: {of:?}");
        for seq in all {
            let object = self.bucket.tasks.get(&seq);
            let standing = object.map(|object| object.entry.standing);
            assert_eq!(standing, Some(Standing::Over), "seed {seed}: the message {seq}");
            let end = self.bucket.ends.get(&seq);
            let Some(end) = end else {
                panic!("seed {seed}: the message {seq} has no end")
            };
            let successes = self.bucket.successes.get(&seq).copied().unwrap_or(0);
            let buried = self.dead.iter().filter(|dead| **dead == seq).count();
            let (once, never) = match end.outcome {
                Outcome::Succeeded => (successes, buried as u32),
                // Whoever should have buried it may have been lost: the record knows it.
                _ => (1, successes + buried.saturating_sub(1) as u32),
            };
            assert!(
                once == 1 && never == 0,
                "seed {seed}: the message {seq}: {end:?}, done {successes} times, buried {buried} times"
            );
        }
        let is_whole = of.counts.cancelled == 0;
        let is_ended_early = self.bucket.is_cancelled
            || self.job.max_duration.is_some()
            || self.opening.limits.max_cost.is_some()
            || self.cluster.image_is_missing
            || self.cluster.drought.0 < self.cluster.drought.1;
        assert!(is_whole || is_ended_early, "seed {seed}: without a reason: {of:?}");
        // What was deleted may have come back, which is harmless. What others have sent may have come too late to be seen.
        let foreign = self.queues[0]
            .letters
            .iter()
            .filter(|(message, letter)| letter.seq.is_none() && !self.bucket.arrivals.contains_key(message));
        for (_, letter) in foreign.filter(|_| of.state == RunState::Succeeded) {
            let before = self.ended_at.since(letter.sent_at);
            assert!(
                before <= LATE,
                "seed {seed}: a message is left that was sent {before:?} before the end"
            );
        }
        let most = self.opening.limits.workers.unwrap_or(u32::MAX) as usize;
        assert!(
            self.most_workers <= most,
            "seed {seed}: {} workers at once, {most} were allowed",
            self.most_workers
        );
        let bound = 40 + 12 * (self.messages as u64 + self.bucket.arrivals.len() as u64) + self.outcome.misfortunes;
        assert!(
            self.outcome.launched <= bound,
            "seed {seed}: {} workers were started for {} messages",
            self.outcome.launched,
            self.messages
        );
        let dollars = self.cluster.dollars(self.now);
        let off = (of.dollars - dollars).abs();
        // A worker of which nothing was seen before it was forgotten is not accounted for.
        assert!(
            off <= 0.02 + dollars * 0.1,
            "seed {seed}: {} dollars, and {dollars} were paid",
            of.dollars
        );
        assert!(
            self.seen_dollars <= dollars + 0.01,
            "seed {seed}: more was seen than was paid"
        );
    }
}
