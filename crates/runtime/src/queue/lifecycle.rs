//! Queues come and go: created and deleted by anyone, made for every job, purged.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::attributes::{Setting, check_together, merge};
use super::definition::{Queue, Role};
use super::{Note, Queues, Refusal, invalid, jobs, limits, tags};
use crate::sqs::fault::{Code, Fault};
use crate::store::StoreError;

fn check_name(name: &str, fifo: bool) -> Result<(), Fault> {
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    let stem = name.strip_suffix(".fifo");
    if fifo {
        let stem = stem.filter(|stem| !stem.is_empty() && stem.chars().all(is_allowed));
        if stem.is_none() || name.len() > limits::QUEUE_NAME_BYTES {
            return Err(invalid(
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end \
                 with .fifo suffix and be 1 to 80 in length",
            ));
        }
        return Ok(());
    }
    if name.is_empty() || name.len() > limits::QUEUE_NAME_BYTES || !name.chars().all(is_allowed) {
        return Err(invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ));
    }
    Ok(())
}

impl Queues<'_> {
    /// Makes a queue, or finds one that has the same attributes. A job's own takes those that are given.
    pub(super) fn create_queue(
        &mut self,
        name: &str,
        attributes: &BTreeMap<String, String>,
        tags: &BTreeMap<String, String>,
    ) -> Result<String, Refusal> {
        if name.is_empty() {
            return Err(super::missing("QueueName").into());
        }
        let known = self.find(name)?;
        let fifo = match &known {
            Some(known) => known.fifo,
            None => attributes
                .get("FifoQueue")
                .is_some_and(|text| text.eq_ignore_ascii_case("true")),
        };
        if known.is_none() {
            check_name(name, fifo)?;
        }
        let setting = Setting {
            queue: name,
            fifo,
            is_new: known.is_none(),
        };
        let checked = self.check_attributes(&setting, attributes)?;
        tags::check(name, tags)?;
        if let Some(known) = known {
            if known.role != Role::Free {
                self.set_queue_attributes(name, attributes)?;
                return Ok(known.name.clone());
            }
            let settings = self.settings(&known);
            let differs = |(name, value): &(&String, &String)| settings.get(*name).map_or("", String::as_str) != *value;
            if let Some((attribute, _)) = checked.iter().find(differs) {
                let message = format!(
                    "A queue already exists with the same name and a different value for attribute {attribute}"
                );
                return Err(Fault::new(Code::QueueNameExists, message).into());
            }
            return Ok(known.name.clone());
        }
        let sql = "SELECT at FROM queue_deleted WHERE name = ?1";
        let deleted: Option<i64> = self
            .rows
            .prepare_cached(sql)?
            .query_row([name], |row| row.get(0))
            .optional()?;
        // A clock that was set back must not forbid a name for long.
        if deleted.is_some_and(|at| (at..at + limits::DELETED_MS).contains(&self.now.0)) {
            let message =
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.";
            return Err(Fault::new(Code::QueueDeletedRecently, message).into());
        }
        let mut given = BTreeMap::new();
        merge(&mut given, checked);
        check_together(&given)?;
        self.make(name, Role::Free, None, &given, tags)?;
        Ok(name.to_owned())
    }

    /// Deletes a queue with all that is in it. A job's own comes back at once, empty and with nothing set.
    pub(super) fn delete_queue(&mut self, name: &str) -> Result<(), Refusal> {
        let queue = self.require(name)?;
        if queue.job.as_ref().is_some_and(|job| self.jobs.contains_key(job)) {
            self.empty(&queue)?;
            let mut fresh = Queue::clone(&*self.require(name)?);
            (fresh.given, fresh.tags) = (BTreeMap::new(), BTreeMap::new());
            fresh.modified_at = self.now.0;
            self.rewrite(fresh)?;
            return Ok(());
        }
        for sql in [
            "DELETE FROM deduplication WHERE queue = ?1",
            "DELETE FROM reception WHERE queue = ?1",
            "DELETE FROM queue WHERE id = ?1",
        ] {
            self.execute(sql, [queue.id])?;
        }
        self.execute("UPDATE box SET discarded = 1 WHERE id = ?1", [queue.holding])?;
        self.execute(
            "INSERT OR REPLACE INTO queue_deleted (name, at) VALUES (?1, ?2)",
            params![name, self.now.0],
        )?;
        self.execute(
            "DELETE FROM queue_deleted WHERE at <= ?1",
            [self.now.0 - limits::DELETED_MS],
        )?;
        self.desk.forget(name);
        // Whoever waits for a message is told that there is no queue.
        self.note_visible(name);
        Ok(())
    }

    pub(super) fn purge_queue(&mut self, name: &str) -> Result<(), Refusal> {
        let queue = self.require(name)?;
        let again = |at: i64| (at..at + limits::PURGE_MS).contains(&self.now.0);
        if queue.purged_at.is_some_and(again) {
            let message = format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.");
            return Err(Fault::new(Code::PurgeQueueInProgress, message).into());
        }
        self.empty(&queue)?;
        let mut purged = Queue::clone(&*self.require(name)?);
        purged.purged_at = Some(self.now.0);
        self.rewrite(purged).map(drop)
    }

    /// Gives the queue an empty box at no cost, however much is in the old one, which is cleared by and by.
    fn empty(&mut self, queue: &Queue) -> Result<(), Refusal> {
        if let Some((job, _)) = queue.job_of(self.jobs) {
            let job = job.to_owned();
            if queue.is_task_mode(self.jobs) {
                self.notes.push(Note::Purged { job: job.clone() });
            }
            let sql = "SELECT run, seq FROM letter WHERE box = ?1 AND run IS NOT NULL ORDER BY id";
            let mut statement = self.rows.prepare_cached(sql)?;
            let tasks = statement.query_map([queue.holding], jobs::task)?;
            let tasks = tasks.collect::<Result<Vec<_>, _>>()?;
            let discarded = |task| Note::Discarded { job: job.clone(), task };
            self.notes.extend(tasks.into_iter().map(discarded));
            self.execute(
                "UPDATE letter SET holder = NULL WHERE box = ?1 AND holder IS NOT NULL",
                [queue.holding],
            )?;
        }
        self.execute("UPDATE box SET discarded = 1 WHERE id = ?1", [queue.holding])?;
        let mut emptied = queue.clone();
        emptied.holding = self.new_box()?;
        self.rewrite(emptied).map(drop)
    }

    /// Sees to it that each job has its queue and one for its dead letters. What was a job's that is gone is an ordinary
    /// queue from then on; an ordinary queue of a job's name is the job's.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn ensure_job_queues(&mut self) -> Result<(), StoreError> {
        self.ensure().map_err(StoreError::from)
    }

    fn ensure(&mut self) -> Result<(), Refusal> {
        for queue in self.all("", i64::MAX)? {
            let gone = queue.job.as_ref().is_some_and(|job| !self.jobs.contains_key(job));
            if gone {
                self.rewrite(Queue {
                    role: Role::Free,
                    job: None,
                    ..queue
                })?;
            }
        }
        let jobs = self.jobs;
        for job in jobs.keys() {
            for (name, role) in [(job.clone(), Role::Job), (jobs::dead_letters_of(job), Role::Dead)] {
                match self.find(&name)? {
                    None => self.make(&name, role, Some(job), &BTreeMap::new(), &BTreeMap::new())?,
                    // `x-dlq` may be a job of its own, whose queue it then is.
                    Some(known) if role == Role::Dead && self.jobs.contains_key(&known.name) => {}
                    Some(known) if known.role == role && known.job.as_ref() == Some(job) => {}
                    Some(known) => {
                        let mut taken = Queue::clone(&known);
                        (taken.role, taken.job) = (role, Some(job.clone()));
                        self.rewrite(taken)?;
                    }
                }
            }
            self.settle_job(job)?;
        }
        Ok(())
    }
}
