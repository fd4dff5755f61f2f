//! Figures of a run: what took longest, what needed most memory, what was tried more than once.

use std::collections::BTreeMap;
use std::time::Duration;

use kingtide_core::id::{AttemptId, RunId};
use kingtide_core::message::Message;
use rusqlite::params;

use super::state::Word;
use super::{Outcome, ReadError, Snapshot, TaskState, reading};

/// An attempt that succeeded, and how long it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Slow {
    pub attempt: AttemptId,
    pub message: Message,
    pub wall: Duration,
}

/// The attempt that needed most memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Peak {
    pub attempt: AttemptId,
    pub message: Message,
    /// Bytes.
    pub memory: u64,
}

/// Sums over all ended attempts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Processor time.
    pub cpu: Duration,
    /// Time that attempts ran, added up.
    pub wall: Duration,
    /// Tasks that took more than one attempt and succeeded in the end.
    pub recovered: u64,
}

/// Tasks that ended badly in the same words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Failed or rejected.
    pub state: TaskState,
    pub words: String,
    pub tasks: u64,
    /// One of them.
    pub seq: i64,
}

impl Totals {
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }
}

impl Snapshot<'_> {
    /// The successes that took longest, the longest first.
    pub fn slowest(&self, run: RunId, limit: usize) -> Result<Vec<Slow>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.transaction.prepare(
                "SELECT a.seq, a.number, a.ended_at - a.started_at, m.body FROM attempt a \
                 JOIN message m ON m.run = a.run AND m.seq = a.seq \
                 WHERE a.run = ?1 AND a.outcome = 'succeeded' AND a.started_at NOT NULL ORDER BY 3 DESC, 1 LIMIT ?2",
            )?;
            statement
                .query_map(params![run.0, limit as i64], |row| {
                    Ok(Slow {
                        attempt: run.task(row.get(0)?).attempt(row.get(1)?),
                        wall: Duration::from_millis(row.get::<_, i64>(2)?.max(0) as u64),
                        message: Message::of_body(row.get_ref(3)?.as_str()?),
                    })
                })?
                .collect()
        };
        read().map_err(reading("the slowest tasks"))
    }

    /// The attempts that needed most memory, the greediest first; those that were too short to be sampled are not
    /// among them.
    pub fn peaks(&self, run: RunId, limit: usize) -> Result<Vec<Peak>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.transaction.prepare(
                "SELECT a.seq, a.number, a.memory_peak, m.body FROM attempt a \
                 JOIN message m ON m.run = a.run AND m.seq = a.seq \
                 WHERE a.run = ?1 AND a.memory_peak > 0 ORDER BY 3 DESC, 1 LIMIT ?2",
            )?;
            statement
                .query_map(params![run.0, limit as i64], |row| {
                    Ok(Peak {
                        attempt: run.task(row.get(0)?).attempt(row.get(1)?),
                        memory: row.get(2)?,
                        message: Message::of_body(row.get_ref(3)?.as_str()?),
                    })
                })?
                .collect()
        };
        read().map_err(reading("the memory peaks"))
    }

    /// Why tasks failed or were rejected, the most frequent first.
    pub fn reasons(&self, run: RunId, limit: usize) -> Result<Vec<Reason>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.transaction.prepare(
                "SELECT state, coalesce(reason, 'no reason was given'), count(*), min(seq) FROM task \
                 WHERE run = ?1 AND state IN ('failed', 'rejected') GROUP BY 1, 2 ORDER BY 3 DESC, 4 LIMIT ?2",
            )?;
            statement
                .query_map(params![run.0, limit as i64], |row| {
                    Ok(Reason {
                        state: row.get::<_, Word<_>>(0)?.0,
                        words: row.get(1)?,
                        tasks: row.get(2)?,
                        seq: row.get(3)?,
                    })
                })?
                .collect()
        };
        read().map_err(reading("the reasons of failures"))
    }

    pub fn totals(&self, run: RunId) -> Result<Totals, ReadError> {
        let read = || -> rusqlite::Result<Totals> {
            let mut totals = Totals::default();
            let mut statement = self.transaction.prepare(
                "SELECT outcome, count(*), sum(cpu_ms), sum(max(0, ended_at - coalesce(started_at, ended_at))) \
                 FROM attempt WHERE run = ?1 GROUP BY outcome",
            )?;
            let mut rows = statement.query([run.0])?;
            while let Some(row) = rows.next()? {
                totals.outcomes.insert(row.get::<_, Word<_>>(0)?.0, row.get(1)?);
                totals.cpu += Duration::from_millis(row.get(2)?);
                totals.wall += Duration::from_millis(row.get(3)?);
            }
            totals.recovered = self.transaction.query_row(
                "SELECT count(*) FROM task WHERE run = ?1 AND state = 'succeeded' AND failures > 0",
                [run.0],
                |row| row.get(0),
            )?;
            Ok(totals)
        };
        read().map_err(reading("the figures of a run"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Database, sample};
    use super::*;

    #[test]
    fn figures_of_a_run() {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let slowest = snapshot.slowest(RunId(1), 2).expect("reads");
        let seen: Vec<_> = slowest
            .iter()
            .map(|slow| (slow.attempt.task.seq, slow.wall.as_secs()))
            .collect();
        assert_eq!(seen, [(4, 30), (1, 20)]);
        let peaks = snapshot.peaks(RunId(1), 1).expect("reads");
        assert_eq!((peaks[0].attempt.task.seq, peaks[0].memory), (2, 2 << 30));
        let reasons = snapshot.reasons(RunId(1), 5).expect("reads");
        let expected = Reason {
            state: TaskState::Failed,
            words: "exit code 1".to_owned(),
            tasks: 1,
            seq: 2,
        };
        assert_eq!(reasons, [expected]);
        let totals = snapshot.totals(RunId(1)).expect("reads");
        assert_eq!(
            (
                totals.of(Outcome::Succeeded),
                totals.of(Outcome::Lost),
                totals.of(Outcome::OutOfMemory)
            ),
            (3, 1, 1)
        );
        assert_eq!(totals.recovered, 1);
        assert_eq!(totals.cpu, Duration::from_secs(60));
    }
}
