//! Queues as they stand: what each is for, what was set of it, and how many messages may be received, are in flight or are
//! delayed. `letter.rs` reads the messages themselves.
//!
//! The rows say how things were at the last look of the runtime; what has fallen due since, or has grown too old, is told here as
//! the next look will find it.

use std::collections::{BTreeMap, BTreeSet};

use kingtide_core::id::InstanceId;
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{ReadError, Snapshot, reading};
use crate::keys;
use crate::queue::attributes::{in_force, redrive_of};
use crate::queue::counts::{of_box, of_tasks};
use crate::queue::definition::{self, Queue};
use crate::queue::jobs::dead_letters_of;

pub use crate::queue::counts::QueueCounts;
pub use crate::queue::definition::Role;

/// A queue of messages.
#[derive(Clone, Debug)]
pub struct MessageQueue {
    pub name: String,
    pub role: Role,
    /// The job whose queue this is, or whose dead letters it holds.
    pub job: Option<String>,
    pub fifo: bool,
    /// As they are in force, by their names in the API of SQS.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// `None` of a job whose queue has not been needed yet.
    pub created_at: Option<Timestamp>,
    pub counts: QueueCounts,
    /// Where its messages go that nobody can work off: the name of a queue.
    pub dead_letters: Option<String>,
    /// When the oldest message that waits or is being worked off was sent.
    pub oldest: Option<Timestamp>,
}

impl Snapshot<'_> {
    /// In the order of their names, those after `after`, at most so many. The jobs are those of the project's file: each has a
    /// queue and one for its dead letters, whether or not they have been needed yet.
    pub fn queues(
        &self,
        jobs: &BTreeMap<String, Job>,
        now: Timestamp,
        after: &str,
        limit: usize,
    ) -> Result<Vec<MessageQueue>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let rows = &self.transaction;
            let known = definition::all(rows, after, i64::try_from(limit).unwrap_or(i64::MAX))?;
            let last = known
                .last()
                .filter(|_| known.len() == limit)
                .map(|queue| queue.name.clone());
            let names: BTreeSet<String> = known.iter().map(|queue| queue.name.clone()).collect();
            let mut all: Vec<MessageQueue> = known
                .into_iter()
                .map(|queue| standing(rows, assigned(queue, jobs), jobs, now))
                .collect::<Result<_, _>>()?;
            let wanted = |name: &String| {
                name.as_str() > after && !names.contains(name) && last.as_ref().is_none_or(|last| name < last)
            };
            let of_jobs = jobs.keys().flat_map(|job| [job.clone(), dead_letters_of(job)]);
            let missing: BTreeSet<String> = of_jobs.filter(wanted).collect();
            for name in missing {
                // One beyond the end of this page may be there all the same.
                if definition::find(rows, &name)?.is_none() {
                    all.push(of_job(rows, &name, jobs, now)?);
                }
            }
            all.sort_by(|left, right| left.name.cmp(&right.name));
            all.truncate(limit);
            Ok(all)
        };
        read().map_err(reading("the queues"))
    }

    /// The queue of this name; that of a job, or for its dead letters, is there whether or not it has been needed yet.
    pub fn message_queue(
        &self,
        name: &str,
        jobs: &BTreeMap<String, Job>,
        now: Timestamp,
    ) -> Result<Option<MessageQueue>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let rows = &self.transaction;
            match definition::find(rows, name)? {
                Some(queue) => standing(rows, assigned(queue, jobs), jobs, now).map(Some),
                None if assignment(name, jobs).is_some() => of_job(rows, name, jobs, now).map(Some),
                None => Ok(None),
            }
        };
        read().map_err(reading("a queue"))
    }
}

impl MessageQueue {
    /// The queues that a project's jobs have before anything was sent or run: empty.
    pub fn of_jobs(jobs: &BTreeMap<String, Job>) -> Vec<MessageQueue> {
        let names: BTreeSet<String> = jobs
            .keys()
            .flat_map(|job| [job.clone(), dead_letters_of(job)])
            .collect();
        names.iter().map(|name| unneeded(name, jobs)).collect()
    }
}

