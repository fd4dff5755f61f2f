//! Runs: made with all their messages in one transaction, found again, opened for the engine, remembered when over.

use std::convert::Infallible;
use std::sync::Arc;

use kingtide_core::engine::event::{Counts, Host, Leased, Ledger, OpenRun, RunState, TaskState};
use kingtide_core::engine::state::Named;
use kingtide_core::id::{AttemptId, RunId};
use kingtide_core::message::Message;
use kingtide_core::plan::configuration::Configuration;
use kingtide_core::project::{Job, Mode};
use kingtide_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Batch, Store, StoreError, lore};

/// A run, to be made.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    pub job: &'a Job,
    /// Where its messages come from, in words.
    pub source: &'a str,
    pub retry_of: Option<RunId>,
    /// At most so many attempts at once.
    pub workers: Option<u32>,
    /// By when it is to be done.
    pub due: Option<Timestamp>,
}

impl<'a> NewRun<'a> {
    /// Triggered now.
    pub fn of(job: &'a Job, source: &'a str, now: Timestamp) -> NewRun<'a> {
        NewRun {
            job,
            source,
            retry_of: None,
            workers: None,
            due: job.deadline.as_ref().map(|deadline| deadline.due(now)),
        }
    }

    /// By then in place of what the job says, where that is wanted.
    pub fn due_by(self, due: Option<Timestamp>) -> NewRun<'a> {
        NewRun {
            due: due.or(self.due),
            ..self
        }
    }

    /// When it is ended.
    fn limit(&self, now: Timestamp) -> Option<i64> {
        self.job.max_duration.map(|duration| (now + duration).0)
    }
}

impl Store {
    /// Makes a run of all these messages. They are durable when it returns, or none of it is there.
    pub fn submit<E>(
        &mut self,
        now: Timestamp,
        new: &NewRun<'_>,
        messages: impl Iterator<Item = Result<Message, E>>,
    ) -> Result<Result<RunId, E>, StoreError> {
        let batch = self.begin()?;
        let run = batch.new_run(now, new)?;
        if let Err(error) = batch.add_messages(run, new.job, messages)? {
            return Ok(Err(error));
        }
        batch.commit()?;
        Ok(Ok(run))
    }

    /// The same in several transactions: `run` is `None` for the first messages. A run is open once its last messages are
    /// there; one left before that is forgotten by `forget_half_loaded`.
    pub fn load(
        &mut self,
        now: Timestamp,
        run: Option<RunId>,
        new: &NewRun<'_>,
        messages: &[Message],
        is_last: bool,
    ) -> Result<RunId, StoreError> {
        let batch = self.begin()?;
        let run = match run {
            Some(run) => run,
            None => batch.new_run(now, new)?,
        };
        let rows = messages.iter().cloned().map(Ok::<_, Infallible>);
        let Ok(()) = batch.add_messages(run, new.job, rows)?;
        batch.tx.execute(
            "UPDATE run SET loading = ?2, deadline_at = ?3 WHERE id = ?1",
            params![run.0, !is_last, new.limit(now)],
        )?;
        batch.commit()?;
        Ok(run)
    }

    /// Forgets a run whose messages will not all come.
    pub fn abandon(&mut self, run: RunId) -> Result<(), StoreError> {
        let batch = self.begin()?;
        for table in ["message", "task"] {
            let sql = format!("DELETE FROM {table} WHERE run IN (SELECT id FROM run WHERE id = ?1 AND loading = 1)");
            batch.tx.execute(&sql, [run.0])?;
        }
        batch
            .tx
            .execute("DELETE FROM run WHERE id = ?1 AND loading = 1", [run.0])?;
        batch.commit()
    }

    /// Forgets what an earlier runtime was being handed when it went.
    pub fn forget_half_loaded(&mut self) -> Result<(), StoreError> {
        let sql = "SELECT id FROM run WHERE loading = 1";
        let runs: Vec<i64> = self
            .connection
            .prepare(sql)?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        runs.into_iter().try_for_each(|run| self.abandon(RunId(run)))
    }

