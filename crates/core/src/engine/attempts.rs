//! What follows an attempt: it started, ended, left something, was handed back or lost.
//!
//! Every event may come late or twice. One that is not about the task's current attempt, or that the task has already
//! met, changes nothing; the keeper is told that it may forget.

use std::collections::BTreeSet;

use super::event::{
    AttemptRow, Change, Collected, Effect, Exit, Failure, Host, Outcome, Stop, TaskRow, TaskState, Usage,
};
use super::retry::{self, Verdict};
use super::task::{self, Input, State};
use super::{Engine, IllegalTransition, Step, Supply, Task};
use crate::id::{AttemptId, RunId, TaskId};
use crate::time::Timestamp;

impl Engine {
    pub(super) fn on_started(
        &mut self,
        attempt: AttemptId,
        at: Timestamp,
        step: &mut Step,
    ) -> Result<(), IllegalTransition> {
        if let Some(task) = self.current(attempt)
            && task.state == State::Leased
        {
            task.state = task::next(attempt, State::Leased, Input::Started { at })?;
            step.changes.push(Change::Started { task: attempt.task, at });
        }
        Ok(())
    }

    pub(super) fn on_exited(
        &mut self,
        now: Timestamp,
        attempt: AttemptId,
        exit: Exit,
        step: &mut Step,
    ) -> Result<(), IllegalTransition> {
        if let Some(instance) = attempt.instance() {
            self.on_instance_exited(now, instance, &exit, step);
            return Ok(());
        }
        let jitter = self.random.f64();
        let Some(task) = self.current(attempt) else {
            step.effects.push(Effect::Acknowledge { attempt });
            return Ok(());
        };
        if !task.is_leased() {
            return Ok(());
        }
        let (pool, gpus, bytes) = (task.pool, std::mem::take(&mut task.gpus), task.bytes);
        let ledger = task.ledger;
        self.leave_pool(pool, &gpus, bytes);
        let run = self
            .runs
            .get_mut(&attempt.task.run)
            .expect("a held task has an open run");
        run.pace.observe(exit.ended_at.since(exit.started_at));
        let leaves = exit.result.is_some() || exit.output.is_some();
        let verdict = retry::judge(&run.job, ledger, attempt.number, &exit.end, leaves, jitter);
        if verdict.input == (Input::Succeeded { leaves: true }) {
            let task = self.tasks.get_mut(&attempt.task).expect("current above");
            task.state = task::next(attempt, task.state.clone(), verdict.input)?;
            let (result, output) = (exit.result.clone(), exit.output.clone());
            task.exit = Some(exit);
            step.effects.push(Effect::Collect {
                attempt,
                result,
                output,
            });
            return Ok(());
        }
        self.settle(now, attempt, verdict, Some(&exit), step)
    }

    pub(super) fn on_collected(
        &mut self,
        now: Timestamp,
        attempt: AttemptId,
        collected: Result<Collected, String>,
        step: &mut Step,
    ) -> Result<(), IllegalTransition> {
        let jitter = self.random.f64();
        let Some(task) = self.current(attempt) else {
            return Ok(());
        };
        if task.state != State::Collecting {
            return Ok(());
        }
        let exit = task.exit.take().expect("a collecting task has ended");
        let ledger = task.ledger;
        let verdict = match collected {
            Err(why) => {
                let run = &self.runs[&attempt.task.run];
                retry::judge_invalid(&run.job, ledger, &why, jitter)
            }
            Ok(collected) => {
                if let Some(body) = collected.result {
                    step.changes.push(Change::Result {
                        task: attempt.task,
                        body,
                    });
                }
                let publish = collected.output.is_some();
                if let Some(output) = collected.output {
                    let (files, bytes) = (output.files, output.bytes);
                    step.changes.push(Change::Output {
                        task: attempt.task,
                        files,
                        bytes,
                    });
                    step.effects.push(Effect::Publish {
                        attempt,
                        folder: output.folder,
                    });
                }
                Verdict {
                    input: Input::Collected { publish },
                    outcome: Outcome::Succeeded,
                    reason: None,
                    exit_code: Some(0),
                    ledger,
                    delay: Default::default(),
                }
            }
        };
        self.settle(now, attempt, verdict, Some(&exit), step)
    }

