//! A burst of tasks whose durations nobody knows exactly, drawn many times over. All questions are put to the same draws (common random
//! numbers: A. M. Law, "Simulation Modeling and Analysis", ch. 11), so that two answers differ by what was asked and not by luck.

use std::time::Duration;

use fastrand::Rng;

use super::lognormal::{Common, LogNormal};
use super::schedule::{Draw, Workers};
use crate::engine::retry::delay;
use crate::project::Backoff;
use crate::time::milliseconds;

/// In which order tasks are given to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By the 80 % quantile, the longest first.
    LongestFirst,
    AsGiven,
    /// Nobody knows: another one in each draw. Of a single order, and be it drawn, a number of workers would be chosen that suits that one.
    Any,
}

/// What befalls tasks beside their own durations.
#[derive(Clone, Copy, Debug)]
pub struct Luck {
    pub common: Common,
    /// The chance that an attempt fails. It is thought to take as long as one that succeeds.
    pub failure: f64,
    /// How many failed attempts of a task are followed by another.
    pub retries: u32,
    /// What lies between: a task waits for it, a worker does not.
    pub backoff: Backoff,
}

impl Luck {
    /// Nothing fails, and tasks have nothing in common.
    pub const NONE: Luck = Luck {
        common: Common::NOTHING,
        failure: 0.0,
        retries: 0,
        backoff: Backoff {
            first: Duration::ZERO,
            factor: 1.0,
            max: Duration::ZERO,
            jitter: 0.0,
        },
    };

    /// Attempts that one task takes, and milliseconds that it waits between them.
    pub(super) fn attempts(&self, random: &mut Rng) -> (u64, u64) {
        if self.failure <= 0.0 {
            return (1, 0);
        }
        let failed = (0..self.retries).take_while(|_| random.f64() < self.failure).count() as u32;
        let waits: Duration = (1..=failed).map(|failure| delay(&self.backoff, failure, 0.5)).sum();
        (1 + u64::from(failed), milliseconds(waits))
    }
}

/// The chance that an attempt fails, of what was seen: as if of 25 attempts before half a one had failed, so that no failure yet is not
/// none ever.
pub fn failure_rate(failures: u64, attempts: u64) -> f64 {
    ((failures as f64 + 0.5) / (attempts as f64 + 25.0)).min(0.95)
}

/// Durations of one possible future after the other, in milliseconds, in the order in which tasks are given away.
#[derive(Clone, Debug)]
pub struct Draws {
    order: Vec<usize>,
    milliseconds: Vec<u64>,
    /// What each waits beside; empty where nothing does.
    waits: Vec<u64>,
}

/// Cells of a burst's draws: few enough for an answer at once.
const CELLS: usize = 300_000;
/// However many tasks there are: a chance of 0.9 is then known to within 2 points, two times of three; with the most, to half a point.
const FEWEST: usize = 200;
const MOST: usize = 3000;
/// Draws for what is paid: it differs little from one to the other.
const PAID: usize = 100;

impl Draws {
    /// As many as an answer at once allows.
    pub fn of(tasks: &[LogNormal], luck: &Luck, order: Order, seed: u64) -> Draws {
        let count = (CELLS / tasks.len().max(1)).clamp(FEWEST, MOST);
        Draws::so_many(tasks, luck, order, count, seed)
    }

    pub fn so_many(tasks: &[LogNormal], luck: &Luck, order: Order, count: usize, seed: u64) -> Draws {
        let mut numbers: Vec<usize> = (0..tasks.len()).collect();
        if order == Order::LongestFirst {
            // Alike ones stay as they were given.
            numbers.sort_by_key(|task| std::cmp::Reverse(tasks[*task].quantile(0.8)));
        }
        let mut random = Rng::with_seed(seed);
        let mut milliseconds = Vec::with_capacity(count * tasks.len());
        let mut waits = Vec::new();
        let mut common = luck.common.draws(&mut random);
        for _ in 0..count {
            if order == Order::Any {
                random.shuffle(&mut numbers);
            }
            let factor = common(&mut random).exp();
            milliseconds.extend(numbers.iter().map(|task| {
                let once = tasks[*task].draw(factor, &mut random);
                let (attempts, wait) = luck.attempts(&mut random);
                if luck.failure > 0.0 {
                    waits.push(wait);
                }
                once.saturating_mul(attempts)
            }));
        }
        Draws {
            order: numbers,
            milliseconds,
            waits,
        }
    }

