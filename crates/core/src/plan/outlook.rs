//! A run under way: what is left of it, and when all is done. What runs already is foreseen by the time it has run; what has ended tells
//! whether this run as a whole is a slow one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;

use super::burst::{Finish, Luck, coarse};
use super::lognormal::{Common, LogNormal, uniform};
use super::normal;
use super::schedule::{Draw, Workers};
use crate::time::{Timestamp, milliseconds};

/// Cells of the draws: a hundredth of a second on one core.
const CELLS: usize = 100_000;
const FEWEST: usize = 100;
const MOST: usize = 500;
/// More that wait are bundled.
const MOST_TASKS: usize = 2_000;
/// Steps towards the likeliest level, each with what is unlikely weighed anew.
const STEPS: usize = 30;
/// Degrees of freedom with which a single task may be an outlier, and how far one that runs on is looked at (in standard deviations): one
/// straggler is no slow run.
const OUTLIER_DEGREES: f64 = 4.0;
const MOST_DEVIATION: f64 = 4.0;
/// The last to end that are held against what was foreseen of them.
const MOST_SEEN: usize = 2_000;
/// Longer than this part of its kind: a straggler.
const STRAGGLER: f64 = 0.95;

/// A task that is not over.
#[derive(Clone, Copy, Debug)]
struct Open {
    of: LogNormal,
    /// `None`: it waits.
    since: Option<Timestamp>,
    /// It waits until then at least.
    not_before: Option<Timestamp>,
}

/// What a run's forecaster knows of it.
#[derive(Debug)]
pub struct Outlook {
    open: BTreeMap<i64, Open>,
    /// Tasks in the order in which they are given away; those that are over are passed over.
    order: Vec<i64>,
    /// Whether that is the order in which they are given away; else nobody knows it.
    is_ordered: bool,
    luck: Luck,
    seen: Seen,
}

/// What has ended: how it took against what was foreseen.
#[derive(Clone, Debug, Default)]
struct Seen {
    tasks: u64,
    /// Difference of logarithms, and the standard deviation that it was thought to have.
    last: VecDeque<(f64, f64)>,
}

/// How long a task takes in all, as far as is known now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    pub median: Duration,
    /// What takes longer is a straggler.
    pub limit: Duration,
}

impl Outlook {
    /// Of tasks that wait, in the order in which they are given away.
    pub fn new(tasks: impl IntoIterator<Item = (i64, LogNormal)>, luck: Luck) -> Outlook {
        let mut outlook = Outlook {
            open: BTreeMap::new(),
            order: Vec::new(),
            is_ordered: true,
            luck,
            seen: Seen::default(),
        };
        for (seq, of) in tasks {
            outlook.add(seq, of);
        }
        outlook
    }

    /// Of tasks that wait, and are given away in any order.
    pub fn in_no_order(tasks: impl IntoIterator<Item = (i64, LogNormal)>, luck: Luck) -> Outlook {
        Outlook {
            is_ordered: false,
            ..Outlook::new(tasks, luck)
        }
    }

    /// One more, which waits behind the others.
    pub fn add(&mut self, seq: i64, of: LogNormal) {
        let open = Open {
            of,
            since: None,
            not_before: None,
        };
        self.open.insert(seq, open);
        self.order.push(seq);
    }

    pub fn start(&mut self, seq: i64, at: Timestamp) {
        if let Some(task) = self.open.get_mut(&seq) {
            task.since = Some(at);
        }
    }

    /// An attempt has ended, and the task waits again, perhaps until a time.
    pub fn put_back(&mut self, seq: i64, not_before: Option<Timestamp>) {
        if let Some(task) = self.open.get_mut(&seq) {
            task.since = None;
            task.not_before = not_before;
        }
    }

    /// It is over; a success tells by how long it took.
    pub fn end(&mut self, seq: i64, took: Option<Duration>) {
        let Some(task) = self.open.remove(&seq) else { return };
        if let Some(took) = took {
            self.seen.tasks += 1;
            if self.seen.last.len() == MOST_SEEN {
                self.seen.last.pop_front();
            }
            let off = LogNormal::around(took, 0.0).mu - task.of.mu;
            self.seen.last.push_back((off, task.of.sigma.max(1e-3)));
        }
        if self.order.len() > 2 * self.open.len() + 64 {
            let open = &self.open;
            self.order.retain(|seq| open.contains_key(seq));
        }
    }

