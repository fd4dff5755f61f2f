//! What earlier runs teach, for whoever plans the next; and what was foreseen of them against what came.

use std::time::Duration;

use kingtide_core::id::RunId;
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use rusqlite::{Row, params};

use super::state::Word;
use super::{ReadError, RunState, Snapshot, reading};
use crate::store::{Lore, StoreError};

/// A run that is over, as it was foreseen and as it came. It outlives the run's own rows.
#[derive(Clone, Debug)]
pub struct Record {
    pub run: RunId,
    pub created_at: Timestamp,
    pub ended_at: Timestamp,
    pub state: RunState,
    pub tasks: u64,
    pub due_at: Option<Timestamp>,
    pub foreseen: Option<Foreseen>,
    /// Of the deadline, as it was foreseen.
    pub chance: Option<f64>,
}

/// When a run was thought to end.
#[derive(Clone, Copy, Debug)]
pub struct Foreseen {
    /// When that was said.
    pub at: Timestamp,
    pub p50: Duration,
    pub p95: Duration,
}

/// A configuration in one run.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub run: RunId,
    pub key: i64,
    pub duration: Duration,
    /// Bytes; 0: not seen.
    pub memory: u64,
}

impl Record {
    /// Whether it was over by its deadline, where it had one and was not cancelled.
    pub fn is_met(&self) -> Option<bool> {
        let due = self.due_at.filter(|_| self.state != RunState::Cancelled)?;
        Some(self.ended_at <= due)
    }
}

impl Snapshot<'_> {
    /// What is known of a job's durations, for messages whose parameters have these names (`Configuration::shape`).
    pub fn lore(&self, job: &Job, shape: i64) -> Result<Lore, ReadError> {
        Lore::of(&self.transaction, job, shape).map_err(|error| match error {
            StoreError::Failed(source) => reading("what earlier runs took")(source),
            // A read fails in no other way.
            other => reading("what earlier runs took")(rusqlite::Error::ToSqlConversionFailure(Box::new(other))),
        })
    }

    /// Runs of a job that are over, the newest first.
    pub fn records(&self, job: &str, most: u64) -> Result<Vec<Record>, ReadError> {
        let sql = "SELECT run, created_at, ended_at, state, tasks, due_at, chance, foreseen_at, p50, p95
                   FROM record WHERE job = ?1 ORDER BY run DESC LIMIT ?2";
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.transaction.prepare_cached(sql)?;
            statement.query_map(params![job, most], record)?.collect()
        };
        read().map_err(reading("its runs"))
    }

    /// What the configurations of a job took in the last runs, the oldest first; at most so many.
    pub fn sightings(&self, job: &str, most: u64) -> Result<Vec<Sighting>, ReadError> {
        let sql = "SELECT run, key, milliseconds, memory FROM observation
                   WHERE job = ?1 AND run > 0 ORDER BY run DESC LIMIT ?2";
        let sighting = |row: &Row<'_>| {
            Ok(Sighting {
                run: RunId(row.get(0)?),
                key: row.get(1)?,
                duration: milliseconds(row.get(2)?),
                memory: row.get::<_, i64>(3)?.max(0) as u64,
            })
        };
        let read = || -> rusqlite::Result<Vec<Sighting>> {
            let mut statement = self.transaction.prepare_cached(sql)?;
            statement.query_map(params![job, most], sighting)?.collect()
        };
        let mut sightings = read().map_err(reading("what its tasks took"))?;
        sightings.reverse();
        Ok(sightings)
    }

    /// What a configuration is called.
    pub fn label(&self, job: &str, key: i64) -> Result<Option<String>, ReadError> {
        use rusqlite::OptionalExtension;
        let sql = "SELECT label FROM configuration WHERE job = ?1 AND key = ?2";
        let found = self.transaction.query_row(sql, params![job, key], |row| row.get(0));
        found.optional().map_err(reading("its parameters"))
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let foreseen = match (row.get::<_, Option<i64>>(7)?, row.get(8)?, row.get(9)?) {
        (Some(at), Some(p50), Some(p95)) => Some(Foreseen {
            at: Timestamp(at),
            p50: milliseconds(p50),
            p95: milliseconds(p95),
        }),
        _ => None,
    };
    Ok(Record {
        run: RunId(row.get(0)?),
        created_at: Timestamp(row.get(1)?),
        ended_at: Timestamp(row.get(2)?),
        state: row.get::<_, Word<_>>(3)?.0,
        tasks: row.get::<_, i64>(4)?.max(0) as u64,
        due_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        chance: row.get(6)?,
        foreseen,
    })
}

fn milliseconds(number: i64) -> Duration {
    Duration::from_millis(number.max(0) as u64)
}
