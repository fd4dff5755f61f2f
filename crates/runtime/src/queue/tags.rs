//! Tags of queues: texts that people hang on them.

use std::collections::BTreeMap;

use super::definition::Queue;
use super::{Queues, Refusal, invalid, limits, missing};
use crate::sqs::fault::Fault;

/// Letters, digits, white space and `_.:/=+-@`.
fn is_allowed(character: char) -> bool {
    character.is_alphanumeric() || character.is_whitespace() || "_.:/=+-@".contains(character)
}

pub(super) fn check(queue: &str, tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    for (key, value) in tags {
        check_key(key)?;
        if value.chars().count() > limits::TAG_VALUE_CHARACTERS {
            return Err(invalid("Tag values must be between 0 and 256 characters in length."));
        }
        if !key.chars().chain(value.chars()).all(is_allowed) {
            return Err(invalid(format!(
                "Tag `{key}` is invalid. Reason: keys and values can only include letters, digits, white space and _.:/=+-@"
            )));
        }
        // Upper and lower case alike.
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(format!(
                "Tag `{key}` is invalid. Reason: keys that start with aws: are reserved."
            )));
        }
    }
    if tags.len() > limits::TAGS {
        return Err(invalid(format!("Too many tags added for queue {queue}.")));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), Fault> {
    if (1..=limits::TAG_KEY_CHARACTERS).contains(&key.chars().count()) {
        return Ok(());
    }
    Err(invalid("Tag keys must be between 1 and 128 characters in length."))
}

impl Queues<'_> {
    pub(super) fn tag_queue(&mut self, name: &str, tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let queue = self.require(name)?;
        if tags.is_empty() {
            return Err(missing("Tags").into());
        }
        let mut changed = Queue::clone(&queue);
        changed
            .tags
            .extend(tags.iter().map(|(key, value)| (key.clone(), value.clone())));
        check(name, tags)?;
        check(name, &changed.tags)?;
        self.rewrite(changed).map(drop)
    }

    pub(super) fn untag_queue(&mut self, name: &str, keys: &[String]) -> Result<(), Refusal> {
        let queue = self.require(name)?;
        if keys.is_empty() {
            return Err(missing("TagKeys").into());
        }
        keys.iter().try_for_each(|key| check_key(key))?;
        let mut changed = Queue::clone(&queue);
        changed.tags.retain(|key, _| !keys.contains(key));
        self.rewrite(changed).map(drop)
    }
}