    /// How many are not over.
    pub fn left(&self) -> usize {
        self.open.len()
    }

    /// How many were seen to take how long.
    pub fn seen(&self) -> u64 {
        self.seen.tasks
    }

    /// Tasks that run.
    pub fn running(&self) -> impl Iterator<Item = i64> {
        let running = self.open.iter().filter(|(_, task)| task.since.is_some());
        running.map(|(seq, _)| *seq)
    }

    pub fn prediction(&self, seq: i64, level: &Level) -> Option<Prediction> {
        let of = level.of(&self.open.get(&seq)?.of);
        Some(Prediction {
            median: of.quantile(0.5),
            limit: of.quantile(STRAGGLER),
        })
    }

    /// How slow this run is as a whole, as far as it can be told: the likeliest factor, by what has ended and by what runs longer than it
    /// should (a censored sample: A. C. Cohen, "Truncated and Censored Samples", 1991), with what was thought of it before.
    pub fn level(&self, now: Timestamp) -> Level {
        let common = self.luck.common;
        if common.sigma <= 0.0 {
            return Level {
                shift: 0.0,
                common: Common::NOTHING,
            };
        }
        let running: Vec<(f64, f64)> = self
            .open
            .values()
            .filter_map(|task| {
                let sigma = task.of.sigma.max(1e-3);
                let gone = LogNormal::around(now.since(task.since?), 0.0).mu;
                Some(((gone - task.of.mu) / sigma, sigma))
            })
            .collect();
        let seen = &self.seen.last;
        // How far off one has to be to weigh little: what is not even likely of a normal distribution is an outlier (iteratively reweighted
        // least squares for Student's t: K. L. Lange, R. J. A. Little, J. M. G. Taylor, "Robust Statistical Modeling Using the t
        // Distribution", 1989). The run's own level may be far off, too: then most of its tasks say so.
        let weight = |degrees: f64, sigma: f64, off: f64| (degrees + 1.0) / (degrees * sigma * sigma + off * off);
        let mut shift = middle(seen);
        let mut precision = 0.0;
        for _ in 0..STEPS {
            let prior = weight(common.degrees, common.sigma, shift);
            let mut slope = -prior * shift;
            precision = prior;
            for (off, sigma) in seen {
                let weight = weight(OUTLIER_DEGREES, *sigma, off - shift);
                slope += weight * (off - shift);
                precision += weight;
            }
            for (gone, sigma) in &running {
                let z = (gone - shift / sigma).min(MOST_DEVIATION);
                let hazard = hazard(z);
                slope += hazard / sigma;
                precision += (hazard * (hazard - z)).max(0.0) / sigma.powi(2);
            }
            let step = (slope / precision).clamp(-1.0, 1.0);
            shift += step;
            if step.abs() < 1e-4 {
                break;
            }
        }
        Level {
            shift,
            common: Common {
                sigma: precision.sqrt().recip(),
                degrees: common.degrees + self.seen.tasks as f64,
            },
        }
    }

    /// When all is done from now on, with so many workers. The same seed draws the same luck.
    pub fn finish(&self, now: Timestamp, workers: usize, level: &Level, seed: u64) -> Finish {
        let running = self.running().count();
        let free = vec![Duration::ZERO; workers.max(1).saturating_sub(running)];
        self.finish_with(now, &free, level, seed)
    }

