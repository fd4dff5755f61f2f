//! One transaction: the engine's changes and the reads it asks for between them, committed at once or not at all.

use std::cell::RefCell;

use kingtide_core::engine::event::{AttemptRow, Change, Counts, Ledger, Named, TaskRow, TaskState};
use kingtide_core::id::{RunId, TaskId};
use kingtide_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::flush::Log;
use super::lore::Shelf;
use super::{Store, StoreError};

/// An open transaction of the lease's holder. Dropped without `commit`, nothing has happened.
pub struct Batch<'a> {
    pub(super) tx: &'a Connection,
    pub(super) shelf: &'a RefCell<Shelf>,
    log: Option<&'a Log>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.tx.is_autocommit() {
            // What cannot even be rolled back is when the connection closes.
            let _ = self.tx.execute_batch("ROLLBACK");
        }
    }
}

/// How a task stands.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) state: TaskState,
    /// Attempts so far, the leased one included.
    pub(crate) attempt: u32,
    pub(crate) ledger: Ledger,
    /// Of the attempt that runs.
    pub(crate) started_at: Option<Timestamp>,
}

impl Store {
    /// Begins a transaction, if the lease is still ours.
    ///
    /// # Errors
    /// `StoreError::Fenced` when another runtime has taken over.
    pub fn begin(&mut self) -> Result<Batch<'_>, StoreError> {
        let ours = self.epoch;
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let batch = Batch {
            tx: &self.connection,
            shelf: &self.shelf,
            log: self.log.as_ref(),
        };
        let found: i64 = batch
            .tx
            .prepare_cached("SELECT epoch FROM lease")?
            .query_row([], |row| row.get(0))?;
        if found != ours {
            return Err(StoreError::Fenced { ours, found });
        }
        Ok(batch)
    }
}

