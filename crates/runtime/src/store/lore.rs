//! What earlier runs teach: kept when a run is over, and made into predictions for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kingtide_core::id::{RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::plan::burst::{Luck, failure_rate};
use kingtide_core::plan::configuration::Configuration;
use kingtide_core::plan::lognormal::{Common, LogNormal};
use kingtide_core::plan::model::{Knowledge, Observation};
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::{Store, StoreError};
use crate::notice::Forecast;

/// The newest observations that a model is made of: more would not change it, and would take longer to read.
const MOST_OBSERVATIONS: u64 = 20_000;
/// Of one run so many configurations are kept at most, evenly chosen.
const MOST_OF_A_RUN: i64 = 20_000;
/// What is kept of a job: so many runs, as long as these are not more rows.
const MOST_RUNS: usize = 60;
const MOST_ROWS: i64 = 200_000;
/// Runs by which failures and start-up are told.
const RECENT: u64 = 10;
const LABEL_CHARACTERS: usize = 80;
/// A task's place in the order is by what it takes four times of five.
const ORDER: f64 = 0.8;

/// What is known before a run begins.
#[derive(Debug)]
pub struct Lore {
    pub knowledge: Knowledge,
    pub luck: Luck,
    /// From the making of a run to its first attempt; `None` where no run was seen.
    pub start: Option<Duration>,
    /// Runs of the job whose parameters had other names: nothing was learned of them.
    pub foreign: u64,
    /// Runs of the job that are over, whatever was learned of them.
    pub runs: u64,
    /// Peaks of memory, in bytes.
    pub memory: Knowledge,
}

/// What is written of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreseen {
    /// Milliseconds; the longest goes first. 0 where nothing is known.
    pub(crate) order: i64,
    pub(crate) of: LogNormal,
}

impl Lore {
    /// Of a job, for messages of this shape.
    pub(crate) fn of(rows: &Connection, job: &Job, shape: i64) -> Result<Lore, StoreError> {
        let name = job.name.as_str();
        let (mut durations, mut peaks, mut foreign) = (Vec::new(), Vec::new(), BTreeSet::new());
        let sql =
            "SELECT run, key, milliseconds, memory, shape FROM observation LEFT JOIN configuration USING (job, key)
                   WHERE job = ?1 ORDER BY run DESC LIMIT ?2";
        let mut statement = rows.prepare_cached(sql)?;
        let mut seen = statement.query(params![name, MOST_OBSERVATIONS])?;
        while let Some(row) = seen.next()? {
            let (run, key): (i64, i64) = (row.get(0)?, row.get(1)?);
            if row.get::<_, Option<i64>>(4)?.is_some_and(|of| of != shape) {
                foreign.insert(run);
                continue;
            }
            let milliseconds = row.get::<_, i64>(2)?.max(0) as u64;
            durations.push(Observation::took(run, key, Duration::from_millis(milliseconds)));
            peaks.extend(Observation::occupied(run, key, row.get::<_, i64>(3)?.max(0) as u64));
        }
        let told = configurations(rows, name, shape)?;
        let sql = "SELECT total(failures), total(attempts) FROM
                   (SELECT failures, attempts FROM record WHERE job = ?1 ORDER BY run DESC LIMIT ?2)";
        let (failures, attempts) = rows.prepare_cached(sql)?.query_row(params![name, RECENT], |row| {
            Ok((row.get::<_, f64>(0)?, row.get::<_, f64>(1)?))
        })?;
        let knowledge = Knowledge::of(&durations, &told, job.expected);
        Ok(Lore {
            luck: Luck {
                common: knowledge.common(),
                failure: failure_rate(failures as u64, attempts as u64),
                retries: job.retries,
                backoff: job.backoff,
            },
            knowledge,
            start: start(rows, name)?,
            foreign: foreign.len() as u64,
            runs: rows
                .prepare_cached("SELECT count(*) FROM record WHERE job = ?1")?
                .query_row([name], |row| row.get::<_, i64>(0))? as u64,
            memory: Knowledge::of(&peaks, &told, None),
        })
    }

