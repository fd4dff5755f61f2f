//! Where a queue is a job's: what is sent there is a task of the job's open run, whoever sends it.
//!
//! In task mode the message is the task and no letter. A delayed one is a letter until its time; a body that the job cannot
//! run goes to the dead letters. In consumer mode it is both: the letter is what the program receives, and what happens to
//! it is what happens to the task.

use std::sync::Arc;

use kingtide_core::finding::Severity;
use kingtide_core::id::{RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::plan::configuration::Configuration;
use kingtide_core::project::params::{Row, RowCheck};
use kingtide_core::project::{Job, Mode};
use rusqlite::params;

use super::deadletter::KINGTIDE;
use super::definition::{Queue, Role};
use super::letter::{COLUMNS, Letter, read};
use super::{Note, Queues, Refusal};
use crate::store::StoreError;
use crate::store::intake::{self, NewMessage};

/// The queue that holds the dead letters of a job.
pub(crate) fn dead_letters_of(job: &str) -> String {
    format!("{job}-dlq")
}

pub(super) fn task(row: &rusqlite::Row<'_>) -> rusqlite::Result<TaskId> {
    Ok(RunId(row.get(0)?).task(row.get(1)?))
}

/// Why the job cannot run this message.
fn check_body(job: &Job, body: &str) -> Result<Message, String> {
    let message = Message::parse(body).ok_or("the body is not a JSON object")?;
    let mut check = RowCheck::new(job, None);
    let row = Ok(Row { line: 1, message });
    check.look(&row);
    let wrong: Vec<String> = check
        .finish()
        .0
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.message)
        .collect();
    match row {
        Ok(row) if wrong.is_empty() => Ok(row.message),
        _ => Err(wrong.join("; ")),
    }
}

