//! How a run ended, written down: all of its tasks in one object, then the outcome, and last what the state machine reads, by the execution's name.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use kingtide_core::dispatch::Ending;
use kingtide_core::engine::event::TaskState;
use kingtide_core::id::TaskId;
use kingtide_remote::record::{self, Arrival, RunOutcome, TaskDocument, TaskLine};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::request::{Client, OrAbsent};
use serde_json::{Map, Value, json};

use super::DispatchError;
use super::opening::{Run, read};
use super::orders::Orders;
use crate::worker::left::insist;
use crate::worker::now;

/// So many tasks are read at once: ten thousand take a quarter of a minute.
const AT_ONCE: usize = 16;

pub(super) fn close(client: &Client, orders: &Orders, run: Option<&Run>, ending: &Ending) -> Result<(), DispatchError> {
    let put = |key: &str, body: &[u8]| insist(|| s3::put(client, &orders.bucket, key, body, Condition::Always));
    if let Some(run) = run {
        let keys = orders.keys.run(run.id);
        put(&keys.lines(), &lines(client, orders, run)?)?;
        let outcome = RunOutcome {
            run: run.id.0,
            job: orders.job.name.clone(),
            state: ending.state,
            late: ending.late,
            reason: ending.reason.clone(),
            counts: ending.counts.into(),
            opened_ms: run.document.opened_ms,
            ended_ms: now().0,
            dollars: ending.dollars,
        };
        put(&keys.outcome(), &record::write(&outcome))?;
    }
    let mut told = Map::new();
    told.insert("state".to_owned(), json!(ending.state.text()));
    told.insert("reason".to_owned(), json!(ending.reason.clone().unwrap_or_default()));
    let key = format!("{}/outcomes/{}.json", orders.stack, orders.execution);
    put(&key, &record::write(&told))?;
    Ok(())
}

/// A line for each task, in the order of their numbers.
fn lines(client: &Client, orders: &Orders, run: &Run) -> Result<Vec<u8>, DispatchError> {
    let keys = orders.keys.run(run.id);
    let arrivals = insist(|| s3::list(client, &orders.bucket, &keys.arrivals(), ""))?;
    let arrivals = arrivals.iter().filter_map(|object| keys.parse_arrival(&object.key));
    let own = (1..=run.bodies.len() as i64).map(|seq| run.id.task(seq));
    let tasks: Vec<TaskId> = own.chain(arrivals).collect();
    let next = Mutex::new(tasks.iter().enumerate());
    let read = Mutex::new(Vec::with_capacity(tasks.len()));
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((place, task)) = take() {
                    let line = line(client, orders, run, *task);
                    read.lock().unwrap_or_else(PoisonError::into_inner).push((place, line));
                }
            });
        }
    });
    let mut read = read.into_inner().unwrap_or_else(PoisonError::into_inner);
    read.sort_by_key(|(place, _)| *place);
    let mut text = Vec::new();
    for (_, line) in read {
        serde_json::to_writer(&mut text, &line?).expect("a line is made of texts and numbers");
        text.push(b'\n');
    }
    Ok(text)
}

fn line(client: &Client, orders: &Orders, run: &Run, task: TaskId) -> Result<TaskLine, DispatchError> {
    let keys = orders.keys.run(run.id);
    let own = usize::try_from(task.seq - 1)
        .ok()
        .and_then(|index| run.bodies.get(index));
    let body = match own {
        Some(body) => body.clone(),
        None => {
            let key = keys.arrival(task.seq);
            let found = insist(|| s3::get(client, &orders.bucket, &key))?;
            read::<Arrival>(&key, &found.body)?.body
        }
    };
    let message = serde_json::from_str(&body).unwrap_or(Value::String(body));
    let key = keys.task(task.seq);
    let found = insist(|| s3::get(client, &orders.bucket, &key).or_absent())?;
    Ok(match found {
        Some(found) => TaskLine::new(task.seq, message, &read::<TaskDocument>(&key, &found.body)?),
        // Never begun.
        None => TaskLine {
            seq: task.seq,
            state: TaskState::Cancelled,
            message,
            result: None,
            failures: 0,
            losses: 0,
            memory: None,
            attempts: Vec::new(),
        },
    })
}