    /// Where nothing ever ran.
    pub fn of_nothing(job: &Job) -> Lore {
        let knowledge = Knowledge::of(&[], &[], job.expected);
        Lore {
            luck: Luck {
                common: knowledge.common(),
                failure: failure_rate(0, 0),
                retries: job.retries,
                backoff: job.backoff,
            },
            knowledge,
            start: None,
            foreign: 0,
            runs: 0,
            memory: Knowledge::Nothing,
        }
    }

    pub(crate) fn foresee(&self, of: &Configuration) -> Foreseen {
        let of = self.knowledge.predict(of);
        let order = match &self.knowledge {
            Knowledge::Nothing => 0,
            _ => of.in_any_run(&self.luck.common).quantile(ORDER).as_millis() as i64,
        };
        Foreseen { order, of }
    }
}

/// Models that were made, for as long as nothing new is learned.
#[derive(Debug, Default)]
pub(crate) struct Shelf(BTreeMap<(String, i64), Arc<Lore>>);

impl Shelf {
    pub(crate) fn lore(&mut self, rows: &Connection, job: &Job, shape: i64) -> Result<Arc<Lore>, StoreError> {
        let place = (job.name.clone(), shape);
        if let Some(lore) = self.0.get(&place) {
            return Ok(Arc::clone(lore));
        }
        let lore = Arc::new(Lore::of(rows, job, shape)?);
        self.0.insert(place, Arc::clone(&lore));
        Ok(lore)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

fn configurations(rows: &Connection, job: &str, shape: i64) -> Result<Vec<Configuration>, StoreError> {
    let sql = "SELECT key, kin, shape, numbers FROM configuration WHERE job = ?1 AND shape = ?2";
    let mut statement = rows.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        let numbers: String = row.get(3)?;
        Ok(Configuration {
            key: row.get(0)?,
            kin: row.get(1)?,
            shape: row.get(2)?,
            numbers: serde_json::from_str(&numbers).unwrap_or_default(),
        })
    };
    let told = statement.query_map(params![job, shape], read)?;
    Ok(told.collect::<Result<_, _>>()?)
}

/// The middle one of the last runs' start-ups.
fn start(rows: &Connection, job: &str) -> Result<Option<Duration>, StoreError> {
    let sql = "SELECT began FROM record WHERE job = ?1 AND began IS NOT NULL ORDER BY run DESC LIMIT 5";
    let mut statement = rows.prepare_cached(sql)?;
    let began = statement.query_map([job], |row| row.get::<_, i64>(0))?;
    let mut began = began.collect::<Result<Vec<_>, _>>()?;
    began.sort_unstable();
    let middle = began.get(began.len() / 2);
    Ok(middle.map(|milliseconds| Duration::from_millis((*milliseconds).max(0) as u64)))
}

/// Notes what the tasks of a run have in common.
pub(crate) fn note_luck(rows: &Connection, run: RunId, lore: &Lore) -> Result<(), StoreError> {
    let Luck { common, failure, .. } = lore.luck;
    let sql = "UPDATE run SET common = ?2, degrees = ?3, failure = ?4 WHERE id = ?1";
    let values = params![run.0, common.sigma, common.degrees, failure];
    rows.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

impl Store {
    /// Learns from a run that is over what its successes took, and keeps what was foreseen of it beside what came.
    pub fn remember(&mut self, run: RunId) -> Result<(), StoreError> {
        self.shelf.borrow_mut().clear();
        let batch = self.begin()?;
        let rows = batch.tx;
        let (job, total): (String, i64) =
            rows.query_row("SELECT job, total FROM run WHERE id = ?1", [run.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let stride = total / MOST_OF_A_RUN + 1;
        introduce(rows, &job, run, stride)?;
        let observed = rows.execute(
            "INSERT OR REPLACE INTO observation (job, run, key, milliseconds, memory)
             SELECT ?2, ?1, task.key, CAST(avg(max(attempt.ended_at - attempt.started_at, 0)) AS INTEGER), max(memory_peak)
             FROM task JOIN attempt ON attempt.run = task.run AND attempt.seq = task.seq AND attempt.number = task.attempt
             WHERE task.run = ?1 AND task.state IN ('succeeded', 'skipped') AND attempt.started_at IS NOT NULL AND task.seq % ?3 = 0
             GROUP BY task.key",
            params![run.0, job, stride],
        )?;
        rows.execute(
            // When its last task was over: a run of what others send waits for more before it ends.
            "INSERT OR REPLACE INTO record (job, run, created_at, ended_at, state, tasks, observed, began, attempts, failures,
                                            due_at, confidence, foreseen_at, p50, p95, chance)
             SELECT job, id, created_at,
                    coalesce((SELECT max(ended_at) FROM task WHERE run = ?1), ended_at, created_at), state, total, ?2,
                    (SELECT max(min(started_at) - run.created_at, 0) FROM attempt WHERE run = ?1), attempts,
                    (SELECT total(failures) FROM task WHERE run = ?1),
                    due_at, confidence, foreseen_at, p50, p95, chance
             FROM run WHERE id = ?1",
            params![run.0, observed as i64],
        )?;
        forget_old(rows, &job)?;
        batch.commit()
    }
}

/// What can be foreseen of a run that is taken up.
#[derive(Debug)]
pub(crate) struct Foreseeable {
    /// Not over, in the order in which they are given away. What an earlier runtime had started may have ended since.
    pub(crate) tasks: Vec<(i64, LogNormal)>,
    pub(crate) luck: Luck,
    /// By when, and the chance that is wanted.
    pub(crate) due: Option<(Timestamp, f64)>,
    /// A forecast of it is kept already.
    pub(crate) is_kept: bool,
    /// The last of its tasks.
    pub(crate) last: i64,
}

impl Store {
    /// `None` for a run of an older version.
    pub(crate) fn foreseeable(&self, run: RunId, job: &Job) -> Result<Option<Foreseeable>, StoreError> {
        let rows = &self.connection;
        let sql = "SELECT common, degrees, failure, due_at, confidence, foreseen_at IS NOT NULL,
                          (SELECT coalesce(max(seq), 0) FROM task WHERE run = run.id)
                   FROM run WHERE id = ?1 AND common IS NOT NULL";
        let read = |row: &Row<'_>| {
            let due: Option<i64> = row.get(3)?;
            let confidence: Option<f64> = row.get(4)?;
            Ok(Foreseeable {
                tasks: Vec::new(),
                luck: Luck {
                    common: Common {
                        sigma: row.get(0)?,
                        degrees: row.get(1)?,
                    },
                    failure: row.get(2)?,
                    retries: job.retries,
                    backoff: job.backoff,
                },
                due: due.map(Timestamp).zip(confidence),
                is_kept: row.get(5)?,
                last: row.get(6)?,
            })
        };
        let Some(mut of) = rows.prepare_cached(sql)?.query_row([run.0], read).optional()? else {
            return Ok(None);
        };
        let sql = "SELECT seq, mu, sigma FROM task
                   WHERE run = ?1 AND state IN ('waiting', 'leased') AND mu IS NOT NULL ORDER BY predicted DESC, seq";
        let mut statement = rows.prepare_cached(sql)?;
        let tasks = statement.query_map([run.0], |row| Ok((row.get(0)?, log_normal(row)?)))?;
        of.tasks = tasks.collect::<Result<_, _>>()?;
        Ok(Some(of))
    }

    /// By when a run is to be done, and the chance that is wanted.
    pub(crate) fn due(&self, run: RunId) -> Result<Option<(Timestamp, f64)>, StoreError> {
        let sql = "SELECT due_at, confidence FROM run WHERE id = ?1";
        let read = |row: &Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<f64>>(1)?));
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row([run.0], read)
            .optional()?;
        Ok(found.and_then(|(due, confidence)| due.map(Timestamp).zip(confidence)))
    }

