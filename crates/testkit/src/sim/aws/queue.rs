//! A standard queue of SQS: in no order, handed out twice now and then, back after its deletion now and then, and counted late.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html>

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use kingtide_core::dispatch::Backlog;
use kingtide_core::drain::VISIBILITY;
use kingtide_core::time::Timestamp;

/// Of so many, one is handed out although somebody holds it, or comes back although it was deleted.
const ODD: u32 = 25;
/// Counts are so old at most.
const LAG_S: u64 = 60;

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) letters: BTreeMap<u64, Letter>,
    receipts: u64,
    counted: Option<(Timestamp, Backlog)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Letter {
    /// The task; `None` where somebody else has sent it.
    pub(super) seq: Option<i64>,
    pub(super) sent_at: Timestamp,
    visible_at: Timestamp,
    receipt: u64,
}

/// A message that was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    pub(super) message: u64,
    pub(super) seq: Option<i64>,
    pub(super) receipt: u64,
}

impl Queue {
    pub(super) fn send(&mut self, message: u64, seq: Option<i64>, now: Timestamp) {
        let letter = Letter {
            seq,
            sent_at: now,
            visible_at: now,
            receipt: 0,
        };
        self.letters.insert(message, letter);
    }

    pub(super) fn receive(&mut self, now: Timestamp, random: &mut Rng, is_calm: bool) -> Option<Received> {
        let ready = self.letters.iter().filter(|(_, letter)| letter.visible_at <= now);
        let ready: Vec<u64> = ready.map(|(message, _)| *message).collect();
        let message = *random.choice(&ready)?;
        self.receipts += 1;
        let receipt = self.receipts;
        let is_odd = !is_calm && random.u32(..ODD) == 0;
        let letter = self.letters.get_mut(&message)?;
        letter.receipt = receipt;
        if !is_odd {
            letter.visible_at = now + VISIBILITY;
        }
        Some(Received {
            message,
            seq: letter.seq,
            receipt,
        })
    }

    /// Hidden until then, by whoever has received it last.
    pub(super) fn hide(&mut self, of: &Received, until: Timestamp) {
        if let Some(letter) = self
            .letters
            .get_mut(&of.message)
            .filter(|letter| letter.receipt == of.receipt)
        {
            letter.visible_at = until;
        }
    }

    pub(super) fn delete(&mut self, of: &Received, now: Timestamp, random: &mut Rng, is_calm: bool) {
        if !is_calm && random.u32(..ODD) == 0 {
            // A server that was away has a copy.
            if let Some(letter) = self.letters.get_mut(&of.message) {
                letter.visible_at = now + Duration::from_secs(30);
            }
            return;
        }
        self.letters.remove(&of.message);
    }

    /// As it was some time ago.
    pub(super) fn count(&mut self, now: Timestamp, random: &mut Rng) -> Backlog {
        let age = Duration::from_secs(random.u64(..LAG_S));
        if let Some((at, counted)) = self.counted
            && now.since(at) < age
        {
            return counted;
        }
        let visible = self.letters.values().filter(|letter| letter.visible_at <= now).count() as u64;
        let counted = Backlog {
            visible,
            hidden: self.letters.len() as u64 - visible,
            delayed: 0,
        };
        self.counted = Some((now, counted));
        counted
    }
}
