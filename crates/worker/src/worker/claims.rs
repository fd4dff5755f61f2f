//! The task's document in the bucket, which says whose the attempt is: read, and written only over what was read. Whoever comes second reads again.

use std::time::Duration;

use kingtide_core::drain::{Claim, Entry, Record};
use kingtide_core::id::TaskId;
use kingtide_remote::record::{self, Keys, Place, TaskDocument};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::request::{Client, Kind, OrAbsent};

use super::left::{Unsaved, insist};
use super::now;
use super::program::Ran;

/// A task's document as it was last read or written.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    key: String,
    pub(crate) document: TaskDocument,
    etag: String,
}

/// What came of writing.
enum Written {
    Done(String),
    /// Somebody was first, or it was this very request at its first try.
    Beaten,
}

/// The documents of tasks.
pub(crate) struct Claims<'a> {
    pub(crate) client: &'a Client,
    pub(crate) keys: &'a Keys,
    pub(crate) bucket: &'a str,
    pub(crate) place: &'a Place,
}

impl Claims<'_> {
    /// Whether the run is to end.
    pub(crate) fn is_cancelled(&self, task: TaskId) -> Result<bool, Unsaved> {
        let key = self.keys.run(task.run).cancel();
        let found = insist(|| s3::head(self.client, self.bucket, &key).or_absent())?;
        Ok(found.is_some())
    }

    /// Claims the next attempt, if it is there to be had.
    pub(crate) fn claim(
        &self,
        task: TaskId,
        hold: Duration,
        memory: Option<u64>,
    ) -> Result<(Claim, Option<Claimed>), Unsaved> {
        let key = self.keys.run(task.run).task(task.seq);
        let mut wish: Option<(TaskDocument, Claim)> = None;
        loop {
            let read = self.read(&key)?;
            if let (Some((document, claim)), Some(read)) = (&wish, &read)
                && read.document == *document
            {
                return Ok((*claim, Some(read.clone())));
            }
            let before = read.as_ref().map(|read| &read.document);
            let now = now();
            let (entry, claim) = Entry::claim(before.map(TaskDocument::entry), now, hold, memory);
            let Some(entry) = entry else { return Ok((claim, read)) };
            let document = TaskDocument::claimed(before, entry, self.place, now);
            match self.write(&key, &document, read.as_ref())? {
                Written::Done(etag) => return Ok((claim, Some(Claimed { key, document, etag }))),
                Written::Beaten => wish = Some((document, claim)),
            }
        }
    }

    /// Writes down that no attempt follows; `None` where somebody is at it.
    pub(crate) fn abandon(&self, task: TaskId) -> Result<Option<Claimed>, Unsaved> {
        let key = self.keys.run(task.run).task(task.seq);
        loop {
            let read = self.read(&key)?;
            let before = read.as_ref().map(|read| &read.document);
            let Some(document) = TaskDocument::abandoned(before, now()) else {
                return Ok(read.filter(|read| read.document.state().is_over()));
            };
            if let Written::Done(etag) = self.write(&key, &document, read.as_ref())? {
                return Ok(Some(Claimed { key, document, etag }));
            }
        }
    }

    /// Holds the attempt for so long from now; false where it is no longer this worker's.
    pub(crate) fn extend(&self, claimed: &mut Claimed, hold: Duration) -> Result<bool, Unsaved> {
        let until = now() + hold;
        self.change(claimed, |document| {
            let entry = document.entry().extended(document.claim.attempt, until)?;
            Some(document.clone().with(entry))
        })
    }

    /// Writes down what came of the attempt; false where it is no longer this worker's.
    pub(crate) fn record(&self, claimed: &mut Claimed, of: &Record, ran: Option<&Ran>) -> Result<bool, Unsaved> {
        let ended_ms = ran.map_or_else(|| now().0, |ran| ran.ended_ms);
        self.change(claimed, |document| {
            let entry = document.entry().ended(of.attempt, of.ledger, of.is_final)?;
            let mut document = document.clone().with(entry);
            let attempt = document.attempts.last_mut()?;
            attempt.ended_ms = Some(ended_ms);
            attempt.outcome = Some(of.outcome);
            attempt.reason.clone_from(&of.reason);
            attempt.exit_code = of.exit_code;
            if let Some(ran) = ran {
                attempt.started_ms = Some(ran.started_ms);
                attempt.usage = ran.usage;
                attempt.log = ran.log;
                attempt.result = ran.result;
                attempt.output = ran.output;
                attempt.tail.clone_from(&ran.tail);
            }
            Some(document)
        })
    }

    /// Writes what `make` makes of the document, as long as the attempt is this worker's.
    fn change(
        &self,
        claimed: &mut Claimed,
        make: impl Fn(&TaskDocument) -> Option<TaskDocument>,
    ) -> Result<bool, Unsaved> {
        let attempt = claimed.document.claim.attempt;
        loop {
            let Some(document) = make(&claimed.document) else {
                return Ok(false);
            };
            match self.write(&claimed.key, &document, Some(claimed))? {
                Written::Done(etag) => {
                    claimed.document = document;
                    claimed.etag = etag;
                    return Ok(true);
                }
                Written::Beaten => {
                    let Some(read) = self.read(&claimed.key)? else {
                        return Ok(false);
                    };
                    let is_ours = read.document.claim.attempt == attempt && self.is_here(&read.document, claimed);
                    let was_us = read.document == document;
                    *claimed = read;
                    match (was_us, is_ours) {
                        (true, _) => return Ok(true),
                        (false, true) => {}
                        (false, false) => return Ok(false),
                    }
                }
            }
        }
    }

    /// Whether the last attempt is the one that this worker has claimed.
    fn is_here(&self, read: &TaskDocument, claimed: &Claimed) -> bool {
        let last = |document: &TaskDocument| {
            document
                .attempts
                .last()
                .map(|last| (last.place.clone(), last.claimed_ms))
        };
        last(read) == last(&claimed.document)
    }

    fn read(&self, key: &str) -> Result<Option<Claimed>, Unsaved> {
        let found = insist(|| s3::get(self.client, self.bucket, key).or_absent())?;
        let Some(found) = found else { return Ok(None) };
        let document = record::read(key, &found.body).map_err(|error| Unsaved(error.to_string()))?;
        Ok(Some(Claimed {
            key: key.to_owned(),
            document,
            etag: found.head.etag,
        }))
    }

    fn write(&self, key: &str, document: &TaskDocument, over: Option<&Claimed>) -> Result<Written, Unsaved> {
        let condition = over.map_or(Condition::Absent, |over| Condition::Match(&over.etag));
        let body = record::write(document);
        insist(|| match s3::put(self.client, self.bucket, key, &body, condition) {
            Ok(head) => Ok(Written::Done(head.etag)),
            Err(error) if error.is(Kind::Precondition) || error.is(Kind::NotFound) => Ok(Written::Beaten),
            Err(error) => Err(error),
        })
    }
}