    /// Tasks that were added after one.
    pub(crate) fn foreseeable_after(&self, run: RunId, after: i64) -> Result<Vec<(i64, LogNormal)>, StoreError> {
        let sql = "SELECT seq, mu, sigma FROM task WHERE run = ?1 AND seq > ?2 AND mu IS NOT NULL ORDER BY seq";
        let mut statement = self.connection.prepare_cached(sql)?;
        let tasks = statement.query_map(params![run.0, after], |row| Ok((row.get(0)?, log_normal(row)?)))?;
        Ok(tasks.collect::<Result<_, _>>()?)
    }

    /// Keeps what was foreseen first. Of no use to anybody but history, so a loss of power may take it.
    pub(crate) fn keep_forecast(&mut self, run: RunId, at: Timestamp, forecast: &Forecast) -> Result<(), StoreError> {
        let batch = self.begin()?;
        batch.tx.execute(
            "UPDATE run SET foreseen_at = ?2, p50 = ?3, p95 = ?4, chance = ?5 WHERE id = ?1",
            params![
                run.0,
                at.0,
                forecast.p50.since(at).as_millis() as i64,
                forecast.p95.since(at).as_millis() as i64,
                forecast.due.map(|due| due.chance),
            ],
        )?;
        batch.commit_losable()
    }

