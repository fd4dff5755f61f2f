//! Whose attempt it is: one object for each message in the bucket, written only over what was read (`If-Match`, or `If-None-Match: *` for the
//! first: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>). Attempts are counted here and not by the queue,
//! whose count is also of receives that came to nothing.

use std::time::Duration;

use crate::engine::event::Ledger;
use crate::time::Timestamp;

/// What became of the wish to begin an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Claim {
    Mine {
        attempt: u32,
        ledger: Ledger,
    },
    /// It is, and the one before never ended: its worker is gone. The ledger is that of before.
    Lost {
        attempt: u32,
        ledger: Ledger,
    },
    /// It is over: nothing is left to do, but to write that down where a dispatcher looks (`ends/`): whoever ended it may have been lost before
    /// that.
    Done,
    /// Another worker is at it.
    Others,
    /// It needs more memory than this worker has.
    Outgrown,
    /// Its run was cancelled; nothing is claimed yet.
    Cancelled,
}

/// The object of one message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The last attempt.
    pub attempt: u32,
    pub ledger: Ledger,
    pub standing: Standing,
}

/// How that attempt stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// Its worker has last said so; it is lost when it says nothing more until then.
    Held { until: Timestamp },
    /// It has ended, and another follows.
    Ended,
    /// It has ended, and none follows.
    Over,
}

impl Entry {
    /// What to write over what was read, and what that makes of it; nothing is written where nothing changes. `memory` is what the worker
    /// has, in bytes, where that is limited.
    pub fn claim(read: Option<Entry>, now: Timestamp, hold: Duration, memory: Option<u64>) -> (Option<Entry>, Claim) {
        let until = now + hold;
        let (mut ledger, mut attempt, mut is_lost) = (Ledger::default(), 1, false);
        if let Some(entry) = read {
            ledger = entry.ledger;
            attempt = entry.attempt + 1;
            match entry.standing {
                Standing::Over => return (None, Claim::Done),
                Standing::Held { until } if until > now => return (None, Claim::Others),
                _ if ledger.needs_more_than(memory) => return (None, Claim::Outgrown),
                Standing::Held { .. } => is_lost = true,
                Standing::Ended => {}
            }
        }
        let claim = match is_lost {
            true => Claim::Lost { attempt, ledger },
            false => Claim::Mine { attempt, ledger },
        };
        ledger.losses += u32::from(is_lost);
        let entry = Entry {
            attempt,
            ledger,
            standing: Standing::Held { until },
        };
        (Some(entry), claim)
    }

    /// No attempt follows; `None` where somebody is at the last one, or nothing would follow anyway. The last attempt stays what it was.
    pub fn abandoned(read: Option<Entry>, now: Timestamp) -> Option<Entry> {
        let entry = read.unwrap_or(Entry {
            attempt: 0,
            ledger: Ledger::default(),
            standing: Standing::Ended,
        });
        match entry.standing {
            Standing::Over => None,
            Standing::Held { until } if until > now => None,
            Standing::Held { .. } | Standing::Ended => Some(Entry {
                standing: Standing::Over,
                ..entry
            }),
        }
    }

    /// The same attempt, held for longer; `None` when it is no longer this worker's.
    pub fn extended(self, attempt: u32, until: Timestamp) -> Option<Entry> {
        let is_held = matches!(self.standing, Standing::Held { .. });
        (self.attempt == attempt && is_held).then_some(Entry {
            standing: Standing::Held { until },
            ..self
        })
    }

    /// The attempt has ended so; `None` when it is no longer this worker's.
    pub fn ended(self, attempt: u32, ledger: Ledger, is_final: bool) -> Option<Entry> {
        let is_held = matches!(self.standing, Standing::Held { .. });
        (self.attempt == attempt && is_held).then_some(Entry {
            ledger,
            standing: if is_final { Standing::Over } else { Standing::Ended },
            ..self
        })
    }
}

impl Ledger {
    /// Whether its task has grown beyond what a worker has.
    pub fn needs_more_than(&self, memory: Option<u64>) -> bool {
        self.memory.zip(memory).is_some_and(|(needed, memory)| needed > memory)
    }
}
