//! What holds of every batch: one to ten entries with names of their own.

use std::collections::BTreeSet;

use super::{Refusal, limits};
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::Entry;

/// `kind` is how the API calls an entry: `SendMessageBatchRequestEntry`.
pub(super) fn check<T>(entries: &[Entry<T>], kind: &str) -> Result<(), Fault> {
    if entries.is_empty() {
        let message = format!("There should be at least one {kind} in the request.");
        return Err(Fault::new(Code::EmptyBatchRequest, message));
    }
    if entries.len() > limits::BATCH_ENTRIES {
        let message = format!(
            "Maximum number of entries per request are {}. You have sent {}.",
            limits::BATCH_ENTRIES,
            entries.len()
        );
        return Err(Fault::new(Code::TooManyEntriesInBatchRequest, message));
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_id = |id: &str| (1..=limits::ENTRY_ID_BYTES).contains(&id.len()) && id.bytes().all(is_allowed);
    if !entries.iter().all(|entry| is_id(&entry.id)) {
        return Err(Fault::new(
            Code::InvalidBatchEntryId,
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
             letters long.",
        ));
    }
    let mut seen = BTreeSet::new();
    if let Some(again) = entries.iter().find(|entry| !seen.insert(&entry.id)) {
        let message = format!("Id {} repeated.", again.id);
        return Err(Fault::new(Code::BatchEntryIdsNotDistinct, message));
    }
    Ok(())
}

/// Each entry succeeds or fails on its own; only a failing store ends the batch.
pub(super) fn each<T, A>(
    entries: &[Entry<T>],
    mut perform: impl FnMut(&T) -> Result<A, Refusal>,
) -> Result<Vec<Entry<Result<A, Fault>>>, Refusal> {
    let mut answers = Vec::with_capacity(entries.len());
    for entry in entries {
        let of = match perform(&entry.of) {
            Ok(answer) => Ok(answer),
            Err(Refusal::Fault(fault)) => Err(fault),
            Err(Refusal::Store(error)) => return Err(Refusal::Store(error)),
        };
        answers.push(Entry {
            id: entry.id.clone(),
            of,
        });
    }
    Ok(answers)
}
