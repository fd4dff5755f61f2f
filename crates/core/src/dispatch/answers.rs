//! What comes of launches and of messages that were sent, and which of them may follow.

use super::event::{Effect, Launch, Market};
use super::memory::Worker;
use super::refusal::Refusal;
use super::warning::{Kind, Warning};
use super::{Dispatcher, EVERY, LAG, PATIENCE};
use crate::time::Timestamp;

/// A call whose outcome is not known is made again so often.
const MOST_TRIES: u32 = 8;

impl Dispatcher {
    pub(super) fn on_launched(
        &mut self,
        now: Timestamp,
        number: u32,
        accepted: Vec<String>,
        failures: &[String],
    ) -> Vec<Effect> {
        let Some(asked) = self.memory.asked.remove(&number) else {
            return Vec::new();
        };
        if !accepted.is_empty() {
            self.launches.accepted();
        }
        for id in accepted {
            // It may have been seen before, or even have stopped.
            if self.memory.settled.contains_key(&id) || self.memory.crew.contains_key(&id) {
                continue;
            }
            self.memory.started += 1;
            let worker = Worker {
                size: asked.launch.size,
                market: asked.launch.market,
                asked_at: asked.at,
                seen_at: now,
                paid_from: None,
                is_running: false,
                told_at: None,
            };
            self.memory.crew.insert(id, worker);
        }
        match failures.first() {
            Some(reason) => self.refused(now, asked.launch.market, reason),
            None => Vec::new(),
        }
    }

    pub(super) fn on_refused(&mut self, now: Timestamp, number: u32, why: &str) -> Vec<Effect> {
        let Some(asked) = self.memory.asked.get_mut(&number) else {
            return Vec::new();
        };
        let is_again = match Refusal::of(why) {
            Refusal::Throttled => true,
            // It may have been accepted all the same: the same token finds that out.
            Refusal::Trouble => asked.tries < MOST_TRIES,
            Refusal::Capacity | Refusal::Quota | Refusal::Denied => false,
        };
        if self.memory.ending.is_none() && is_again {
            self.launches.throttled(now, asked, &mut self.random);
            return Vec::new();
        }
        let market = asked.launch.market;
        self.memory.asked.remove(&number);
        self.refused(now, market, why)
    }

    fn refused(&mut self, now: Timestamp, market: Market, reason: &str) -> Vec<Effect> {
        let refusal = Refusal::of(reason);
        self.launches.refused(now, market, refusal, reason, &mut self.random);
        if refusal == Refusal::Quota && market == Market::OnDemand {
            self.most_seen = Some(self.memory.crew.len());
            self.most_until = now + PATIENCE;
        }
        let mut warnings = Vec::new();
        if let Some(trouble) = self.launches.trouble.clone() {
            let (since, reason) = (trouble.since, trouble.reason);
            self.say(Kind::Unstarted, Warning::Unstarted { since, reason }, &mut warnings);
        }
        warnings.into_iter().map(Effect::Warn).collect()
    }

    pub(super) fn on_not_sent(&mut self, now: Timestamp, seqs: &[i64], reason: String) -> Vec<Effect> {
        self.tasks.not_sent(seqs);
        self.send_again = Some(now + EVERY.mul_f64(self.random.f64()));
        let since = *self.unsent_since.get_or_insert(now);
        let mut warnings = Vec::new();
        if now.since(since) >= LAG {
            self.say(Kind::Unsent, Warning::Unsent { reason }, &mut warnings);
        }
        warnings.into_iter().map(Effect::Warn).collect()
    }

    /// What may be sent now.
    pub(super) fn sends(&mut self) -> Vec<Effect> {
        if self.memory.ending.is_some() || self.send_again.is_some() {
            return Vec::new();
        }
        self.tasks.batches().into_iter().map(Effect::Send).collect()
    }

    /// The launches that may be made now; they are in the memory, which has to be saved before.
    pub(super) fn pour(&mut self, now: Timestamp) -> Vec<Launch> {
        if self.is_capped(now) {
            self.launches.short.clear();
            return Vec::new();
        }
        self.launches.pour(now, &mut self.memory, &self.opening.name)
    }

    /// Whether it has cost what it may.
    pub(super) fn is_capped(&self, now: Timestamp) -> bool {
        let max_cost = self.opening.limits.max_cost;
        max_cost.is_some_and(|most| self.memory.dollars(now, &self.opening.sizes) >= most)
    }
}
