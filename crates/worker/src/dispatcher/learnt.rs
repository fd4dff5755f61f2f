//! What earlier runs of the job teach of how long its tasks take: their `tasks.jsonl`, as here the database does.

use std::time::Duration;

use kingtide_core::engine::event::Outcome;
use kingtide_core::id::RunId;
use kingtide_core::message::Message;
use kingtide_core::plan::configuration::Configuration;
use kingtide_core::plan::model::{Knowledge, Observation};
use kingtide_remote::record::{Number, TaskLine};
use kingtide_remote::request::{Client, OrAbsent, s3};

use super::DispatchError;
use super::opening::{lines, read};
use super::orders::Orders;
use crate::worker::left::insist;

/// So many of the newest runs of the stack are looked through for those of the job, and so many of these are read.
const NEWEST: u32 = 50;
const RUNS: usize = 8;

/// What is known.
pub(super) struct Learnt {
    pub(super) knowledge: Knowledge,
    pub(super) failures: u64,
    pub(super) attempts: u64,
}

pub(super) fn knowledge(
    client: &Client,
    orders: &Orders,
    before: RunId,
    told: &[Configuration],
) -> Result<Learnt, DispatchError> {
    let (mut observations, mut failures, mut attempts) = (Vec::new(), 0, 0);
    let page = insist(|| s3::list_page(client, &orders.bucket, &orders.keys.numbers(), "", "", NEWEST))?;
    let mut read_runs = 0;
    for key in page.objects.iter().map(|object| object.key.as_str()) {
        let Some(run) = orders.keys.parse_number(key).filter(|run| *run < before) else {
            continue;
        };
        let found = insist(|| s3::get(client, &orders.bucket, key).or_absent())?;
        let number = found.map(|found| read::<Number>(key, &found.body)).transpose()?;
        if number.is_none_or(|number| number.job != orders.job.name) {
            continue;
        }
        let lines_key = orders.keys.run(run).lines();
        let Some(found) = insist(|| s3::get(client, &orders.bucket, &lines_key).or_absent())? else {
            continue;
        };
        for line in lines(&found.body) {
            // One that a later version has written otherwise teaches nothing.
            let Ok(line) = serde_json::from_str::<TaskLine>(&line) else {
                continue;
            };
            let key = Message::of_body(&line.message.to_string()).key();
            for attempt in &line.attempts {
                let (Some(started), Some(ended), Some(outcome)) =
                    (attempt.started_ms, attempt.ended_ms, attempt.outcome)
                else {
                    continue;
                };
                attempts += u64::from(!outcome.is_free());
                failures += u64::from(matches!(
                    outcome,
                    Outcome::Failed | Outcome::TimedOut | Outcome::OutOfMemory
                ));
                if outcome == Outcome::Succeeded {
                    let took = Duration::from_millis(u64::try_from(ended - started).unwrap_or(0));
                    observations.push(Observation::took(run.0, key, took));
                }
            }
        }
        read_runs += 1;
        if read_runs == RUNS {
            break;
        }
    }
    Ok(Learnt {
        knowledge: Knowledge::of(&observations, told, orders.job.expected),
        failures,
        attempts,
    })
}
