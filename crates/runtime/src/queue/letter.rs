//! A message in a queue: its row, and the passage of time, which brings hidden ones back and takes old ones away.

use std::collections::BTreeSet;

use kingtide_core::id::{RunId, TaskId};
use rusqlite::{Row, params};

use super::definition::Queue;
use super::{Note, Queues, Refusal};

/// What a receive needs of a letter.
#[derive(Clone, Debug, Default)]
pub(super) struct Letter {
    pub(super) id: i64,
    pub(super) message_id: String,
    /// `None`: it is the task's.
    pub(super) body: Option<String>,
    pub(super) attributes: Option<String>,
    pub(super) trace: Option<String>,
    pub(super) sender: String,
    pub(super) sent_at: i64,
    pub(super) receives: i64,
    pub(super) first_at: Option<i64>,
    pub(super) receipt: i64,
    pub(super) group: Option<String>,
    pub(super) dedup: Option<String>,
    pub(super) task: Option<TaskId>,
    pub(super) reason: Option<String>,
    pub(super) source: Option<String>,
}

pub(super) const COLUMNS: &str =
    "letter.id, letter.message_id, letter.body, letter.attributes, letter.trace, letter.sender,
    letter.sent_at, letter.receives, letter.first_at, letter.receipt, letter.group_id, letter.dedup_id, letter.run,
    letter.seq, letter.reason, letter.source";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Letter> {
    Ok(Letter {
        id: row.get(0)?,
        message_id: row.get(1)?,
        body: row.get(2)?,
        attributes: row.get(3)?,
        trace: row.get(4)?,
        sender: row.get(5)?,
        sent_at: row.get(6)?,
        receives: row.get(7)?,
        first_at: row.get(8)?,
        receipt: row.get(9)?,
        group: row.get(10)?,
        dedup: row.get(11)?,
        task: task_of(row.get(12)?, row.get(13)?),
        reason: row.get(14)?,
        source: row.get(15)?,
    })
}

pub(super) fn task_of(run: Option<i64>, seq: Option<i64>) -> Option<TaskId> {
    Some(RunId(run?).task(seq?))
}

