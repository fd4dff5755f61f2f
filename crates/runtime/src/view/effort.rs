//! What attempts have cost: processor time, memory, bytes, and how long they took. Sums over the attempts of a run that have ended;
//! of a run that is over they change no more.

use std::collections::BTreeMap;
use std::time::Duration;

use kingtide_core::id::RunId;
use kingtide_core::time::Timestamp;

use super::state::Word;
use super::{Outcome, ReadError, RunState, Snapshot, TaskState, reading};
use crate::queue::counts::of_tasks;

/// Bounds of the classes that durations are counted in: seconds, each with what is shorter. A job takes from a moment to a day.
pub const WALL_BOUNDS_S: [f64; 10] = [0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0, 86_400.0];

/// Sums over ended attempts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effort {
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Processor time.
    pub cpu: Duration,
    /// Time that attempts ran, added up; of those that were seen to start.
    pub wall: Duration,
    /// How many that is.
    pub started: u64,
    /// How many of them took at most as long as each of `WALL_BOUNDS_S`.
    pub within: [u64; WALL_BOUNDS_S.len()],
    /// Bytes, of the greediest.
    pub memory_peak: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// What a job's runs have come to, all that are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobTally {
    pub runs: BTreeMap<RunState, u64>,
    pub tasks: BTreeMap<TaskState, u64>,
    /// When its last run ended that succeeded.
    pub last_success: Option<Timestamp>,
    /// How long its last run took that is over.
    pub last_wall: Option<Duration>,
}

