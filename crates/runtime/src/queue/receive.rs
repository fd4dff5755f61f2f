//! Receiving: what is handed out and how it is hidden from others for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kingtide_core::time::Timestamp;
use rusqlite::params;

use super::definition::Queue;
use super::letter::{COLUMNS, Letter, read};
use super::receipt::Receipt;
use super::{Note, Outcome, Queues, Refusal, content, fifo, invalid, limits};
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::{Answer, Caller, Receive, Received};

/// Hidden letters that are looked at in one receive; a caller that finds nothing may ask again at once.
const MOST_PROMOTED: usize = 1000;
/// Letters that are taken away in one receive, too old or too often received, before it looks no further.
const MOST_REMOVED: usize = 10_000;

fn check(receive: &Receive, queue: &Queue) -> Result<(), Fault> {
    if let Some(max) = receive.max.filter(|max| !limits::RECEIVE.contains(max)) {
        return Err(invalid(format!(
            "Value {max} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
        )));
    }
    if let Some(wait) = receive.wait.filter(|wait| !limits::WAIT_S.contains(wait)) {
        return Err(invalid(format!(
            "Value {wait} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
        )));
    }
    if let Some(visibility) = receive
        .visibility
        .filter(|seconds| !limits::VISIBILITY_S.contains(seconds))
    {
        return Err(invalid(format!(
            "Value {visibility} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200, if \
             provided."
        )));
    }
    if let Some(attempt) = &receive.attempt {
        if !queue.fifo {
            return Err(invalid(format!(
                "Value {attempt} for parameter ReceiveRequestAttemptId is invalid. Reason: The request include parameter \
                 that is not valid for this queue type."
            )));
        }
        content::check_id("ReceiveRequestAttemptId", attempt)?;
    }
    Ok(())
}

