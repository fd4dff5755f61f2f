//! List scheduling: each task, in a given order, goes to the worker that is free first. For tasks that do not depend on one another no
//! worker more ever makes the end later, so how many are needed can be searched by halving.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One future: how long each task takes, in the order in which they are given away, and what it waits beside: for a retry, say. A worker
/// is free meanwhile. No waits are none.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    pub durations: &'a [u64],
    pub waits: &'a [u64],
}

impl<'a> Draw<'a> {
    /// Where nothing waits.
    pub fn of(durations: &'a [u64]) -> Draw<'a> {
        Draw { durations, waits: &[] }
    }

    fn each(self) -> impl Iterator<Item = (u64, u64)> + 'a {
        let waits = self.waits.iter().copied().chain(std::iter::repeat(0));
        self.durations.iter().copied().zip(waits)
    }

    /// Of the task that takes longest by itself.
    pub fn longest(self) -> u64 {
        self.each()
            .map(|(duration, wait)| duration.saturating_add(wait))
            .max()
            .unwrap_or(0)
    }
}

/// When workers are free, in milliseconds from the trigger.
#[derive(Debug, Default)]
pub struct Workers {
    free: BinaryHeap<Reverse<u64>>,
    start: u64,
}

impl Workers {
    /// So many, which begin at `start`. Memory of earlier ones is used again.
    pub fn engage(&mut self, count: usize, start: u64) {
        self.free.clear();
        self.free.extend(std::iter::repeat_n(Reverse(start), count));
        self.start = start;
    }

    /// One that is free at each of these times.
    pub(super) fn engage_after(&mut self, free: impl Iterator<Item = u64>) {
        self.engage(0, 0);
        self.free.extend(free.map(Reverse));
        self.start = self.free.iter().map(|Reverse(end)| *end).max().unwrap_or(0);
    }

    /// Gives a task to the one that is free first; when it will have ended. `None` where nobody works.
    fn give(&mut self, duration: u64) -> Option<u64> {
        let mut first = self.free.peek_mut()?;
        let end = first.0.saturating_add(duration);
        // Its place in the order is found when the loan ends.
        *first = Reverse(end);
        Some(end)
    }

    /// When the last task ends, with tasks given in this order; the start when there is none. `None`: never.
    pub fn finish(&mut self, draw: Draw<'_>) -> Option<u64> {
        let mut last = self.start;
        for (duration, wait) in draw.each() {
            last = last.max(self.give(duration)?.saturating_add(wait));
        }
        Some(last)
    }

    /// Whether all tasks end by then.
    pub fn meet(&mut self, draw: Draw<'_>, deadline: u64) -> bool {
        draw.each().all(|(duration, wait)| {
            let end = self.give(duration);
            end.is_some_and(|end| end.saturating_add(wait) <= deadline)
        })
    }

    /// How long each has worked, from its start to its last end.
    pub fn busy(&self) -> impl Iterator<Item = u64> {
        self.free.iter().map(|Reverse(end)| end - self.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finish(durations: &[u64], count: usize, start: u64) -> Option<u64> {
        let mut workers = Workers::default();
        workers.engage(count, start);
        workers.finish(Draw::of(durations))
    }

    #[test]
    fn the_longest_first_is_not_always_best_and_never_worse_than_a_third_more() {
        // Graham's example for two workers: the best is 6, the longest first gives 7 = (4/3 - 1/6) of it.
        assert_eq!(finish(&[3, 3, 2, 2, 2], 2, 0), Some(7));
        assert_eq!(finish(&[3, 2, 2, 3, 2], 2, 10), Some(16));
        assert_eq!(finish(&[], 2, 10), Some(10));
        assert_eq!(finish(&[1], 0, 0), None);
    }

    proptest! {
        #[test]
        fn one_worker_more_never_makes_it_later(durations in prop::collection::vec(0_u64..1000, 0..60), count in 1_usize..20) {
            let fewer = finish(&durations, count, 5).expect("somebody works");
            let more = finish(&durations, count + 1, 5).expect("somebody works");
            prop_assert!(more <= fewer);
        }

        #[test]
        fn a_deadline_is_met_from_the_finish_on(durations in prop::collection::vec(1_u64..1000, 1..60), count in 1_usize..20) {
            let end = finish(&durations, count, 7).expect("somebody works");
            let mut workers = Workers::default();
            workers.engage(count, 7);
            prop_assert!(workers.meet(Draw::of(&durations), end));
            workers.engage(count, 7);
            prop_assert!(!workers.meet(Draw::of(&durations), end - 1));
        }

        #[test]
        fn nobody_works_more_than_there_is(durations in prop::collection::vec(0_u64..1000, 0..60), count in 1_usize..20) {
            let mut workers = Workers::default();
            workers.engage(count, 7);
            workers.finish(Draw::of(&durations));
            prop_assert_eq!(workers.busy().sum::<u64>(), durations.iter().sum::<u64>());
        }
    }
}