impl Effort {
    pub fn attempts(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

impl std::ops::AddAssign<&Effort> for Effort {
    fn add_assign(&mut self, more: &Effort) {
        for (outcome, number) in &more.outcomes {
            *self.outcomes.entry(*outcome).or_default() += number;
        }
        self.cpu += more.cpu;
        self.wall += more.wall;
        self.started += more.started;
        for (within, more) in self.within.iter_mut().zip(more.within) {
            *within += more;
        }
        self.memory_peak = self.memory_peak.max(more.memory_peak);
        self.read_bytes += more.read_bytes;
        self.written_bytes += more.written_bytes;
    }
}

impl Snapshot<'_> {
    /// What the attempts of a run have cost.
    pub fn effort(&self, run: RunId) -> Result<Effort, ReadError> {
        let read = || -> rusqlite::Result<Effort> {
            let classes: Vec<String> = WALL_BOUNDS_S
                .iter()
                .map(|bound| format!("coalesce(sum(ended_at - started_at <= {}), 0)", (bound * 1000.0) as i64))
                .collect();
            let sql = format!(
                "SELECT outcome, count(*), sum(cpu_ms), max(memory_peak), sum(read_bytes), sum(written_bytes), \
                 coalesce(sum(max(0, ended_at - started_at)), 0), count(started_at), {} \
                 FROM attempt WHERE run = ?1 GROUP BY outcome",
                classes.join(", ")
            );
            let mut statement = self.transaction.prepare_cached(&sql)?;
            let mut rows = statement.query([run.0])?;
            let mut effort = Effort::default();
            while let Some(row) = rows.next()? {
                let mut more = Effort {
                    outcomes: BTreeMap::from([(row.get::<_, Word<_>>(0)?.0, row.get(1)?)]),
                    cpu: Duration::from_millis(row.get(2)?),
                    memory_peak: row.get(3)?,
                    read_bytes: row.get(4)?,
                    written_bytes: row.get(5)?,
                    wall: Duration::from_millis(row.get(6)?),
                    started: row.get(7)?,
                    ..Effort::default()
                };
                for (class, within) in more.within.iter_mut().enumerate() {
                    *within = row.get(8 + class)?;
                }
                effort += &more;
            }
            Ok(effort)
        };
        read().map_err(reading("what attempts have cost"))
    }

    /// All runs that are kept, in the order of their numbers: job and state.
    pub fn run_states(&self) -> Result<Vec<(RunId, String, RunState)>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self
                .transaction
                .prepare_cached("SELECT id, job, state FROM run ORDER BY id")?;
            statement
                .query_map([], |row| {
                    Ok((RunId(row.get(0)?), row.get(1)?, row.get::<_, Word<_>>(2)?.0))
                })?
                .collect()
        };
        read().map_err(reading("the runs"))
    }

    /// Of every job that has runs, what they have come to.
    pub fn tallies(&self, now: Timestamp) -> Result<BTreeMap<String, JobTally>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut tallies: BTreeMap<String, JobTally> = BTreeMap::new();
            let sql = "SELECT job, state, count(*), sum(succeeded), sum(skipped), sum(failed), sum(rejected), sum(cancelled), \
                       max(CASE state WHEN 'succeeded' THEN ended_at END) FROM run GROUP BY job, state";
            let mut statement = self.transaction.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let tally = tallies.entry(row.get(0)?).or_default();
                tally.runs.insert(row.get::<_, Word<_>>(1)?.0, row.get(2)?);
                let over = [
                    TaskState::Succeeded,
                    TaskState::Skipped,
                    TaskState::Failed,
                    TaskState::Rejected,
                    TaskState::Cancelled,
                ];
                for (column, state) in (3..).zip(over) {
                    *tally.tasks.entry(state).or_default() += row.get::<_, u64>(column)?;
                }
                let success: Option<i64> = row.get(8)?;
                tally.last_success = tally.last_success.max(success.map(Timestamp));
            }
            // With `max`, SQLite takes the other columns from the same row (sqlite.org/lang_select.html#bareagg).
            let sql = "SELECT job, ended_at - created_at, max(id) FROM run WHERE ended_at IS NOT NULL GROUP BY job";
            let mut statement = self.transaction.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let wall: i64 = row.get(1)?;
                let tally = tallies.entry(row.get(0)?).or_default();
                tally.last_wall = Some(Duration::from_millis(wall.max(0) as u64));
            }
            for (job, tally) in &mut tallies {
                let open = of_tasks(&self.transaction, job, now)?;
                tally.tasks.insert(TaskState::Waiting, open.visible + open.delayed);
                tally.tasks.insert(TaskState::Leased, open.in_flight);
            }
            Ok(tallies)
        };
        read().map_err(reading("what runs have come to"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Database, sample};
    use super::*;

    #[test]
    fn sums_of_a_run_and_of_a_job() {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let effort = snapshot.effort(RunId(1)).expect("reads");
        assert_eq!((effort.attempts(), effort.started), (8, 8));
        assert_eq!(effort.outcomes[&Outcome::Succeeded], 3);
        assert_eq!(effort.cpu, Duration::from_secs(60));
        assert_eq!(effort.wall, Duration::from_secs(20 + 10 + 40 + 1 + 1 + 30 + 1 + 10));
        assert_eq!(effort.memory_peak, 2 << 30);
        // Three took a second, two ten, and all of them less than a minute.
        assert_eq!(effort.within[..4], [0, 3, 5, 8]);
        let mut twice = effort.clone();
        twice += &effort;
        assert_eq!(
            (twice.attempts(), twice.within[3], twice.memory_peak),
            (16, 16, 2 << 30)
        );

        let tallies = snapshot.tallies(Timestamp(300_000)).expect("reads");
        let retrain = &tallies["retrain"];
        assert_eq!(retrain.runs, BTreeMap::from([(RunState::Failed, 1)]));
        assert_eq!(retrain.tasks[&TaskState::Succeeded], 4);
        assert_eq!(
            (retrain.last_success, retrain.last_wall),
            (None, Some(Duration::from_secs(100)))
        );
        let score = &tallies["score"];
        assert_eq!(
            (score.tasks[&TaskState::Waiting], score.tasks[&TaskState::Leased]),
            (4, 2)
        );
        assert_eq!(snapshot.run_states().expect("reads").len(), 2);
    }
}
