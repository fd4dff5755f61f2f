//! How many workers: the cheapest number with which a burst is done in time with the wanted confidence.

use std::time::Duration;

use super::burst::{Draws, Tariff};
use super::lognormal::LogNormal;

/// Where nobody reaches the confidence, so close to the best chance is as good.
const AS_GOOD: f64 = 0.01;
/// Of the cheapest, so much more may be paid for a better chance.
const AS_CHEAP: f64 = 1.02;

/// What is wanted, and on which terms. Times count from the trigger.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub deadline: Duration,
    /// The wanted chance, from 0 to 1.
    pub confidence: f64,
    /// Until a worker has begun.
    pub start: Duration,
    /// Workers that can be had.
    pub most: usize,
    /// `None`: workers cost nothing, and all are taken.
    pub tariff: Option<Tariff>,
}

/// A number of workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    pub workers: usize,
    /// That all is done in time.
    pub chance: f64,
    /// Whether that is what was wanted.
    pub reaches: bool,
}

/// The number of workers for a burst; more than there are tasks would have nothing to do.
pub fn size(draws: &Draws, terms: &Terms) -> Size {
    let most = terms.most.min(draws.order().len());
    let chances = draws.chances(terms.start, terms.deadline, most);
    let sized = |workers| Size {
        workers,
        chance: chances.of(workers),
        reaches: chances.of(workers) >= terms.confidence,
    };
    let Some(tariff) = &terms.tariff else {
        return sized(most);
    };
    let Some(cheapest) = chances.fewest(terms.confidence) else {
        if chances.best() < AS_GOOD {
            // It will be late whatever is done: as little as can be.
            return sized(most);
        }
        return sized(chances.fewest(chances.best() - AS_GOOD).unwrap_or(most));
    };
    // What is paid grows with the number of workers, and so does the chance: the safest of the cheap is the last of them.
    let limit = draws.paid(cheapest, tariff) * AS_CHEAP;
    let (mut cheap, mut dear) = (cheapest, most + 1);
    while dear - cheap > 1 {
        let middle = cheap.midpoint(dear);
        match draws.paid(middle, tariff) <= limit {
            true => cheap = middle,
            false => dear = middle,
        }
    }
    // Of those whose chance is that, the fewest.
    sized(chances.fewest(chances.of(cheap)).unwrap_or(cheap))
}

/// The chance that no worker alone, and be there one for each task, is too late: no number of workers does better.
pub fn ceiling(tasks: &[LogNormal], room: Duration) -> f64 {
    tasks.iter().map(|task| task.within(room)).product()
}

/// Tasks that alone may be too late, by their numbers and the chance of it, the likeliest first.
pub fn deciding(tasks: &[LogNormal], room: Duration, at_least: f64) -> Vec<(usize, f64)> {
    let late = |(number, task): (usize, &LogNormal)| (number, 1.0 - task.within(room));
    let mut deciding: Vec<(usize, f64)> = tasks.iter().enumerate().map(late).collect();
    deciding.retain(|(_, chance)| *chance >= at_least);
    deciding.sort_by(|a, b| b.1.total_cmp(&a.1));
    deciding
}

#[cfg(test)]
mod tests {
    use super::super::burst::{Luck, Order};
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn weekly() -> Vec<LogNormal> {
        vec![LogNormal::around(22 * MINUTE, 0.35); 100]
    }

    fn terms(minutes: u32) -> Terms {
        Terms {
            deadline: minutes * MINUTE,
            confidence: 0.9,
            start: MINUTE,
            most: 1000,
            tariff: Some(Tariff {
                start: MINUTE * 4 / 5,
                least: MINUTE,
            }),
        }
    }

    #[test]
    fn the_longest_job_is_a_ceiling_that_no_number_of_workers_passes() {
        let tasks = weekly();
        let ceiling = ceiling(&tasks, 59 * MINUTE);
        assert!((ceiling - 0.785).abs() < 0.005, "{ceiling}");
        let size = size(&Draws::of(&tasks, &Luck::NONE, Order::LongestFirst, 1), &terms(60));
        assert!(!size.reaches && (size.chance - ceiling).abs() < 0.05, "{size:?}");
        assert!(size.workers < 100, "fewer are as good: {size:?}");
    }

    #[test]
    fn who_knows_which_are_long_needs_a_third_of_the_workers() {
        // As many are so long as the distribution of all says, and each is known to 15 %.
        let place = |job: u32| f64::from(job) / 100.0 + 0.005;
        let known = |job| LogNormal::around(weekly()[0].quantile(place(job)), 0.15);
        let tasks: Vec<LogNormal> = (0..100).map(known).collect();
        let size = size(&Draws::of(&tasks, &Luck::NONE, Order::LongestFirst, 1), &terms(90));
        assert!(size.reaches && (28..38).contains(&size.workers), "{size:?}");
    }

    #[test]
    fn a_better_chance_may_cost_two_in_a_hundred_more_and_no_more() {
        let draws = Draws::of(&weekly(), &Luck::NONE, Order::LongestFirst, 1);
        let terms = terms(90);
        let size = size(&draws, &terms);
        let cheapest = draws
            .chances(terms.start, terms.deadline, 100)
            .fewest(terms.confidence)
            .expect("it can be reached");
        let tariff = terms.tariff.expect("workers cost");
        let more = draws.paid(size.workers, &tariff) / draws.paid(cheapest, &tariff);
        assert!(size.workers > cheapest && more <= AS_CHEAP, "{size:?}: {more}");
    }

    #[test]
    fn what_is_hopeless_is_done_as_soon_as_can_be() {
        let size = size(&Draws::of(&weekly(), &Luck::NONE, Order::LongestFirst, 1), &terms(10));
        assert_eq!((size.workers, size.reaches), (100, false));
    }

    #[test]
    fn what_costs_nothing_is_all_taken() {
        let free = Terms {
            tariff: None,
            most: 8,
            ..terms(90)
        };
        assert_eq!(
            size(&Draws::of(&weekly(), &Luck::NONE, Order::LongestFirst, 1), &free).workers,
            8
        );
    }

    #[test]
    fn one_that_takes_too_long_is_named() {
        let mut tasks = weekly();
        tasks[7] = LogNormal::around(80 * MINUTE, 0.1);
        let deciding = deciding(&tasks, 59 * MINUTE, 0.01);
        assert_eq!(deciding.len(), 1);
        assert_eq!(deciding[0].0, 7);
        assert!(deciding[0].1 > 0.99);
    }

    #[test]
    fn nothing_to_do_and_nobody_to_do_it() {
        let nothing = Draws::of(&[], &Luck::NONE, Order::LongestFirst, 1);
        assert_eq!(size(&nothing, &terms(60)).workers, 0);
        let nobody = Terms { most: 0, ..terms(60) };
        let size = size(&Draws::of(&weekly(), &Luck::NONE, Order::LongestFirst, 1), &nobody);
        assert_eq!((size.workers, size.chance, size.reaches), (0, 0.0, false));
    }
}
