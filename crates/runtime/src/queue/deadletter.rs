//! Dead letters: what was received too often, and what failed for good, with the reason.

use std::sync::Arc;

use kingtide_core::id::TaskId;
use rusqlite::{OptionalExtension, params};

use super::definition::Queue;
use super::letter::Letter;
use super::{Note, Queues, Refusal, jobs};
use crate::store::StoreError;

impl Queues<'_> {
    /// Moves a letter to the dead ones. In a standard queue it keeps the time it was sent, in a FIFO queue it starts anew.
    pub(super) fn bury_letter(
        &mut self,
        queue: &Queue,
        target: &Arc<Queue>,
        letter: Letter,
        reason: &str,
    ) -> Result<(), Refusal> {
        self.remove(queue, letter.id, letter.group.as_deref())?;
        let task = letter.task;
        let dead = Letter {
            sent_at: if target.fifo { self.now.0 } else { letter.sent_at },
            // Two messages that happen to share an id must not be taken for one.
            dedup: target.fifo.then(|| letter.message_id.clone()),
            reason: Some(reason.to_owned()),
            source: Some(queue.name.clone()),
            ..letter
        };
        self.put(target, &dead, self.now.0)?;
        if let (Some((job, _)), Some(task)) = (queue.job_of(self.jobs), task) {
            self.notes.push(Note::Buried {
                job: job.to_owned(),
                task,
                reason: reason.to_owned(),
            });
        }
        Ok(())
    }

    /// Lays a task that failed for good among the dead letters of its job, once.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn bury(&mut self, job: &str, task: TaskId, reason: &str) -> Result<(), StoreError> {
        self.bury_task(job, task, reason).map_err(StoreError::from)
    }

    fn bury_task(&mut self, job: &str, task: TaskId, reason: &str) -> Result<(), Refusal> {
        let name = jobs::dead_letters_of(job);
        let Some(target) = self.find(&name)? else {
            return Ok(());
        };
        let sql = "SELECT id, box FROM letter WHERE run = ?1 AND seq = ?2";
        let mut statement = self.rows.prepare_cached(sql)?;
        let found = statement.query_map(params![task.run.0, task.seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let letters: Vec<(i64, i64)> = found.collect::<Result<_, _>>()?;
        drop(statement);
        if letters.iter().any(|(_, holding)| *holding == target.holding) {
            return Ok(());
        }
        // What its consumer was to receive it will not receive again.
        for (letter, _) in letters {
            self.execute("DELETE FROM letter WHERE id = ?1", [letter])?;
        }
        let sql = "SELECT message_id, attributes FROM message WHERE run = ?1 AND seq = ?2";
        let mut statement = self.rows.prepare_cached(sql)?;
        let found = statement.query_row(params![task.run.0, task.seq], |row| Ok((row.get(0)?, row.get(1)?)));
        let found: Option<(Option<String>, Option<String>)> = found.optional()?;
        drop(statement);
        let Some((message_id, attributes)) = found else {
            return Ok(());
        };
        let letter = Letter {
            message_id: message_id.unwrap_or_else(|| self.desk.uuid()),
            attributes,
            sender: KINGTIDE.to_owned(),
            sent_at: self.now.0,
            task: Some(task),
            reason: Some(reason.to_owned()),
            source: Some(job.to_owned()),
            ..Letter::default()
        };
        self.put(&target, &letter, self.now.0).map(drop)
    }
}

/// The sender of what nobody sent through the API.
pub(super) const KINGTIDE: &str = "kingtide";