    /// Tasks by their numbers, in the order in which they are given away, where there is one.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Durations and waits of each draw.
    fn each(&self) -> impl Iterator<Item = Draw<'_>> {
        let size = self.order.len().max(1);
        let durations = self.milliseconds.chunks_exact(size);
        durations.enumerate().map(move |(number, durations)| Draw {
            durations,
            waits: self.waits.get(number * size..(number + 1) * size).unwrap_or(&[]),
        })
    }

    /// When all is done with so many workers that begin at `start`: every draw's end, the earliest first.
    pub fn finish(&self, workers: usize, start: Duration) -> Finish {
        let (mut engaged, start) = (Workers::default(), milliseconds(start));
        let ends = self.each().map(|draw| {
            engaged.engage(workers, start);
            engaged.finish(draw).unwrap_or(u64::MAX)
        });
        Finish::of(ends.collect())
    }

    /// The chance that all is done by `deadline`, for every number of workers from one to `most`.
    pub fn chances(&self, start: Duration, deadline: Duration, most: usize) -> Chances {
        let (start, deadline) = (milliseconds(start), milliseconds(deadline));
        let mut engaged = Workers::default();
        let mut enough = vec![0_usize; most + 1];
        let mut draws = 0;
        for draw in self.each() {
            draws += 1;
            if let Some(fewest) = fewest(&mut engaged, draw, start, deadline, most) {
                enough[fewest] += 1;
            }
        }
        let mut met = 0;
        let by_workers = enough.into_iter().skip(1).map(|more| {
            met += more;
            met as f64 / f64::from(draws.max(1))
        });
        Chances {
            by_workers: by_workers.collect(),
        }
    }

    /// What so many workers are paid for, in seconds, on average over some of the draws.
    pub fn paid(&self, workers: usize, tariff: &Tariff) -> f64 {
        let mut engaged = Workers::default();
        let (mut total, mut draws) = (0.0, 0);
        for draw in self.each().take(PAID) {
            engaged.engage(workers, 0);
            engaged.finish(draw);
            total += engaged.busy().map(|busy| tariff.paid(busy)).sum::<f64>();
            draws += 1;
        }
        total / f64::from(draws.max(1))
    }
}

