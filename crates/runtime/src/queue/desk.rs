//! What lives in memory beside the rows: the source of random numbers, the definitions of the queues that were used, and
//! which consumer instances live. All but the last can be rebuilt from the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;
use kingtide_core::contract::ACCOUNT;
use kingtide_core::time::Timestamp;

use super::definition::Queue;
use crate::store::lore::Shelf;

/// What is kept between two transactions.
#[derive(Debug)]
pub(crate) struct Desk {
    random: Rng,
    region: String,
    queues: BTreeMap<String, Arc<Queue>>,
    /// When the clock changes something in a queue, of those that nothing has touched since that was looked up.
    agenda: BTreeMap<String, Option<i64>>,
    holders: BTreeSet<String>,
    /// What is known of jobs' durations.
    pub(super) shelf: Shelf,
    /// Expired letters of queues that nobody looks at were last removed then.
    pub(super) swept_at: Option<Timestamp>,
    /// What is cached agrees with what is committed.
    settled: bool,
    /// The transaction has written what must not be lost.
    pub(super) durable: bool,
}

impl Desk {
    /// `seed` must differ between two runtimes of a project: message ids are drawn from it.
    pub(crate) fn new(seed: u64, region: &str) -> Desk {
        Desk {
            random: Rng::with_seed(seed),
            region: region.to_owned(),
            queues: BTreeMap::new(),
            agenda: BTreeMap::new(),
            holders: BTreeSet::new(),
            shelf: Shelf::default(),
            swept_at: None,
            settled: true,
            durable: false,
        }
    }

    /// A transaction begins. What the last one did is forgotten, unless it was committed.
    pub(crate) fn begin(&mut self) {
        if !self.settled {
            self.queues.clear();
            self.agenda.clear();
            self.shelf.clear();
        }
        self.settled = false;
        self.durable = false;
    }

    /// A run is over: there is more to learn from.
    pub(crate) fn learn_anew(&mut self) {
        self.shelf.clear();
    }

    /// The transaction was committed.
    pub(crate) fn committed(&mut self) {
        self.settled = true;
    }

    /// The transaction has written what a loss of power must not undo. Losing a receive is an expired visibility.
    pub(crate) fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whoever signs with this access key is a living instance of a consumer: what it holds stays in flight.
    pub(crate) fn admit_holder(&mut self, holder: &str) {
        self.holders.insert(holder.to_owned());
    }

    /// Something may be done to the queue: what is known of its future no longer holds.
    pub(super) fn touch(&mut self, name: &str) {
        self.agenda.remove(name);
    }

    pub(super) fn touch_all(&mut self) {
        self.agenda.clear();
    }

    /// Nothing has been done to the queue, and nothing in it is due.
    pub(super) fn is_calm(&self, name: &str, now: Timestamp) -> bool {
        self.agenda
            .get(name)
            .is_some_and(|next| next.is_none_or(|at| at > now.0))
    }

    /// When the clock changes something in the queue, if that is known.
    pub(super) fn next_of(&self, name: &str) -> Option<Option<i64>> {
        self.agenda.get(name).copied()
    }

    pub(super) fn plan(&mut self, name: &str, next: Option<i64>) {
        self.agenda.insert(name.to_owned(), next);
    }

    pub(super) fn known(&self, name: &str) -> Option<&Arc<Queue>> {
        self.queues.get(name)
    }

    pub(super) fn remember(&mut self, queue: Arc<Queue>) {
        self.queues.insert(queue.name.clone(), queue);
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.touch(name);
        self.queues.remove(name);
    }

    pub(super) fn is_holder(&self, holder: &str) -> bool {
        self.holders.contains(holder)
    }

    pub(super) fn dismiss_holder(&mut self, holder: &str) {
        self.holders.remove(holder);
    }

    /// The Amazon resource name of a queue.
    pub(crate) fn arn(&self, queue: &str) -> String {
        format!("arn:aws:sqs:{}:{ACCOUNT}:{queue}", self.region)
    }

    pub(super) fn number(&mut self) -> i64 {
        self.random.i64(..)
    }

    /// A version 4 UUID.
    pub(super) fn uuid(&mut self) -> String {
        let bits = self.random.u128(..);
        let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }
}

/// The name of the queue that an ARN names; `None` when the text is no ARN of a queue.
pub(super) fn queue_of_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let is_queue = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("sqs")
        && parts.next().is_some_and(|region| !region.is_empty())
        && parts
            .next()
            .is_some_and(|account| !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit()));
    let name = parts.next().filter(|name| !name.is_empty())?;
    (is_queue && parts.next().is_none()).then_some(name)
}