    pub(super) fn on_published(&mut self, attempt: AttemptId, step: &mut Step) -> Result<(), IllegalTransition> {
        let Some(task) = self.current(attempt) else {
            return Ok(());
        };
        if task.state != State::Publishing {
            return Ok(());
        }
        task.state = task::next(attempt, State::Publishing, Input::Published)?;
        self.tasks.remove(&attempt.task);
        step.changes.push(Change::Published { task: attempt.task });
        step.effects.push(Effect::Acknowledge { attempt });
        Ok(())
    }

    pub(super) fn on_withdrawn(
        &mut self,
        now: Timestamp,
        attempts: &[AttemptId],
        step: &mut Step,
    ) -> Result<(), IllegalTransition> {
        for attempt in attempts {
            if let Some(instance) = attempt.instance() {
                let exit = Exit::withdrawn(now);
                self.on_instance_exited(now, instance, &exit, step);
                continue;
            }
            let cancelled = self.runs.get(&attempt.task.run).is_some_and(|run| run.ending.is_some());
            // Whoever's it is, it never started, and the keeper may forget it.
            step.effects.push(Effect::Acknowledge { attempt: *attempt });
            let Some(task) = self.current(*attempt) else { continue };
            if task.state != State::Leased {
                continue;
            }
            let (pool, gpus, ledger) = (task.pool, std::mem::take(&mut task.gpus), task.ledger);
            let bytes = task.bytes;
            self.leave_pool(pool, &gpus, bytes);
            let verdict = Verdict {
                input: if cancelled { Input::Cancelled } else { Input::Released },
                outcome: Outcome::Released,
                reason: None,
                exit_code: None,
                ledger,
                delay: Default::default(),
            };
            self.settle(now, *attempt, verdict, None, step)?;
        }
        Ok(())
    }

    /// A host holds this and nothing else.
    pub(super) fn on_host_found(
        &mut self,
        now: Timestamp,
        host: Host,
        holds: &BTreeSet<AttemptId>,
        same: bool,
        step: &mut Step,
    ) -> Result<(), IllegalTransition> {
        self.hosts.insert(host);
        let leased = self.leased_attempts(|run| self.host(run) == Some(host));
        let missing: Vec<AttemptId> = leased
            .iter()
            .copied()
            .filter(|attempt| !holds.contains(attempt))
            .collect();
        if same {
            // It was never told of these: they have not started.
            self.on_withdrawn(now, &missing, step)?;
        } else {
            for attempt in missing {
                self.on_lost(now, attempt, step)?;
            }
        }
        self.on_host_of_instances(now, host, holds, step);
        let mut strangers: Vec<AttemptId> = holds.iter().copied().collect();
        strangers.retain(|attempt| self.current(*attempt).is_none() && !self.is_instance(*attempt));
        if !strangers.is_empty() {
            step.effects.push(Effect::Stop {
                attempts: strangers,
                stop: Stop::Fence,
            });
        }
        // What was to be ended when the last host or runtime went is to be ended still.
        let ending = |run: &RunId| self.runs.get(run).is_some_and(|run| run.ending.is_some());
        let (cancelled, others): (Vec<AttemptId>, Vec<AttemptId>) = self
            .leased_attempts(|run| self.host(run) == Some(host))
            .into_iter()
            .partition(|attempt| ending(&attempt.task.run));
        if !cancelled.is_empty() {
            step.effects.push(Effect::Stop {
                attempts: cancelled,
                stop: Stop::Cancel,
            });
        }
        if self.supply == Supply::Releasing && !others.is_empty() {
            step.effects.push(Effect::Stop {
                attempts: others,
                stop: Stop::Release,
            });
        }
        Ok(())
    }

    /// An attempt ended with the infrastructure.
    pub(super) fn on_lost(
        &mut self,
        now: Timestamp,
        attempt: AttemptId,
        step: &mut Step,
    ) -> Result<(), IllegalTransition> {
        if let Some(instance) = attempt.instance() {
            self.on_instance_lost(now, instance, step);
            return Ok(());
        }
        let Some(task) = self.current(attempt).filter(|task| task.is_leased()) else {
            return Ok(());
        };
        let (pool, gpus, ledger) = (task.pool, std::mem::take(&mut task.gpus), task.ledger);
        let bytes = task.bytes;
        self.leave_pool(pool, &gpus, bytes);
        let run = &self.runs[&attempt.task.run];
        let mut verdict = retry::judge_loss(&run.job, ledger);
        if run.ending.is_some() && verdict.input == (Input::Failed { again: true }) {
            verdict.input = Input::Cancelled;
        }
        self.settle(now, attempt, verdict, None, step)
    }

