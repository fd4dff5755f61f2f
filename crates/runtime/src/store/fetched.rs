//! Runs that were worked off elsewhere, as they were fetched: rows like those of a run here, so that whoever reads them (`view/`) and whoever
//! learns from them (`lore.rs`) need not know. A run is replaced whole each time: fetched twice is fetched once.
//!
//! Such a database is nobody's to run: its lease is held by no process, and says when something was fetched last.

use kingtide_core::engine::event::{AttemptRow, Change, Counts, Ledger, Named, RunState, TaskState};
use kingtide_core::id::RunId;
use kingtide_core::message::Message;
use kingtide_core::plan::configuration::Configuration;
use kingtide_core::time::Timestamp;
use rusqlite::params;

use super::{Batch, Store, StoreError};

/// A run as it was somewhere else.
#[derive(Clone, Debug)]
pub struct FetchedRun {
    pub run: RunId,
    pub job: String,
    pub state: RunState,
    /// Why it did not succeed, in words.
    pub reason: Option<String>,
    pub late: bool,
    /// Where its messages came from, in words.
    pub source: String,
    pub created_at: Timestamp,
    pub due_at: Option<Timestamp>,
    /// The chance of it that was wanted.
    pub confidence: Option<f64>,
    pub ended_at: Option<Timestamp>,
    pub workers: Option<u32>,
    pub counts: Counts,
    /// By their numbers.
    pub tasks: Vec<FetchedTask>,
}

/// A task of such a run.
#[derive(Clone, Debug)]
pub struct FetchedTask {
    pub seq: i64,
    /// Its message, as it was sent.
    pub body: String,
    pub state: TaskState,
    /// The last attempt.
    pub attempt: u32,
    pub ledger: Ledger,
    /// Of the attempt that runs.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub reason: Option<String>,
    /// Those that have ended.
    pub attempts: Vec<AttemptRow>,
    /// What its program wrote, as JSON.
    pub result: Option<String>,
    /// Files and bytes of its output.
    pub output: Option<(u64, u64)>,
}

impl Store {
    /// Makes the database one of fetched runs, and notes when that was.
    pub fn note_fetched(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO lease (id, epoch, pid, process_start, boot, renewed_at) VALUES (1, 0, 0, 0, '', ?1)
             ON CONFLICT (id) DO UPDATE SET renewed_at = ?1",
            [now.0],
        )?;
        Ok(())
    }

    /// Runs that are over and all of which is here.
    pub fn fetched(&self) -> Result<Vec<RunId>, StoreError> {
        let sql = "SELECT id FROM run WHERE state != 'open' ORDER BY id";
        let mut statement = self.connection.prepare(sql)?;
        let runs = statement.query_map([], |row| row.get(0).map(RunId))?;
        Ok(runs.collect::<Result<_, _>>()?)
    }

    /// Puts a run in the place of what was known of it, and learns from one that is over.
    pub fn take_fetched(&mut self, run: &FetchedRun) -> Result<(), StoreError> {
        let batch = self.begin()?;
        for (table, column) in [
            ("result", "run"),
            ("output", "run"),
            ("attempt", "run"),
            ("message", "run"),
            ("task", "run"),
            ("run", "id"),
        ] {
            batch
                .tx
                .execute(&format!("DELETE FROM {table} WHERE {column} = ?1"), [run.run.0])?;
        }
        batch.fetched_run(run)?;
        for task in &run.tasks {
            batch.fetched_task(run.run, task)?;
        }
        batch.commit()?;
        if run.state == RunState::Open {
            return Ok(());
        }
        self.remember(run.run)
    }
}

