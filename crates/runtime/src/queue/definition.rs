//! A queue as its row says, with every attribute that has a default filled in. Read once, then from the desk.

use std::collections::BTreeMap;
use std::sync::Arc;

use kingtide_core::project::{Job, Mode};
use kingtide_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::policy::Redrive;
use super::{Queues, Refusal};
use crate::sqs::fault::{Code, Fault};

/// What a queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Anybody's.
    Free,
    /// The queue of a job.
    Job,
    /// The dead letters of a job.
    Dead,
}

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(super) id: i64,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) job: Option<String>,
    /// Holds its letters.
    pub(crate) holding: i64,
    pub(super) salt: i64,
    /// As they were set.
    pub(crate) given: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created_at: i64,
    pub(super) modified_at: i64,
    pub(super) purged_at: Option<i64>,
    // What follows from the attributes.
    pub(crate) fifo: bool,
    pub(super) delay_s: i64,
    pub(super) visibility_s: i64,
    pub(super) wait_s: i64,
    pub(crate) retention_s: i64,
    pub(super) max_bytes: usize,
    pub(super) content_based: bool,
    pub(super) per_group: bool,
    pub(super) redrive: Option<Redrive>,
}

/// What SQS gives a queue that was asked for nothing.
const DEFAULT_VISIBILITY_S: i64 = 30;
const DEFAULT_RETENTION_S: i64 = 345_600;
/// What CDK gives to dead letters.
const DEAD_RETENTION_S: i64 = 1_209_600;
const DEFAULT_BYTES: i64 = 1_048_576;

const COLUMNS: &str = "id, name, role, job, box, salt, attributes, tags, created_at, modified_at, purged_at";

impl Role {
    /// Its word in the database, and for programs.
    pub fn text(self) -> &'static str {
        match self {
            Role::Free => "free",
            Role::Job => "job",
            Role::Dead => "dead",
        }
    }

    fn named(text: &str) -> Role {
        match text {
            "job" => Role::Job,
            "dead" => Role::Dead,
            _ => Role::Free,
        }
    }
}

impl Queue {
    /// One that nothing was set of and that holds nothing: no row says so.
    pub(crate) fn empty(name: &str, role: Role, job: Option<String>) -> Queue {
        Queue {
            id: 0,
            name: name.to_owned(),
            role,
            job,
            holding: 0,
            salt: 0,
            given: BTreeMap::new(),
            tags: BTreeMap::new(),
            created_at: 0,
            modified_at: 0,
            purged_at: None,
            fifo: false,
            delay_s: 0,
            visibility_s: 0,
            wait_s: 0,
            retention_s: 0,
            max_bytes: 0,
            content_based: false,
            per_group: false,
            redrive: None,
        }
        .derive()
    }

    /// Fills in what follows from the attributes.
    pub(crate) fn derive(mut self) -> Queue {
        let number = |name: &str, default: i64| {
            let text = self.given.get(name);
            text.and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        let retention = match self.role {
            Role::Free => DEFAULT_RETENTION_S,
            Role::Job | Role::Dead => DEAD_RETENTION_S,
        };
        self.delay_s = number("DelaySeconds", 0);
        self.visibility_s = number("VisibilityTimeout", DEFAULT_VISIBILITY_S);
        self.wait_s = number("ReceiveMessageWaitTimeSeconds", 0);
        self.retention_s = number("MessageRetentionPeriod", retention);
        self.max_bytes = number("MaximumMessageSize", DEFAULT_BYTES) as usize;
        let is = |name: &str, value: &str| self.given.get(name).is_some_and(|given| given == value);
        self.fifo = is("FifoQueue", "true");
        self.content_based = is("ContentBasedDeduplication", "true");
        self.per_group = is("DeduplicationScope", "messageGroup");
        self.redrive = self
            .given
            .get("RedrivePolicy")
            .and_then(|text| Redrive::read(text).ok());
        self
    }

    /// Whether a message sent then has outlived the retention. Messages of a job's own queue stay until they are worked off.
    pub(super) fn has_expired(&self, sent_at: i64, now: Timestamp) -> bool {
        self.expired_before(now).is_some_and(|before| sent_at <= before)
    }

    /// What was sent then or before has outlived the retention; `None` where nothing does.
    pub(crate) fn expired_before(&self, now: Timestamp) -> Option<i64> {
        (self.role != Role::Job).then(|| now.0 - self.retention_s * 1000)
    }

    /// Whether what is sent there becomes a task of the job, and the job as it is now.
    pub(crate) fn job_of<'j>(&self, jobs: &'j BTreeMap<String, Job>) -> Option<(&'j str, &'j Job)> {
        let name = self.job.as_deref().filter(|_| self.role == Role::Job)?;
        jobs.get_key_value(name).map(|(name, job)| (name.as_str(), job))
    }