    /// All runs that are not over, in their order.
    pub fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        let sql = "SELECT id FROM run WHERE state = 'open' AND loading = 0 ORDER BY id";
        let mut statement = self.connection.prepare(sql)?;
        let runs = statement.query_map([], |row| row.get(0).map(RunId))?;
        Ok(runs.collect::<Result<_, _>>()?)
    }

    /// Makes a run of what did not succeed in another: failed and rejected tasks, and those that were cancelled with it.
    /// `None` when there is nothing to repeat.
    pub fn retry(&mut self, now: Timestamp, of: RunId, new: &NewRun<'_>) -> Result<Option<RunId>, StoreError> {
        let batch = self.begin()?;
        let run = batch.new_run(now, new)?;
        let which = "task.run = ?2 AND state IN ('failed', 'rejected', 'cancelled')";
        let numbered = format!(
            "SELECT ?1, row_number() OVER (ORDER BY task.seq) AS number, body, message_id, attributes, key, predicted, mu, sigma
             FROM task JOIN message USING (run, seq) WHERE {which}"
        );
        let total = batch.tx.execute(
            &format!(
                "INSERT INTO message (run, seq, body, message_id, attributes)
                 SELECT ?1, number, body, message_id, attributes FROM ({numbered})"
            ),
            params![run.0, of.0],
        )?;
        if total == 0 {
            return Ok(None);
        }
        batch.tx.execute(
            &format!(
                "INSERT INTO task (run, seq, state, key, predicted, mu, sigma)
                 SELECT ?1, number, 'waiting', key, predicted, mu, sigma FROM ({numbered})"
            ),
            params![run.0, of.0],
        )?;
        // What is tried again is dead no longer.
        batch.tx.execute(
            "DELETE FROM letter WHERE run = ?1 AND box IN (SELECT box FROM queue WHERE role = 'dead')
             AND seq IN (SELECT seq FROM task WHERE run = ?1 AND state IN ('failed', 'rejected', 'cancelled'))",
            [of.0],
        )?;
        batch
            .tx
            .execute("UPDATE run SET total = ?2 WHERE id = ?1", params![run.0, total as i64])?;
        // What was foreseen of them still holds.
        batch.tx.execute(
            "UPDATE run SET (common, degrees, failure) = (SELECT common, degrees, failure FROM run WHERE id = ?2) WHERE id = ?1",
            params![run.0, of.0],
        )?;
        batch.commit()?;
        Ok(Some(run))
    }

    /// The newest run of a job that is not over.
    pub fn unfinished(&self, job: &str) -> Result<Option<RunId>, StoreError> {
        let sql = "SELECT max(id) FROM run WHERE job = ?1 AND state = 'open' AND loading = 0";
        let id: Option<i64> = self.connection.query_row(sql, [job], |row| row.get(0))?;
        Ok(id.map(RunId))
    }

    /// What the engine has to know of a run to go on with it; `None` when it is over or unknown.
    pub fn open_run(&self, run: RunId, job: &Job, workers: Option<u32>) -> Result<Option<OpenRun>, StoreError> {
        let sql =
            "SELECT total, succeeded, skipped, failed, rejected, cancelled, attempts, deadline_at, workers, intake
                   FROM run WHERE id = ?1 AND state = 'open' AND loading = 0";
        let found = self.connection.query_row(sql, [run.0], |row| {
            let count = |index| row.get::<_, i64>(index).map(|count| count as u64);
            let counts = Counts {
                total: count(0)?,
                succeeded: count(1)?,
                skipped: count(2)?,
                failed: count(3)?,
                rejected: count(4)?,
                cancelled: count(5)?,
                attempts: count(6)?,
            };
            let deadline = row.get::<_, Option<i64>>(7)?.map(Timestamp);
            Ok((counts, deadline, row.get::<_, Option<u32>>(8)?, row.get::<_, bool>(9)?))
        });
        let Some((counts, deadline, its_workers, is_intake)) = found.optional()? else {
            return Ok(None);
        };
        let counts = match job.mode {
            Mode::Task => counts,
            // Whoever received its messages may have done so while the run was not open anywhere.
            Mode::Consumer => count(&self.connection, run, counts)?,
        };
        let (leased, unpublished) = active(&self.connection, run)?;
        Ok(Some(OpenRun {
            run,
            job: job.clone(),
            host: Host::Keeper,
            ready: false,
            idle: is_intake.then_some(job.run_idle),
            workers: workers.or(its_workers),
            deadline,
            counts,
            leased,
            unpublished,
        }))
    }

    /// Job and state of a run.
    pub fn run(&self, run: RunId) -> Result<Option<(String, RunState, bool)>, StoreError> {
        let sql = "SELECT job, state, late FROM run WHERE id = ?1";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?));
        match self.connection.query_row(sql, [run.0], read).optional()? {
            None => Ok(None),
            Some((job, state, late)) => Ok(Some((
                job,
                RunState::named(&state).ok_or(StoreError::Unknown(state))?,
                late,
            ))),
        }
    }

    /// Forgets runs that are over, with everything they left in the database; open ones stay.
    pub fn forget(&mut self, runs: &[RunId]) -> Result<(), StoreError> {
        let batch = self.begin()?;
        let over = "SELECT id FROM run WHERE id = ?1 AND state != 'open'";
        for run in runs {
            // A letter that shares its body with a message takes it along.
            batch.tx.execute(
                &format!(
                    "UPDATE letter SET run = NULL, seq = NULL,
                            body = (SELECT body FROM message WHERE message.run = letter.run AND message.seq = letter.seq)
                     WHERE run IN ({over})"
                ),
                [run.0],
            )?;
            for table in ["result", "output", "attempt", "message", "task"] {
                batch
                    .tx
                    .execute(&format!("DELETE FROM {table} WHERE run IN ({over})"), [run.0])?;
            }
            batch
                .tx
                .execute("DELETE FROM run WHERE id = ?1 AND state != 'open'", [run.0])?;
        }
        batch.commit()?;
        self.connection.execute_batch("VACUUM")?;
        Ok(())
    }

    /// Work folders that successes still name.
    pub fn unpublished(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT unpublished FROM task WHERE unpublished IS NOT NULL";
        let mut statement = self.connection.prepare(sql)?;
        let folders = statement.query_map([], |row| row.get(0))?;
        Ok(folders.collect::<Result<_, _>>()?)
    }
}