impl Queues<'_> {
    /// In task mode: the message becomes a task, or a dead letter if the job cannot run it.
    pub(super) fn admit(&mut self, queue: &Arc<Queue>, letter: Letter) -> Result<(), Refusal> {
        let Some((job, of)) = queue.job_of(self.jobs) else {
            return Ok(());
        };
        let body = self.body_of(&letter)?;
        let reason = match check_body(of, &body) {
            Ok(message) => {
                self.take_in(job, &letter, &body, &message)?;
                return Ok(());
            }
            Err(reason) => reason,
        };
        let name = dead_letters_of(job);
        if self.find(&name)?.is_none() {
            self.make(&name, Role::Dead, Some(job), &Default::default(), &Default::default())?;
        }
        let target = self.require(&name)?;
        let dead = Letter {
            body: Some(body),
            reason: Some(reason),
            source: Some(queue.name.clone()),
            task: None,
            dedup: target.fifo.then(|| letter.message_id.clone()),
            ..letter
        };
        self.put(&target, &dead, self.now.0).map(drop)
    }

    /// In consumer mode: the letter gets a task that follows it, and shares its body with it.
    pub(super) fn accompany(&mut self, job: &str, letter: Letter) -> Result<Letter, Refusal> {
        let body = self.body_of(&letter)?;
        let message = Message::of_body(&body);
        let task = self.take_in(job, &letter, &body, &message)?;
        Ok(Letter {
            body: None,
            task: Some(task),
            ..letter
        })
    }

    fn take_in(&mut self, job: &str, letter: &Letter, body: &str, message: &Message) -> Result<TaskId, Refusal> {
        let configuration = Configuration::of(message);
        let jobs = self.jobs;
        let of = &jobs[job];
        let lore = self.desk.shelf.lore(self.rows, of, configuration.shape)?;
        let message = NewMessage {
            job: of,
            message_id: &letter.message_id,
            body,
            attributes: letter.attributes.as_deref(),
            sent_at: letter.sent_at,
            lore: &lore,
            configuration: &configuration,
        };
        let arrival = intake::take_in(self.rows, self.now, &message)?;
        self.desk.durable = true;
        self.notes.push(Note::Arrived {
            job: job.to_owned(),
            task: arrival.task,
            opened: arrival.opened,
        });
        Ok(arrival.task)
    }

    /// In task mode: letters whose delay is over become tasks, at most so many; how many did.
    pub(super) fn admit_due(&mut self, queue: &Queue, most: usize) -> Result<usize, Refusal> {
        let queue = Arc::new(queue.clone());
        let mut admitted = 0;
        // Visible ones are left from the time before the queue was this job's.
        for which in [
            "state <> 'visible' AND visible_at <= ?2",
            "state = 'visible' AND ?2 = ?2",
        ] {
            let sql = format!("SELECT {COLUMNS} FROM letter WHERE box = ?1 AND {which} ORDER BY id LIMIT ?3");
            loop {
                let left = (most - admitted).min(500);
                let mut statement = self.rows.prepare_cached(&sql)?;
                let due = statement.query_map(params![queue.holding, self.now.0, left as i64], read)?;
                let due: Vec<Letter> = due.collect::<Result<_, _>>()?;
                drop(statement);
                if due.is_empty() {
                    break;
                }
                for letter in due {
                    self.execute("DELETE FROM letter WHERE id = ?1", [letter.id])?;
                    admitted += 1;
                    if letter.task.is_none() {
                        self.admit(&queue, letter)?;
                    }
                }
            }
        }
        Ok(admitted)
    }

    /// A job may have changed its mode, or its queue may have been an ordinary one before: all letters there are alike, so
    /// one of them tells.
    pub(super) fn settle_job(&mut self, job: &str) -> Result<(), Refusal> {
        let queue = self.require(job)?;
        let Some((_, of)) = queue.job_of(self.jobs) else {
            return Ok(());
        };
        let sql = "SELECT count(*) FROM (SELECT 1 FROM letter WHERE box = ?1 AND state = 'visible' AND run IS NULL LIMIT 1)
                   UNION ALL
                   SELECT count(*) FROM (SELECT 1 FROM letter WHERE box = ?1 AND state <> 'visible' AND run IS NULL LIMIT 1)";
        match of.mode {
            // The task is there and waits; it needs no letter any more.
            Mode::Task => {
                self.execute("DELETE FROM letter WHERE box = ?1 AND run IS NOT NULL", [queue.holding])?;
            }
            Mode::Consumer => {
                let mut statement = self.rows.prepare_cached(sql)?;
                let found = statement.query_map([queue.holding], |row| row.get::<_, i64>(0))?;
                let alone = found.collect::<Result<Vec<_>, _>>()?.into_iter().sum::<i64>() > 0;
                drop(statement);
                if alone {
                    self.accompany_all(job, &queue)?;
                }
            }
        }
        Ok(())
    }

    fn accompany_all(&mut self, job: &str, queue: &Queue) -> Result<(), Refusal> {
        let sql = format!("SELECT {COLUMNS} FROM letter WHERE box = ?1 AND run IS NULL ORDER BY id");
        let mut statement = self.rows.prepare_cached(&sql)?;
        let letters = statement.query_map([queue.holding], read)?;
        let letters = letters.collect::<Result<Vec<_>, _>>()?;
        drop(statement);
        for letter in letters {
            let id = letter.id;
            let letter = self.accompany(job, letter)?;
            let task = letter.task.map(|task| (task.run.0, task.seq));
            self.execute(
                "UPDATE letter SET body = NULL, run = ?2, seq = ?3 WHERE id = ?1",
                params![id, task.map(|task| task.0), task.map(|task| task.1)],
            )?;
        }
        Ok(())
    }

    /// In consumer mode: the waiting tasks of a run get the letters that the program receives, longest first as
    /// predicted, those that have none yet. How many got one.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn post(&mut self, job: &str, run: RunId) -> Result<u64, StoreError> {
        let posted = self.find(job).and_then(|queue| match queue {
            Some(queue) => self.post_to(&queue, run),
            None => Ok(0),
        });
        posted.map_err(StoreError::from)
    }

    fn post_to(&mut self, queue: &Queue, run: RunId) -> Result<u64, Refusal> {
        // A UUID of version 4, made where the rows are: a million of them do not travel.
        let sql = "INSERT INTO letter (box, state, visible_at, message_id, attributes, sender, sent_at, run, seq)
                   SELECT ?1, 'visible', ?2,
                          coalesce(message.message_id,
                                   lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' ||
                                         substr(hex(randomblob(2)), 2) || '-a' || substr(hex(randomblob(2)), 2) || '-' ||
                                         hex(randomblob(6)))),
                          message.attributes, ?3, ?2, task.run, task.seq
                   FROM task JOIN message USING (run, seq)
                   WHERE task.run = ?4 AND task.state = 'waiting'
                         AND NOT EXISTS (SELECT 1 FROM letter WHERE letter.run = task.run AND letter.seq = task.seq)
                   ORDER BY predicted DESC, task.seq";
        let posted = self.execute(sql, params![queue.holding, self.now.0, KINGTIDE, run.0])?;
        if posted > 0 {
            self.desk.durable = true;
            self.note_visible(&queue.name);
        }
        Ok(posted as u64)
    }

    /// In consumer mode: what waits of a run that was cancelled is not received any more. What somebody holds stays his until
    /// he is done with it or gone, and its dead letters stay.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn withdraw(&mut self, job: &str, run: RunId) -> Result<(), StoreError> {
        let sql = "DELETE FROM letter WHERE run = ?1 AND box IN (SELECT box FROM queue WHERE name = ?2)
                   AND EXISTS (SELECT 1 FROM task
                               WHERE task.run = letter.run AND task.seq = letter.seq AND task.state <> 'leased')";
        self.desk.touch(job);
        self.rows.prepare_cached(sql)?.execute(params![run.0, job])?;
        self.desk.durable = true;
        Ok(())
    }

    /// In consumer mode: a task that was cancelled is not received again.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn discard(&mut self, job: &str, task: TaskId) -> Result<(), StoreError> {
        let sql = "DELETE FROM letter WHERE run = ?1 AND seq = ?2 AND box IN (SELECT box FROM queue WHERE name = ?3)";
        self.desk.touch(job);
        self.rows
            .prepare_cached(sql)?
            .execute(params![task.run.0, task.seq, job])?;
        self.desk.durable = true;
        Ok(())
    }

    /// An instance of a consumer has ended: what it held may be received at once.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn release_holder(&mut self, holder: &str) -> Result<(), StoreError> {
        self.desk.dismiss_holder(holder);
        self.release(holder).map_err(StoreError::from)
    }

    fn release(&mut self, holder: &str) -> Result<(), Refusal> {
        let sql = "SELECT letter.id, queue.name, letter.run, letter.seq FROM letter JOIN queue USING (box)
                   WHERE holder = ?1 ORDER BY letter.id";
        let mut statement = self.rows.prepare_cached(sql)?;
        let held = statement.query_map([holder], |row| {
            let task = super::letter::task_of(row.get(2)?, row.get(3)?);
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, task))
        })?;
        let held = held.collect::<Result<Vec<_>, _>>()?;
        drop(statement);
        for (letter, queue, task) in held {
            let queue = self.require(&queue)?;
            self.show(&queue, letter, task, "its consumer ended")?;
        }
        Ok(())
    }
}