/// The fewest workers with which one draw is done in time; `None` when `most` are not enough.
fn fewest(workers: &mut Workers, draw: Draw<'_>, start: u64, deadline: u64, most: usize) -> Option<usize> {
    let room = deadline.checked_sub(start)?;
    let (longest, sum) = (draw.longest(), draw.durations.iter().sum::<u64>());
    if longest > room || most == 0 {
        return None;
    }
    let mut meets = |count: usize| {
        workers.engage(count, start);
        workers.meet(draw, deadline)
    };
    // Fewer cannot have done the work; it seldom takes many more.
    let least = sum.div_ceil(room.max(1)).max(1) as usize;
    let (mut low, mut step) = (least, 1);
    let mut high = loop {
        let candidate = low.saturating_add(step - 1).min(most);
        if low > most {
            return None;
        }
        if meets(candidate) {
            break candidate;
        }
        low = candidate + 1;
        step *= 2;
    };
    while low < high {
        let middle = low.midpoint(high);
        match meets(middle) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Some(high)
}

/// So many tasks at most that come to the same: the longest half as they are, the rest in bundles that one worker takes one after the
/// other. What a bundle takes is log-normal again, by its mean and its variance (L. F. Fenton, "The Sum of Log-Normal Probability
/// Distributions in Scatter Transmission Systems", 1960).
pub fn coarse(tasks: &[LogNormal], most: usize) -> Vec<LogNormal> {
    if tasks.len() <= most {
        return tasks.to_vec();
    }
    let mut sorted = tasks.to_vec();
    sorted.sort_by_key(|task| std::cmp::Reverse(task.quantile(0.8)));
    let (long, short) = sorted.split_at(most / 2);
    let size = short.len().div_ceil(most - long.len());
    let bundles = short.chunks(size).map(|bundle| {
        let (mut mean, mut variance) = (0.0, 0.0);
        for task in bundle {
            let square = task.sigma * task.sigma;
            mean += (task.mu + square / 2.0).exp();
            variance += square.exp_m1() * (2.0 * task.mu + square).exp();
        }
        let square = (variance / (mean * mean)).ln_1p();
        LogNormal {
            mu: mean.ln() - square / 2.0,
            sigma: square.sqrt(),
        }
    });
    long.iter().copied().chain(bundles).collect()
}

/// When all is done, over the draws.
#[derive(Clone, Debug)]
pub struct Finish {
    ends: Vec<u64>,
}

impl Finish {
    pub(super) fn of(mut ends: Vec<u64>) -> Finish {
        ends.sort_unstable();
        Finish { ends }
    }

    pub fn quantile(&self, p: f64) -> Duration {
        let last = self.ends.len().saturating_sub(1);
        let place = (p * last as f64).round() as usize;
        self.ends
            .get(place.min(last))
            .map_or(Duration::ZERO, |end| Duration::from_millis(*end))
    }

    /// Every draw's end, the earliest first.
    pub fn ends(&self) -> impl Iterator<Item = Duration> {
        self.ends.iter().map(|end| Duration::from_millis(*end))
    }

    /// The chance that it is by then.
    pub fn chance(&self, deadline: Duration) -> f64 {
        if self.ends.is_empty() {
            // Nothing is never late.
            return 1.0;
        }
        let deadline = milliseconds(deadline);
        let met = self.ends.partition_point(|end| *end <= deadline);
        met as f64 / self.ends.len() as f64
    }
}

/// The chance to be done in time, by the number of workers.
#[derive(Clone, Debug)]
pub struct Chances {
    /// Of one, of two, and so on: never less than before.
    by_workers: Vec<f64>,
}

impl Chances {
    /// Of so many workers; those of the most where there are not so many.
    pub fn of(&self, workers: usize) -> f64 {
        let last = self.by_workers.len();
        match workers.min(last) {
            0 => 0.0,
            workers => self.by_workers[workers - 1],
        }
    }

    pub fn best(&self) -> f64 {
        self.by_workers.last().copied().unwrap_or(0.0)
    }

    /// The fewest workers whose chance is at least this.
    pub fn fewest(&self, chance: f64) -> Option<usize> {
        let below = self.by_workers.partition_point(|of| *of < chance);
        (below < self.by_workers.len()).then_some(below + 1)
    }
}

/// How a worker's time is paid for.
#[derive(Clone, Copy, Debug)]
pub struct Tariff {
    /// Of its start-up, what is paid for.
    pub start: Duration,
    /// It is paid for so long at least.
    pub least: Duration,
}

impl Tariff {
    /// Paid for what it works, to the second, and for nothing else.
    pub const AS_USED: Tariff = Tariff {
        start: Duration::ZERO,
        least: Duration::ZERO,
    };

    /// Seconds paid for a worker that worked for so many milliseconds; nothing for one that had nothing to do.
    pub fn paid(&self, busy: u64) -> f64 {
        match busy {
            0 => 0.0,
            busy => (Duration::from_millis(busy) + self.start).max(self.least).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tasks_are_foreseen_as_twenty_thousand() {
        let minute = Duration::from_secs(60);
        let tasks: Vec<LogNormal> = (0..60_000)
            .map(|task| LogNormal::around(minute * (1 + task % 7), 0.4))
            .collect();
        let few = coarse(&tasks, 20_000);
        assert!(few.len() <= 20_000);
        let finish = |tasks: &[LogNormal]| {
            let draws = Draws::so_many(tasks, &Luck::NONE, Order::LongestFirst, 20, 1);
            draws.finish(100, Duration::ZERO).quantile(0.5).as_secs_f64()
        };
        let error = finish(&few) / finish(&tasks) - 1.0;
        assert!(error.abs() < 0.01, "{error}");
        assert_eq!(coarse(&tasks[..10], 20_000), tasks[..10]);
    }

    #[test]
    fn in_no_order_the_longest_may_be_last() {
        // One of ten minutes and two of one: with two workers it is late when it is the last, one time of three.
        let minute = Duration::from_secs(60);
        let tasks = [10, 1, 1].map(|minutes| LogNormal::around(minutes * minute, 0.0));
        let chance = |order| {
            let draws = Draws::so_many(&tasks, &Luck::NONE, order, 3000, 1);
            draws.finish(2, Duration::ZERO).chance(10 * minute)
        };
        assert_eq!((chance(Order::LongestFirst), chance(Order::AsGiven)), (1.0, 1.0));
        assert!((chance(Order::Any) - 2.0 / 3.0).abs() < 0.03, "{}", chance(Order::Any));
    }

    #[test]
    fn failures_are_never_thought_impossible() {
        assert!(failure_rate(0, 0) > 0.01 && failure_rate(0, 10_000) < 0.001);
        assert!((failure_rate(500, 1000) - 0.49).abs() < 0.01);
    }
}
