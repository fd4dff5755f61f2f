//! How many messages wait for a worker that is not there: by what is known of the run's own tasks, and by what the queues say where that is
//! worth believing.

use std::time::Duration;

use super::event::Market;
use super::{Dispatcher, LAG, PATIENCE};
use crate::drain::VISIBILITY;
use crate::time::Timestamp;

/// So many workers in a row that found nothing, and the count of the queue is no longer believed.
const FUTILE: u32 = 3;

impl Dispatcher {
    /// What is to be started, by size and market.
    pub(super) fn demand(&mut self, now: Timestamp) {
        self.launches.short.clear();
        self.due.retain(|at| now <= *at + LAG);
        let (running, alive) = (
            self.memory.running(),
            self.memory.crew.len() + self.memory.asked_count(),
        );
        let most = self.most();
        let mut room = most.saturating_sub(alive);
        let left = self.tasks.open.len();
        let waiting = left.saturating_sub(self.running);
        let covered = self.memory.coming() + running.saturating_sub(self.running);
        let hint = self.hint(0);
        let fresh = self.tasks.fresh(now, LAG);
        let start_up = self.opening.start_up;
        let expected = self.due.iter().filter(|at| **at <= now + start_up).count();
        let own = waiting.min(hint.max(fresh + expected));
        let wanted = (self.memory.wanted as usize).saturating_sub(alive);
        let mut need = own.saturating_sub(covered).min(wanted);
        let others = hint.saturating_sub(own);
        if self.opening.serves_others {
            need = need.max(hint.saturating_sub(covered));
        } else if others == 0 || alive > 0 {
            self.foreign_since = None;
        } else if now.since(*self.foreign_since.get_or_insert(now)) >= LAG {
            // Somebody's messages, of another run perhaps: one worker sees to it that they are not left lying.
            need = need.max(1);
        }
        need = need.min(room);
        room -= need;
        self.want(now, 0, need);
        for size in 1..self.opening.sizes.len().min(self.queues.len()) {
            let alive = self.memory.crew.values().filter(|worker| worker.size == size).count();
            let asked = self.memory.asked.values().filter(|asked| asked.launch.size == size);
            let asked: usize = asked.map(|asked| asked.launch.count as usize).sum();
            // Those that have grown are few, and each has a worker before it is asked for another.
            let need = self.hint(size).saturating_sub(alive + asked).min(room);
            room -= need;
            self.want(now, size, need);
        }
    }

    fn want(&mut self, now: Timestamp, size: usize, need: usize) {
        let spot = self.on_spot(now, need).min(self.room(size, Market::Spot));
        let on_demand = (need - spot).min(self.room(size, Market::OnDemand));
        for (market, count) in [(Market::OnDemand, on_demand), (Market::Spot, spot)] {
            if count > 0 {
                self.launches.short.insert((size, market), count as u32);
            }
        }
    }

    /// How many more the quota of a market lets be.
    fn room(&self, size: usize, market: Market) -> usize {
        let limits = &self.opening.limits;
        let vcpus = match market {
            Market::OnDemand => limits.vcpus,
            Market::Spot => limits.spot_vcpus,
        };
        let Some(vcpus) = vcpus else { return usize::MAX };
        let of = |size: usize| self.opening.sizes.get(size).map_or(1.0, |size| size.vcpus);
        let crew = self.memory.crew.values().filter(|worker| worker.market == market);
        let asked = self.memory.asked.values().map(|asked| &asked.launch);
        let asked = asked.filter(|launch| launch.market == market);
        let taken: f64 = crew.map(|worker| of(worker.size)).sum::<f64>()
            + asked
                .map(|launch| of(launch.size) * f64::from(launch.count))
                .sum::<f64>()
            + self
                .launches
                .short
                .iter()
                .filter(|((_, of), _)| *of == market)
                .map(|((size, _), count)| of(*size) * f64::from(*count))
                .sum::<f64>();
        // A sum of tenths is not quite what it should be.
        ((vcpus - taken) / of(size).max(0.01) + 1e-9).max(0.0) as usize
    }

    /// Messages that a queue is said to have for whoever asks.
    pub(super) fn hint(&self, size: usize) -> usize {
        if self.futile.0 >= FUTILE {
            return 0;
        }
        self.queues.get(size).map_or(0, |queue| queue.visible as usize)
    }

    /// Sends again what has no end, when nothing has been there to receive for long: the claim makes a second copy harmless.
    pub(super) fn send_missing(&mut self, now: Timestamp) {
        let left = self.tasks.open.len();
        let waiting = left.saturating_sub(self.running);
        let is_expected = self.tasks.fresh(now, LAG) > 0 || self.due.iter().any(|at| now < *at + LAG);
        let visible: usize = (0..self.queues.len()).map(|size| self.hint(size)).sum();
        if waiting == 0 || is_expected || visible > 0 || !self.tasks.all_sent() {
            self.missing_since = None;
            return;
        }
        let since = *self.missing_since.get_or_insert(now);
        let others: u64 = self.queues.iter().map(|queue| queue.hidden + queue.delayed).sum();
        // What is hidden beyond what is worked on waits for its next attempt.
        let patience = match others as usize > self.running {
            false => PATIENCE,
            true if self.memory.crew.is_empty() => PATIENCE + self.longest_hidden(),
            true => return,
        };
        if now.since(since) < patience {
            return;
        }
        let running: Vec<i64> = self.tasks.running(self.running).iter().map(|(seq, _)| *seq).collect();
        let missing = self.tasks.open.keys().copied().filter(|seq| !running.contains(seq));
        let missing: Vec<i64> = missing.collect();
        self.tasks.enqueue(missing);
        self.missing_since = None;
        self.futile.0 = 0;
    }

    /// Nobody hides a message for longer, who still lives.
    pub(super) fn longest_hidden(&self) -> Duration {
        let backoff = self.opening.job.backoff;
        VISIBILITY.max(backoff.max.mul_f64(1.0 + backoff.jitter))
    }
}
