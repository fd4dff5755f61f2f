//! A round: what a look has shown is taken in, and what follows is done: commit, then act.

use super::crew::{self, Parting};
use super::event::{Effect, Observation};
use super::memory::Why;
use super::refusal::Refusal;
use super::warning::{Kind, Warning};
use super::{Dispatcher, EVERY, GIVE_UP, LAG, PATIENCE};
use crate::drain::VISIBILITY;
use crate::engine::event::Outcome;
use crate::time::Timestamp;

/// Workers that failed in a row, with nothing to show, before the run is given up.
const FALSE_STARTS: u32 = 5;
/// Calls that were denied in a row.
const DENIED: u32 = 3;
/// All queues were said to be empty so often in a row.
const EMPTY_LOOKS: u32 = 2;

impl Dispatcher {
    /// What a look has shown.
    pub(super) fn take_in(&mut self, now: Timestamp, seen: &Observation) {
        let mut has_moved = false;
        // What has begun or ended has arrived, whether or not that is listed yet.
        let begun = seen.begins.iter().map(|begin| begin.seq);
        let known = begun.chain(seen.ends.iter().map(|end| end.seq));
        for seq in seen.arrivals.iter().copied().chain(known) {
            if self.tasks.add(seq, self.opening.other) {
                self.outlook.add(seq, self.opening.other);
                has_moved = true;
            }
        }
        for begin in &seen.begins {
            if self.tasks.begin(begin) {
                self.last_begin = self.last_begin.max(begin.at);
                has_moved = true;
            }
        }
        for end in &seen.ends {
            let Some(task) = self.tasks.end(end) else { continue };
            has_moved = true;
            let succeeded = end.outcome == Outcome::Succeeded;
            self.outlook.end(end.seq, succeeded.then_some(end.took));
            let begun = task.begun.filter(|(attempt, _)| *attempt == end.attempt);
            let ended = begun.map_or(now, |(_, at)| (at + end.took).min(now));
            self.memory.last_over = self.memory.last_over.max(Some(ended));
        }
        if has_moved {
            self.futile.0 = 0;
            self.false_starts.0 = 0;
            self.moved_at = now;
        }
        for parting in crew::look(&mut self.memory, now, &seen.tasks, &self.opening.sizes) {
            self.on_parting(now, parting);
        }
        self.queues.clone_from(&seen.queues);
        let is_empty = self.queues.iter().all(super::Backlog::is_empty);
        if is_empty {
            self.full_since = now;
        }
        self.empty = match self.empty {
            Some((since, looks)) if is_empty => Some((since, looks + 1)),
            None if is_empty => Some((now, 1)),
            _ => None,
        };
        let running = self.tasks.running(self.memory.running());
        self.running = running.len();
        let mut begun = running.iter();
        let still: std::collections::BTreeMap<i64, Timestamp> = begun.by_ref().copied().collect();
        for (seq, task) in &self.tasks.open {
            match (still.get(seq), task.begun) {
                (Some(at), _) => self.outlook.start(*seq, *at),
                // Its worker is gone, or it waits for its next attempt.
                (None, Some(_)) => self.outlook.put_back(*seq, None),
                (None, None) => {}
            }
        }
    }

    fn on_parting(&mut self, now: Timestamp, parting: Parting) {
        match parting {
            Parting::Left { asked_at } if self.last_begin < asked_at => self.futile = (self.futile.0 + 1, now),
            Parting::Left { .. } | Parting::Told => {}
            // Its message is there again when it has been silent for so long.
            Parting::Lost { at } => self.due.push(at + VISIBILITY),
            Parting::Failed { at, reason } => {
                self.due.push(at + VISIBILITY);
                self.false_starts.0 += 1;
                self.false_starts.1 = reason;
                self.launches.hold(now, self.false_starts.0, &mut self.random);
            }
            Parting::Unstarted { market, reason } => match Refusal::of(&reason) {
                // Accepted, and then refused all the same.
                refusal @ (Refusal::Capacity | Refusal::Quota | Refusal::Throttled) => {
                    self.launches.refused(now, market, refusal, &reason, &mut self.random);
                }
                Refusal::Trouble | Refusal::Denied => {
                    self.false_starts.0 += 1;
                    self.false_starts.1 = reason;
                    self.launches.hold(now, self.false_starts.0, &mut self.random);
                }
            },
        }
    }

