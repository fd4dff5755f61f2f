//! What Amazon SQS does, as functions of rows, time and an operation: no protocol (`sqs/`), no clock, no thread. The loop
//! calls it inside its one transaction and tells whoever asked once that is committed.
//!
//! A queue is a row (`definition.rs`, `attributes.rs`), a message in it a row of `letter` (`letter.rs`). `send.rs`,
//! `receive.rs`, `delete.rs` and `visibility.rs` are what a letter goes through, `fifo.rs` the order of message groups,
//! `deadletter.rs` and `moves.rs` the way to the dead letters and back. `jobs.rs` is where a queue is a job's: there a
//! message is also a task (`store/intake.rs`), and what happens to it is told to the engine as `Note`s.

pub(crate) mod attributes;
mod batch;
pub(crate) mod content;
pub(crate) mod counts;
mod deadletter;
pub(crate) mod definition;
mod delete;
mod desk;
mod due;
mod fifo;
pub(crate) mod jobs;
mod letter;
mod lifecycle;
mod limits;
mod listing;
mod moves;
mod permissions;
mod policy;
mod receipt;
mod receive;
mod send;
mod tags;
#[cfg(test)]
mod tests;
mod visibility;

use std::collections::BTreeMap;

use kingtide_core::id::TaskId;
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use rusqlite::Connection;

pub(crate) use self::desk::Desk;
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::{Answer, Caller, Operation};
use crate::store::StoreError;

/// What an operation comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Answer(Answer),
    /// A receive that found nothing and may wait for a message until then; then it is answered with none.
    Empty {
        queue: String,
        until: Timestamp,
    },
}

/// What the rest of the house must know, in the order in which it happened. A task is named only where its queue is a job's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A message has become a waiting task; `opened` says that its run is new.
    Arrived { job: String, task: TaskId, opened: bool },
    /// In consumer mode: somebody has received the message. `receives` counts this one.
    Received {
        job: String,
        task: TaskId,
        holder: Option<String>,
        receives: u32,
    },
    /// In consumer mode: its consumer is done with it.
    Deleted { job: String, task: TaskId },
    /// In consumer mode: it may be received again; why, in words.
    Returned { job: String, task: TaskId, why: String },
    /// In consumer mode: it went to the dead letters.
    Buried { job: String, task: TaskId, reason: String },
    /// In consumer mode: the queue was purged, nobody will receive it.
    Discarded { job: String, task: TaskId },
    /// In task mode: the job's queue was purged; what waits is to be cancelled.
    Purged { job: String },
    /// There may be something to receive now.
    Visible { queue: String },
}

/// The queues of a project within one transaction.
pub(crate) struct Queues<'a> {
    rows: &'a Connection,
    desk: &'a mut Desk,
    now: Timestamp,
    jobs: &'a BTreeMap<String, Job>,
    notes: Vec<Note>,
}

/// Why something was not done.
#[derive(Debug)]
enum Refusal {
    /// By its caller's mistake; nothing was written.
    Fault(Fault),
    /// The whole transaction is lost.
    Store(StoreError),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::Fault(fault)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Refusal {
        Refusal::Store(error.into())
    }
}

impl From<Refusal> for StoreError {
    /// Where no operation was asked for nobody is to blame but the rows.
    fn from(refusal: Refusal) -> StoreError {
        match refusal {
            Refusal::Store(error) => error,
            Refusal::Fault(fault) => StoreError::Unknown(fault.message),
        }
    }
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Code::InvalidParameterValue, message)
}

fn missing(parameter: &str) -> Fault {
    let message = format!("The request must contain the parameter {parameter}.");
    Fault::new(Code::MissingParameter, message)
}

