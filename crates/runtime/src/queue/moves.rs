//! Message move tasks: dead letters on their way back, at a rate, one task for a queue at a time. A task is a row, so a
//! restart goes on with it.

use rusqlite::{OptionalExtension, Row, params};

use super::definition::Queue;
use super::desk::queue_of_arn;
use super::letter::{COLUMNS, Letter, read};
use super::{Queues, Refusal, invalid, limits};
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::{Answer, Move};

/// Letters moved in one go where no rate was given.
const AT_ONCE: i64 = 500;
/// At a rate above ten a second several are moved at a time.
const STEP_MS: i64 = 100;

const ARN_FORMAT: &str = "arn:<partition>:<service>:<region>:<account-id>:<resource-id>";

fn gone(parameter: &str) -> Fault {
    let message = format!("The resource that you specified for the {parameter} parameter doesn't exist.");
    Fault::new(Code::ResourceNotFoundException, message)
}

fn named<'a>(parameter: &str, arn: &'a str) -> Result<&'a str, Fault> {
    let wrong = || {
        invalid(format!(
            "You must use this format to specify the {parameter}: {ARN_FORMAT}"
        ))
    };
    queue_of_arn(arn).ok_or_else(wrong)
}

/// A task that runs.
struct Running {
    id: i64,
    source: String,
    destination: Option<String>,
    rate: Option<i64>,
    last: i64,
}

