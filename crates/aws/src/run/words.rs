//! `send` and `cancel`: what is said to a run, or to the next.

use std::collections::BTreeMap;

use kingtide_core::id::RunId;
use kingtide_remote::record::{self, Cancel};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::request::sqs::{self, Letter};
use kingtide_remote::wire::{Event, FailureKind};
use serde_json::Value as Json;

use super::{is_taken, opened};
use crate::failure::{Failure, Outcome};
use crate::site::{Site, now_ms, of_job};

/// What a message has beside its body, roughly.
const OVERHEAD: usize = 256;

pub(crate) fn send(site: &mut Site<'_>, job: &str, messages: &[Json]) -> Outcome {
    let stack = site.deployed()?;
    let queue = of_job(&stack, job, "QueueUrl")?;
    let letters: Vec<Letter> = messages.iter().map(letter).collect();
    let mut sent = 0;
    for batch in batches(&letters) {
        let untaken = sqs::send(site.client, queue, batch)?;
        if let Some(first) = untaken.first() {
            let taken = sent + batch.len() - untaken.len();
            let message = format!(
                "{taken} of {} messages were taken by the queue, and others were not",
                messages.len()
            );
            return Err(Failure::new(FailureKind::Refused, message).because(&first.message));
        }
        sent += batch.len();
    }
    // Where a run is open already it finds them; else this begins one.
    if let Ok(bell) = of_job(&stack, job, "DoorbellUrl") {
        sqs::send(site.client, bell, &[letter(&Json::Object(serde_json::Map::new()))])?;
    }
    site.say(Event::Sent { messages: sent as u64 })
}

fn letter(message: &Json) -> Letter {
    Letter {
        body: message.to_string(),
        attributes: BTreeMap::new(),
        ..Letter::default()
    }
}

/// As many at once as a request may hold.
fn batches(letters: &[Letter]) -> Vec<&[Letter]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, letter) in letters.iter().enumerate() {
        let size = letter.body.len() + OVERHEAD;
        if index > start && (index - start == sqs::BATCH || bytes + size > sqs::MOST_BYTES) {
            batches.push(&letters[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    if start < letters.len() {
        batches.push(&letters[start..]);
    }
    batches
}

pub(crate) fn cancel(site: &mut Site<'_>, run: i64, by: &str) -> Outcome {
    let bucket = site.bucket()?;
    let keys = site.keys().run(RunId(run));
    opened(site, &bucket, &keys)?;
    let word = Cancel {
        at_ms: now_ms(),
        by: by.to_owned(),
    };
    match s3::put(
        site.client,
        &bucket,
        &keys.cancel(),
        &record::write(&word),
        Condition::Absent,
    ) {
        Ok(_) => Ok(()),
        // Somebody wanted it before.
        Err(error) if is_taken(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_ten_messages_and_a_mebibyte_at_most() {
        let of = |sizes: &[usize]| {
            let letters: Vec<Letter> = sizes
                .iter()
                .map(|size| letter(&Json::from("m".repeat(*size))))
                .collect();
            batches(&letters).iter().map(|batch| batch.len()).collect::<Vec<_>>()
        };
        assert_eq!(of(&[1; 23]), [10, 10, 3]);
        assert_eq!(of(&[500_000, 500_000, 500_000]), [2, 1]);
        assert_eq!(of(&[]), [] as [usize; 0]);
    }
}
