//! AWS Batch: an array job on a compute environment of AWS Fargate in public subnets, a child for each job
//! (<https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html>). Nothing says how long its scheduler takes to hand a child to Fargate:
//! no time at all is taken here, the best there can be.

use super::agenda::{HOUR, Moment, SECOND};
use super::fleet::{Consumers, Scaler, Seen};
use super::queue::Terms;

/// Children are no messages, but behave as if each had one that is never given to two.
pub(super) fn consumers() -> Consumers {
    Consumers {
        one_each: true,
        ..Consumers::plain(Terms {
            visibility: 14 * 24 * HOUR,
            receives: None,
        })
    }
}

/// All at once, and one more for each that was lost: `attempts`.
#[derive(Debug)]
pub(super) struct Array;

impl Scaler for Array {
    fn period(&self) -> Moment {
        SECOND
    }

    fn look(&mut self, seen: &Seen) -> usize {
        seen.tasks.max(seen.visible + seen.working)
    }

    fn resting(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::super::agenda::MINUTE;
    use super::super::fleet::simulate;
    use super::*;

    #[test]
    fn an_array_is_done_a_start_after_its_longest() {
        let takes: Vec<Moment> = (1..=100).map(|job| job * 30 * SECOND).collect();
        let burst = simulate(consumers(), &mut Array, &takes, &mut Rng::with_seed(8));
        assert_eq!((burst.killed, burst.repeated, burst.dead, burst.most), (0, 0, 0, 100));
        let minutes = burst.done.expect("all are done") as f64 / MINUTE as f64;
        assert!((50.7..51.4).contains(&minutes), "{minutes}");
        // Their work, and four fifths of their starts: 42.1 and 1.3 hours.
        let hours = burst.paid as f64 / HOUR as f64;
        assert!((43.2..43.6).contains(&hours), "{hours}");
    }

    #[test]
    fn what_spot_takes_away_is_begun_again() {
        let takes = vec![30 * MINUTE; 100];
        let spot = Consumers {
            on_spot: usize::MAX,
            reclaimed_hourly: 0.5,
            ..consumers()
        };
        let burst = simulate(spot, &mut Array, &takes, &mut Rng::with_seed(8));
        // A hundred half hours at one in two hours.
        assert!((15..40).contains(&burst.killed), "{burst:?}");
        assert_eq!((burst.dead, burst.repeated, burst.paid), (0, 0, 0));
        assert!(burst.done.is_some_and(|done| done > 33 * MINUTE && done < 3 * HOUR));
    }
}
