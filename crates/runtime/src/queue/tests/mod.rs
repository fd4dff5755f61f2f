//! The queues against a database in memory, with a clock that the test moves.

mod attributes;
mod consumer;
mod deadletter;
mod fifo;
mod jobs;
mod lifecycle;
mod model;
mod moves;
mod pace;
mod receive;
mod reference;
mod send;

use std::collections::BTreeMap;

use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use rusqlite::Connection;

use super::counts::QueueCounts;
use super::{Desk, Note, Outcome, Queues};
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::{Answer, Caller, Operation, Receive, Received, Send, Sent};
use crate::store::MIGRATIONS;

/// A project's queues, seen from outside.
struct House {
    rows: Connection,
    desk: Desk,
    now: Timestamp,
    jobs: BTreeMap<String, Job>,
    caller: Caller,
    notes: Vec<Note>,
    /// Whether the last operation needed a flush.
    durable: bool,
}

const START: Timestamp = Timestamp(1_700_000_000_000);

impl House {
    fn new() -> House {
        let rows = Connection::open_in_memory().expect("memory");
        rows.set_prepared_statement_cache_capacity(128);
        for migration in MIGRATIONS {
            rows.execute_batch(migration).expect("a schema");
        }
        House {
            rows,
            desk: Desk::new(7, "us-east-1"),
            now: START,
            jobs: BTreeMap::new(),
            caller: Caller::default(),
            notes: Vec::new(),
            durable: false,
        }
    }

    /// A house with a job `retrain` that fills `{dest}`, unless it is a consumer, which reads its messages itself.
    fn with_job(keys: &str) -> House {
        let mut house = House::new();
        house.set_job(keys);
        house
    }

    fn set_job(&mut self, keys: &str) {
        let argument = if keys.contains("consumer") { "" } else { "{dest}" };
        let text = format!("[project]\nname = \"p\"\n[job.retrain]\ncommand = [\"train\", \"{argument}\"]\n{keys}");
        let (project, findings) = kingtide_core::project::load(&text);
        self.jobs = project.unwrap_or_else(|| panic!("{findings:?}")).jobs;
        self.with(|queues| queues.ensure_job_queues()).expect("made");
    }

    /// One transaction of its own.
    fn with<T>(&mut self, act: impl FnOnce(&mut Queues<'_>) -> T) -> T {
        let tx = self.rows.unchecked_transaction().expect("begins");
        self.desk.begin();
        let mut queues = Queues::open(&tx, &mut self.desk, self.now, &self.jobs);
        let result = act(&mut queues);
        self.notes.extend(queues.take_notes());
        self.durable = self.desk.is_durable();
        tx.commit().expect("committed");
        self.desk.committed();
        result
    }

    fn try_perform(&mut self, operation: &Operation) -> Result<Outcome, Fault> {
        let caller = self.caller.clone();
        self.with(|queues| queues.perform(&caller, operation))
            .expect("the store works")
    }

    #[track_caller]
    fn perform(&mut self, operation: &Operation) -> Answer {
        match self.try_perform(operation) {
            Ok(Outcome::Answer(answer)) => answer,
            other => panic!("{operation:?}: {other:?}"),
        }
    }

    #[track_caller]
    fn refuse(&mut self, operation: &Operation) -> (Code, String) {
        match self.try_perform(operation) {
            Err(fault) => (fault.code, fault.message),
            Ok(outcome) => panic!("{operation:?} was not refused: {outcome:?}"),
        }
    }

    fn pass(&mut self, seconds: i64) {
        self.now = Timestamp(self.now.0 + seconds * 1000);
    }

    #[track_caller]
    fn create(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.perform(&create(name, attributes));
    }

    #[track_caller]
    fn send(&mut self, queue: &str, body: &str) -> Sent {
        self.send_as(queue, message(body))
    }

    #[track_caller]
    fn send_as(&mut self, queue: &str, message: Send) -> Sent {
        let queue = queue.to_owned();
        match self.perform(&Operation::SendMessage { queue, message }) {
            Answer::Sent(sent) => sent,
            other => panic!("{other:?}"),
        }
    }

    /// Up to ten messages, hidden for the queue's own time.
    #[track_caller]
    fn receive(&mut self, queue: &str) -> Vec<Received> {
        self.receive_as(Receive {
            max: Some(10),
            ..receive(queue)
        })
    }

    #[track_caller]
    fn receive_as(&mut self, receive: Receive) -> Vec<Received> {
        match self.perform(&Operation::ReceiveMessage(receive)) {
            Answer::Received(received) => received,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn bodies(&mut self, queue: &str) -> Vec<String> {
        self.receive(queue).into_iter().map(|received| received.body).collect()
    }

    #[track_caller]
    fn delete(&mut self, queue: &str, receipt: &str) {
        self.perform(&delete(queue, receipt));
    }

    #[track_caller]
    fn attribute(&mut self, queue: &str, name: &str) -> Option<String> {
        let operation = Operation::GetQueueAttributes {
            queue: queue.to_owned(),
            names: vec![name.to_owned()],
        };
        match self.perform(&operation) {
            Answer::Attributes(mut attributes) => attributes.remove(name),
            other => panic!("{other:?}"),
        }
    }

    /// Visible, in flight, delayed.
    #[track_caller]
    fn counts(&mut self, queue: &str) -> (u64, u64, u64) {
        let counts = self.with(|queues| queues.counts(queue)).expect("the store works");
        let QueueCounts {
            visible,
            in_flight,
            delayed,
        } = counts.expect("there is such a queue");
        (visible, in_flight, delayed)
    }

    fn notes(&mut self) -> Vec<Note> {
        let notes = std::mem::take(&mut self.notes).into_iter();
        notes.filter(|note| !matches!(note, Note::Visible { .. })).collect()
    }

    fn scalar<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.rows.query_row(sql, [], |row| row.get(0)).expect("a row")
    }
}

fn create(name: &str, attributes: &[(&str, &str)]) -> Operation {
    Operation::CreateQueue {
        name: name.to_owned(),
        attributes: map(attributes),
        tags: BTreeMap::new(),
    }
}

fn set(queue: &str, attributes: &[(&str, &str)]) -> Operation {
    Operation::SetQueueAttributes {
        queue: queue.to_owned(),
        attributes: map(attributes),
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn message(body: &str) -> Send {
    Send {
        body: body.to_owned(),
        ..Send::default()
    }
}

fn receive(queue: &str) -> Receive {
    Receive {
        queue: queue.to_owned(),
        system: vec!["All".to_owned()],
        attributes: vec!["All".to_owned()],
        ..Receive::default()
    }
}

fn delete(queue: &str, receipt: &str) -> Operation {
    Operation::DeleteMessage {
        queue: queue.to_owned(),
        receipt: receipt.to_owned(),
    }
}

fn visibility(queue: &str, receipt: &str, visibility: i64) -> Operation {
    Operation::ChangeMessageVisibility {
        queue: queue.to_owned(),
        receipt: receipt.to_owned(),
        visibility,
    }
}

fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{queue}")
}

fn redrive_to(queue: &str, max: i64) -> String {
    format!(
        r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":"{max}"}}"#,
        arn(queue)
    )
}