impl<'a> Queues<'a> {
    /// Looks at the queues in the open transaction `rows`, that the desk was told of.
    pub(crate) fn open(
        rows: &'a Connection,
        desk: &'a mut Desk,
        now: Timestamp,
        jobs: &'a BTreeMap<String, Job>,
    ) -> Queues<'a> {
        Queues {
            rows,
            desk,
            now,
            jobs,
            notes: Vec::new(),
        }
    }

    /// Performs one operation. A fault has written nothing.
    ///
    /// # Errors
    /// When the store fails: the transaction must then be given up.
    pub(crate) fn perform(
        &mut self,
        caller: &Caller,
        operation: &Operation,
    ) -> Result<Result<Outcome, Fault>, StoreError> {
        match self.dispatch(caller, operation) {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(Refusal::Fault(fault)) => Ok(Err(fault)),
            Err(Refusal::Store(error)) => Err(error),
        }
    }

    /// What the rest of the house must know since the last time it asked.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    fn dispatch(&mut self, caller: &Caller, operation: &Operation) -> Result<Outcome, Refusal> {
        let answer = match operation {
            Operation::ReceiveMessage(receive) => return self.receive(caller, receive),
            Operation::SendMessage { queue, message } => Answer::Sent(self.send(caller, queue, message)?),
            Operation::SendMessageBatch { queue, entries } => {
                Answer::SentBatch(self.send_batch(caller, queue, entries)?)
            }
            Operation::DeleteMessage { queue, receipt } => {
                let queue = self.require(queue)?;
                self.delete(&queue, receipt)?;
                Answer::Done
            }
            Operation::DeleteMessageBatch { queue, entries } => Answer::DoneBatch(self.delete_batch(queue, entries)?),
            Operation::ChangeMessageVisibility {
                queue,
                receipt,
                visibility,
            } => {
                let queue = self.require(queue)?;
                self.change_visibility(&queue, receipt, Some(*visibility))?;
                Answer::Done
            }
            Operation::ChangeMessageVisibilityBatch { queue, entries } => {
                Answer::DoneBatch(self.change_visibility_batch(queue, entries)?)
            }
            Operation::CreateQueue { name, attributes, tags } => {
                Answer::Queue(self.create_queue(name, attributes, tags)?)
            }
            Operation::DeleteQueue { queue } => self.done(|queues| queues.delete_queue(queue))?,
            Operation::PurgeQueue { queue } => self.done(|queues| queues.purge_queue(queue))?,
            Operation::GetQueueUrl { name } => Answer::Queue(self.require(name)?.name.clone()),
            Operation::ListQueues { prefix, page } => self.list_queues(prefix.as_deref(), page)?,
            Operation::ListDeadLetterSourceQueues { queue, page } => self.list_sources(queue, page)?,
            Operation::GetQueueAttributes { queue, names } => Answer::Attributes(self.queue_attributes(queue, names)?),
            Operation::SetQueueAttributes { queue, attributes } => {
                self.done(|queues| queues.set_queue_attributes(queue, attributes))?
            }
            Operation::TagQueue { queue, tags } => self.done(|queues| queues.tag_queue(queue, tags))?,
            Operation::UntagQueue { queue, keys } => self.done(|queues| queues.untag_queue(queue, keys))?,
            Operation::ListQueueTags { queue } => Answer::Tags(self.require(queue)?.tags.clone()),
            Operation::AddPermission {
                queue,
                label,
                accounts,
                actions,
            } => self.done(|queues| queues.add_permission(queue, label, accounts, actions))?,
            Operation::RemovePermission { queue, label } => {
                self.done(|queues| queues.remove_permission(queue, label))?
            }
            Operation::StartMessageMoveTask {
                source,
                destination,
                rate,
            } => self.start_move(source, destination.as_deref(), *rate)?,
            Operation::CancelMessageMoveTask { handle } => self.cancel_move(handle)?,
            Operation::ListMessageMoveTasks { source, limit } => self.list_moves(source, *limit)?,
            Operation::PutBack { queue, letters } => self.put_back_chosen(queue, letters)?,
        };
        Ok(Outcome::Answer(answer))
    }

    fn done(&mut self, act: impl FnOnce(&mut Self) -> Result<(), Refusal>) -> Result<Answer, Refusal> {
        act(self)?;
        self.desk.durable = true;
        Ok(Answer::Done)
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Refusal> {
        Ok(self.rows.prepare_cached(sql)?.execute(values)?)
    }

    fn note_visible(&mut self, queue: &str) {
        let known = self
            .notes
            .iter()
            .any(|note| matches!(note, Note::Visible { queue: known } if known == queue));
        if !known {
            self.notes.push(Note::Visible {
                queue: queue.to_owned(),
            });
        }
    }
}
