//! A small loop: performs calls one after the other in a database in memory, and keeps receives that wait.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use kingtide_core::time::Timestamp;
use rusqlite::Connection;

use crate::queue::{Desk, Outcome, Queues};
use crate::sqs::Call;
use crate::sqs::operation::Answer;
use crate::store::MIGRATIONS;

/// Starts it; it ends when nobody can call any more.
pub(super) fn start() -> impl Fn(Call) + Send + Sync + 'static {
    let (calls, inbox) = mpsc::channel::<Call>();
    std::thread::spawn(move || {
        let mut pump = Pump::new();
        while let Some(call) = pump.next(&inbox) {
            pump.waiting.retain(|(_, call)| !call.reply.is_closed());
            if let Some(call) = call {
                pump.perform(call);
            }
            for (until, call) in std::mem::take(&mut pump.waiting) {
                if until <= now() {
                    let _ = call.reply.send(Ok(Answer::Received(Vec::new())));
                } else {
                    pump.perform_waiting(until, call);
                }
            }
        }
    });
    move |call| {
        let _ = calls.send(call);
    }
}

struct Pump {
    rows: Connection,
    desk: Desk,
    waiting: Vec<(Timestamp, Call)>,
}

fn now() -> Timestamp {
    crate::runtime::now()
}

impl Pump {
    fn new() -> Pump {
        let rows = Connection::open_in_memory().expect("memory");
        for migration in MIGRATIONS {
            rows.execute_batch(migration).expect("a schema");
        }
        Pump {
            rows,
            desk: Desk::new(7, "us-east-1"),
            waiting: Vec::new(),
        }
    }

    /// `None` at the end, `Some(None)` when only time has passed.
    fn next(&self, inbox: &mpsc::Receiver<Call>) -> Option<Option<Call>> {
        let Some(first) = self.waiting.iter().map(|(until, _)| until.0 - now().0).min() else {
            return inbox.recv().ok().map(Some);
        };
        // Messages also become visible by themselves, which this loop looks for instead of being told.
        let wait = first.clamp(0, 50).unsigned_abs();
        match inbox.recv_timeout(Duration::from_millis(wait)) {
            Ok(call) => Some(Some(call)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn outcome(&mut self, call: &Call) -> Result<Outcome, crate::sqs::fault::Fault> {
        let tx = self.rows.unchecked_transaction().expect("begins");
        let jobs = BTreeMap::new();
        self.desk.begin();
        let mut queues = Queues::open(&tx, &mut self.desk, now(), &jobs);
        let outcome = queues.perform(&call.caller, &call.operation).expect("the store works");
        tx.commit().expect("committed");
        self.desk.committed();
        outcome
    }

    fn perform(&mut self, call: Call) {
        let answer = match self.outcome(&call) {
            Ok(Outcome::Empty { until, .. }) => return self.waiting.push((until, call)),
            Ok(Outcome::Answer(answer)) => Ok(answer),
            Err(fault) => Err(fault),
        };
        let _ = call.reply.send(answer);
    }

    fn perform_waiting(&mut self, until: Timestamp, call: Call) {
        match self.outcome(&call) {
            Ok(Outcome::Empty { .. }) => self.waiting.push((until, call)),
            Ok(Outcome::Answer(answer)) => {
                let _ = call.reply.send(Ok(answer));
            }
            Err(fault) => {
                let _ = call.reply.send(Err(fault));
            }
        }
    }
}