/// What a queue of this name is for by the project's file.
fn assignment<'j>(name: &str, jobs: &'j BTreeMap<String, Job>) -> Option<(Role, &'j str)> {
    if let Some((job, _)) = jobs.get_key_value(name) {
        return Some((Role::Job, job));
    }
    let (job, _) = jobs.iter().find(|(job, _)| dead_letters_of(job) == name)?;
    Some((Role::Dead, job))
}

/// A queue as it will be once a runtime has read the project's file.
pub(super) fn assigned(mut queue: Queue, jobs: &BTreeMap<String, Job>) -> Queue {
    (queue.role, queue.job) = match assignment(&queue.name, jobs) {
        Some((role, job)) => (role, Some(job.to_owned())),
        None => (Role::Free, None),
    };
    queue.derive()
}

fn unneeded(name: &str, jobs: &BTreeMap<String, Job>) -> MessageQueue {
    let (role, job) = assignment(name, jobs).map_or((Role::Free, None), |(role, job)| (role, Some(job.to_owned())));
    let queue = Queue::empty(name, role, job);
    MessageQueue {
        attributes: in_force(&queue),
        dead_letters: redrive_of(&queue, jobs).map(|redrive| redrive.target),
        name: queue.name,
        role,
        job: queue.job,
        fifo: false,
        tags: BTreeMap::new(),
        created_at: None,
        counts: QueueCounts::default(),
        oldest: None,
    }
}

/// A job may have runs before anybody needed its queue.
fn of_job(
    rows: &Connection,
    name: &str,
    jobs: &BTreeMap<String, Job>,
    now: Timestamp,
) -> rusqlite::Result<MessageQueue> {
    let mut queue = unneeded(name, jobs);
    if queue.role == Role::Job {
        queue.counts = of_tasks(rows, name, now)?;
        queue.oldest = oldest_task(rows, name)?.map(Timestamp);
    }
    Ok(queue)
}

fn standing(
    rows: &Connection,
    queue: Queue,
    jobs: &BTreeMap<String, Job>,
    now: Timestamp,
) -> rusqlite::Result<MessageQueue> {
    let mut counts = letters(rows, &queue, now)?;
    let mut oldest = oldest_letter(rows, &queue, now)?;
    if queue.is_task_mode(jobs) {
        counts += of_tasks(rows, &queue.name, now)?;
        oldest = oldest.into_iter().chain(oldest_task(rows, &queue.name)?).min();
    }
    Ok(MessageQueue {
        attributes: in_force(&queue),
        dead_letters: redrive_of(&queue, jobs).map(|redrive| redrive.target),
        role: queue.role,
        fifo: queue.fifo,
        created_at: Some(Timestamp(queue.created_at)),
        counts,
        oldest: oldest.map(Timestamp),
        name: queue.name,
        job: queue.job,
        tags: queue.tags,
    })
}

/// What the box counts, and what has fallen due since the last look.
fn letters(rows: &Connection, queue: &Queue, now: Timestamp) -> rusqlite::Result<QueueCounts> {
    let mut counts = of_box(rows, queue.holding)?;
    let before = queue.expired_before(now).unwrap_or(i64::MIN);
    let living = Living::read(rows)?;
    let sql = "SELECT state = 'in_flight', sent_at, minded, holder FROM letter
               WHERE box = ?1 AND state <> 'visible' AND visible_at <= ?2";
    let mut statement = rows.prepare_cached(sql)?;
    let mut due = statement.query(params![queue.holding, now.0])?;
    let mut expired = expired(rows, queue.holding, before)?;
    while let Some(row) = due.next()? {
        let in_flight: bool = row.get(0)?;
        if in_flight && living.hold(row.get(2)?, row.get_ref(3)?.as_str_or_null()?) {
            continue;
        }
        match in_flight {
            true => counts.in_flight = counts.in_flight.saturating_sub(1),
            false => counts.delayed = counts.delayed.saturating_sub(1),
        }
        counts.visible += 1;
        expired += u64::from(row.get::<_, i64>(1)? <= before);
    }
    counts.visible = counts.visible.saturating_sub(expired);
    Ok(counts)
}

