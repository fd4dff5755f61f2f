//! Tasks of a consumer's job: their program reads the queue itself, and the task follows what happens to its message. The
//! engine holds nothing of them but how many are in flight; the row comes with the event.

use super::event::{AttemptRow, Change, Ledger, Outcome, TaskRow, TaskState, Usage};
use super::task::{self, Input, State};
use super::{Engine, IllegalTransition, Step, stored};
use crate::id::{AttemptId, InstanceId, TaskId};
use crate::time::Timestamp;

/// What happened to the message of a task, and the task's row before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    pub task: TaskId,
    pub job: String,
    pub fate: Fate,
    pub state: TaskState,
    pub attempt: u32,
    pub ledger: Ledger,
    /// Of the attempt that runs.
    pub started_at: Option<Timestamp>,
    /// Who had received it.
    pub holder: Option<InstanceId>,
}

/// What becomes of a message in a queue that a program reads itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// By this instance, or by somebody else.
    Received(Option<InstanceId>),
    /// Its reader is done with it.
    Deleted,
    /// It may be received again; why, in words.
    Returned(String),
    /// It went to the dead letters; why, in words.
    Buried(String),
    /// It was purged.
    Discarded,
}

impl Engine {
    pub(super) fn on_followed(
        &mut self,
        now: Timestamp,
        followed: Followed,
        step: &mut Step,
    ) -> Result<(), IllegalTransition> {
        self.note_holder(now, &followed);
        let Followed {
            task,
            fate,
            started_at,
            holder,
            ..
        } = followed;
        let mut attempt = task.attempt(followed.attempt);
        let before = match followed.state {
            super::event::TaskState::Waiting => State::Waiting,
            super::event::TaskState::Leased => State::Running {
                since: started_at.unwrap_or(now),
            },
            // Over already: whoever still has the message does no harm.
            _ => return Ok(()),
        };
        let was_leased = before != State::Waiting;
        let is_ending = self.runs.get(&task.run).is_some_and(|run| run.ending.is_some());
        let (input, outcome, reason) = match fate {
            Fate::Received(_) if was_leased => {
                // Its visibility ended without anybody noticing: that attempt is over, and another begins.
                step.changes.push(ended(
                    attempt,
                    holder,
                    Outcome::Lost,
                    Some("its visibility timeout ended".to_owned()),
                    started_at,
                    now,
                ));
                (Input::Released, None, None)
            }
            Fate::Received(_) => (Input::Lease, None, None),
            Fate::Deleted => (Input::Succeeded { leaves: false }, Some(Outcome::Succeeded), None),
            Fate::Returned(_) if !was_leased => return Ok(()),
            Fate::Returned(why) if is_ending => (Input::Cancelled, Some(Outcome::Stopped), Some(why)),
            Fate::Returned(why) => (Input::Released, Some(Outcome::Released), Some(why)),
            Fate::Buried(why) => (Input::Failed { again: false }, Some(Outcome::Failed), Some(why)),
            Fate::Discarded => (Input::Cancelled, Some(Outcome::Stopped), Some("purged".to_owned())),
        };
        let is_received = outcome.is_none();
        let mut state = task::next(attempt, before, input)?;
        if is_received {
            if state == State::Waiting {
                state = task::next(attempt, state, Input::Lease)?;
            }
            attempt = task.attempt(followed.attempt + 1);
        }
        let ended_attempt = outcome.filter(|_| was_leased);
        if let Some(outcome) = ended_attempt {
            step.changes
                .push(ended(attempt, holder, outcome, reason.clone(), started_at, now));
        }
        let state = stored(&state);
        step.changes.push(Change::Task(TaskRow {
            task,
            state,
            attempt: attempt.number,
            ledger: followed.ledger,
            visible_at: None,
            ended_at: state.is_over().then_some(now),
            reason,
            unpublished: None,
        }));
        if is_received {
            step.changes.push(Change::Started { task, at: now });
        }
        if let Some(run) = self.runs.get_mut(&task.run) {
            run.outside = (run.outside + u64::from(is_received)).saturating_sub(u64::from(was_leased));
            let lost = u64::from(is_received && was_leased);
            run.counts.attempts += u64::from(ended_attempt.is_some()) + lost;
            run.count(state);
            run.moved_at = now;
            run.dirty = true;
        }
        Ok(())
    }
}

fn ended(
    attempt: AttemptId,
    instance: Option<InstanceId>,
    outcome: Outcome,
    reason: Option<String>,
    started_at: Option<Timestamp>,
    now: Timestamp,
) -> Change {
    Change::Attempt(Box::new(AttemptRow {
        instance,
        attempt,
        outcome,
        reason,
        exit_code: None,
        started_at,
        ended_at: now,
        usage: Usage::default(),
    }))
}