impl Queues<'_> {
    pub(super) fn start_move(
        &mut self,
        source: &str,
        destination: Option<&str>,
        rate: Option<i64>,
    ) -> Result<Answer, Refusal> {
        let name = named("SourceArn", source)?;
        if rate.is_some_and(|rate| !limits::MOVE_RATE.contains(&rate)) {
            return Err(invalid(
                "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number that's \
                 between 1 and 500.",
            )
            .into());
        }
        let queue = self.find(name)?.ok_or_else(|| gone("SourceArn"))?;
        let all = self.all("", i64::MAX)?;
        if !all
            .iter()
            .any(|from| self.redrive_of(from).is_some_and(|redrive| redrive.target == name))
        {
            return Err(invalid("Source queue must be configured as a Dead Letter Queue.").into());
        }
        let to = match destination {
            None => None,
            Some(arn) => {
                let to = named("DestinationArn", arn)?;
                let found = self.find(to)?.ok_or_else(|| gone("DestinationArn"))?;
                if to == name {
                    return Err(invalid("Source queue arn and destination queue arn cannot be the same.").into());
                }
                if found.fifo != queue.fifo {
                    return Err(invalid("Source queue and destination queue must be of the same type.").into());
                }
                Some(to)
            }
        };
        let sql = "SELECT id FROM move WHERE source = ?1 AND state = 'RUNNING' LIMIT 1";
        let running: Option<i64> = self
            .rows
            .prepare_cached(sql)?
            .query_row([name], |row| row.get(0))
            .optional()?;
        if running.is_some() {
            return Err(invalid(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
            )
            .into());
        }
        let total = self.count(&queue)?.visible;
        let sql = "SELECT coalesce(max(id), 0) FROM letter WHERE box = ?1 AND state = 'visible'";
        let last: i64 = self
            .rows
            .prepare_cached(sql)?
            .query_row([queue.holding], |row| row.get(0))?;
        let handle = format!("{}|{}", self.desk.uuid(), self.desk.arn(name));
        self.execute(
            "INSERT INTO move (handle, source, destination, rate, state, last, total, started_at, next_at)
             VALUES (?1, ?2, ?3, ?4, 'RUNNING', ?5, ?6, ?7, ?7)",
            params![handle, name, to, rate, last, total as i64, self.now.0],
        )?;
        self.desk.durable = true;
        Ok(Answer::MoveStarted { handle })
    }

    pub(super) fn cancel_move(&mut self, handle: &str) -> Result<Answer, Refusal> {
        let parts = handle.split_once('|');
        let source = parts
            .filter(|(id, _)| id.len() == 36)
            .and_then(|(_, arn)| queue_of_arn(arn));
        let source = source.ok_or_else(|| invalid("Value for parameter TaskHandle is invalid."))?;
        if self.find(source)?.is_none() {
            return Err(gone("SourceArn").into());
        }
        let sql = "SELECT id, state, moved FROM move WHERE handle = ?1";
        let mut statement = self.rows.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get(2)?));
        let found = statement.query_row([handle], read).optional()?;
        let Some((id, state, moved)) = found else {
            return Err(Fault::new(Code::ResourceNotFoundException, "Task does not exist.").into());
        };
        if state != "RUNNING" {
            return Err(invalid("Only active tasks can be cancelled.").into());
        }
        drop(statement);
        self.execute("UPDATE move SET state = 'CANCELLED' WHERE id = ?1", [id])?;
        self.desk.durable = true;
        Ok(Answer::MoveCancelled { moved })
    }

    pub(super) fn list_moves(&mut self, source: &str, limit: Option<i64>) -> Result<Answer, Refusal> {
        let name = named("SourceArn", source)?;
        let limit = limit.unwrap_or(1);
        if !limits::MOVES_PAGE.contains(&limit) {
            return Err(invalid(
                "Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 10.",
            )
            .into());
        }
        if self.find(name)?.is_none() {
            return Err(gone("SourceArn").into());
        }
        let sql = "SELECT handle, state, destination, rate, moved, total, failure, started_at FROM move
                   WHERE source = ?1 ORDER BY id DESC LIMIT ?2";
        let mut statement = self.rows.prepare_cached(sql)?;
        let moves = statement.query_map(params![name, limit], |row| {
            let status = match row.get_ref(1)?.as_str()? {
                "RUNNING" => "RUNNING",
                "COMPLETED" => "COMPLETED",
                "CANCELLED" => "CANCELLED",
                _ => "FAILED",
            };
            let destination: Option<String> = row.get(2)?;
            Ok(Move {
                handle: (status == "RUNNING").then(|| row.get(0)).transpose()?,
                status,
                source: self.desk.arn(name),
                destination: destination.map(|name| self.desk.arn(&name)),
                rate: row.get(3)?,
                moved: row.get(4)?,
                to_move: row.get(5)?,
                failure: row.get(6)?,
                started_at: row.get(7)?,
            })
        })?;
        Ok(Answer::Moves(moves.collect::<Result<_, _>>()?))
    }

    pub(super) fn next_move(&self) -> Result<Option<i64>, Refusal> {
        let sql = "SELECT min(next_at) FROM move INDEXED BY move_running WHERE state = 'RUNNING'";
        Ok(self.rows.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    pub(super) fn advance_moves(&mut self) -> Result<(), Refusal> {
        let sql = "SELECT id, source, destination, rate, last FROM move INDEXED BY move_running
                   WHERE state = 'RUNNING' AND next_at <= ?1";
        let mut statement = self.rows.prepare_cached(sql)?;
        let due = statement.query_map([self.now.0], |row| {
            Ok(Running {
                id: row.get(0)?,
                source: row.get(1)?,
                destination: row.get(2)?,
                rate: row.get(3)?,
                last: row.get(4)?,
            })
        })?;
        let due = due.collect::<Result<Vec<_>, _>>()?;
        drop(statement);
        due.into_iter().try_for_each(|running| self.advance(&running))
    }

    fn advance(&mut self, running: &Running) -> Result<(), Refusal> {
        let (most, pause) = match running.rate {
            None => (AT_ONCE, 0),
            Some(rate) if rate >= 1000 / STEP_MS => (rate * STEP_MS / 1000, STEP_MS),
            Some(rate) => (1, 1000 / rate),
        };
        let mut moved = 0;
        let mut end = None;
        match self.find(&running.source)? {
            None => end = Some(("FAILED", Some(NO_QUEUE))),
            Some(source) => {
                self.promote(&source, AT_ONCE as usize)?;
                let letters = self.first_letters(&source, running.last, most)?;
                if (letters.len() as i64) < most {
                    end = Some(("COMPLETED", None));
                }
                for letter in letters {
                    match self.put_back(&source, letter, running.destination.as_deref())? {
                        Ok(()) => moved += 1,
                        Err(failure) => {
                            end = Some(("FAILED", Some(failure)));
                            break;
                        }
                    }
                }
            }
        }
        let (state, failure) = end.unwrap_or(("RUNNING", None));
        self.execute(
            "UPDATE move SET state = ?2, failure = ?3, moved = moved + ?4, next_at = ?5 WHERE id = ?1",
            params![running.id, state, failure, moved, self.now.0 + pause],
        )?;
        self.desk.durable = true;
        Ok(())
    }

    fn first_letters(&self, queue: &Queue, last: i64, most: i64) -> Result<Vec<Letter>, Refusal> {
        let sql = format!(
            "SELECT {COLUMNS} FROM letter INDEXED BY letter_visible WHERE box = ?1 AND state = 'visible' AND id <= ?2
             ORDER BY id LIMIT ?3"
        );
        let mut statement = self.rows.prepare_cached(&sql)?;
        let letters = statement.query_map(params![queue.holding, last, most], read)?;
        Ok(letters.collect::<Result<_, _>>()?)
    }

    /// A letter as a new message at `destination`, or where it came from; why it cannot go there.
    fn put_back(
        &mut self,
        from: &Queue,
        letter: Letter,
        destination: Option<&str>,
    ) -> Result<Result<(), &'static str>, Refusal> {
        let Some(name) = destination.or(letter.source.as_deref()) else {
            return Ok(Err("CouldNotDetermineMessageSource"));
        };
        let Some(to) = self.find(name)? else {
            return Ok(Err(NO_QUEUE));
        };
        let body = self.body_of(&letter)?;
        self.remove(from, letter.id, letter.group.as_deref())?;
        // SQS gives it a new id; a job's message keeps the one that its sender knows.
        let message_id = match to.job_of(self.jobs) {
            Some(_) => letter.message_id,
            None => self.desk.uuid(),
        };
        let sent = Letter {
            dedup: to.fifo.then(|| message_id.clone()),
            message_id,
            body: Some(body),
            attributes: letter.attributes,
            trace: letter.trace,
            sender: letter.sender,
            sent_at: self.now.0,
            group: letter.group,
            ..Letter::default()
        };
        self.deliver(&to, sent, 0)?;
        Ok(Ok(()))
    }

    /// Puts dead letters back where they came from at once, those of these numbers that may be received. One whose queue is
    /// gone or unknown stays.
    pub(super) fn put_back_chosen(&mut self, queue: &str, letters: &[i64]) -> Result<Answer, Refusal> {
        let queue = self.require(queue)?;
        self.promote(&queue, usize::MAX)?;
        let sql = format!("SELECT {COLUMNS} FROM letter WHERE id = ?1 AND box = ?2 AND state = 'visible'");
        let (mut moved, mut stayed) = (0, 0);
        for number in letters {
            let mut statement = self.rows.prepare_cached(&sql)?;
            let found = statement.query_row([*number, queue.holding], read).optional()?;
            drop(statement);
            let Some(letter) = found else { continue };
            match self.put_back(&queue, letter, None)? {
                Ok(()) => moved += 1,
                Err(_) => stayed += 1,
            }
        }
        self.desk.durable |= moved > 0;
        Ok(Answer::PutBack { moved, stayed })
    }
}

const NO_QUEUE: &str = "AWS.SimpleQueueService.NonExistentQueue";