impl Queues<'_> {
    /// Puts a letter into a box, to be seen from `visible_at` on. Its id is given anew.
    pub(super) fn put(&mut self, queue: &Queue, letter: &Letter, visible_at: i64) -> Result<i64, Refusal> {
        let is_visible = visible_at <= self.now.0;
        let state = if is_visible { "visible" } else { "delayed" };
        self.execute(
            "INSERT INTO letter (box, state, visible_at, message_id, body, attributes, trace, sender, sent_at, receives,
                                 first_at, group_id, dedup_id, run, seq, reason, source)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            params![
                queue.holding,
                state,
                visible_at,
                letter.message_id,
                letter.body,
                letter.attributes,
                letter.trace,
                letter.sender,
                letter.sent_at,
                letter.receives,
                letter.first_at,
                letter.group,
                letter.dedup,
                letter.task.map(|task| task.run.0),
                letter.task.map(|task| task.seq),
                letter.reason,
                letter.source,
            ],
        )?;
        let id = self.rows.last_insert_rowid();
        self.desk.durable = true;
        if is_visible {
            if let Some(group) = letter.group.as_deref().filter(|_| queue.fifo) {
                self.join_lane(queue.holding, group, id)?;
            }
            self.note_visible(&queue.name);
        }
        Ok(id)
    }

    pub(super) fn remove(&mut self, queue: &Queue, letter: i64, group: Option<&str>) -> Result<(), Refusal> {
        self.execute("DELETE FROM letter WHERE id = ?1", [letter])?;
        if let Some(group) = group.filter(|_| queue.fifo) {
            self.settle_lane(queue.holding, group)?;
        }
        Ok(())
    }

    /// The body of a letter, which a task's shares with its message.
    pub(super) fn body_of(&self, letter: &Letter) -> Result<String, Refusal> {
        match (&letter.body, letter.task) {
            (Some(body), _) => Ok(body.clone()),
            (None, Some(task)) => {
                let sql = "SELECT body FROM message WHERE run = ?1 AND seq = ?2";
                let mut statement = self.rows.prepare_cached(sql)?;
                Ok(statement.query_row(params![task.run.0, task.seq], |row| row.get(0))?)
            }
            (None, None) => Ok(String::new()),
        }
    }

    /// Makes visible what is hidden no longer, at most so many. What a living instance holds stays hidden; what has grown
    /// too old meanwhile goes.
    pub(super) fn promote(&mut self, queue: &Queue, most: usize) -> Result<(), Refusal> {
        let mut left = most;
        // Of a job in task mode they become tasks.
        if queue.is_task_mode(self.jobs) {
            return self.admit_due(queue, most).map(drop);
        }
        while left > 0 {
            let due = self.due_letters(queue, left.min(PORTION))?;
            if due.is_empty() {
                break;
            }
            left -= due.len();
            let mut groups = BTreeSet::new();
            for letter in due {
                self.surface(queue, &letter)?;
                groups.extend(letter.group.filter(|_| queue.fifo));
            }
            for group in groups {
                self.settle_lane(queue.holding, &group)?;
            }
        }
        Ok(())
    }

    fn due_letters(&self, queue: &Queue, most: usize) -> Result<Vec<Hidden>, Refusal> {
        let sql = "SELECT id, sent_at, holder, minded, group_id, run, seq, state = 'in_flight'
                   FROM letter INDEXED BY letter_hidden
                   WHERE box = ?1 AND state <> 'visible' AND visible_at <= ?2 ORDER BY visible_at LIMIT ?3";
        let mut statement = self.rows.prepare_cached(sql)?;
        let due = statement.query_map(params![queue.holding, self.now.0, most as i64], |row| {
            Ok(Hidden {
                id: row.get(0)?,
                sent_at: row.get(1)?,
                holder: row.get(2)?,
                minded: row.get(3)?,
                group: row.get(4)?,
                task: task_of(row.get(5)?, row.get(6)?),
                in_flight: row.get(7)?,
            })
        })?;
        Ok(due.collect::<Result<_, _>>()?)
    }

    fn surface(&mut self, queue: &Queue, letter: &Hidden) -> Result<(), Refusal> {
        let minds = |holder: &String| letter.minded && self.desk.is_holder(holder);
        if letter.in_flight && letter.holder.as_ref().is_some_and(minds) {
            let until = self.now.0 + queue.visibility_s.max(LEAST_EXTENSION_S) * 1000;
            self.execute("UPDATE letter SET visible_at = ?2 WHERE id = ?1", [letter.id, until])?;
            return Ok(());
        }
        if queue.has_expired(letter.sent_at, self.now) {
            self.execute("DELETE FROM letter WHERE id = ?1", [letter.id])?;
            return Ok(());
        }
        self.show(
            queue,
            letter.id,
            letter.task.filter(|_| letter.in_flight),
            "its visibility timeout expired",
        )
    }

    /// The lane of a FIFO letter is the caller's to settle.
    pub(super) fn show(&mut self, queue: &Queue, letter: i64, task: Option<TaskId>, why: &str) -> Result<(), Refusal> {
        self.execute(
            "UPDATE letter SET state = 'visible', visible_at = ?2, holder = NULL, minded = 0 WHERE id = ?1",
            [letter, self.now.0],
        )?;
        self.note_visible(&queue.name);
        if let (Some((job, _)), Some(task)) = (queue.job_of(self.jobs), task) {
            self.notes.push(Note::Returned {
                job: job.to_owned(),
                task,
                why: why.to_owned(),
            });
        }
        Ok(())
    }

    /// Takes away what has been there for longer than the queue retains, at most so many.
    pub(super) fn expire(&mut self, queue: &Queue, most: usize) -> Result<(), Refusal> {
        if !queue.has_expired(i64::MIN / 2, self.now) {
            return Ok(());
        }
        // Letters lie in the order they came; dead ones may be older than those before them and have an index of their own.
        let oldest = [
            "SELECT id, sent_at, group_id FROM letter INDEXED BY letter_visible WHERE box = ?1 AND state = 'visible' ORDER BY id LIMIT ?2",
            "SELECT id, sent_at, group_id FROM letter INDEXED BY letter_dead WHERE box = ?1 AND source IS NOT NULL AND state = 'visible'
             ORDER BY sent_at LIMIT ?2",
        ];
        for sql in oldest {
            let mut left = most;
            let mut portion = 1;
            while left > 0 {
                let found = self.oldest(queue, sql, portion.min(left))?;
                let mut removed = 0;
                for (letter, sent_at, group) in found {
                    if !queue.has_expired(sent_at, self.now) {
                        break;
                    }
                    self.remove(queue, letter, group.as_deref())?;
                    removed += 1;
                }
                left -= removed;
                if removed < portion {
                    break;
                }
                portion = PORTION;
            }
        }
        Ok(())
    }

    fn oldest(&self, queue: &Queue, sql: &str, most: usize) -> Result<Vec<(i64, i64, Option<String>)>, Refusal> {
        let mut statement = self.rows.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found = statement.query_map([queue.holding, most as i64], read)?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

/// Letters looked at in one read.
const PORTION: usize = 500;
/// A living holder keeps its message for at least so long more, that it costs few wake-ups.
const LEAST_EXTENSION_S: i64 = 300;

#[derive(Debug)]
struct Hidden {
    id: i64,
    sent_at: i64,
    holder: Option<String>,
    minded: bool,
    group: Option<String>,
    task: Option<TaskId>,
    in_flight: bool,
}