    /// The parameters of a task, for people.
    pub(crate) fn label(&self, task: TaskId) -> Result<String, StoreError> {
        let sql = "SELECT body FROM message WHERE run = ?1 AND seq = ?2";
        let body = self
            .connection
            .query_row(sql, params![task.run.0, task.seq], |row| row.get::<_, String>(0));
        let label = body.optional()?.map(|body| label(&Message::of_body(&body)));
        Ok(label
            .filter(|label| !label.is_empty())
            .unwrap_or_else(|| format!("task {}", task.seq)))
    }
}

fn label(message: &Message) -> String {
    message.label().chars().take(LABEL_CHARACTERS).collect()
}

fn log_normal(row: &Row<'_>) -> rusqlite::Result<LogNormal> {
    Ok(LogNormal {
        mu: row.get(1)?,
        sigma: row.get(2)?,
    })
}

/// Keeps what is told of configurations that are new.
fn introduce(rows: &Connection, job: &str, run: RunId, stride: i64) -> Result<(), StoreError> {
    let sql = "SELECT body FROM task JOIN message USING (run, seq)
               WHERE run = ?1 AND state IN ('succeeded', 'skipped') AND seq % ?3 = 0
                     AND NOT EXISTS (SELECT 1 FROM configuration WHERE job = ?2 AND configuration.key = task.key)";
    let mut statement = rows.prepare_cached(sql)?;
    let mut bodies = statement.query(params![run.0, job, stride])?;
    let sql =
        "INSERT OR IGNORE INTO configuration (job, key, kin, shape, label, numbers) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut row = rows.prepare_cached(sql)?;
    while let Some(body) = bodies.next()? {
        let message = Message::of_body(&body.get::<_, String>(0)?);
        let of = Configuration::of(&message);
        row.execute(params![
            job,
            of.key,
            of.kin,
            of.shape,
            label(&message),
            json!(of.numbers).to_string()
        ])?;
    }
    Ok(())
}

/// What was long ago says nothing any more.
fn forget_old(rows: &Connection, job: &str) -> Result<(), StoreError> {
    let mut statement = rows.prepare_cached("SELECT run, observed FROM record WHERE job = ?1 ORDER BY run DESC")?;
    let records = statement.query_map([job], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let mut kept = 0;
    for (place, record) in records.enumerate() {
        let (run, observed) = record?;
        kept += observed;
        // The newest is kept however large.
        if place > 0 && (place >= MOST_RUNS || kept > MOST_ROWS) {
            let sql = "DELETE FROM observation WHERE job = ?1 AND run <= ?2";
            if rows.prepare_cached(sql)?.execute(params![job, run])? > 0 {
                let sql = "DELETE FROM configuration WHERE job = ?1
                           AND key NOT IN (SELECT key FROM observation WHERE job = ?1)";
                rows.prepare_cached(sql)?.execute([job])?;
            }
            break;
        }
    }
    Ok(())
}