    /// What follows from how the run stands.
    pub(super) fn round(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.most_until <= now {
            self.most_seen = None;
        }
        if now.since(self.futile.1) >= PATIENCE {
            self.futile.0 = 0;
        }
        let mut warnings = Vec::new();
        if self.memory.ending.is_none()
            && let Some(why) = self.why_end(now, &mut warnings)
        {
            self.memory.ending = Some((why, now));
        }
        let mut acts = Vec::new();
        let mut launches = Vec::new();
        match self.memory.ending.clone() {
            None => {
                self.foresee(now, &mut warnings);
                self.send_missing(now);
                self.demand(now);
                launches = self.pour(now);
                if self.launches.trouble.is_none() && self.unsay(Kind::Unstarted) {
                    warnings.push(Warning::Started);
                }
            }
            Some((why, since)) => acts = self.wind_up(now, &why, since),
        }
        let mut effects: Vec<Effect> = warnings.into_iter().map(Effect::Warn).collect();
        effects.push(Effect::Save(Box::new(self.progress(now))));
        effects.extend(launches.into_iter().map(Effect::Launch));
        effects.extend(self.sends());
        effects.extend(acts);
        effects.extend(self.finish_if_done(now));
        effects
    }

    /// Why the run is to be ended before all is done.
    fn why_end(&mut self, now: Timestamp, warnings: &mut Vec<Warning>) -> Option<Why> {
        if let Some(most) = self.opening.job.max_duration
            && now.since(self.opening.opened_at) >= most
        {
            return Some(Why::TooLong);
        }
        if let Some(max_cost) = self.opening.limits.max_cost.filter(|_| self.is_capped(now)) {
            self.say(Kind::Capped, Warning::Capped { max_cost }, warnings);
            return Some(Why::Capped);
        }
        if self.most() == 0 && self.memory.crew.is_empty() && self.most_seen.is_none() {
            let reason = "the account's quota of vCPUs leaves no room for a worker: ask for more at Service Quotas";
            return Some(Why::Hopeless(reason.to_owned()));
        }
        if let Some(since) = self.unsent_since
            && now.since(since) >= GIVE_UP
        {
            return Some(Why::Hopeless("the queue takes no messages".to_owned()));
        }
        let (times, reason) = &self.false_starts;
        if *times >= FALSE_STARTS && self.memory.running() == 0 && self.memory.coming() == 0 {
            return Some(Why::Hopeless(format!("{times} workers in a row failed: {reason}")));
        }
        let trouble = self.launches.trouble.as_ref()?;
        let is_hopeless = match trouble.refusal {
            Refusal::Denied => trouble.times >= DENIED,
            Refusal::Throttled | Refusal::Capacity | Refusal::Quota | Refusal::Trouble => {
                now.since(trouble.since) >= GIVE_UP
            }
        };
        let nobody = self.memory.crew.is_empty();
        (is_hopeless && nobody).then(|| Why::Hopeless(format!("no worker could be started: {}", trouble.reason)))
    }

    /// Whether all is over, and nobody is left.
    pub(super) fn is_done(&self, now: Timestamp) -> bool {
        let is_alone = self.memory.crew.is_empty() && self.memory.asked.is_empty();
        if !self.tasks.open.is_empty() || !is_alone {
            return false;
        }
        if self.memory.ending.is_some() {
            // What an earlier dispatcher has started may not be listed yet.
            return self.memory.dispatchers == 1 || now.since(self.began_at) >= LAG;
        }
        if self.opening.serves_others && now.since(self.began_at) < LAG {
            return false;
        }
        let is_empty = self.empty.is_some_and(|(_, looks)| looks >= EMPTY_LOOKS);
        // Somebody hides a message of no concern to us, or the count is wrong: workers have asked, and nothing was there.
        let hint: usize = (0..self.queues.len()).map(|size| self.hint(size)).sum();
        let is_quiet = hint == 0 && now.since(self.moved_at.max(self.full_since)) >= PATIENCE + self.longest_hidden();
        self.tasks.all_sent() && self.launches.short.is_empty() && (is_empty || is_quiet)
    }

    pub(super) fn finish_if_done(&mut self, now: Timestamp) -> Vec<Effect> {
        if !self.is_done(now) {
            // The end of it is looked for sooner than the next round.
            self.next_look = self.next_look.min(now + EVERY);
            return Vec::new();
        }
        self.is_finished = true;
        vec![Effect::Finish(Box::new(self.ending()))]
    }
}
