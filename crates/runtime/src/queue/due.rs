//! What happens by the clock, a bounded piece at a time, and when it has to be looked at again.

use std::sync::Arc;

use kingtide_core::time::Timestamp;
use rusqlite::OptionalExtension;

use super::definition::Queue;
use super::{Queues, Refusal};
use crate::store::StoreError;

/// Letters that one call touches for one purpose.
const PIECE: usize = 1000;
/// How often queues that nobody looks at are cleared of what has expired; nothing wakes up for it.
const SWEEP_MS: i64 = 60 * 60 * 1000;

impl Queues<'_> {
    /// Does what is due: delayed messages of jobs become tasks, dead letters move on, the queues in `waited_for` show what
    /// is hidden no longer, purged messages go.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn due(&mut self, waited_for: &[String]) -> Result<(), StoreError> {
        self.do_due(waited_for).map_err(StoreError::from)
    }

    fn do_due(&mut self, waited_for: &[String]) -> Result<(), Refusal> {
        for queue in self.task_queues()? {
            if !self.desk.is_calm(&queue.name, self.now) {
                self.desk.touch(&queue.name);
                self.admit_due(&queue, PIECE)?;
            }
        }
        self.advance_moves()?;
        for name in waited_for {
            if !self.is_calm(name)
                && let Some(queue) = self.find(name)?
            {
                self.promote(&queue, PIECE)?;
            }
        }
        self.clear_discarded()?;
        if self
            .desk
            .swept_at
            .is_none_or(|at| self.now.0 >= at.0 + SWEEP_MS || self.now < at)
        {
            self.desk.swept_at = Some(self.now);
            self.desk.touch_all();
            for queue in self.all("", i64::MAX)? {
                self.expire(&queue, PIECE)?;
            }
        }
        Ok(())
    }

    /// When `due` has something to do, given the queues that somebody waits at; `None`: not before something is asked.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn next_due(&mut self, waited_for: &[String]) -> Result<Option<Timestamp>, StoreError> {
        self.find_next_due(waited_for).map_err(StoreError::from)
    }

    fn find_next_due(&mut self, waited_for: &[String]) -> Result<Option<Timestamp>, Refusal> {
        let mut next: Option<i64> = self.next_move()?;
        let mut sooner = |at: Option<i64>| next = next.into_iter().chain(at).min();
        sooner(self.discarded()?.map(|_| self.now.0));
        for queue in self.task_queues()? {
            sooner(self.next_of(&queue)?);
        }
        for name in waited_for {
            if let Some(queue) = self.peek(name)? {
                sooner(self.next_of(&queue)?);
            }
        }
        Ok(next.map(Timestamp))
    }

    /// Nothing was done to the queue since `next_due` looked at it, and nothing in it is due.
    pub(crate) fn is_calm(&self, queue: &str) -> bool {
        self.desk.is_calm(queue, self.now)
    }

    /// When the clock changes something in a queue: looked up once until something is done to it.
    fn next_of(&mut self, queue: &Queue) -> Result<Option<i64>, Refusal> {
        if let Some(next) = self.desk.next_of(&queue.name) {
            return Ok(next);
        }
        // A job's queue in task mode has visible letters only from before it was that: they are to become tasks.
        let overdue = queue.is_task_mode(self.jobs) && self.box_counts(queue.holding)?.visible > 0;
        let next = match overdue {
            true => Some(self.now.0),
            false => self.next_shown(queue)?,
        };
        self.desk.plan(&queue.name, next);
        Ok(next)
    }

    /// The queues of jobs in task mode.
    fn task_queues(&mut self) -> Result<Vec<Arc<Queue>>, Refusal> {
        let jobs = self.jobs;
        let mut queues = Vec::new();
        for job in jobs.keys() {
            let queue = self.peek(job)?;
            queues.extend(queue.filter(|queue| queue.is_task_mode(jobs)));
        }
        Ok(queues)
    }

    fn next_shown(&self, queue: &Queue) -> Result<Option<i64>, Refusal> {
        let sql = "SELECT min(visible_at) FROM letter INDEXED BY letter_hidden WHERE box = ?1 AND state <> 'visible'";
        Ok(self
            .rows
            .prepare_cached(sql)?
            .query_row([queue.holding], |row| row.get(0))?)
    }

    /// A box whose messages are to go.
    fn discarded(&self) -> Result<Option<i64>, Refusal> {
        let sql = "SELECT id FROM box INDEXED BY box_discarded WHERE discarded = 1 LIMIT 1";
        let mut statement = self.rows.prepare_cached(sql)?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?)
    }

    /// Purged messages, and those of deleted queues.
    fn clear_discarded(&mut self) -> Result<(), Refusal> {
        let Some(discarded) = self.discarded()? else {
            return Ok(());
        };
        let mut left = PIECE;
        for which in ["state = 'visible'", "state <> 'visible'"] {
            let sql =
                format!("DELETE FROM letter WHERE id IN (SELECT id FROM letter WHERE box = ?1 AND {which} LIMIT ?2)");
            left -= self.execute(&sql, [discarded, left as i64])?;
        }
        if left > 0 {
            self.execute("DELETE FROM lane WHERE box = ?1", [discarded])?;
            self.execute("DELETE FROM box WHERE id = ?1", [discarded])?;
        }
        Ok(())
    }
}