impl Batch<'_> {
    fn fetched_run(&self, run: &FetchedRun) -> Result<(), StoreError> {
        self.tx.execute(
            "INSERT INTO run (id, job, state, reason, late, source, created_at, ended_at, due_at, confidence, workers, total)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                run.run.0,
                run.job,
                run.state.word(),
                run.reason,
                run.late,
                run.source,
                run.created_at.0,
                run.ended_at.map(|at| at.0),
                run.due_at.map(|at| at.0),
                run.confidence,
                run.workers,
                run.counts.total as i64,
            ],
        )?;
        self.write(&[Change::Counts {
            run: run.run,
            counts: run.counts,
        }])
    }

    fn fetched_task(&self, run: RunId, task: &FetchedTask) -> Result<(), StoreError> {
        let id = run.task(task.seq);
        let sql = "INSERT INTO message (run, seq, body) VALUES (?1, ?2, ?3)";
        self.tx
            .prepare_cached(sql)?
            .execute(params![run.0, task.seq, task.body])?;
        let sql =
            "INSERT INTO task (run, seq, state, key, attempt, failures, losses, memory, started_at, ended_at, reason)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let configuration = Configuration::of(&Message::of_body(&task.body));
        self.tx.prepare_cached(sql)?.execute(params![
            run.0,
            task.seq,
            task.state.word(),
            configuration.key,
            task.attempt,
            task.ledger.failures,
            task.ledger.losses,
            task.ledger.memory.map(|bytes| bytes as i64),
            task.started_at.map(|at| at.0),
            task.ended_at.map(|at| at.0),
            task.reason,
        ])?;
        let mut changes: Vec<Change> = task
            .attempts
            .iter()
            .cloned()
            .map(|attempt| Change::Attempt(Box::new(attempt)))
            .collect();
        if let Some(body) = &task.result {
            changes.push(Change::Result {
                task: id,
                body: body.clone(),
            });
        }
        if let Some((files, bytes)) = task.output {
            changes.push(Change::Output { task: id, files, bytes });
        }
        self.write(&changes)
    }
}

#[cfg(test)]
mod tests {
    use kingtide_core::engine::event::{Outcome, Usage};

    use super::*;
    use crate::view::Database;

    fn task(run: RunId, seq: i64, took_ms: i64) -> FetchedTask {
        FetchedTask {
            seq,
            body: format!(r#"{{"dest":"D{seq}"}}"#),
            state: TaskState::Succeeded,
            attempt: 1,
            ledger: Ledger::default(),
            started_at: None,
            ended_at: Some(Timestamp(2000 + took_ms)),
            reason: None,
            attempts: vec![AttemptRow {
                instance: None,
                attempt: run.task(seq).attempt(1),
                outcome: Outcome::Succeeded,
                reason: None,
                exit_code: Some(0),
                started_at: Some(Timestamp(2000)),
                ended_at: Timestamp(2000 + took_ms),
                usage: Usage::default(),
            }],
            result: Some(r#"{"mae":1}"#.to_owned()),
            output: Some((1, 10)),
        }
    }

    fn run(tasks: i64) -> FetchedRun {
        let run = RunId(12);
        FetchedRun {
            run,
            job: "retrain".to_owned(),
            state: RunState::Succeeded,
            reason: None,
            late: false,
            source: "params.csv".to_owned(),
            created_at: Timestamp(1000),
            due_at: Some(Timestamp(90_000)),
            confidence: Some(0.9),
            ended_at: Some(Timestamp(80_000)),
            workers: Some(4),
            counts: Counts {
                total: tasks as u64,
                succeeded: tasks as u64,
                attempts: tasks as u64,
                ..Counts::default()
            },
            tasks: (1..=tasks).map(|seq| task(run, seq, 1000 * seq)).collect(),
        }
    }

    #[test]
    fn fetched_twice_is_fetched_once_and_teaches() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(folder.path()).expect("a store");
        store.note_fetched(Timestamp(5)).expect("noted");
        store.take_fetched(&run(3)).expect("taken");
        store.take_fetched(&run(5)).expect("taken again");
        store.note_fetched(Timestamp(7)).expect("noted");
        assert_eq!(store.fetched().expect("read"), [RunId(12)]);
        drop(store);
        let database = Database::at(&folder.path().join("kingtide.db")).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let row = snapshot.run(RunId(12)).expect("read").expect("there");
        assert_eq!((row.name().as_str(), row.counts.succeeded), ("retrain-12", 5));
        assert_eq!(row.is_met(Timestamp(100_000)), Some(true));
        let lease = snapshot.lease().expect("read").expect("noted");
        assert!(!lease.is_held() && lease.renewed_at == Timestamp(7));
        assert_eq!(snapshot.output_total(RunId(12)).expect("read").outputs, 5);
        let records = snapshot.records("retrain", 10).expect("read");
        assert_eq!(records.len(), 1, "learned from");
    }
}
