//! Messages that somebody else has sent: each becomes a task of the run whose worker receives it, with a number after those of the run. The queue may
//! hand a message out again, to anybody, and it has to be the same task then: so the number comes of the message's own id, and
//! `arrivals/<seq>` says whose it is. Where two ids come to one number the later takes the next that is free; as nothing is ever removed,
//! everybody who looks finds the same.

use kingtide_core::hash::fnv1a;
use kingtide_core::id::{RunId, TaskId};
use kingtide_remote::record::{self, Arrival, RunDocument};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::request::sqs::Message;
use kingtide_remote::request::{Client, Kind, OrAbsent};

use super::left::{Unsaved, insist};
use super::now;
use crate::settings::Settings;

/// Numbers are this far apart at random: two in a thousand of a thousand messages meet.
const SPREAD: u64 = 1_000_000_000;

/// The task that a message is, which says nothing itself.
pub(crate) fn task(
    client: &Client,
    settings: &Settings,
    run: RunId,
    total: u64,
    message: &Message,
) -> Result<TaskId, Unsaved> {
    let keys = settings.keys.run(run);
    let arrival = Arrival {
        message_id: message.id.clone(),
        body: message.body.clone(),
        arrived_ms: now().0,
    };
    let document = record::write(&arrival);
    let mut seq = number(total, &message.id);
    loop {
        let key = keys.arrival(seq);
        let written = insist(
            || match s3::put(client, &settings.bucket, &key, &document, Condition::Absent) {
                Ok(_) => Ok(true),
                Err(error) if error.is(Kind::Precondition) => Ok(false),
                Err(error) => Err(error),
            },
        )?;
        if written {
            return Ok(run.task(seq));
        }
        let found = insist(|| s3::get(client, &settings.bucket, &key).or_absent())?;
        let found: Option<Arrival> = found.and_then(|found| record::read(&key, &found.body).ok());
        match found {
            // It was here before, or another try of this very request was.
            Some(found) if found.message_id == message.id => return Ok(run.task(seq)),
            _ => seq += 1,
        }
    }
}

/// How many messages a run has of its own: those of others come after them.
pub(crate) fn total(client: &Client, settings: &Settings, run: RunId) -> Result<u64, Unsaved> {
    let key = settings.keys.run(run).document();
    let found = insist(|| s3::get(client, &settings.bucket, &key).or_absent())?;
    let Some(found) = found else { return Ok(0) };
    let document: RunDocument = record::read(&key, &found.body).map_err(|error| Unsaved(error.to_string()))?;
    Ok(document.total)
}

/// It must never change between versions.
fn number(total: u64, id: &str) -> i64 {
    i64::try_from(total + 1 + fnv1a(id.as_bytes()) % SPREAD).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_same_number_wherever_it_is_received() {
        let id = "d3f6f5a4-5b0e-4b6c-9a51-6f5d0f1f6f1e";
        assert_eq!(number(100, id), number(100, id));
        assert!(number(100, id) > 100);
        assert_ne!(number(100, id), number(100, "d3f6f5a4-5b0e-4b6c-9a51-6f5d0f1f6f1f"));
        // Written down: an arrival of an earlier version is found by a later one.
        assert_eq!(number(0, "a"), 1 + (0xaf63_dc4c_8601_ec8c_u64 % SPREAD) as i64);
    }
}
