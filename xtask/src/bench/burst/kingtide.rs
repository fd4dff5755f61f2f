//! Kingtide on AWS (`docs/decisions/007-aws.md`, `docs/decisions/008-run-on-aws.md`): an execution starts a dispatcher, which sends the messages,
//! asks `kingtide_core::plan` how many workers it takes, starts them, and replaces what is lost; workers extend what they hold, and leave
//! when the queue has had nothing for them.

use std::time::Duration;

use fastrand::Rng;
use kingtide_core::plan::burst::{Draws, Luck, Order, Tariff};
use kingtide_core::plan::lognormal::LogNormal;
use kingtide_core::plan::size::{self, Terms as Sizing};

use super::agenda::{MINUTE, Moment, SECOND};
use super::fleet::{Consumers, Scaler, Seen};
use super::queue::{Delivery, Terms};
use super::start;

/// A small image is up in about half a minute
/// (<https://docs.aws.amazon.com/batch/latest/userguide/fargate.html>; the first of 3,500 tasks, too: vladionescu.me, "Scaling containers on AWS in
/// 2022").
const DISPATCHER: Duration = Duration::from_secs(30);
const DISPATCHER_SIGMA: f64 = 0.15;
/// It looks so often.
const LOOK: Moment = 15 * SECOND;
/// The prior of a start-up, of which four fifths are paid.
const START: Duration = Duration::from_secs(60);
const TARIFF: Tariff = Tariff {
    start: Duration::from_secs(48),
    least: Duration::from_secs(60),
};
/// Three receives that wait for twenty seconds each.
const PATIENCE: Moment = MINUTE;
/// A rerun is thought to take no longer than 19 of 20.
const RERUN: f64 = 0.95;

/// How the burst is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) workers: usize,
    pub(super) deadline: Duration,
    /// Taken away so many times an hour, where workers may be on Spot capacity.
    pub(super) spot: Option<f64>,
    /// Whether workers get what was sent first, or anything.
    pub(super) delivery: Delivery,
}

/// How many workers the dispatcher asks for, who foresees that they get messages in no order, or the longest first.
pub(super) fn planned(confidence: f64, deadline: Duration, delivery: Delivery, predicted: &[LogNormal]) -> usize {
    let order = match delivery {
        Delivery::Any => Order::Any,
        Delivery::Ahead(_) => Order::LongestFirst,
    };
    let terms = Sizing {
        deadline: deadline - DISPATCHER,
        confidence,
        start: START,
        most: predicted.len(),
        tariff: Some(TARIFF),
    };
    size::size(&Draws::of(predicted, &Luck::NONE, order, 1), &terms)
        .workers
        .max(1)
}

impl How {
    /// As many as there are tasks of which a second attempt would still be in time, as a share.
    fn on_spot(&self, predicted: &[LogNormal]) -> usize {
        if self.spot.is_none() {
            return 0;
        }
        let room = self.deadline - DISPATCHER;
        let fits = |of: &&LogNormal| START * 2 + of.quantile(RERUN) * 2 <= room;
        self.workers * predicted.iter().filter(fits).count() / predicted.len().max(1)
    }

    pub(super) fn dispatcher(&self, predicted: &[LogNormal]) -> (Dispatcher, Consumers) {
        let consumers = Consumers {
            heartbeat: true,
            patience: Some(PATIENCE),
            on_spot: self.on_spot(predicted),
            reclaimed_hourly: self.spot.unwrap_or(0.0),
            delivery: self.delivery,
            ..Consumers::plain(Terms {
                visibility: 3 * MINUTE,
                receives: Some(11),
            })
        };
        (Dispatcher { workers: self.workers }, consumers)
    }
}

#[derive(Debug)]
pub(super) struct Dispatcher {
    workers: usize,
}

impl Scaler for Dispatcher {
    fn period(&self) -> Moment {
        LOOK
    }

    fn first(&mut self, random: &mut Rng) -> Moment {
        start::draw(DISPATCHER, DISPATCHER_SIGMA, random)
    }

    /// Nothing is ever scaled in; what has left while messages wait is replaced.
    fn look(&mut self, seen: &Seen) -> usize {
        let unclaimed = seen.visible.saturating_sub(seen.tasks - seen.working);
        seen.tasks + self.workers.saturating_sub(seen.tasks).min(unclaimed)
    }

    fn resting(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::super::agenda::HOUR;
    use super::super::fleet::{Burst, simulate};
    use super::*;

    const HOW: How = How {
        workers: 100,
        deadline: Duration::from_secs(90 * 60),
        spot: None,
        delivery: Delivery::Any,
    };

    /// Jobs of 10 to 40 minutes, each predicted to a tenth, the longest first.
    fn mixed() -> (Vec<LogNormal>, Vec<Moment>) {
        let takes: Vec<Moment> = (0..100).rev().map(|job| (10 * 60 + job * 18) * SECOND).collect();
        let predicted = takes
            .iter()
            .map(|takes| LogNormal::around(Duration::from_millis(*takes), 0.1));
        (predicted.collect(), takes)
    }

    fn run(how: How) -> Burst {
        let (predicted, takes) = mixed();
        let (mut dispatcher, consumers) = how.dispatcher(&predicted);
        simulate(consumers, &mut dispatcher, &takes, &mut Rng::with_seed(9))
    }

    #[test]
    fn a_worker_for_each_message_is_done_two_starts_after_the_longest() {
        let burst = run(HOW);
        assert_eq!((burst.most, burst.killed, burst.dead), (100, 0, 0));
        // 39.7 minutes, half a minute of the dispatcher's start and one of the worker's.
        let minutes = burst.done.expect("all are done") as f64 / MINUTE as f64;
        assert!((41.0..41.6).contains(&minutes), "{minutes}");
        // A minute of waiting at the end beside the work and the starts.
        let hours = burst.paid as f64 / HOUR as f64;
        assert!((41.4 + 1.27 + 1.66 - hours).abs() < 0.1, "{hours}");
    }

    #[test]
    fn the_longest_first_takes_fewer_workers() {
        let (predicted, _) = mixed();
        let workers = |delivery| {
            let workers = planned(0.9, HOW.deadline, delivery, &predicted);
            let burst = run(How {
                workers,
                delivery,
                ..HOW
            });
            assert!(burst.done.is_some_and(|done| done < 90 * MINUTE));
            workers
        };
        let (any, first) = (workers(Delivery::Any), workers(Delivery::Ahead(3)));
        assert!(first < any, "{first} of {any}");
    }

    #[test]
    fn what_spot_takes_away_is_worked_off_by_others() {
        let burst = run(How { spot: Some(0.5), ..HOW });
        assert!(burst.killed > 3 && burst.paid_spot > burst.paid, "{burst:?}");
        assert_eq!(burst.dead, 0);
        assert!(burst.done.is_some());
    }
}
