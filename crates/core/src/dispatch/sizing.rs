//! How many workers: as few as the deadline takes, within quota and budget, by what earlier runs took and by what this one has shown so far.
//! SQS hands out in no order, so it is foreseen as if in none.

use std::time::Duration;

use super::crew::LEAST_PAID;
use super::event::{Foreseen, Market};
use super::warning::{Kind, Warning};
use super::{Dispatcher, PATIENCE};
use crate::plan::burst::{Draws, Order, Tariff, coarse};
use crate::plan::outlook::Level;
use crate::plan::size::{self, Terms};
use crate::time::Timestamp;

/// More tasks are bundled.
const MOST_TASKS: usize = 5_000;
/// Of its start-up a worker is paid for so much: from the pull of its image on.
const PAID_START: f64 = 0.8;
/// So much less than what was wanted is a doubt, or a fifth less; what is less is luck of the draws.
const CLEARLY: f64 = 0.02;
const SHARE: f64 = 0.2;
/// Where nobody reaches what is wanted, so close to the best is as good.
const AS_GOOD: f64 = 0.01;
/// A rerun is thought to take no longer than 19 of 20.
const RERUN: f64 = 0.95;
const SEED: u64 = 1;

impl Dispatcher {
    /// Workers at once that quota and file allow.
    pub(super) fn most(&self) -> usize {
        let limits = &self.opening.limits;
        let each = self.opening.sizes.first().map_or(1.0, |size| size.vcpus).max(0.01);
        let of = |vcpus: f64| (vcpus / each + 1e-9).floor() as usize;
        let by_quota = match (limits.vcpus, limits.spot_vcpus.filter(|_| limits.spot)) {
            (Some(vcpus), Some(spot)) => of(vcpus) + of(spot),
            (Some(vcpus), None) => of(vcpus),
            (None, _) => usize::MAX,
        };
        let by_file = [limits.workers, self.opening.job.max_workers];
        let by_file = by_file.into_iter().flatten().map(|most| most as usize).min();
        by_quota
            .min(by_file.unwrap_or(usize::MAX))
            .min(self.most_seen.unwrap_or(usize::MAX))
    }

    /// Looks ahead, and wants more workers where that takes more.
    pub(super) fn foresee(&mut self, now: Timestamp, warnings: &mut Vec<Warning>) {
        let left = self.tasks.open.len();
        if left == 0 {
            self.foreseen = None;
            return;
        }
        let most = self.most();
        if self.memory.wanted == 0 {
            self.memory.wanted = self.first(now, most, warnings) as u32;
        }
        let wanted = self.memory.wanted as usize;
        let Some(deadline) = self.opening.deadline else {
            self.memory.wanted = wanted.max(most.min(left)) as u32;
            // Nothing depends on it: where nothing has happened it is looked at now and then.
            if self.foreseen.is_none() || self.moved_at > self.foreseen_at || now.since(self.foreseen_at) >= PATIENCE {
                self.foreseen_at = now;
                let level = self.outlook.level(now);
                self.foreseen = Some(self.finish(now, most.min(left), &level));
            }
            return;
        };
        let level = self.outlook.level(now);
        let confidence = self.opening.job.confidence;
        let enough = confidence - CLEARLY.min(SHARE * confidence.min(1.0 - confidence));
        let mut foreseen = self.finish(now, wanted.min(most), &level);
        let chance = foreseen.chance.unwrap_or(1.0);
        if chance < enough && wanted < most.min(left) && self.can_afford(now, 1) {
            let more = self.fewest(now, wanted, most.min(left), confidence, &level);
            self.memory.wanted = more as u32;
            foreseen = self.finish(now, more, &level);
        }
        self.foreseen = Some(foreseen);
        self.doubt(now, deadline, enough, &level, warnings);
        // How it would be with more than can be had is what the quota costs.
        let wanted = self.memory.wanted;
        if wanted as usize >= most && most < left && self.is_bound_by_quota(most) && foreseen.chance < Some(enough) {
            let more = self.fewest(now, most, left, confidence, &level) as u32;
            let warning = Warning::Quota {
                wanted: more,
                most: most as u32,
            };
            self.say(Kind::Quota, warning, warnings);
        }
    }

    /// The cheapest number for all of it, before anything is known of how this run goes.
    fn first(&mut self, now: Timestamp, most: usize, warnings: &mut Vec<Warning>) -> usize {
        let tasks: Vec<_> = self.tasks.open.values().map(|task| task.of).collect();
        let tasks = coarse(&tasks, MOST_TASKS);
        let draws = Draws::of(&tasks, &self.opening.luck, Order::Any, SEED);
        let tariff = Tariff {
            start: self.opening.start_up.mul_f64(PAID_START),
            least: LEAST_PAID,
        };
        let most = most.min(tasks.len()).max(1);
        let mut workers = match self.opening.deadline {
            Some(deadline) => {
                let terms = Terms {
                    deadline: deadline.since(now),
                    confidence: self.opening.job.confidence,
                    start: self.opening.start_up,
                    most,
                    tariff: Some(tariff),
                };
                size::size(&draws, &terms).workers.max(1)
            }
            None => most,
        };
        let (Some(max_cost), Some(size)) = (self.opening.limits.max_cost, self.opening.sizes.first()) else {
            return workers;
        };
        let market = if self.opening.limits.spot {
            Market::Spot
        } else {
            Market::OnDemand
        };
        let cost = |workers: usize| draws.paid(workers, &tariff) / 3600.0 * size.price(market);
        if cost(workers) > max_cost {
            // Fewer start less often, and cost less.
            let (mut few, mut many) = (1, workers);
            while many - few > 1 {
                let middle = few.midpoint(many);
                match cost(middle) <= max_cost {
                    true => few = middle,
                    false => many = middle,
                }
            }
            if cost(few) <= max_cost {
                workers = few;
            } else {
                let foreseen = cost(workers);
                self.say(Kind::Tight, Warning::Tight { foreseen, max_cost }, warnings);
            }
        }
        workers
    }

