//! Changing how long a received message stays hidden, up to twelve hours from its receive.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::definition::Queue;
use super::letter::task_of;
use super::receipt::Receipt;
use super::{Queues, Refusal, batch, invalid, limits, missing};
use crate::sqs::fault::Fault;
use crate::sqs::operation::Entry;

impl Queues<'_> {
    /// Hides a message for `seconds` from now, or shows it at once. Only its last receipt may do that, and from then on its
    /// consumer minds the time by itself.
    pub(super) fn change_visibility(
        &mut self,
        queue: &Arc<Queue>,
        handle: &str,
        seconds: Option<i64>,
    ) -> Result<(), Refusal> {
        if handle.is_empty() {
            return Err(missing("ReceiptHandle").into());
        }
        let seconds = seconds.ok_or_else(|| missing("VisibilityTimeout"))?;
        let wrong = |reason: &str| {
            Refusal::from(invalid(format!(
                "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: {reason}"
            )))
        };
        if !limits::VISIBILITY_S.contains(&seconds) {
            return Err(wrong("VisibilityTimeout must be an integer between 0 and 43200."));
        }
        let receipt = Receipt::read(queue, handle)?;
        let sql = "SELECT box, receipt, visible_at, received_at, sent_at, group_id, run, seq FROM letter WHERE id = ?1";
        let mut statement = self.rows.prepare_cached(sql)?;
        let found = statement.query_row([receipt.letter], |row| {
            let task = task_of(row.get(6)?, row.get(7)?);
            let times = (
                row.get::<_, i64>(2)?,
                row.get::<_, Option<i64>>(3)?,
                row.get::<_, i64>(4)?,
            );
            Ok((row.get(0)?, row.get(1)?, times, row.get::<_, Option<String>>(5)?, task))
        });
        let found: Option<(i64, i64, _, _, _)> = found.optional()?;
        drop(statement);
        let found = found.filter(|(holding, number, (visible_at, _, sent_at), ..)| {
            let is_there = *visible_at > self.now.0 || !queue.has_expired(*sent_at, self.now);
            *holding == queue.holding && *number == receipt.number && is_there
        });
        let Some((_, _, (visible_at, received_at, _), group, task)) = found else {
            return Err(invalid(format!(
                "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not \
                 available for visibility timeout change."
            ))
            .into());
        };
        let was_hidden = visible_at > self.now.0;
        if queue.fifo && !was_hidden {
            return Err(invalid(format!(
                "Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
            ))
            .into());
        }
        let until = self.now.0 + seconds * 1000;
        let received_at = received_at.unwrap_or(self.now.0);
        if until > received_at + *limits::VISIBILITY_S.end() * 1000 {
            return Err(wrong(
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
            ));
        }
        // SQS takes the call for a message that is visible again, and leaves it where it is.
        if !was_hidden {
            return Ok(());
        }
        if seconds == 0 {
            self.show(queue, receipt.letter, task, "its consumer gave it back")?;
        } else {
            self.execute(
                "UPDATE letter SET state = 'in_flight', visible_at = ?2, minded = 0 WHERE id = ?1",
                params![receipt.letter, until],
            )?;
        }
        if let Some(group) = group.filter(|_| queue.fifo) {
            self.settle_lane(queue.holding, &group)?;
        }
        self.desk.durable = true;
        Ok(())
    }

    pub(super) fn change_visibility_batch(
        &mut self,
        queue: &str,
        entries: &[Entry<(String, Option<i64>)>],
    ) -> Result<Vec<Entry<Result<(), Fault>>>, Refusal> {
        let queue = self.require(queue)?;
        batch::check(entries, "ChangeMessageVisibilityBatchRequestEntry")?;
        batch::each(entries, |(handle, seconds)| {
            self.change_visibility(&queue, handle, *seconds)
        })
    }
}
