//! FIFO queues: message groups in strict order, deduplication, receives that may be asked again.
//!
//! A group is a lane. While one of its letters is in flight the others wait, so the order holds whatever a consumer does.

use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::definition::Queue;
use super::letter::{COLUMNS, Letter, read};
use super::{Queues, Refusal, invalid, limits, missing};
use crate::sqs::operation::{Send, Sent};
use kingtide_core::hex;

/// What sending to a FIFO queue comes to.
pub(super) enum Sending {
    /// The same was sent within five minutes; it is not sent again.
    Again(Sent),
    /// It is new, under this deduplication id.
    New(String),
}

/// Twenty digits that grow with every letter.
pub(super) fn sequence(letter: i64) -> String {
    const FIRST: u64 = 10_000_000_000_000_000_000;
    (FIRST + letter.unsigned_abs()).to_string()
}

impl Queues<'_> {
    pub(super) fn deduplicate(&mut self, queue: &Queue, message: &Send) -> Result<Sending, Refusal> {
        let Some(group) = message.group.as_deref() else {
            return Err(missing("MessageGroupId").into());
        };
        let id = match &message.deduplication {
            Some(id) => id.clone(),
            None if queue.content_based => hex::encode(&Sha256::digest(message.body.as_bytes())),
            None => {
                return Err(invalid(
                    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided \
                     explicitly",
                )
                .into());
            }
        };
        let sql = "SELECT message_id, sequence FROM deduplication
                   WHERE queue = ?1 AND scope = ?2 AND dedup_id = ?3 AND at > ?4";
        let mut statement = self.rows.prepare_cached(sql)?;
        let since = self.now.0 - limits::DEDUPLICATION_MS;
        let values = params![queue.id, scope(queue, group), id, since];
        let known = statement.query_row(values, |row| {
            Ok(Sent {
                message_id: row.get(0)?,
                sequence: Some(sequence(row.get(1)?)),
            })
        });
        Ok(known.optional()?.map_or(Sending::New(id), Sending::Again))
    }

    pub(super) fn remember_sent(
        &mut self,
        queue: &Queue,
        letter: &Letter,
        dedup: &str,
        id: i64,
    ) -> Result<(), Refusal> {
        let group = letter.group.as_deref().unwrap_or_default();
        self.execute(
            "INSERT OR REPLACE INTO deduplication (queue, scope, dedup_id, at, message_id, sequence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![queue.id, scope(queue, group), dedup, self.now.0, letter.message_id, id],
        )?;
        // Every sixteenth takes up to a hundred old ones along: that keeps up.
        if id % 16 == 0 {
            self.execute(
                "DELETE FROM deduplication WHERE (queue, scope, dedup_id) IN
                 (SELECT queue, scope, dedup_id FROM deduplication INDEXED BY deduplication_age
                  WHERE queue = ?1 AND at <= ?2 ORDER BY at LIMIT 100)",
                [queue.id, self.now.0 - limits::DEDUPLICATION_MS],
            )?;
        }
        Ok(())
    }

    /// Brings a lane up to date with its letters; called after whatever happened to one of them.
    pub(super) fn settle_lane(&self, holding: i64, group: &str) -> Result<(), Refusal> {
        let sql = "SELECT (SELECT count(*) FROM letter INDEXED BY letter_lane
                           WHERE box = ?1 AND group_id = ?2 AND state = 'in_flight' AND dedup_id IS NOT NULL),
                          (SELECT min(id) FROM letter INDEXED BY letter_lane
                           WHERE box = ?1 AND group_id = ?2 AND state = 'visible' AND dedup_id IS NOT NULL)";
        let mut statement = self.rows.prepare_cached(sql)?;
        let (held, head): (i64, Option<i64>) =
            statement.query_row(params![holding, group], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if held == 0 && head.is_none() {
            self.execute(
                "DELETE FROM lane WHERE box = ?1 AND group_id = ?2",
                params![holding, group],
            )?;
            return Ok(());
        }
        self.execute(
            "INSERT INTO lane (box, group_id, held, head) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET held = excluded.held, head = excluded.head",
            params![holding, group, held, head],
        )?;
        Ok(())
    }

    /// A visible letter has come to the end of a lane: it is the head only where there is none.
    pub(super) fn join_lane(&self, holding: i64, group: &str, letter: i64) -> Result<(), Refusal> {
        self.execute(
            "INSERT INTO lane (box, group_id, held, head) VALUES (?1, ?2, 0, ?3)
             ON CONFLICT DO UPDATE SET head = excluded.head WHERE head IS NULL",
            params![holding, group, letter],
        )?;
        Ok(())
    }

    /// The next letters that may be received: as many of a group as there are, then of the next.
    pub(super) fn next_in_lanes(&self, queue: &Queue, most: usize) -> Result<Vec<Letter>, Refusal> {
        let sql = "SELECT group_id FROM lane INDEXED BY lane_open WHERE box = ?1 AND held = 0 AND head IS NOT NULL ORDER BY head LIMIT ?2";
        let mut statement = self.rows.prepare_cached(sql)?;
        let groups = statement.query_map([queue.holding, most as i64], |row| row.get::<_, String>(0))?;
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        let sql = format!(
            "SELECT {COLUMNS} FROM letter INDEXED BY letter_lane
             WHERE box = ?1 AND group_id = ?2 AND state = 'visible' AND dedup_id IS NOT NULL ORDER BY id LIMIT ?3"
        );
        let mut statement = self.rows.prepare_cached(&sql)?;
        let mut letters = Vec::new();
        for group in groups {
            let left = most - letters.len();
            if left == 0 {
                break;
            }
            let found = statement.query_map(params![queue.holding, group, left as i64], read)?;
            letters.extend(found.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(letters)
    }

    /// What a receive of this attempt was answered, while none of its letters was touched since.
    pub(super) fn received_before(&self, queue: &Queue, attempt: &str) -> Result<Option<Vec<Letter>>, Refusal> {
        let sql = "SELECT letters FROM reception WHERE queue = ?1 AND attempt = ?2 AND at > ?3";
        let since = self.now.0 - limits::DEDUPLICATION_MS;
        let mut statement = self.rows.prepare_cached(sql)?;
        let values = params![queue.id, attempt, since];
        let known: Option<String> = statement.query_row(values, |row| row.get(0)).optional()?;
        let Some(known) = known.and_then(|text| serde_json::from_str::<Vec<Seen>>(&text).ok()) else {
            return Ok(None);
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM letter WHERE id = ?1 AND box = ?2 AND receipt = ?3 AND visible_at = ?4
             AND state = 'in_flight' AND visible_at > ?5"
        );
        let mut statement = self.rows.prepare_cached(&sql)?;
        let mut letters = Vec::with_capacity(known.len());
        for (id, receipt, visible_at) in known {
            let values = params![id, queue.holding, receipt, visible_at, self.now.0];
            let Some(letter) = statement.query_row(values, read).optional()? else {
                return Ok(None);
            };
            letters.push(letter);
        }
        Ok(Some(letters))
    }

    pub(super) fn remember_received(&self, queue: &Queue, attempt: &str, letters: &[Seen]) -> Result<(), Refusal> {
        self.execute(
            "DELETE FROM reception WHERE (queue, attempt) IN
             (SELECT queue, attempt FROM reception WHERE queue = ?1 AND at <= ?2 ORDER BY at LIMIT 2)",
            [queue.id, self.now.0 - limits::DEDUPLICATION_MS],
        )?;
        let letters = serde_json::to_string(letters).expect("numbers are JSON");
        self.execute(
            "INSERT OR REPLACE INTO reception (queue, attempt, at, letters) VALUES (?1, ?2, ?3, ?4)",
            params![queue.id, attempt, self.now.0, letters],
        )?;
        Ok(())
    }
}

/// A letter that was received, the number of the receipt, and until when it was hidden: whoever changes that has touched it.
pub(super) type Seen = (i64, i64, i64);

fn scope<'a>(queue: &Queue, group: &'a str) -> &'a str {
    if queue.per_group { group } else { "" }
}
