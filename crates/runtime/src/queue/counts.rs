//! How many messages a queue has: exact, and at no cost that grows with them.

use kingtide_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::definition::Queue;
use super::{Queues, Refusal};
use crate::store::StoreError;

/// Messages of a queue by what may be done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// They may be received.
    pub visible: u64,
    pub in_flight: u64,
    /// Their delay is not over.
    pub delayed: u64,
}

impl std::ops::AddAssign for QueueCounts {
    fn add_assign(&mut self, more: QueueCounts) {
        self.visible += more.visible;
        self.in_flight += more.in_flight;
        self.delayed += more.delayed;
    }
}

impl Queues<'_> {
    /// Of a queue by name; `None` when there is none. In task mode tasks are counted: waiting, leased, and waiting for
    /// their next attempt.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn counts(&mut self, queue: &str) -> Result<Option<QueueCounts>, StoreError> {
        let counted = match self.find(queue) {
            Ok(Some(queue)) => self.count(&queue).map(Some),
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        counted.map_err(StoreError::from)
    }

    pub(super) fn count(&mut self, queue: &Queue) -> Result<QueueCounts, Refusal> {
        self.promote(queue, usize::MAX)?;
        self.expire(queue, usize::MAX)?;
        let mut counts = self.box_counts(queue.holding)?;
        if let Some((job, _)) = queue.job_of(self.jobs).filter(|_| queue.is_task_mode(self.jobs)) {
            counts += of_tasks(self.rows, job, self.now)?;
        }
        Ok(counts)
    }

    pub(super) fn box_counts(&self, holding: i64) -> Result<QueueCounts, Refusal> {
        Ok(of_box(self.rows, holding)?)
    }
}

/// Letters of a box as of the last look.
pub(crate) fn of_box(rows: &Connection, holding: i64) -> rusqlite::Result<QueueCounts> {
    let sql = "SELECT visible, in_flight, delayed FROM box WHERE id = ?1";
    rows.prepare_cached(sql)?.query_row([holding], |row| {
        Ok(QueueCounts {
            visible: row.get(0)?,
            in_flight: row.get(1)?,
            delayed: row.get(2)?,
        })
    })
}

/// Tasks of a job's open runs. What is over is counted in the run's row; what is leased or delayed has a small index of its
/// own; the rest waits.
pub(crate) fn of_tasks(rows: &Connection, job: &str, now: Timestamp) -> rusqlite::Result<QueueCounts> {
    let sql = "SELECT id, total - succeeded - skipped - failed - rejected - cancelled FROM run
               WHERE job = ?1 AND state = 'open' AND loading = 0";
    let mut statement = rows.prepare_cached(sql)?;
    let runs = statement.query_map([job], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let runs: Vec<(i64, i64)> = runs.collect::<Result<_, _>>()?;
    let mut counts = QueueCounts::default();
    for (run, left) in runs {
        let sql = "SELECT count(*) FROM task INDEXED BY task_active
                   WHERE run = ?1 AND (state = 'leased' OR unpublished IS NOT NULL) AND state = 'leased'";
        let leased: u64 = rows.prepare_cached(sql)?.query_row([run], |row| row.get(0))?;
        let sql = "SELECT count(*) FROM task INDEXED BY task_delayed
                   WHERE run = ?1 AND state = 'waiting' AND visible_at IS NOT NULL AND visible_at > ?2";
        let delayed: u64 = rows
            .prepare_cached(sql)?
            .query_row(params![run, now.0], |row| row.get(0))?;
        counts += QueueCounts {
            visible: (left.max(0) as u64).saturating_sub(leased + delayed),
            in_flight: leased,
            delayed,
        };
    }
    Ok(counts)
}
