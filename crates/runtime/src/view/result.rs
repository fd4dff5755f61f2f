//! Rows of the results: each task with its parameters, its figures and what its program wrote. Streamed, page by page,
//! so that a million of them need no memory; read twice from one snapshot where a schema is to be inferred first.

use std::collections::VecDeque;
use std::time::Duration;

use kingtide_core::id::{RunId, TaskId};
use kingtide_core::time::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::state::Word;
use super::{ReadError, Snapshot, TaskState, reading};

/// Bodies can be a megabyte each; a page of them must stay small.
const PAGE: i64 = 64;

/// One task, its message and its result.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    pub task: TaskId,
    pub state: TaskState,
    pub attempts: u32,
    /// The message: one JSON object.
    pub message: String,
    /// Of the last attempt that ended.
    pub wall: Option<Duration>,
    /// Bytes, of the same attempt.
    pub memory_peak: Option<u64>,
    pub reason: Option<String>,
    /// What the program wrote: one JSON object, or an array of them.
    pub result: Option<String>,
    /// Whether it has a published output.
    pub has_output: bool,
}

/// The rows of a run, in the order of its messages.
#[derive(Debug)]
pub struct ResultRows<'a> {
    snapshot: &'a Snapshot<'a>,
    run: RunId,
    after: i64,
    page: VecDeque<ResultRow>,
    at_end: bool,
}

impl Snapshot<'_> {
    pub fn result_rows(&self, run: RunId) -> ResultRows<'_> {
        ResultRows {
            snapshot: self,
            run,
            after: 0,
            page: VecDeque::new(),
            at_end: false,
        }
    }
}

impl Snapshot<'_> {
    /// What the program of a task wrote, if it did: one JSON object, or an array of them.
    pub fn result(&self, task: TaskId) -> Result<Option<String>, ReadError> {
        self.transaction
            .query_row(
                "SELECT body FROM result WHERE run = ?1 AND seq = ?2",
                params![task.run.0, task.seq],
                |row| row.get(0),
            )
            .optional()
            .map_err(reading("a result"))
    }
}

impl Iterator for ResultRows<'_> {
    type Item = Result<ResultRow, ReadError>;

    fn next(&mut self) -> Option<Result<ResultRow, ReadError>> {
        if self.page.is_empty()
            && !self.at_end
            && let Err(source) = self.read_page()
        {
            self.at_end = true;
            return Some(Err(reading("the results")(source)));
        }
        self.page.pop_front().map(Ok)
    }
}

impl ResultRows<'_> {
    fn read_page(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.snapshot.transaction.prepare_cached(
            "SELECT t.seq, t.state, t.attempt, t.reason, m.body, r.body, a.started_at, a.ended_at, a.memory_peak, o.seq \
             FROM task t JOIN message m ON m.run = t.run AND m.seq = t.seq \
             LEFT JOIN result r ON r.run = t.run AND r.seq = t.seq \
             LEFT JOIN output o ON o.run = t.run AND o.seq = t.seq \
             LEFT JOIN attempt a ON a.run = t.run AND a.seq = t.seq AND a.number = \
                 (SELECT max(number) FROM attempt WHERE run = t.run AND seq = t.seq) \
             WHERE t.run = ?1 AND t.seq > ?2 ORDER BY t.seq LIMIT ?3",
        )?;
        let mut rows = statement.query(params![self.run.0, self.after, PAGE])?;
        while let Some(row) = rows.next()? {
            let started: Option<i64> = row.get(6)?;
            let ended: Option<i64> = row.get(7)?;
            let seq = row.get(0)?;
            self.after = seq;
            self.page.push_back(ResultRow {
                task: self.run.task(seq),
                state: row.get::<_, Word<_>>(1)?.0,
                attempts: row.get(2)?,
                reason: row.get(3)?,
                message: row.get(4)?,
                result: row.get(5)?,
                wall: started
                    .zip(ended)
                    .map(|(started, ended)| Timestamp(ended).since(Timestamp(started))),
                memory_peak: row.get::<_, Option<u64>>(8)?.filter(|bytes| *bytes > 0),
                has_output: row.get::<_, Option<i64>>(9)?.is_some(),
            });
        }
        self.at_end = self.page.len() < PAGE as usize;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Database, sample};
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn a_row_joins_message_state_figures_and_result() {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let rows: Vec<ResultRow> = snapshot.result_rows(RunId(1)).collect::<Result<_, _>>().expect("reads");
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[0].result.as_deref(), Some(r#"{"mae":11.5}"#));
        assert_eq!(
            (rows[0].wall, rows[0].has_output),
            (Some(Duration::from_secs(20)), true)
        );
        assert_eq!(
            (rows[1].state, rows[1].attempts, rows[1].wall),
            (TaskState::Failed, 2, Some(Duration::from_secs(40)))
        );
        assert_eq!((&rows[5].result, rows[5].wall), (&None, None));
    }

    #[test]
    fn pages_join_without_a_seam() {
        let project = sample::project();
        let writer = rusqlite::Connection::open(Layout::new(project.path()).database()).expect("a writer");
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 193)";
        writer
            .execute_batch(&format!(
                "INSERT INTO message (run, seq, body) SELECT * FROM ({rows} SELECT 9, i, '{{}}' FROM n);
                 INSERT INTO task (run, seq, state, key) SELECT * FROM ({rows} SELECT 9, i, 'waiting', 0 FROM n);"
            ))
            .expect("rows");
        let database = Database::open(project.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let seqs: Vec<i64> = snapshot
            .result_rows(RunId(9))
            .map(|row| row.expect("reads").task.seq)
            .collect();
        assert_eq!(seqs, (1..=193).collect::<Vec<i64>>());
    }
}
