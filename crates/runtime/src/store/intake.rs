//! Messages that others send to a job: each is a task of the job's open run, which the first of them opens.

use kingtide_core::id::{RunId, TaskId};
use kingtide_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;

/// Where the messages of such a run come from, in words.
const SOURCE: &str = "sent to the queue";

/// A message to be worked off.
#[derive(Debug)]
pub(crate) struct NewMessage<'a> {
    pub(crate) job: &'a str,
    pub(crate) message_id: &'a str,
    pub(crate) body: &'a str,
    /// Of its sender, as JSON.
    pub(crate) attributes: Option<&'a str>,
    /// Milliseconds since the Unix epoch.
    pub(crate) sent_at: i64,
    /// Of its parameters: durations are remembered under it.
    pub(crate) key: i64,
    /// What `mean_duration` says.
    pub(crate) mean: Option<i64>,
}

/// What a message has become.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) task: TaskId,
    /// Its run is new.
    pub(crate) opened: bool,
}

/// Adds a message to the run of what is sent to its job.
///
/// # Errors
/// When the store fails.
pub(crate) fn take_in(rows: &Connection, now: Timestamp, message: &NewMessage<'_>) -> Result<Arrival, StoreError> {
    // The state is said literally, so that the index of open runs serves.
    let sql = "UPDATE run SET total = total + 1
               WHERE id = (SELECT max(id) FROM run WHERE job = ?1 AND state = 'open' AND intake = 1)
               RETURNING id, total";
    let open = rows
        .prepare_cached(sql)?
        .query_row([message.job], |row| Ok((RunId(row.get(0)?), row.get(1)?)));
    let open: Option<(RunId, i64)> = open.optional()?;
    let (run, seq) = match open {
        Some(open) => open,
        None => {
            let sql = "INSERT INTO run (job, state, source, created_at, total, intake)
                       VALUES (?1, 'open', ?2, ?3, 1, 1)";
            rows.prepare_cached(sql)?.execute(params![message.job, SOURCE, now.0])?;
            (RunId(rows.last_insert_rowid()), 1)
        }
    };
    let predicted = predicted(rows, message.job, message.key, message.mean)?;
    let sql = "INSERT INTO message (run, seq, body, message_id, attributes, sent_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (id, attributes) = (message.message_id, message.attributes);
    let values = params![run.0, seq, message.body, id, attributes, message.sent_at];
    rows.prepare_cached(sql)?.execute(values)?;
    let sql = "INSERT INTO task (run, seq, state, key, predicted) VALUES (?1, ?2, 'waiting', ?3, ?4)";
    rows.prepare_cached(sql)?
        .execute(params![run.0, seq, message.key, predicted])?;
    Ok(Arrival {
        task: run.task(seq),
        opened: open.is_none(),
    })
}

/// What is predicted for parameters never seen: the mean of those that were, in milliseconds. `None` when nothing was.
pub(crate) fn mean_duration(rows: &Connection, job: &str) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT CAST(avg(milliseconds) AS INTEGER) FROM duration WHERE job = ?1";
    Ok(rows.prepare_cached(sql)?.query_row([job], |row| row.get(0))?)
}

/// How long a message is expected to take, in milliseconds; 0 when nothing is known of its job.
pub(crate) fn predicted(rows: &Connection, job: &str, key: i64, mean: Option<i64>) -> Result<i64, StoreError> {
    let Some(mean) = mean else { return Ok(0) };
    let sql = "SELECT milliseconds FROM duration WHERE job = ?1 AND key = ?2";
    let known = rows.prepare_cached(sql)?.query_row(params![job, key], |row| row.get(0));
    Ok(known.optional()?.unwrap_or(mean))
}