impl Queues<'_> {
    pub(super) fn receive(&mut self, caller: &Caller, receive: &Receive) -> Result<Outcome, Refusal> {
        let queue = self.require(&receive.queue)?;
        check(receive, &queue)?;
        let wait = receive.wait.unwrap_or(queue.wait_s);
        let nothing = Outcome::Empty {
            queue: queue.name.clone(),
            until: Timestamp(self.now.0 + wait * 1000),
        };
        let nothing = if wait > 0 {
            nothing
        } else {
            Outcome::Answer(Answer::Received(Vec::new()))
        };
        // There Kingtide itself is the consumer, and it was quicker.
        if queue.is_task_mode(self.jobs) {
            return Ok(nothing);
        }
        self.promote(&queue, MOST_PROMOTED)?;
        if let Some(attempt) = &receive.attempt
            && let Some(letters) = self.received_before(&queue, attempt)?
        {
            return self.receive_again(&queue, receive, letters);
        }
        if self.box_counts(queue.holding)?.in_flight >= limits::IN_FLIGHT {
            // A FIFO queue and a long poll only find nothing.
            return match queue.fifo || wait > 0 {
                true => Ok(nothing),
                false => Err(Fault::new(
                    Code::OverLimit,
                    "Too many messages are in flight: a queue may have 120000 that were received and not deleted.",
                )
                .into()),
            };
        }
        let letters = self.pick(&queue, receive.max.unwrap_or(1) as usize)?;
        if letters.is_empty() {
            return Ok(nothing);
        }
        let visibility_s = receive.visibility.unwrap_or(queue.visibility_s);
        let mut seen = Vec::new();
        let mut received = Vec::with_capacity(letters.len());
        for letter in letters {
            let letter = self.take(caller, &queue, letter, visibility_s)?;
            seen.push((letter.id, letter.receipt, self.now.0 + visibility_s * 1000));
            received.push(self.hand_out(&queue, receive, letter)?);
        }
        self.settle(&queue, &received)?;
        if let Some(attempt) = &receive.attempt {
            self.remember_received(&queue, attempt, &seen)?;
        }
        Ok(Outcome::Answer(Answer::Received(received)))
    }

    /// The next letters that may be received. Those too old go on the way, those received too often go to the dead letters.
    fn pick(&mut self, queue: &Arc<Queue>, most: usize) -> Result<Vec<Letter>, Refusal> {
        let redrive = self.redrive_of(queue);
        let target = match &redrive {
            Some(redrive) => self.find(&redrive.target)?,
            None => None,
        };
        let max = redrive.map_or(i64::MAX, |redrive| redrive.max);
        let mut removed = 0;
        while removed < MOST_REMOVED {
            let found = match queue.fifo {
                true => self.next_in_lanes(queue, most)?,
                false => self.next_visible(queue, most)?,
            };
            let mut picked = Vec::with_capacity(found.len());
            let before = removed;
            for letter in found {
                if queue.has_expired(letter.sent_at, self.now) {
                    self.remove(queue, letter.id, letter.group.as_deref())?;
                    removed += 1;
                } else if let Some(target) = target.as_ref().filter(|_| letter.receives >= max) {
                    let reason = format!("received {} times and not deleted", letter.receives);
                    self.bury_letter(queue, target, letter, &reason)?;
                    removed += 1;
                } else {
                    picked.push(letter);
                }
            }
            // One look is enough unless something was removed from it.
            if removed == before {
                return Ok(picked);
            }
        }
        self.note_visible(&queue.name);
        Ok(Vec::new())
    }

    fn next_visible(&self, queue: &Queue, most: usize) -> Result<Vec<Letter>, Refusal> {
        let sql = format!(
            "SELECT {COLUMNS} FROM letter INDEXED BY letter_visible WHERE box = ?1 AND state = 'visible' ORDER BY id LIMIT ?2"
        );
        let mut statement = self.rows.prepare_cached(&sql)?;
        let letters = statement.query_map([queue.holding, most as i64], read)?;
        Ok(letters.collect::<Result<_, _>>()?)
    }

    fn take(
        &mut self,
        caller: &Caller,
        queue: &Queue,
        mut letter: Letter,
        visibility_s: i64,
    ) -> Result<Letter, Refusal> {
        letter.receives += 1;
        letter.receipt += 1;
        letter.first_at = letter.first_at.or(Some(self.now.0));
        let job = queue.job_of(self.jobs);
        let holder = caller
            .access_key
            .as_deref()
            .filter(|_| letter.task.is_some() && job.is_some());
        let minds = |holder: &str| self.desk.is_holder(holder);
        let heartbeat = job.is_some_and(|(_, job)| job.heartbeat);
        let state = if visibility_s > 0 { "in_flight" } else { "visible" };
        self.execute(
            "UPDATE letter SET state = ?2, visible_at = ?3, receives = ?4, receipt = ?5, received_at = ?6, first_at = ?7,
                               holder = ?8, minded = ?9
             WHERE id = ?1",
            params![
                letter.id,
                state,
                self.now.0 + visibility_s * 1000,
                letter.receives,
                letter.receipt,
                self.now.0,
                letter.first_at,
                holder.filter(|_| visibility_s > 0),
                heartbeat && holder.is_some_and(minds),
            ],
        )?;
        if let (Some((job, _)), Some(task), true) = (job, letter.task, visibility_s > 0) {
            self.notes.push(Note::Received {
                job: job.to_owned(),
                task,
                holder: holder.map(str::to_owned),
                receives: letter.receives as u32,
            });
        }
        Ok(letter)
    }

    fn settle(&self, queue: &Queue, received: &[Received]) -> Result<(), Refusal> {
        if !queue.fifo {
            return Ok(());
        }
        let groups: BTreeSet<&String> = received
            .iter()
            .filter_map(|received| received.system.get(GROUP))
            .collect();
        groups
            .into_iter()
            .try_for_each(|group| self.settle_lane(queue.holding, group))
    }

    /// The same answer as before, hidden anew.
    fn receive_again(&mut self, queue: &Queue, receive: &Receive, letters: Vec<Letter>) -> Result<Outcome, Refusal> {
        let until = self.now.0 + receive.visibility.unwrap_or(queue.visibility_s) * 1000;
        let mut seen = Vec::new();
        let mut received = Vec::with_capacity(letters.len());
        for letter in letters {
            self.execute("UPDATE letter SET visible_at = ?2 WHERE id = ?1", [letter.id, until])?;
            seen.push((letter.id, letter.receipt, until));
            received.push(self.hand_out(queue, receive, letter)?);
        }
        if let Some(attempt) = &receive.attempt {
            self.remember_received(queue, attempt, &seen)?;
        }
        Ok(Outcome::Answer(Answer::Received(received)))
    }

    fn hand_out(&self, queue: &Queue, receive: &Receive, letter: Letter) -> Result<Received, Refusal> {
        let receipt = Receipt {
            letter: letter.id,
            number: letter.receipt,
        };
        let system = match queue.fifo || !receive.system.is_empty() {
            true => self.system_attributes(queue, &letter),
            false => BTreeMap::new(),
        };
        let attributes = match receive.attributes.is_empty() {
            true => BTreeMap::new(),
            false => content::read(letter.attributes.as_deref()),
        };
        let body = match letter.body {
            Some(body) => body,
            None => self.body_of(&letter)?,
        };
        Ok(Received {
            message_id: letter.message_id,
            receipt: receipt.handle(queue),
            body,
            attributes,
            system,
        })
    }

    fn system_attributes(&self, queue: &Queue, letter: &Letter) -> BTreeMap<String, String> {
        let first = letter.first_at.unwrap_or(self.now.0);
        let mut system = BTreeMap::from([
            ("SenderId".to_owned(), letter.sender.clone()),
            ("SentTimestamp".to_owned(), letter.sent_at.to_string()),
            ("ApproximateReceiveCount".to_owned(), letter.receives.to_string()),
            ("ApproximateFirstReceiveTimestamp".to_owned(), first.to_string()),
        ]);
        let mut tell = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                system.insert(name.to_owned(), value);
            }
        };
        tell(GROUP, letter.group.clone());
        tell("AWSTraceHeader", letter.trace.clone());
        tell(
            "DeadLetterQueueSourceArn",
            letter.source.as_ref().map(|source| self.desk.arn(source)),
        );
        if queue.fifo {
            tell("MessageDeduplicationId", letter.dedup.clone());
            tell("SequenceNumber", Some(fifo::sequence(letter.id)));
        }
        system
    }
}

const GROUP: &str = "MessageGroupId";