impl Batch<'_> {
    /// The rows as this transaction sees them, for `crate::queue`.
    pub(crate) fn rows(&self) -> &Connection {
        self.tx
    }

    /// Makes everything durable, with what was committed before it: one flush.
    pub fn commit(self) -> Result<(), StoreError> {
        let log = self.log;
        self.commit_losable()?;
        log.map_or(Ok(()), Log::flush).map_err(StoreError::Flush)
    }

    /// Others see it from now on; a loss of power may undo it until the next `commit`.
    pub(crate) fn commit_losable(self) -> Result<(), StoreError> {
        self.tx.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// A task as its row says; `None` when it was forgotten.
    pub(crate) fn standing(&self, task: TaskId) -> Result<Option<Standing>, StoreError> {
        let sql = "SELECT state, attempt, failures, losses, memory, started_at FROM task WHERE run = ?1 AND seq = ?2";
        let mut statement = self.tx.prepare_cached(sql)?;
        let row = statement.query_row(params![task.run.0, task.seq], |row| {
            let ledger = Ledger {
                failures: row.get(2)?,
                losses: row.get(3)?,
                memory: row.get::<_, Option<i64>>(4)?.map(|bytes| bytes as u64),
            };
            let started_at: Option<i64> = row.get(5)?;
            Ok((row.get::<_, String>(0)?, row.get(1)?, ledger, started_at.map(Timestamp)))
        });
        let Some((state, attempt, ledger, started_at)) = row.optional()? else {
            return Ok(None);
        };
        Ok(Some(Standing {
            state: TaskState::named(&state).ok_or(StoreError::Unknown(state))?,
            attempt,
            ledger,
            started_at,
        }))
    }

    pub fn renew_lease(&self, now: Timestamp) -> Result<(), StoreError> {
        self.tx
            .prepare_cached("UPDATE lease SET renewed_at = ?1")?
            .execute([now.0])?;
        Ok(())
    }

    /// Notes which keeper the leases are handed to from now on.
    pub fn note_keeper(&self, keeper: &str) -> Result<(), StoreError> {
        self.tx
            .prepare_cached("UPDATE lease SET keeper = ?1")?
            .execute([keeper])?;
        Ok(())
    }

    pub fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        changes.iter().try_for_each(|change| self.write_one(change))
    }

    fn write_one(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::Task(row) => self.task(row),
            Change::Started { task, at } => {
                let sql = "UPDATE task SET started_at = ?3 WHERE run = ?1 AND seq = ?2";
                self.execute(sql, params![task.run.0, task.seq, at.0])
            }
            Change::Reordered { task, by } => {
                let sql = "UPDATE task SET predicted = CAST(predicted * ?3 AS INTEGER) WHERE run = ?1 AND seq = ?2";
                self.execute(sql, params![task.run.0, task.seq, by])
            }
            Change::Attempt(row) => self.attempt(row),
            Change::Result { task, body } => {
                let sql = "INSERT OR REPLACE INTO result (run, seq, body) VALUES (?1, ?2, ?3)";
                self.execute(sql, params![task.run.0, task.seq, body])
            }
            Change::Output { task, files, bytes } => {
                let sql = "INSERT OR REPLACE INTO output (run, seq, files, bytes) VALUES (?1, ?2, ?3, ?4)";
                self.execute(sql, params![task.run.0, task.seq, *files as i64, *bytes as i64])
            }
            Change::Published { task } => self.published(*task),
            Change::InstanceOpened { instance, job, at } => {
                let sql = "INSERT INTO instance (id, job, opened_at) VALUES (?1, ?2, ?3)";
                self.execute(sql, params![instance.0, job, at.0])
            }
            Change::InstanceEnded { instance, .. } => self.execute("DELETE FROM instance WHERE id = ?1", [instance.0]),
            Change::CancelWaiting { run, at } => {
                let sql = "UPDATE task SET state = 'cancelled', visible_at = NULL, ended_at = ?2, reason = 'cancelled'
                           WHERE run = ?1 AND state = 'waiting'";
                self.execute(sql, params![run.0, at.0])?;
                // What is sent from now on is another run's.
                self.execute("UPDATE run SET intake = 0 WHERE id = ?1", [run.0])
            }
            Change::Counts { run, counts } => self.counts(*run, counts),
            Change::RunEnded {
                run,
                state,
                late,
                reason,
                at,
            } => {
                let sql = "UPDATE run SET state = ?2, late = ?3, reason = ?4, ended_at = ?5 WHERE id = ?1";
                self.execute(sql, params![run.0, state.text(), late, reason, at.0])
            }
        }
    }

    fn task(&self, row: &TaskRow) -> Result<(), StoreError> {
        let sql = "UPDATE task SET state = ?3, attempt = ?4, failures = ?5, losses = ?6, memory = ?7, visible_at = ?8,
                          ended_at = ?9, reason = ?10, unpublished = ?11, started_at = NULL
                   WHERE run = ?1 AND seq = ?2";
        self.execute(
            sql,
            params![
                row.task.run.0,
                row.task.seq,
                row.state.text(),
                row.attempt,
                row.ledger.failures,
                row.ledger.losses,
                row.ledger.memory.map(|bytes| bytes as i64),
                row.visible_at.map(|at| at.0),
                row.ended_at.map(|at| at.0),
                row.reason,
                row.unpublished,
            ],
        )
    }

    fn attempt(&self, row: &AttemptRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO attempt (run, seq, number, outcome, reason, exit_code, started_at, ended_at, cpu_ms,
                                        memory_peak, read_bytes, written_bytes, instance)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
        self.execute(
            sql,
            params![
                row.attempt.task.run.0,
                row.attempt.task.seq,
                row.attempt.number,
                row.outcome.text(),
                row.reason,
                row.exit_code,
                row.started_at.map(|at| at.0),
                row.ended_at.0,
                row.usage.cpu_ms as i64,
                row.usage.memory_peak as i64,
                row.usage.read_bytes as i64,
                row.usage.written_bytes as i64,
                row.instance.map(|instance| instance.0),
            ],
        )
    }

    fn published(&self, task: TaskId) -> Result<(), StoreError> {
        let sql = "UPDATE task SET unpublished = NULL WHERE run = ?1 AND seq = ?2";
        self.execute(sql, params![task.run.0, task.seq])
    }

    fn counts(&self, run: RunId, counts: &Counts) -> Result<(), StoreError> {
        let sql =
            "UPDATE run SET succeeded = ?2, skipped = ?3, failed = ?4, rejected = ?5, cancelled = ?6, attempts = ?7
                   WHERE id = ?1";
        self.execute(
            sql,
            params![
                run.0,
                counts.succeeded as i64,
                counts.skipped as i64,
                counts.failed as i64,
                counts.rejected as i64,
                counts.cancelled as i64,
                counts.attempts as i64,
            ],
        )
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
        self.tx.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}