    /// Writes down what an attempt came to and lets go of its task, unless an output is still to be published.
    fn settle(
        &mut self,
        now: Timestamp,
        attempt: AttemptId,
        verdict: Verdict,
        exit: Option<&Exit>,
        step: &mut Step,
    ) -> Result<(), IllegalTransition> {
        let id = attempt.task;
        let task = self.tasks.get_mut(&id).expect("only held tasks are settled");
        let run = self.runs.get_mut(&id.run).expect("a held task has an open run");
        let mut input = verdict.input;
        // A run that is being ended starts nothing again.
        if run.ending.is_some() && matches!(input, Input::Released | Input::Failed { again: true }) {
            input = Input::Cancelled;
        }
        task.state = task::next(attempt, task.state.clone(), input)?;
        let state = stored(&task.state);
        let waits = state == TaskState::Waiting;
        let visible_at = (waits && !verdict.delay.is_zero()).then(|| now + verdict.delay);
        run.count(state);
        match (waits, visible_at) {
            (true, None) => run.exhausted = false,
            (true, Some(at)) => run.next_visible = Some(run.next_visible.map_or(at, |other| other.min(at))),
            (false, _) => {}
        }
        let unpublished = match (&task.state, step.effects.last()) {
            (State::Publishing, Some(Effect::Publish { folder, .. })) => Some(folder.clone()),
            _ => None,
        };
        let withdrawn = exit.is_none() && verdict.outcome == Outcome::Released;
        if !withdrawn {
            run.counts.attempts += 1;
            step.changes.push(Change::Attempt(Box::new(AttemptRow {
                instance: None,
                attempt,
                outcome: verdict.outcome,
                reason: verdict.reason.clone(),
                exit_code: verdict.exit_code,
                started_at: exit.map(|exit| exit.started_at),
                ended_at: exit.map_or(now, |exit| exit.ended_at),
                usage: exit.map_or_else(Usage::default, |exit| exit.usage),
            })));
            if state != TaskState::Succeeded {
                step.effects.push(Effect::Tell(Failure {
                    attempt,
                    reason: verdict.reason.clone().unwrap_or_default(),
                    tail: exit.map(|exit| exit.tail.clone()).unwrap_or_default(),
                    retry_in: (waits && !verdict.outcome.is_free()).then_some(verdict.delay),
                    state,
                }));
            }
        }
        run.dirty = true;
        run.moved_at = now;
        step.changes.push(Change::Task(TaskRow {
            task: id,
            state,
            attempt: attempt.number,
            ledger: verdict.ledger,
            visible_at,
            ended_at: (!waits).then(|| exit.map_or(now, |exit| exit.ended_at)),
            reason: verdict.reason,
            unpublished,
        }));
        let grown = (run.resources(verdict.ledger.memory), run.resources(task.ledger.memory));
        if waits && grown.0 != grown.1 {
            let by = self.packing.share(grown.0) / self.packing.share(grown.1);
            step.changes.push(Change::Reordered { task: id, by });
        }
        if task.state != State::Publishing {
            self.tasks.remove(&id);
            if exit.is_some() {
                step.effects.push(Effect::Acknowledge { attempt });
            }
        }
        Ok(())
    }

    /// The task whose current attempt this is.
    fn current(&mut self, attempt: AttemptId) -> Option<&mut Task> {
        let id: TaskId = attempt.task;
        self.tasks.get_mut(&id).filter(|task| task.attempt == attempt.number)
    }
}

/// The state's word in the row.
pub(super) fn stored(state: &State) -> TaskState {
    match state {
        State::Waiting => TaskState::Waiting,
        State::Leased | State::Running { .. } | State::Collecting => TaskState::Leased,
        State::Publishing | State::Succeeded => TaskState::Succeeded,
        State::Skipped => TaskState::Skipped,
        State::Failed => TaskState::Failed,
        State::Rejected => TaskState::Rejected,
        State::Cancelled => TaskState::Cancelled,
    }
}