    pub(crate) fn is_task_mode(&self, jobs: &BTreeMap<String, Job>) -> bool {
        self.job_of(jobs).is_some_and(|(_, job)| job.mode == Mode::Task)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Queue> {
    let map = |text: String| serde_json::from_str(&text).unwrap_or_default();
    let name: String = row.get(1)?;
    let queue = Queue {
        id: row.get(0)?,
        holding: row.get(4)?,
        salt: row.get(5)?,
        given: map(row.get(6)?),
        tags: map(row.get(7)?),
        created_at: row.get(8)?,
        modified_at: row.get(9)?,
        purged_at: row.get(10)?,
        ..Queue::empty(&name, Role::named(row.get_ref(2)?.as_str()?), row.get(3)?)
    };
    Ok(queue.derive())
}

/// All queues in the order of their names, from after `after`, at most so many.
pub(crate) fn all(rows: &Connection, after: &str, limit: i64) -> rusqlite::Result<Vec<Queue>> {
    let sql = format!("SELECT {COLUMNS} FROM queue WHERE name > ?1 ORDER BY name LIMIT ?2");
    let mut statement = rows.prepare_cached(&sql)?;
    statement.query_map(params![after, limit], read)?.collect()
}

/// The queue of this name as its row says.
pub(crate) fn find(rows: &Connection, name: &str) -> rusqlite::Result<Option<Queue>> {
    let sql = format!("SELECT {COLUMNS} FROM queue WHERE name = ?1");
    rows.prepare_cached(&sql)?.query_row([name], read).optional()
}

impl Queues<'_> {
    /// The queue of this name, if there is one; something may be done to it.
    pub(super) fn find(&mut self, name: &str) -> Result<Option<Arc<Queue>>, Refusal> {
        self.desk.touch(name);
        self.peek(name)
    }

    /// The queue of this name, only to look at it.
    pub(super) fn peek(&mut self, name: &str) -> Result<Option<Arc<Queue>>, Refusal> {
        if let Some(known) = self.desk.known(name) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(queue) = find(self.rows, name)?.map(Arc::new) else {
            return Ok(None);
        };
        self.desk.remember(Arc::clone(&queue));
        Ok(Some(queue))
    }

    pub(super) fn require(&mut self, name: &str) -> Result<Arc<Queue>, Refusal> {
        let gone = || Fault::new(Code::QueueDoesNotExist, "The specified queue does not exist.");
        Ok(self.find(name)?.ok_or_else(gone)?)
    }

    /// All of them in the order of their names, from after `after`, at most so many.
    pub(super) fn all(&self, after: &str, limit: i64) -> Result<Vec<Queue>, Refusal> {
        Ok(all(self.rows, after, limit)?)
    }

    /// Makes a queue with an empty box.
    pub(super) fn make(
        &mut self,
        name: &str,
        role: Role,
        job: Option<&str>,
        given: &BTreeMap<String, String>,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        let holding = self.new_box()?;
        let salt = self.desk.number();
        self.execute(
            "INSERT INTO queue (name, role, job, box, salt, attributes, tags, created_at, modified_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
            params![
                name,
                role.text(),
                job,
                holding,
                salt,
                json(given),
                json(tags),
                self.now.0
            ],
        )?;
        self.desk.forget(name);
        self.desk.durable = true;
        Ok(())
    }

    pub(super) fn new_box(&self) -> Result<i64, Refusal> {
        self.execute("INSERT INTO box DEFAULT VALUES", [])?;
        Ok(self.rows.last_insert_rowid())
    }

    /// Writes what may change of a queue.
    pub(super) fn rewrite(&mut self, queue: Queue) -> Result<Arc<Queue>, Refusal> {
        self.execute(
            "UPDATE queue SET role = ?2, job = ?3, box = ?4, attributes = ?5, tags = ?6, modified_at = ?7, purged_at = ?8
             WHERE id = ?1",
            params![
                queue.id,
                queue.role.text(),
                queue.job,
                queue.holding,
                json(&queue.given),
                json(&queue.tags),
                queue.modified_at,
                queue.purged_at,
            ],
        )?;
        self.desk.durable = true;
        let queue = Arc::new(queue.derive());
        self.desk.remember(Arc::clone(&queue));
        Ok(queue)
    }
}

fn json(map: &BTreeMap<String, String>) -> String {
    serde_json::to_string(map).expect("a map of texts is JSON")
}