impl Batch<'_> {
    fn new_run(&self, now: Timestamp, new: &NewRun<'_>) -> Result<RunId, StoreError> {
        self.tx.execute(
            "INSERT INTO run (job, state, source, retry_of, created_at, deadline_at, workers, due_at, confidence)
             VALUES (?1, 'open', ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                new.job.name,
                new.source,
                new.retry_of.map(|run| run.0),
                now.0,
                new.limit(now),
                new.workers,
                new.due.map(|at| at.0),
                new.due.map(|_| new.job.confidence),
            ],
        )?;
        Ok(RunId(self.tx.last_insert_rowid()))
    }

    /// Appends messages to a run, as tasks that wait.
    fn add_messages<E>(
        &self,
        run: RunId,
        job: &Job,
        messages: impl Iterator<Item = Result<Message, E>>,
    ) -> Result<Result<(), E>, StoreError> {
        let sql = "INSERT INTO message (run, seq, body) VALUES (?1, ?2, ?3)";
        let mut message_row = self.tx.prepare_cached(sql)?;
        let sql =
            "INSERT INTO task (run, seq, state, key, predicted, mu, sigma) VALUES (?1, ?2, 'waiting', ?3, ?4, ?5, ?6)";
        let mut task_row = self.tx.prepare_cached(sql)?;
        let sql = "SELECT total FROM run WHERE id = ?1";
        let mut total: i64 = self.tx.prepare_cached(sql)?.query_row([run.0], |row| row.get(0))?;
        let mut lore = None;
        for message in messages {
            let message = match message {
                Ok(message) => message,
                Err(error) => return Ok(Err(error)),
            };
            total += 1;
            let configuration = Configuration::of(&message);
            let known = match &lore {
                // Messages of other shapes are rare, and those of the first speak for all.
                Some(lore) => Arc::clone(lore),
                None => self.shelf.borrow_mut().lore(self.tx, job, configuration.shape)?,
            };
            let foreseen = known.foresee(&configuration);
            lore.get_or_insert(known);
            message_row.execute(params![run.0, total, message.body()])?;
            let (order, of) = (foreseen.order, foreseen.of);
            task_row.execute(params![run.0, total, configuration.key, order, of.mu, of.sigma])?;
        }
        if let Some(lore) = lore {
            lore::note_luck(self.tx, run, &lore)?;
        }
        let sql = "UPDATE run SET total = ?2 WHERE id = ?1";
        self.tx.prepare_cached(sql)?.execute(params![run.0, total])?;
        Ok(Ok(()))
    }
}

/// Counts of tasks by the states in their rows.
fn count(connection: &Connection, run: RunId, kept: Counts) -> Result<Counts, StoreError> {
    let sql = "SELECT state, count(*) FROM task WHERE run = ?1 GROUP BY state";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([run.0])?;
    let mut counts = Counts {
        attempts: kept.attempts,
        ..Counts::default()
    };
    while let Some(row) = rows.next()? {
        let state: String = row.get(0)?;
        let number = row.get::<_, i64>(1)? as u64;
        counts.total += number;
        match TaskState::named(&state).ok_or(StoreError::Unknown(state))? {
            TaskState::Waiting | TaskState::Leased => {}
            TaskState::Succeeded => counts.succeeded = number,
            TaskState::Skipped => counts.skipped = number,
            TaskState::Failed => counts.failed = number,
            TaskState::Rejected => counts.rejected = number,
            TaskState::Cancelled => counts.cancelled = number,
        }
    }
    Ok(counts)
}

/// An attempt and the folder of its output.
type Unpublished = (AttemptId, String);

/// Leased tasks, and successes whose output is not in its place.
fn active(connection: &Connection, run: RunId) -> Result<(Vec<Leased>, Vec<Unpublished>), StoreError> {
    let sql = "SELECT seq, attempt, failures, losses, memory, unpublished FROM task INDEXED BY task_active
               WHERE run = ?1 AND (state = 'leased' OR unpublished IS NOT NULL)";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([run.0])?;
    let (mut leased, mut unpublished) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let attempt = run.task(row.get(0)?).attempt(row.get(1)?);
        match row.get::<_, Option<String>>(5)? {
            Some(folder) => unpublished.push((attempt, folder)),
            None => {
                let memory: Option<i64> = row.get(4)?;
                let memory = memory.map(|bytes| bytes as u64);
                leased.push(Leased {
                    attempt,
                    ledger: Ledger {
                        failures: row.get(2)?,
                        losses: row.get(3)?,
                        memory,
                    },
                });
            }
        }
    }
    Ok((leased, unpublished))
}
