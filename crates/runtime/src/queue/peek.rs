//! Looking into a queue without receiving: for people, and for dead letters with their reasons.

use kingtide_core::id::TaskId;
use rusqlite::{Connection, OptionalExtension, params};

use super::letter::task_of;

/// A message as it lies in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peeked {
    pub(crate) letter: i64,
    pub(crate) message_id: String,
    pub(crate) body: String,
    /// `visible`, `in_flight` or `delayed`, as of the last look.
    pub(crate) state: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) visible_at: i64,
    pub(crate) sent_at: i64,
    pub(crate) receives: i64,
    pub(crate) task: Option<TaskId>,
    /// Of a dead letter: why it is one, and the queue it comes from.
    pub(crate) reason: Option<String>,
    pub(crate) source: Option<String>,
}

/// The first messages of a queue from after the letter `after`; `None` when there is no such queue. Reads only, from any
/// connection.
pub(crate) fn peek(
    rows: &Connection,
    queue: &str,
    after: i64,
    limit: usize,
) -> Result<Option<Vec<Peeked>>, rusqlite::Error> {
    let sql = "SELECT box FROM queue WHERE name = ?1";
    let holding: Option<i64> = rows.query_row(sql, [queue], |row| row.get(0)).optional()?;
    let Some(holding) = holding else { return Ok(None) };
    let mut found = Vec::new();
    // Said literally, so that each has its index.
    for state in ["state = 'visible'", "state <> 'visible'"] {
        let sql = format!(
            "SELECT id, letter.message_id, coalesce(letter.body, message.body, ''), state, visible_at, sent_at, receives,
                    letter.run, letter.seq, reason, source
             FROM letter LEFT JOIN message ON message.run = letter.run AND message.seq = letter.seq
             WHERE box = ?1 AND id > ?2 AND {state} ORDER BY id LIMIT ?3"
        );
        let mut statement = rows.prepare(&sql)?;
        let letters = statement.query_map(params![holding, after, limit as i64], |row| {
            Ok(Peeked {
                letter: row.get(0)?,
                message_id: row.get(1)?,
                body: row.get(2)?,
                state: row.get(3)?,
                visible_at: row.get(4)?,
                sent_at: row.get(5)?,
                receives: row.get(6)?,
                task: task_of(row.get(7)?, row.get(8)?),
                reason: row.get(9)?,
                source: row.get(10)?,
            })
        })?;
        for letter in letters {
            found.push(letter?);
        }
    }
    found.sort_by_key(|peeked| peeked.letter);
    found.truncate(limit);
    Ok(Some(found))
}