/// How many visible letters have outlived the retention: those in front, and dead ones wherever they lie, as `queue/letter.rs`
/// takes them away.
fn expired(rows: &Connection, holding: i64, before: i64) -> rusqlite::Result<u64> {
    if before == i64::MIN {
        return Ok(0);
    }
    let sql = "SELECT id FROM letter WHERE box = ?1 AND state = 'visible' AND sent_at > ?2 ORDER BY id LIMIT 1";
    let first: Option<i64> = rows
        .prepare_cached(sql)?
        .query_row([holding, before], |row| row.get(0))
        .optional()?;
    let first = first.unwrap_or(i64::MAX);
    let in_front = "SELECT count(*) FROM letter WHERE box = ?1 AND state = 'visible' AND id < ?2";
    let in_front: u64 = rows
        .prepare_cached(in_front)?
        .query_row([holding, first], |row| row.get(0))?;
    let dead = "SELECT count(*) FROM letter INDEXED BY letter_dead
                WHERE box = ?1 AND source IS NOT NULL AND state = 'visible' AND sent_at <= ?2 AND id >= ?3";
    let dead: u64 = rows
        .prepare_cached(dead)?
        .query_row([holding, before, first], |row| row.get(0))?;
    Ok(in_front + dead)
}

fn oldest_letter(rows: &Connection, queue: &Queue, now: Timestamp) -> rusqlite::Result<Option<i64>> {
    let before = queue.expired_before(now).unwrap_or(i64::MIN);
    // Letters lie in the order they came; dead ones keep the time of their first queue.
    let first = "SELECT sent_at FROM letter WHERE box = ?1 AND state = 'visible' AND sent_at > ?2 ORDER BY id LIMIT 1";
    let dead = "SELECT min(sent_at) FROM letter INDEXED BY letter_dead
                WHERE box = ?1 AND source IS NOT NULL AND state = 'visible' AND sent_at > ?2";
    let hidden = "SELECT min(sent_at) FROM letter INDEXED BY letter_hidden
                  WHERE box = ?1 AND state <> 'visible' AND state = 'in_flight' AND sent_at > ?2";
    let mut oldest: Option<i64> = None;
    for sql in [first, dead, hidden] {
        let found: Option<Option<i64>> = rows
            .prepare_cached(sql)?
            .query_row([queue.holding, before], |row| row.get(0))
            .optional()?;
        oldest = oldest.into_iter().chain(found.flatten()).min();
    }
    Ok(oldest)
}

/// Messages of a `run` are as old as their run.
fn oldest_task(rows: &Connection, job: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT min(CASE intake WHEN 0 THEN created_at ELSE
                   (SELECT coalesce(message.sent_at, run.created_at) FROM task JOIN message USING (run, seq)
                    WHERE task.run = run.id AND task.state IN ('waiting', 'leased') ORDER BY task.seq LIMIT 1) END)
               FROM run WHERE job = ?1 AND state = 'open' AND loading = 0
                    AND total > succeeded + skipped + failed + rejected + cancelled";
    rows.prepare_cached(sql)?.query_row([job], |row| row.get(0))
}

/// Instances of consumers that live: what they hold stays theirs.
pub(super) struct Living(BTreeSet<InstanceId>);

impl Living {
    pub(super) fn read(rows: &Connection) -> rusqlite::Result<Living> {
        let mut statement = rows.prepare_cached("SELECT id FROM instance")?;
        let ids = statement.query_map([], |row| row.get(0).map(InstanceId))?;
        Ok(Living(ids.collect::<Result<_, _>>()?))
    }

    pub(super) fn hold(&self, minded: bool, holder: Option<&str>) -> bool {
        let instance = holder.filter(|_| minded).and_then(keys::instance);
        instance.is_some_and(|instance| self.0.contains(&instance))
    }
}

#[cfg(test)]
mod tests;
