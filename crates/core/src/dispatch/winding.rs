//! The end of a run that is ended before all is done, and what any run comes to. What is not begun is abandoned: its claim is written over, so
//! that no worker of whichever run begins it later. What runs is done where only the budget is used up; else it is stopped.

use std::time::Duration;

use super::Dispatcher;
use super::event::{Effect, End, Ending};
use super::memory::Why;
use crate::engine::event::{Counts, RunState};
use crate::time::Timestamp;

/// Whoever does not stop is told again.
const TOLD: Duration = Duration::from_secs(60);

impl Dispatcher {
    /// What there is to do while it ends.
    pub(super) fn wind_up(&mut self, now: Timestamp, why: &Why, since: Timestamp) -> Vec<Effect> {
        let mut acts = Vec::new();
        self.launches.short.clear();
        // What was throttled is not made again; what is under way may have been accepted.
        self.memory.asked.retain(|_, asked| asked.again.is_none());
        self.tasks.forget_sending();
        let is_older = |at: Timestamp| at <= since;
        let reason = match why {
            Why::Cancelled => Some("the run was cancelled"),
            Why::TooLong => Some("the run takes longer than its max_duration"),
            // What ran is done. Whoever has begun something since, of others' messages, does it at a price that nobody wants to pay.
            Why::Capped | Why::Hopeless(_) => {
                let running = self.tasks.running(self.running);
                let has_older = running.iter().any(|(_, at)| is_older(*at));
                (!has_older).then_some("the run is over")
            }
        };
        if let Some(reason) = reason {
            let mut tasks = Vec::new();
            for (id, worker) in &mut self.memory.crew {
                if worker.told_at.is_none_or(|at| now.since(at) >= TOLD) {
                    worker.told_at = Some(now);
                    tasks.push(id.clone());
                }
            }
            if !tasks.is_empty() {
                let reason = reason.to_owned();
                acts.push(Effect::Stop { tasks, reason });
            }
        }
        if !self.is_abandoning && !self.tasks.open.is_empty() {
            self.is_abandoning = true;
            acts.push(Effect::Abandon(self.tasks.open.keys().copied().collect()));
        }
        acts
    }

    pub(super) fn on_abandoned(&mut self, now: Timestamp, ends: &[End]) {
        for end in ends {
            if self.tasks.end(end).is_some() {
                self.outlook.end(end.seq, None);
                self.moved_at = now;
            }
        }
    }

    /// What the run came to: as here (`engine/run.rs`).
    pub(super) fn ending(&self) -> Ending {
        let counts = self.tasks.counts;
        let Counts { total, cancelled, .. } = counts;
        let failed = counts.failed + counts.rejected;
        let is_borne = self.opening.job.tolerate_failures.bears(failed, total);
        let too_many = format!("{failed} of {total} tasks failed, more than is tolerated");
        let why = self
            .memory
            .ending
            .as_ref()
            .map(|(why, _)| why)
            .filter(|_| cancelled > 0 || total == 0);
        let (state, reason) = match why {
            Some(Why::Cancelled) => (RunState::Cancelled, Some("cancelled".to_owned())),
            Some(Why::TooLong) if is_borne => (
                RunState::Failed,
                Some(format!(
                    "{cancelled} of {total} tasks were not done within `max_duration`"
                )),
            ),
            Some(Why::Capped) if is_borne => {
                let max_cost = self.opening.limits.max_cost.unwrap_or_default();
                let reason =
                    format!("it has cost its `max_cost` of ${max_cost:.2}: {cancelled} of {total} tasks were not done");
                (RunState::Failed, Some(reason))
            }
            Some(Why::Hopeless(reason)) if total == 0 => (RunState::Failed, Some(reason.clone())),
            Some(Why::Hopeless(reason)) => (
                RunState::Failed,
                Some(format!("{reason}; {cancelled} of {total} tasks were not done")),
            ),
            Some(Why::TooLong | Why::Capped) => (RunState::Failed, Some(too_many)),
            None if is_borne => (RunState::Succeeded, None),
            None => (RunState::Failed, Some(too_many)),
        };
        let late = self.opening.deadline.zip(self.memory.last_over);
        Ending {
            state,
            late: late.is_some_and(|(deadline, last)| last > deadline),
            reason,
            counts,
            dollars: self.memory.spent,
        }
    }

    /// Of a run that is none.
    pub(super) fn nothing(&self, reason: String) -> Ending {
        Ending {
            state: RunState::Succeeded,
            late: false,
            reason: Some(reason),
            counts: Counts::default(),
            dollars: 0.0,
        }
    }
}