    /// When all is done with so many workers from now on.
    fn finish(&self, now: Timestamp, workers: usize, level: &Level) -> Foreseen {
        let finish = self.outlook.finish_with(now, &self.free(now, workers), level, SEED);
        Foreseen {
            median: now + finish.quantile(0.5),
            high: now + finish.quantile(0.95),
            chance: self.opening.deadline.map(|at| finish.chance(at.since(now))),
        }
    }

    /// When workers are free: those that wait now, those that start soon, and those that are still to be asked for after a start-up.
    fn free(&self, now: Timestamp, workers: usize) -> Vec<Duration> {
        let start_up = self.opening.start_up;
        let idle = self.memory.running().saturating_sub(self.running);
        let mut free = vec![Duration::ZERO; idle];
        let starting = self.memory.crew.values().filter(|worker| !worker.is_running);
        free.extend(starting.map(|worker| start_up.saturating_sub(now.since(worker.asked_at))));
        free.extend(vec![start_up; self.memory.asked_count()]);
        let missing = workers.saturating_sub(free.len() + self.running);
        free.extend(vec![start_up; missing]);
        if free.is_empty() && self.running == 0 {
            free.push(start_up);
        }
        free
    }

    /// The fewest above `from` that reach the confidence; where none do, the fewest that are about as good as the most.
    fn fewest(&self, now: Timestamp, from: usize, most: usize, confidence: f64, level: &Level) -> usize {
        let chance = |workers| self.finish(now, workers, level).chance.unwrap_or(1.0);
        let best = chance(most);
        if best < AS_GOOD {
            return most;
        }
        let wanted = confidence.min(best - AS_GOOD);
        let (mut few, mut many) = (from, most);
        while many > few + 1 {
            let middle = few.midpoint(many);
            match chance(middle) >= wanted {
                true => many = middle,
                false => few = middle,
            }
        }
        many
    }

    /// Says that it is late, or that it no longer is.
    fn doubt(&mut self, now: Timestamp, deadline: Timestamp, enough: f64, level: &Level, warnings: &mut Vec<Warning>) {
        let Some(chance) = self.foreseen.and_then(|foreseen| foreseen.chance) else {
            return;
        };
        let wanted = self.opening.job.confidence;
        if chance >= enough {
            // It has to be so by more than luck.
            if chance >= wanted && self.unsay(Kind::Late) {
                warnings.push(Warning::InTime { chance });
            }
            return;
        }
        let workers = self.memory.wanted as usize;
        let finish = self.outlook.finish_with(now, &self.free(now, workers), level, SEED);
        let short = (now + finish.quantile(wanted)).since(deadline);
        let left = self.tasks.open.len();
        let most = self.most().min(left);
        let more = (most < left)
            .then(|| self.fewest(now, most, left, wanted, level))
            .filter(|more| self.finish(now, *more, level).chance >= Some(wanted));
        let warning = Warning::Late {
            chance,
            wanted,
            short_s: short.as_secs_f64().ceil().max(1.0) as u64,
            workers: more.map(|more| more as u32),
        };
        self.say(Kind::Late, warning, warnings);
    }

    /// Whether what is left, and so many workers more, are thought to stay below `max_cost`.
    pub(super) fn can_afford(&self, now: Timestamp, more: usize) -> bool {
        let (Some(max_cost), Some(size)) = (self.opening.limits.max_cost, self.opening.sizes.first()) else {
            return true;
        };
        let left: Duration = self.tasks.open.values().map(|task| task.of.mean()).sum();
        let starts = self.opening.start_up.mul_f64(PAID_START) * more as u32;
        let hours = (left + starts).as_secs_f64() / 3600.0;
        let market = if self.opening.limits.spot {
            Market::Spot
        } else {
            Market::OnDemand
        };
        self.memory.dollars(now, &self.opening.sizes) + hours * size.price(market) <= max_cost
    }

    fn is_bound_by_quota(&self, most: usize) -> bool {
        let limits = &self.opening.limits;
        let by_file = [limits.workers, self.opening.job.max_workers];
        !by_file.into_iter().flatten().any(|workers| workers as usize <= most)
    }

    /// How many of so many workers more may be on Spot capacity: as many as there are tasks whose rerun still fits.
    pub(super) fn on_spot(&self, now: Timestamp, more: usize) -> usize {
        if !self.opening.limits.spot || !self.launches.has_spot(now) {
            return 0;
        }
        let Some(deadline) = self.opening.deadline else {
            return more;
        };
        let room = deadline.since(now);
        let fits = |of: &crate::plan::lognormal::LogNormal| {
            let once = of.in_any_run(&self.opening.luck.common).quantile(RERUN);
            self.opening.start_up * 2 + once * 2 <= room
        };
        let left = self.tasks.open.len().max(1);
        let fitting = self.tasks.open.values().filter(|task| fits(&task.of)).count();
        let on_spot = self.memory.crew.values().filter(|worker| worker.market == Market::Spot);
        // A worker takes whatever comes, so it is their share that counts.
        let share = (self.memory.wanted as usize * fitting) / left;
        share.saturating_sub(on_spot.count()).min(more)
    }
}
