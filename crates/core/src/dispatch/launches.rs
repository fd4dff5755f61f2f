//! `RunTask`, as fast as AWS lets: ten tasks a call, a hundred at once and twenty a second after that, each call with a token of its own, so
//! that it may be made again. What is throttled is made again after a time that is drawn anew each time ("full jitter"); what is refused for
//! another reason waits longer each time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::{Launch, Market};
use super::memory::{Asked, Memory};
use super::refusal::Refusal;
use crate::hash::fnv1a;
use crate::time::Timestamp;

/// Tasks of one call (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>).
const PER_CALL: u32 = 10;
/// Of Fargate's launches, on demand and Spot each
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html>).
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 20.0;
/// The longest wait after the first throttled call, doubled with each.
const THROTTLED: Duration = Duration::from_secs(1);
const MOST_THROTTLED: Duration = Duration::from_secs(60);
/// The same where something else is wrong.
const REFUSED: Duration = Duration::from_secs(15);
const MOST_REFUSED: Duration = Duration::from_secs(300);
/// Where there was no Spot capacity, on demand is taken for so long.
const NO_SPOT: Duration = Duration::from_secs(600);

/// Launches that are wanted, and how they go.
#[derive(Debug)]
pub(super) struct Launches {
    /// Wanted, and not asked for.
    pub(super) short: BTreeMap<(usize, Market), u32>,
    buckets: BTreeMap<Market, Bucket>,
    not_before: Timestamp,
    no_spot_until: Timestamp,
    pub(super) trouble: Option<Trouble>,
}

/// Refusals without a launch between them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trouble {
    pub(super) since: Timestamp,
    pub(super) times: u32,
    pub(super) refusal: Refusal,
    pub(super) reason: String,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

impl Launches {
    pub(super) fn new(now: Timestamp) -> Launches {
        let full = Bucket { tokens: BURST, at: now };
        Launches {
            short: BTreeMap::new(),
            buckets: BTreeMap::from([(Market::OnDemand, full), (Market::Spot, full)]),
            not_before: now,
            no_spot_until: now,
            trouble: None,
        }
    }

    /// Whether Spot capacity was there when it was last asked for.
    pub(super) fn has_spot(&self, now: Timestamp) -> bool {
        now >= self.no_spot_until
    }

    /// The calls that may be made now; they are in the memory, which has to be saved before.
    pub(super) fn pour(&mut self, now: Timestamp, memory: &mut Memory, name: &str) -> Vec<Launch> {
        let mut launches = Vec::new();
        if now < self.not_before {
            return launches;
        }
        for ((size, market), short) in &mut self.short {
            let Some(bucket) = self.buckets.get_mut(market) else {
                continue;
            };
            bucket.fill(now);
            while *short > 0 {
                let count = (*short).min(PER_CALL);
                if bucket.tokens < f64::from(count) {
                    break;
                }
                bucket.tokens -= f64::from(count);
                *short -= count;
                memory.launches += 1;
                let launch = Launch {
                    number: memory.launches,
                    count,
                    size: *size,
                    market: *market,
                    token: token(name, memory.launches),
                };
                let asked = Asked {
                    launch: launch.clone(),
                    at: now,
                    tries: 0,
                    again: None,
                };
                memory.asked.insert(launch.number, asked);
                launches.push(launch);
            }
        }
        self.short.retain(|_, short| *short > 0);
        launches
    }

    /// Calls that were throttled and may be made again now.
    pub(super) fn again(&mut self, now: Timestamp, memory: &mut Memory) -> Vec<Launch> {
        let due = memory
            .asked
            .values_mut()
            .filter(|asked| asked.again.is_some_and(|at| at <= now));
        let launches = due.map(|asked| {
            asked.again = None;
            asked.launch.clone()
        });
        launches.collect()
    }

    /// When there is something to do for it.
    pub(super) fn next_wakeup(&self, memory: &Memory) -> Option<Timestamp> {
        let again = memory.asked.values().filter_map(|asked| asked.again);
        let short = self.short.iter().filter_map(|((_, market), short)| {
            let bucket = self.buckets.get(market)?;
            let missing = f64::from((*short).min(PER_CALL)) - bucket.tokens;
            let wait = Duration::from_secs_f64((missing / PER_SECOND).max(0.0));
            // A whole millisecond later, so that it is there whatever was rounded.
            Some((bucket.at + wait + Duration::from_millis(1)).max(self.not_before))
        });
        again.chain(short).min()
    }

    /// A call was throttled: it is made again.
    pub(super) fn throttled(&self, now: Timestamp, asked: &mut Asked, random: &mut fastrand::Rng) {
        let most = THROTTLED.saturating_mul(1 << asked.tries.min(10)).min(MOST_THROTTLED);
        asked.tries += 1;
        asked.again = Some(now + most.mul_f64(random.f64()));
    }

    /// Tasks were refused; what is wanted still is asked for with a later look.
    pub(super) fn refused(
        &mut self,
        now: Timestamp,
        market: Market,
        refusal: Refusal,
        reason: &str,
        random: &mut fastrand::Rng,
    ) {
        if market == Market::Spot && refusal != Refusal::Denied {
            // On demand it may be had.
            self.no_spot_until = now + NO_SPOT;
            return;
        }
        let (since, times) = self
            .trouble
            .as_ref()
            .map_or((now, 0), |trouble| (trouble.since, trouble.times));
        self.trouble = Some(Trouble {
            since,
            times: times + 1,
            refusal,
            reason: reason.to_owned(),
        });
        self.hold(now, times + 1, random);
    }

    /// Nothing is launched for a time, the longer the more often it went wrong.
    pub(super) fn hold(&mut self, now: Timestamp, times: u32, random: &mut fastrand::Rng) {
        let most = REFUSED
            .saturating_mul(1 << times.saturating_sub(1).min(10))
            .min(MOST_REFUSED);
        self.not_before = self.not_before.max(now + most.mul_f64(0.5 + random.f64() / 2.0));
    }

    /// Tasks were accepted.
    pub(super) fn accepted(&mut self) {
        self.trouble = None;
    }
}

impl Bucket {
    fn fill(&mut self, now: Timestamp) {
        self.tokens = (self.tokens + now.since(self.at).as_secs_f64() * PER_SECOND).min(BURST);
        self.at = self.at.max(now);
    }
}

/// The same for the same launch of the same run, and for no other.
fn token(name: &str, number: u32) -> String {
    format!("kingtide-{:016x}-{number}", fnv1a(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_at_once_and_twenty_a_second_after_that() {
        let (mut launches, mut memory) = (Launches::new(Timestamp(0)), Memory::default());
        launches.short.insert((0, Market::OnDemand), 135);
        let first = launches.pour(Timestamp(0), &mut memory, "s/1");
        assert_eq!(
            (first.len(), first.iter().map(|launch| launch.count).sum::<u32>()),
            (10, 100)
        );
        assert_eq!(launches.next_wakeup(&memory), Some(Timestamp(501)));
        assert!(launches.pour(Timestamp(400), &mut memory, "s/1").is_empty());
        let mut now = Timestamp(400);
        while let Some(next) = launches.next_wakeup(&memory) {
            now = next;
            launches.pour(now, &mut memory, "s/1");
        }
        assert!((1_700..1_800).contains(&now.0), "{now:?}");
        let tokens: std::collections::BTreeSet<_> = memory.asked.values().map(|asked| &asked.launch.token).collect();
        assert_eq!(tokens.len(), 14);
        assert!(tokens.iter().all(|token| token.len() <= 64));
    }
}
