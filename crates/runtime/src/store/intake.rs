//! Messages that others send to a job: each is a task of the job's open run, which the first of them opens.

use kingtide_core::id::{RunId, TaskId};
use kingtide_core::plan::configuration::Configuration;
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::lore::{self, Lore};

/// Where the messages of such a run come from, in words.
const SOURCE: &str = "sent to the queue";

/// A message to be worked off.
#[derive(Debug)]
pub(crate) struct NewMessage<'a> {
    pub(crate) job: &'a Job,
    pub(crate) message_id: &'a str,
    pub(crate) body: &'a str,
    /// Of its sender, as JSON.
    pub(crate) attributes: Option<&'a str>,
    /// Milliseconds since the Unix epoch.
    pub(crate) sent_at: i64,
    pub(crate) lore: &'a Lore,
    /// What it is asked about.
    pub(crate) configuration: &'a Configuration,
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
    // Where everything was over, this is the first of another burst: its deadline counts from now.
    let due = message.job.deadline.as_ref().map(|deadline| deadline.due(now).0);
    let sql = "UPDATE run SET total = total + 1,
                      due_at = CASE WHEN total = succeeded + skipped + failed + rejected + cancelled THEN ?2 ELSE due_at END
               WHERE id = (SELECT max(id) FROM run WHERE job = ?1 AND state = 'open' AND intake = 1)
               RETURNING id, total";
    let open = rows
        .prepare_cached(sql)?
        .query_row(params![message.job.name, due], |row| {
            Ok((RunId(row.get(0)?), row.get(1)?))
        });
    let open: Option<(RunId, i64)> = open.optional()?;
    let (run, seq) = match open {
        Some(open) => open,
        None => {
            let sql = "INSERT INTO run (job, state, source, created_at, total, intake, due_at, confidence)
                       VALUES (?1, 'open', ?2, ?3, 1, 1, ?4, ?5)";
            let confidence = due.map(|_| message.job.confidence);
            let values = params![message.job.name, SOURCE, now.0, due, confidence];
            rows.prepare_cached(sql)?.execute(values)?;
            let run = RunId(rows.last_insert_rowid());
            lore::note_luck(rows, run, message.lore)?;
            (run, 1)
        }
    };
    let foreseen = message.lore.foresee(message.configuration);
    let sql = "INSERT INTO message (run, seq, body, message_id, attributes, sent_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (id, attributes) = (message.message_id, message.attributes);
    let values = params![run.0, seq, message.body, id, attributes, message.sent_at];
    rows.prepare_cached(sql)?.execute(values)?;
    let sql =
        "INSERT INTO task (run, seq, state, key, predicted, mu, sigma) VALUES (?1, ?2, 'waiting', ?3, ?4, ?5, ?6)";
    let (key, of) = (message.configuration.key, foreseen.of);
    let values = params![run.0, seq, key, foreseen.order, of.mu, of.sigma];
    rows.prepare_cached(sql)?.execute(values)?;
    Ok(Arrival {
        task: run.task(seq),
        opened: open.is_none(),
    })
}
