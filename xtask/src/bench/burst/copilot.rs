//! AWS Copilot's worker service with `count.range` and `queue_delay`: a function asks the queue once a minute and publishes the backlog of a
//! task, which target tracking holds (aws/copilot-cli, `templates/custom-resources/.../backlog-per-task-calculator.js` and
//! `workloads/partials/cf/autoscaling.yml`; its support ended on 12 June 2026).

use super::agenda::{HOUR, MINUTE, Moment, SECOND};
use super::fleet::{Consumers, Scaler, Seen};
use super::queue::Terms;
use super::scaling::{PERIOD, Range, Tracking};

/// The template's cooldowns.
const OUT: Moment = MINUTE;
const INWARDS: Moment = 120 * SECOND;

#[derive(Debug)]
pub(super) struct Worker {
    range: Range,
    tracking: Tracking,
}

impl Worker {
    /// `acceptable_latency` and `msg_processing_time`, in minutes, of a service of 1 to 100 tasks.
    pub(super) fn accepting(latency: u32, processing: u32) -> Worker {
        Worker {
            range: Range { least: 1, most: 100 },
            tracking: Tracking::new(f64::from(latency.div_ceil(processing)), OUT, INWARDS),
        }
    }
}

/// `queue.timeout` is said, `queue.dead_letter` is not.
pub(super) fn consumers() -> Consumers {
    Consumers::plain(Terms {
        visibility: 2 * HOUR,
        receives: None,
    })
}

impl Scaler for Worker {
    fn period(&self) -> Moment {
        PERIOD
    }

    fn look(&mut self, seen: &Seen) -> usize {
        // What is in flight is not counted.
        let backlog = seen.visible.div_ceil(seen.running.max(1));
        self.tracking.look(seen.now, backlog as f64, seen.desired, self.range)
    }

    fn resting(&self) -> usize {
        self.range.least
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::super::fleet::simulate;
    use super::*;

    #[test]
    fn tasks_come_after_three_minutes_and_leave_while_they_work() {
        let mut worker = Worker::accepting(22, 22);
        let look = |worker: &mut Worker, minute: u64, visible, desired: usize| {
            worker.look(&Seen {
                now: minute * MINUTE,
                visible,
                in_flight: 100 - visible,
                desired,
                tasks: desired,
                running: desired,
                working: desired,
            })
        };
        assert_eq!(look(&mut worker, 0, 99, 1), 1);
        assert_eq!(look(&mut worker, 1, 99, 1), 1);
        assert_eq!(look(&mut worker, 2, 99, 1), 99);
        let mut desired = 99;
        for minute in 3..60 {
            desired = look(&mut worker, minute, 0, desired);
        }
        // From the 17th minute on, one for every other minute, though all work.
        assert_eq!(desired, 99 - 22);
    }

    #[test]
    fn what_is_killed_is_done_hours_later() {
        let mut random = Rng::with_seed(2);
        let takes: Vec<Moment> = (0..100).map(|job| (10 * 60 + job * 30) * SECOND).collect();
        let burst = simulate(consumers(), &mut Worker::accepting(22, 22), &takes, &mut random);
        assert!(burst.killed > 0 && burst.dead == 0, "{burst:?}");
        assert!(burst.done.is_some_and(|done| done > 2 * HOUR), "{burst:?}");
        // Shorter than the alarm's fifteen minutes: nothing is killed.
        let takes = vec![8 * MINUTE; 100];
        let burst = simulate(consumers(), &mut Worker::accepting(22, 22), &takes, &mut random);
        assert_eq!(burst.killed, 0);
    }
}
