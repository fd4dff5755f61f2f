//! Messages in a queue, page by page: looked at without being received. Of a job in task mode also its tasks that are not over,
//! which are its queue's messages.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use kingtide_core::id::{RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::queue::{Living, assigned};
use super::{Page, ReadError, Snapshot, reading};
use crate::queue::content;
use crate::queue::definition::{self, Queue};
use crate::sqs::operation::Attribute;

/// Where a message lies, which is also from where the next page goes on: letters first, then tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LetterPlace {
    /// The number of a letter.
    Letter(i64),
    Task(TaskId),
}

/// What may be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterState {
    /// It may be received.
    Visible,
    InFlight,
    Delayed,
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub struct Letter {
    pub place: LetterPlace,
    /// `None` of a message that was not sent but belongs to a `run`.
    pub message_id: Option<String>,
    pub body: String,
    /// Of its sender.
    pub attributes: BTreeMap<String, Attribute>,
    /// Who sent it: an access key id.
    pub sender: Option<String>,
    pub state: LetterState,
    /// When it may be received again, unless it may now.
    pub visible_at: Option<Timestamp>,
    pub sent_at: Timestamp,
    /// How often it was received; attempts of a task.
    pub receives: u64,
    /// In a FIFO queue.
    pub group: Option<String>,
    pub task: Option<TaskId>,
    /// Of a dead letter: why it is one, in words, and the name of the queue it comes from.
    pub reason: Option<String>,
    pub source: Option<String>,
}

impl LetterState {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            LetterState::InFlight => "in flight",
            other => other.word(),
        }
    }

    /// For programs.
    pub fn word(self) -> &'static str {
        match self {
            LetterState::Visible => "visible",
            LetterState::InFlight => "in_flight",
            LetterState::Delayed => "delayed",
        }
    }

    fn named(word: &str) -> LetterState {
        match word {
            "in_flight" => LetterState::InFlight,
            "delayed" => LetterState::Delayed,
            _ => LetterState::Visible,
        }
    }
}

impl Letter {
    /// The parameters, where its body is a JSON object.
    pub fn message(&self) -> Option<Message> {
        Message::parse(&self.body)
    }
}

impl fmt::Display for LetterPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LetterPlace::Letter(id) => write!(f, "{id}"),
            LetterPlace::Task(task) => write!(f, "{}-{}", task.run, task.seq),
        }
    }
}

impl FromStr for LetterPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<LetterPlace, &'static str> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        let place = match text.split_once('-') {
            None => number(text).map(LetterPlace::Letter),
            Some((run, seq)) => number(run)
                .zip(number(seq))
                .map(|(run, seq)| LetterPlace::Task(RunId(run).task(seq))),
        };
        place.ok_or("a place in a queue is a letter's number, or run and number of a task, such as `12` or `3-17`")
    }
}

impl Snapshot<'_> {
    /// The messages of a queue after a place, at most `limit` and 4 MiB of bodies, one at least; `None` when there is no such
    /// queue.
    pub fn letters(
        &self,
        queue: &str,
        jobs: &BTreeMap<String, Job>,
        now: Timestamp,
        after: Option<LetterPlace>,
        limit: usize,
    ) -> Result<Option<Page<Letter, LetterPlace>>, ReadError> {
        let rows: &Connection = &self.transaction;
        let read = || -> rusqlite::Result<_> {
            let known = definition::find(rows, queue)?.map(|queue| assigned(queue, jobs));
            let Some(queue) = known.or_else(|| of_job(queue, jobs)) else {
                return Ok(None);
            };
            let mut page = Page::new(limit);
            let after_task = match after {
                None | Some(LetterPlace::Letter(_)) => {
                    let after = match after {
                        Some(LetterPlace::Letter(id)) => id,
                        _ => 0,
                    };
                    add_letters(rows, &queue, now, after, &mut page)?;
                    None
                }
                Some(LetterPlace::Task(task)) => Some(task),
            };
            if queue.is_task_mode(jobs) && !page.is_full() {
                add_tasks(rows, &queue.name, now, after_task, &mut page)?;
            }
            Ok(Some(page))
        };
        read().map_err(reading("the messages of a queue"))
    }

    /// The task that a message sent to a job's queue has become, looked for among the newest of the job.
    pub fn task_of_message(&self, job: &str, message_id: &str) -> Result<Option<TaskId>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let sql = "SELECT id FROM run WHERE job = ?1 AND intake = 1 ORDER BY id DESC LIMIT 2";
            let mut statement = self.transaction.prepare_cached(sql)?;
            let runs = statement.query_map([job], |row| row.get(0).map(RunId))?;
            let sql = "SELECT seq, message_id FROM message WHERE run = ?1 ORDER BY seq DESC LIMIT ?2";
            let mut messages = self.transaction.prepare_cached(sql)?;
            for run in runs {
                let run = run?;
                let mut rows = messages.query(params![run.0, LOOKED_THROUGH])?;
                while let Some(row) = rows.next()? {
                    if row.get_ref(1)?.as_str_or_null()? == Some(message_id) {
                        return Ok(Some(run.task(row.get(0)?)));
                    }
                }
            }
            Ok(None)
        };
        read().map_err(reading("what was sent"))
    }
}

/// What others send in the moment between a send and the look for it is not more than this.
const LOOKED_THROUGH: i64 = 100_000;

/// Its queue may not have been needed yet, while its tasks are there.
fn of_job(name: &str, jobs: &BTreeMap<String, Job>) -> Option<Queue> {
    let queue = assigned(Queue::empty(name, definition::Role::Free, None), jobs);
    queue.job.is_some().then_some(queue)
}

