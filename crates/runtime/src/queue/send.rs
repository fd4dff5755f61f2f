//! Sending: what is checked first, and what a message becomes.

use std::sync::Arc;

use super::definition::Queue;
use super::fifo::Sending;
use super::letter::Letter;
use super::{Queues, Refusal, batch, content, invalid, limits};
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::{AttributeValue, Caller, Entry, Send, Sent};

const WRONG_TYPE: &str = "The request include parameter that is not valid for this queue type.";

impl Queues<'_> {
    pub(super) fn send(&mut self, caller: &Caller, queue: &str, message: &Send) -> Result<Sent, Refusal> {
        let queue = self.require(queue)?;
        self.send_one(caller, &queue, message)
    }

    pub(super) fn send_batch(
        &mut self,
        caller: &Caller,
        queue: &str,
        entries: &[Entry<Send>],
    ) -> Result<Vec<Entry<Result<Sent, Fault>>>, Refusal> {
        let queue = self.require(queue)?;
        batch::check(entries, "SendMessageBatchRequestEntry")?;
        let bytes: usize = entries.iter().map(|entry| content::size(&entry.of)).sum();
        if bytes > limits::BATCH_BYTES {
            let message = format!(
                "Batch requests cannot be longer than {} bytes. You have sent {bytes} bytes.",
                limits::BATCH_BYTES
            );
            return Err(Fault::new(Code::BatchRequestTooLong, message).into());
        }
        batch::each(entries, |message| self.send_one(caller, &queue, message))
    }

    fn send_one(&mut self, caller: &Caller, queue: &Arc<Queue>, message: &Send) -> Result<Sent, Refusal> {
        content::check(message, queue.max_bytes)?;
        let delay_s = delay(queue, message)?;
        if let Some(group) = &message.group {
            content::check_id("MessageGroupId", group)?;
        }
        if let Some(id) = &message.deduplication {
            if !queue.fifo {
                return Err(invalid(format!(
                    "Value {id} for parameter MessageDeduplicationId is invalid. Reason: {WRONG_TYPE}"
                ))
                .into());
            }
            content::check_id("MessageDeduplicationId", id)?;
        }
        let dedup = match queue.fifo {
            true => match self.deduplicate(queue, message)? {
                Sending::Again(sent) => return Ok(sent),
                Sending::New(id) => Some(id),
            },
            false => None,
        };
        let trace = message.system_attributes.get(content::TRACE);
        let letter = Letter {
            message_id: self.desk.uuid(),
            body: Some(message.body.clone()),
            attributes: content::write(&message.attributes),
            trace: trace.and_then(|trace| match &trace.value {
                AttributeValue::Text(text) => Some(text.clone()),
                AttributeValue::Binary(_) | AttributeValue::Missing => None,
            }),
            sender: sender(caller),
            sent_at: self.now.0,
            group: message.group.clone(),
            dedup,
            ..Letter::default()
        };
        self.deliver(queue, letter, delay_s)
    }

    /// Puts a new message where it belongs: into the queue, or to the tasks of the job whose queue it is.
    pub(super) fn deliver(&mut self, queue: &Arc<Queue>, letter: Letter, delay_s: i64) -> Result<Sent, Refusal> {
        self.desk.durable = true;
        let message_id = letter.message_id.clone();
        let letter = match queue.job_of(self.jobs) {
            None => letter,
            Some(_) if queue.is_task_mode(self.jobs) && delay_s == 0 => {
                self.admit(queue, letter)?;
                return Ok(Sent {
                    message_id,
                    sequence: None,
                });
            }
            Some(_) if queue.is_task_mode(self.jobs) => letter,
            Some((job, _)) => self.accompany(job, letter)?,
        };
        let id = self.put(queue, &letter, self.now.0 + delay_s * 1000)?;
        let sequence = match (&letter.dedup, queue.fifo) {
            (Some(dedup), true) => {
                self.remember_sent(queue, &letter, dedup, id)?;
                Some(super::fifo::sequence(id))
            }
            _ => None,
        };
        Ok(Sent { message_id, sequence })
    }
}

fn delay(queue: &Queue, message: &Send) -> Result<i64, Fault> {
    let Some(delay) = message.delay else {
        return Ok(queue.delay_s);
    };
    let wrong = |reason: &str| {
        invalid(format!(
            "Value {delay} for parameter DelaySeconds is invalid. Reason: {reason}"
        ))
    };
    if !limits::DELAY_S.contains(&delay) {
        return Err(wrong("DelaySeconds must be >= 0 and <= 900."));
    }
    if queue.fifo {
        // Only the queue's own delay counts there; saying `0` is allowed and says nothing.
        return match delay {
            0 => Ok(queue.delay_s),
            _ => Err(wrong(WRONG_TYPE)),
        };
    }
    Ok(delay)
}

/// What `SenderId` says.
fn sender(caller: &Caller) -> String {
    caller.access_key.clone().unwrap_or_else(|| "anonymous".to_owned())
}
