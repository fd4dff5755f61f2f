//! Runs.

use std::time::Duration;

use kingtide_core::id::RunId;
use kingtide_core::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::state::Word;
use super::{ReadError, RunState, Snapshot, reading};
use crate::layout::run_name;
use crate::notice::Counts;

/// One execution of a job over a set of messages.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: RunId,
    pub job: String,
    pub state: RunState,
    /// Why it did not succeed, in words.
    pub reason: Option<String>,
    /// Whether it was ended by its `max_duration`.
    pub late: bool,
    /// Where its messages came from, in words.
    pub source: String,
    /// The run whose failures it repeats.
    pub retry_of: Option<RunId>,
    pub created_at: Timestamp,
    pub deadline_at: Option<Timestamp>,
    /// By when it is to be done.
    pub due_at: Option<Timestamp>,
    /// The chance of that as it was foreseen when it began, and the one that was wanted.
    pub chance: Option<f64>,
    pub confidence: Option<f64>,
    pub ended_at: Option<Timestamp>,
    /// Of a run with a deadline: when the last of its tasks that are over was.
    pub done_at: Option<Timestamp>,
    pub counts: Counts,
}

impl Run {
    /// `retrain-12`, as people call it.
    pub fn name(&self) -> String {
        run_name(&self.job, self.id)
    }

    /// Whether every task was over by its deadline; `None` where it had none, was cancelled, or may still be in time.
    pub fn is_met(&self, now: Timestamp) -> Option<bool> {
        let due = self.due_at.filter(|_| self.state != RunState::Cancelled)?;
        let is_done = self.state.is_over() || self.counts.done() == self.counts.total;
        let at = if is_done {
            self.done_at.or(self.ended_at).unwrap_or(now)
        } else {
            now
        };
        (is_done || at > due).then_some(at <= due)
    }

    /// From its creation to its end, or to `now`.
    pub fn wall(&self, now: Timestamp) -> Duration {
        self.ended_at.unwrap_or(now).since(self.created_at)
    }
}

const COLUMNS: &str = "id, job, state, reason, late, source, retry_of, created_at, deadline_at, due_at, chance, confidence, ended_at, \
                       CASE WHEN due_at IS NOT NULL THEN (SELECT max(ended_at) FROM task WHERE task.run = run.id) END AS done_at, \
                       total, succeeded, skipped, failed, rejected, cancelled, attempts";

impl Snapshot<'_> {
    /// The newest first; of one job where one is named.
    pub fn runs(&self, job: Option<&str>, limit: u64) -> Result<Vec<Run>, ReadError> {
        self.runs_before(job, None, None, limit)
    }

    /// The newest first of those before `before`, of a job and in a state where they are named.
    pub fn runs_before(
        &self,
        job: Option<&str>,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: u64,
    ) -> Result<Vec<Run>, ReadError> {
        let query = format!(
            "SELECT {COLUMNS} FROM run WHERE (?1 IS NULL OR job = ?1) AND (?2 IS NULL OR state = ?2) AND id < ?3 \
             ORDER BY id DESC LIMIT ?4"
        );
        let before = before.map_or(i64::MAX, |run| run.0);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.transaction.prepare_cached(&query)?;
            statement
                .query_map(params![job, state.map(RunState::text), before, limit], row_to_run)?
                .collect()
        };
        read().map_err(reading("the runs"))
    }

    pub fn run(&self, id: RunId) -> Result<Option<Run>, ReadError> {
        self.transaction
            .query_row(&format!("SELECT {COLUMNS} FROM run WHERE id = ?1"), [id.0], row_to_run)
            .optional()
            .map_err(reading("a run"))
    }

    /// The newest run of all, or of a job.
    pub fn last_run(&self, job: Option<&str>) -> Result<Option<Run>, ReadError> {
        Ok(self.runs(job, 1)?.pop())
    }

    /// The names of all jobs that ever ran, sorted.
    pub fn jobs(&self) -> Result<Vec<String>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.transaction.prepare("SELECT DISTINCT job FROM run ORDER BY job")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(reading("the jobs"))
    }
}

fn row_to_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: RunId(row.get("id")?),
        job: row.get("job")?,
        state: row.get::<_, Word<_>>("state")?.0,
        reason: row.get("reason")?,
        late: row.get("late")?,
        source: row.get("source")?,
        retry_of: row.get::<_, Option<i64>>("retry_of")?.map(RunId),
        created_at: Timestamp(row.get("created_at")?),
        deadline_at: row.get::<_, Option<i64>>("deadline_at")?.map(Timestamp),
        due_at: row.get::<_, Option<i64>>("due_at")?.map(Timestamp),
        chance: row.get("chance")?,
        confidence: row.get("confidence")?,
        ended_at: row.get::<_, Option<i64>>("ended_at")?.map(Timestamp),
        done_at: row.get::<_, Option<i64>>("done_at")?.map(Timestamp),
        counts: Counts {
            total: row.get("total")?,
            succeeded: row.get("succeeded")?,
            skipped: row.get("skipped")?,
            failed: row.get("failed")?,
            rejected: row.get("rejected")?,
            cancelled: row.get("cancelled")?,
            attempts: row.get("attempts")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Database, sample};
    use super::*;

    #[test]
    fn the_newest_run_comes_first_and_jobs_are_apart() {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let names = |job| -> Vec<String> { snapshot.runs(job, 10).expect("reads").iter().map(Run::name).collect() };
        assert_eq!(names(None), ["score-2", "retrain-1"]);
        assert_eq!(names(Some("retrain")), ["retrain-1"]);
        assert!(names(Some("nobody")).is_empty());
        assert_eq!(snapshot.jobs().expect("reads"), ["retrain", "score"]);
        let run = snapshot.run(RunId(1)).expect("reads").expect("is there");
        assert_eq!(
            (run.state, run.counts.total, run.counts.failed),
            (RunState::Failed, 6, 1)
        );
        assert_eq!(run.wall(Timestamp(0)), Duration::from_secs(100));
        assert!(run.late);
        assert!(snapshot.run(RunId(9)).expect("reads").is_none());
    }
}
