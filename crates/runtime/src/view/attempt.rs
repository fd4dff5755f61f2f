//! Attempts that have ended.

use std::time::Duration;

use kingtide_core::id::{AttemptId, InstanceId, TaskId};
use kingtide_core::time::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::state::Word;
use super::{Outcome, ReadError, Snapshot, reading};
use crate::keys;

/// One execution of a task, over.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: AttemptId,
    pub outcome: Outcome,
    /// In words: `exit code 1`, `killed by SIGSEGV`.
    pub reason: Option<String>,
    pub exit_code: Option<i32>,
    /// `None` when it never started.
    pub started_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub cpu_ms: u64,
    /// Bytes.
    pub memory_peak: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}

impl Attempt {
    pub fn wall(&self) -> Option<Duration> {
        self.started_at.map(|started| self.ended_at.since(started))
    }
}

impl Snapshot<'_> {
    /// The attempts of a task that have ended, the first one first.
    pub fn attempts(&self, task: TaskId) -> Result<Vec<Attempt>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.transaction.prepare(
                "SELECT number, outcome, reason, exit_code, started_at, ended_at, cpu_ms, memory_peak, read_bytes, \
                 written_bytes FROM attempt WHERE run = ?1 AND seq = ?2 ORDER BY number",
            )?;
            statement
                .query_map(params![task.run.0, task.seq], |row| {
                    Ok(Attempt {
                        id: task.attempt(row.get("number")?),
                        outcome: row.get::<_, Word<_>>("outcome")?.0,
                        reason: row.get("reason")?,
                        exit_code: row.get("exit_code")?,
                        started_at: row.get::<_, Option<i64>>("started_at")?.map(Timestamp),
                        ended_at: Timestamp(row.get("ended_at")?),
                        cpu_ms: row.get("cpu_ms")?,
                        memory_peak: row.get("memory_peak")?,
                        read_bytes: row.get("read_bytes")?,
                        written_bytes: row.get("written_bytes")?,
                    })
                })?
                .collect()
        };
        read().map_err(reading("the attempts"))
    }

    /// The instance of a consumer whose log tells of an attempt: the one that had received the message, or that holds it now.
    pub fn instance(&self, attempt: AttemptId) -> Result<Option<InstanceId>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let task = attempt.task;
            let ended: Option<Option<i64>> = self
                .transaction
                .query_row(
                    "SELECT instance FROM attempt WHERE run = ?1 AND seq = ?2 AND number = ?3",
                    params![task.run.0, task.seq, attempt.number],
                    |row| row.get(0),
                )
                .optional()?;
            if let Some(instance) = ended {
                return Ok(instance.map(InstanceId));
            }
            let holder: Option<String> = self
                .transaction
                .query_row(
                    "SELECT holder FROM letter WHERE run = ?1 AND seq = ?2 AND holder IS NOT NULL",
                    params![task.run.0, task.seq],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(holder.as_deref().and_then(keys::instance))
        };
        read().map_err(reading("who had received the message"))
    }
}

#[cfg(test)]
mod tests {
    use kingtide_core::id::RunId;

    use super::super::{Database, sample};
    use super::*;

    #[test]
    fn attempts_come_in_their_order() {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let attempts = snapshot.attempts(RunId(1).task(2)).expect("reads");
        assert_eq!(
            attempts.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>(),
            [Outcome::OutOfMemory, Outcome::Failed]
        );
        assert_eq!(attempts[1].wall(), Some(Duration::from_secs(40)));
        assert_eq!(attempts[1].exit_code, Some(1));
    }
}
