//! A run: opened, cancelled, ended; and the times at which it wants to be looked at.

use std::time::Duration;

use super::event::{Change, Counts, Effect, Host, OpenRun, Pool, RunState, Stop, TaskState};
use super::task::State;
use super::window::Pace;
use super::{Engine, Step, Supply, Task};
use crate::id::RunId;
use crate::project::{Job, Resources};
use crate::time::Timestamp;

/// A run being worked off. Its waiting messages are in the store; here are only their numbers.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) job: Job,
    pub(super) host: Host,
    pub(super) ready: bool,
    /// It ends when nothing has happened in it for so long; when its last task is over if `None`.
    pub(super) idle: Option<Duration>,
    /// When something last happened in it.
    pub(super) moved_at: Timestamp,
    /// Of a consumer's run: tasks whose messages somebody has received.
    pub(super) outside: u64,
    pub(super) workers: u32,
    pub(super) deadline: Option<Timestamp>,
    pub(super) counts: Counts,
    pub(super) ending: Option<Ending>,
    pub(super) pace: Pace,
    /// The store has offered all that may go now.
    pub(super) exhausted: bool,
    /// What is ahead is heavy enough; more is leased when one of them has ended.
    pub(super) sated: bool,
    /// When the first of those that wait for their time may go.
    pub(super) next_visible: Option<Timestamp>,
    /// The next in order did not fit; nothing behind it starts before it does.
    pub(super) blocked: Option<Resources>,
    /// The counts have changed since they were last written.
    pub(super) dirty: bool,
}

/// Why a run ends before all its tasks are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Cancelled,
    /// Beyond its `max_duration`.
    Late,
    /// Its consumer never receives anything.
    Hopeless,
    /// What waited in it was purged.
    Purged,
}

impl Run {
    /// Counts a task that has come to this state.
    pub(super) fn count(&mut self, state: TaskState) {
        match state {
            TaskState::Succeeded => self.counts.succeeded += 1,
            TaskState::Skipped => self.counts.skipped += 1,
            TaskState::Failed => self.counts.failed += 1,
            TaskState::Rejected => self.counts.rejected += 1,
            TaskState::Cancelled => self.counts.cancelled += 1,
            TaskState::Waiting | TaskState::Leased => {}
        }
    }

    pub(super) fn resources(&self, memory: Option<u64>) -> Resources {
        Resources {
            memory: memory.or(self.job.resources.memory),
            ..self.job.resources
        }
    }
}

impl Run {
    /// When a run that waits for more has waited long enough.
    fn closes_at(&self) -> Option<Timestamp> {
        self.idle.map(|idle| self.moved_at + idle)
    }

    /// What a run came to whose last task is over: its state, whether it was ended for being late, and why in words.
    fn verdict(&self) -> (RunState, bool, Option<String>) {
        let Counts { total, cancelled, .. } = self.counts;
        let failed = self.counts.failed + self.counts.rejected;
        let borne = self.job.tolerate_failures.bears(failed, total);
        let too_many = format!("{failed} of {total} tasks failed, more than is tolerated");
        match self.ending.filter(|_| cancelled > 0) {
            Some(Ending::Cancelled) => (RunState::Cancelled, false, Some("cancelled".to_owned())),
            Some(Ending::Late) if borne => (
                RunState::Failed,
                true,
                Some(format!(
                    "{cancelled} of {total} tasks were not done within `max_duration`"
                )),
            ),
            Some(Ending::Late) => (RunState::Failed, true, Some(too_many)),
            Some(Ending::Purged) => (RunState::Cancelled, false, Some("its queue was purged".to_owned())),
            Some(Ending::Hopeless) => (
                RunState::Failed,
                false,
                Some("its consumer ended again and again without having received a message".to_owned()),
            ),
            None if borne => (RunState::Succeeded, false, None),
            None => (RunState::Failed, false, Some(too_many)),
        }
    }
}

impl Engine {
    pub(super) fn on_run_opened(&mut self, now: Timestamp, open: OpenRun, step: &mut Step) {
        let workers = [open.workers, open.job.max_workers]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(u32::MAX);
        let outside = if open.host == Host::Outside {
            open.leased.len() as u64
        } else {
            0
        };
        let held = open.leased.iter().filter(|_| open.host != Host::Outside);
        for leased in held {
            let pool = Pool {
                run: open.run,
                memory: leased.ledger.memory,
            };
            let resources = Resources {
                memory: pool.memory.or(open.job.resources.memory),
                ..open.job.resources
            };
            let gpus = self.packing.take(resources);
            let state = self.pools.entry(pool).or_default();
            state.active += 1;
            state.placed += 1;
            let attempt = leased.attempt;
            let task = Task {
                state: State::Leased,
                attempt: attempt.number,
                ledger: leased.ledger,
                pool,
                gpus,
                bytes: 0,
                exit: None,
            };
            self.tasks.insert(attempt.task, task);
        }
        for (attempt, folder) in &open.unpublished {
            let task = Task {
                state: State::Publishing,
                attempt: attempt.number,
                ledger: Default::default(),
                pool: Pool {
                    run: open.run,
                    memory: None,
                },
                gpus: Vec::new(),
                bytes: 0,
                exit: None,
            };
            self.tasks.insert(attempt.task, task);
            step.effects.push(Effect::Publish {
                attempt: *attempt,
                folder: folder.clone(),
            });
        }
        let run = Run {
            job: open.job,
            host: open.host,
            ready: open.ready,
            idle: open.idle,
            moved_at: now,
            outside,
            workers: workers.max(1),
            deadline: open.deadline,
            counts: open.counts,
            ending: None,
            pace: Pace::default(),
            exhausted: false,
            sated: false,
            next_visible: None,
            blocked: None,
            dirty: false,
        };
        self.finished = false;
        self.runs.insert(open.run, run);
        self.on_time(now, step);
    }