    /// The same, where beside the workers of what runs already others are free, each after its time.
    pub fn finish_with(&self, now: Timestamp, free: &[Duration], level: &Level, seed: u64) -> Finish {
        let mut random = Rng::with_seed(seed);
        let mut running: Vec<(LogNormal, Duration)> = Vec::new();
        let mut waiting: Vec<LogNormal> = Vec::new();
        // Those that wait for their time are done some time after it, whoever is free.
        let mut delayed: Vec<(Duration, LogNormal)> = Vec::new();
        for seq in &self.order {
            match self.open.get(seq) {
                Some(Open {
                    of, since: Some(at), ..
                }) => running.push((*of, now.since(*at))),
                Some(Open { of, not_before, .. }) => {
                    waiting.push(*of);
                    let wait = not_before.map(|at| at.since(now)).filter(|wait| !wait.is_zero());
                    delayed.extend(wait.map(|wait| (wait, *of)));
                }
                None => {}
            }
        }
        let mut waiting = coarse(&waiting, MOST_TASKS);
        let count = (CELLS / (running.len() + waiting.len()).max(1)).clamp(FEWEST, MOST);
        let mut engaged = Workers::default();
        let (mut durations, mut waits) = (Vec::with_capacity(waiting.len()), Vec::with_capacity(waiting.len()));
        let mut ends = Vec::with_capacity(count);
        let mut common = level.common.draws(&mut random);
        for _ in 0..count {
            let shift = level.shift + common(&mut random);
            let factor = shift.exp();
            let mut latest = 0;
            let rest = running.iter().map(|(of, gone)| {
                let of = LogNormal {
                    mu: of.mu + shift,
                    ..*of
                };
                let once = of.quantile_after(*gone, uniform(&mut random)).saturating_sub(*gone);
                let (attempts, wait) = self.luck.attempts(&mut random);
                let more = milliseconds(of.median()).saturating_mul(attempts - 1);
                let busy = milliseconds(once).saturating_add(more);
                latest = latest.max(busy.saturating_add(wait));
                busy
            });
            let free = free.iter().map(|after| milliseconds(*after));
            engaged.engage_after(free.chain(rest));
            durations.clear();
            waits.clear();
            if !self.is_ordered {
                random.shuffle(&mut waiting);
            }
            for of in &waiting {
                let once = of.draw(factor, &mut random);
                let (attempts, wait) = self.luck.attempts(&mut random);
                durations.push(once.saturating_mul(attempts));
                waits.push(wait);
            }
            for (wait, of) in &delayed {
                let once = of.draw(factor, &mut random);
                latest = latest.max(milliseconds(*wait).saturating_add(once));
            }
            let draw = Draw {
                durations: &durations,
                waits: &waits,
            };
            ends.push(engaged.finish(draw).unwrap_or(u64::MAX).max(latest));
        }
        Finish::of(ends)
    }

    /// Tasks that alone may be too late within `room`, with the chance of it, the likeliest first; at most so many.
    pub fn deciding(&self, now: Timestamp, room: Duration, level: &Level, most: usize) -> Vec<(i64, f64)> {
        let late = |(seq, task): (&i64, &Open)| {
            let of = level.of(&task.of);
            let gone = task.since.map_or(Duration::ZERO, |at| now.since(at));
            let (before, by_then) = (of.within(gone), of.within(gone + room));
            let chance = match before < 1.0 {
                true => (1.0 - by_then) / (1.0 - before),
                false => 0.0,
            };
            (*seq, chance)
        };
        let mut late: Vec<(i64, f64)> = self
            .open
            .iter()
            .map(late)
            .filter(|(_, chance)| *chance >= 0.01)
            .collect();
        late.sort_by(|a, b| b.1.total_cmp(&a.1));
        late.truncate(most);
        late
    }
}

/// How slow a run is as a whole, and how sure that is.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// Logarithm of the factor.
    pub shift: f64,
    common: Common,
}

impl Level {
    /// A task in a run of this level.
    fn of(&self, task: &LogNormal) -> LogNormal {
        LogNormal {
            mu: task.mu + self.shift,
            sigma: task.sigma.hypot(self.common.sigma),
        }
    }
}

/// The middle one of how far off those were that have ended; 0 for fewer than three, which are no run yet.
fn middle(seen: &VecDeque<(f64, f64)>) -> f64 {
    if seen.len() < 3 {
        return 0.0;
    }
    let mut off: Vec<f64> = seen.iter().map(|(off, _)| *off).collect();
    off.sort_by(f64::total_cmp);
    off[off.len() / 2]
}

/// The hazard of the standard normal: its density by what lies beyond. For large `z` by the first terms of its expansion.
fn hazard(z: f64) -> f64 {
    if z > 30.0 {
        return z + 1.0 / z;
    }
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    density / normal::below(-z).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests;
