//! Deleting: a consumer is done with a message.

use std::sync::Arc;

use rusqlite::OptionalExtension;

use super::definition::Queue;
use super::letter::task_of;
use super::receipt::Receipt;
use super::{Note, Queues, Refusal, batch, invalid, missing};
use crate::sqs::fault::Fault;
use crate::sqs::operation::Entry;

impl Queues<'_> {
    /// Deletes what a receipt names. Of a standard queue an old receipt will do, and so does one of a message that is gone;
    /// of a FIFO queue only the last one, until its visibility ends.
    pub(super) fn delete(&mut self, queue: &Arc<Queue>, handle: &str) -> Result<(), Refusal> {
        if handle.is_empty() {
            return Err(missing("ReceiptHandle").into());
        }
        let receipt = Receipt::read(queue, handle)?;
        let sql = "SELECT box, receipt, visible_at, state = 'in_flight', sent_at, group_id, run, seq FROM letter
                   WHERE id = ?1";
        let mut statement = self.rows.prepare_cached(sql)?;
        let found = statement.query_row([receipt.letter], |row| {
            let task = task_of(row.get(6)?, row.get(7)?);
            let times = (row.get::<_, i64>(2)?, row.get::<_, bool>(3)?, row.get::<_, i64>(4)?);
            Ok((row.get(0)?, row.get(1)?, times, row.get::<_, Option<String>>(5)?, task))
        });
        let found: Option<(i64, i64, _, _, _)> = found.optional()?;
        drop(statement);
        // It may have been deleted before, moved or purged, or be too old and not yet taken away.
        let found = found.filter(|(holding, _, (visible_at, _, sent_at), ..)| {
            *holding == queue.holding && (*visible_at > self.now.0 || !queue.has_expired(*sent_at, self.now))
        });
        let Some((_, number, (visible_at, in_flight, _), group, task)) = found else {
            return Ok(());
        };
        let is_current = number == receipt.number && in_flight && visible_at > self.now.0;
        if queue.fifo && !is_current {
            return Err(invalid(format!(
                "Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
            ))
            .into());
        }
        self.remove(queue, receipt.letter, group.as_deref())?;
        self.desk.durable = true;
        if queue.fifo {
            // The rest of its group may go on.
            self.note_visible(&queue.name);
        }
        if let (Some((job, _)), Some(task)) = (queue.job_of(self.jobs), task) {
            self.notes.push(Note::Deleted {
                job: job.to_owned(),
                task,
            });
        }
        Ok(())
    }

    pub(super) fn delete_batch(
        &mut self,
        queue: &str,
        entries: &[Entry<String>],
    ) -> Result<Vec<Entry<Result<(), Fault>>>, Refusal> {
        let queue = self.require(queue)?;
        batch::check(entries, "DeleteMessageBatchRequestEntry")?;
        batch::each(entries, |handle| self.delete(&queue, handle))
    }
}