    pub(super) fn on_ready(&mut self, id: RunId) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.ready = true;
        }
    }

    pub(super) fn on_workers(&mut self, id: RunId, most: u32) {
        if let Some(run) = self.runs.get_mut(&id) {
            let most = run.job.max_workers.map_or(most, |limit| limit.min(most));
            run.workers = most.max(1);
        }
    }

    /// More has been sent to a run that takes in what others send.
    pub(super) fn on_arrived(&mut self, now: Timestamp, id: RunId, count: u64) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.counts.total += count;
            run.moved_at = now;
            run.exhausted = false;
        }
    }

    /// Ends a run early: what waits is cancelled, what runs is stopped.
    pub(super) fn cancel(&mut self, now: Timestamp, id: RunId, late: bool, step: &mut Step) {
        self.end_run(now, id, if late { Ending::Late } else { Ending::Cancelled }, step);
    }

    pub(super) fn end_run(&mut self, now: Timestamp, id: RunId, ending: Ending, step: &mut Step) {
        let held = self
            .tasks
            .range(id.task(i64::MIN)..=id.task(i64::MAX))
            .filter(|(_, task)| !task.is_counted())
            .count();
        let Some(run) = self.runs.get_mut(&id) else { return };
        if run.ending.is_some() {
            return;
        }
        run.ending = Some(ending);
        let waiting = run.counts.total - run.counts.done() - held as u64 - run.outside;
        if waiting > 0 || run.idle.is_some() {
            run.counts.cancelled += waiting;
            run.dirty = true;
            step.changes.push(Change::CancelWaiting { run: id, at: now });
        }
        run.exhausted = true;
        run.next_visible = None;
        run.blocked = None;
        let pools = self.pools.keys().filter(|pool| pool.run == id);
        step.effects.extend(pools.map(|pool| Effect::Withdraw { pool: *pool }));
        if ending == Ending::Purged {
            return;
        }
        self.dismiss_holders(id, step);
        let attempts = self.leased_attempts(|run| run == id);
        if !attempts.is_empty() {
            step.effects.push(Effect::Stop {
                attempts,
                stop: Stop::Cancel,
            });
        }
    }

    /// What is due by the clock alone.
    pub(super) fn on_time(&mut self, now: Timestamp, step: &mut Step) {
        let late: Vec<RunId> = self
            .runs
            .iter()
            .filter(|(_, run)| run.ending.is_none() && run.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.cancel(now, id, true, step);
        }
        for run in self.runs.values_mut() {
            if run.ending.is_none() && run.next_visible.is_some_and(|at| at <= now) {
                run.next_visible = None;
                run.exhausted = false;
            }
        }
        self.shrink_windows(now, step);
    }

    /// Ends the runs whose last task is over; says so when nothing is left.
    pub(super) fn close_runs(&mut self, now: Timestamp, step: &mut Step) {
        let ids: Vec<RunId> = self.runs.keys().copied().collect();
        for id in ids {
            let run = self.runs.get_mut(&id).expect("its key was just read");
            if std::mem::take(&mut run.dirty) {
                step.changes.push(Change::Counts {
                    run: id,
                    counts: run.counts,
                });
            }
            let held = self.tasks.range(id.task(i64::MIN)..=id.task(i64::MAX)).next().is_some();
            let waits_for_more = run.ending.is_none() && run.closes_at().is_some_and(|at| now < at);
            if run.counts.done() < run.counts.total || held || waits_for_more {
                continue;
            }
            let (state, late, reason) = run.verdict();
            step.changes.push(Change::RunEnded {
                run: id,
                state,
                late,
                reason,
                at: now,
            });
            self.runs.remove(&id);
        }
        let drained = self.supply != Supply::Open && self.tasks.is_empty() && self.is_unmanned();
        self.finished = (self.runs.is_empty() && self.is_unmanned()) || drained;
    }

    pub(super) fn run_wakeup(&self, id: RunId, run: &Run) -> Option<Timestamp> {
        if run.ending.is_some() {
            return None;
        }
        let visible = if self.supply == Supply::Open {
            run.next_visible
        } else {
            None
        };
        let review = self.review_at(id);
        let closes = if run.counts.done() == run.counts.total {
            run.closes_at()
        } else {
            None
        };
        [run.deadline, visible, review, closes].into_iter().flatten().min()
    }
}