fn add_letters(
    rows: &Connection,
    queue: &Queue,
    now: Timestamp,
    after: i64,
    page: &mut Page<Letter, LetterPlace>,
) -> rusqlite::Result<()> {
    let before = queue.expired_before(now).unwrap_or(i64::MIN);
    let living = Living::read(rows)?;
    let sql = "SELECT letter.id, letter.message_id, coalesce(letter.body, message.body, ''), letter.attributes, sender, state,
                      visible_at, letter.sent_at, receives, group_id, letter.run, letter.seq, reason, source, minded, holder
               FROM letter LEFT JOIN message ON message.run = letter.run AND message.seq = letter.seq WHERE id = ?1";
    let mut statement = rows.prepare_cached(sql)?;
    let mut after = after;
    loop {
        // Numbers first, which are small: bodies are not.
        let ids = letter_numbers(rows, queue.holding, after, page.room() + 1)?;
        let Some(last) = ids.last().copied() else { return Ok(()) };
        for id in ids {
            let letter = statement.query_row([id], |row| to_letter(row, now, &living))?;
            let has_expired = letter.state == LetterState::Visible && letter.sent_at.0 <= before;
            if !has_expired && !page.add(letter.body.len(), letter.place, letter) {
                return Ok(());
            }
        }
        after = last;
    }
}

fn letter_numbers(rows: &Connection, holding: i64, after: i64, limit: usize) -> rusqlite::Result<Vec<i64>> {
    let mut found = Vec::new();
    // Said literally, so that each has its index.
    for state in ["state = 'visible'", "state <> 'visible'"] {
        let sql = format!("SELECT id FROM letter WHERE box = ?1 AND id > ?2 AND {state} ORDER BY id LIMIT ?3");
        let mut statement = rows.prepare_cached(&sql)?;
        let ids = statement.query_map(params![holding, after, limit as i64], |row| row.get(0))?;
        for id in ids {
            found.push(id?);
        }
    }
    found.sort_unstable();
    found.truncate(limit);
    Ok(found)
}

fn to_letter(row: &Row<'_>, now: Timestamp, living: &Living) -> rusqlite::Result<Letter> {
    let visible_at = Timestamp(row.get(6)?);
    let mut state = LetterState::named(row.get_ref(5)?.as_str()?);
    let is_held = state == LetterState::InFlight && living.hold(row.get(14)?, row.get_ref(15)?.as_str_or_null()?);
    if visible_at <= now && !is_held {
        state = LetterState::Visible;
    }
    let run: Option<i64> = row.get(10)?;
    let seq: Option<i64> = row.get(11)?;
    Ok(Letter {
        place: LetterPlace::Letter(row.get(0)?),
        message_id: row.get(1)?,
        body: row.get(2)?,
        attributes: content::read(row.get_ref(3)?.as_str_or_null()?),
        sender: row.get(4)?,
        state,
        visible_at: (visible_at > now).then_some(visible_at),
        sent_at: Timestamp(row.get(7)?),
        receives: row.get(8)?,
        group: row.get(9)?,
        task: run.zip(seq).map(|(run, seq)| RunId(run).task(seq)),
        reason: row.get(12)?,
        source: row.get(13)?,
    })
}

fn add_tasks(
    rows: &Connection,
    job: &str,
    now: Timestamp,
    after: Option<TaskId>,
    page: &mut Page<Letter, LetterPlace>,
) -> rusqlite::Result<()> {
    let from = after.map_or(0, |task| task.run.0);
    let sql = "SELECT id FROM run WHERE job = ?1 AND state = 'open' AND loading = 0 AND id >= ?2 ORDER BY id";
    let mut statement = rows.prepare_cached(sql)?;
    let runs = statement.query_map(params![job, from], |row| row.get(0).map(RunId))?;
    let runs: Vec<RunId> = runs.collect::<Result<_, _>>()?;
    let sql = "SELECT task.seq, task.state, task.visible_at, attempt, message.body, message_id, attributes,
                      coalesce(sent_at, created_at), task.reason
               FROM task JOIN message USING (run, seq) JOIN run ON run.id = task.run
               WHERE task.run = ?1 AND task.seq > ?2 AND task.state IN ('waiting', 'leased') ORDER BY task.seq";
    let mut statement = rows.prepare_cached(sql)?;
    for run in runs {
        let seq = after.filter(|task| task.run == run).map_or(0, |task| task.seq);
        let mut rows = statement.query(params![run.0, seq])?;
        while let Some(row) = rows.next()? {
            let letter = to_task(row, run, now)?;
            if !page.add(letter.body.len(), letter.place, letter) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn to_task(row: &Row<'_>, run: RunId, now: Timestamp) -> rusqlite::Result<Letter> {
    let task = run.task(row.get(0)?);
    let visible_at = row.get::<_, Option<i64>>(2)?.map(Timestamp).filter(|at| *at > now);
    let state = match (row.get_ref(1)?.as_str()?, visible_at) {
        ("leased", _) => LetterState::InFlight,
        (_, Some(_)) => LetterState::Delayed,
        (_, None) => LetterState::Visible,
    };
    Ok(Letter {
        place: LetterPlace::Task(task),
        message_id: row.get(5)?,
        body: row.get(4)?,
        attributes: content::read(row.get_ref(6)?.as_str_or_null()?),
        sender: None,
        state,
        visible_at,
        sent_at: Timestamp(row.get(7)?),
        receives: row.get(3)?,
        group: None,
        task: Some(task),
        reason: row.get(8)?,
        source: None,
    })
}
