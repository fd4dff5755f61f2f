//! KEDA's scaler of SQS with `queueLength: 1`, which counts what is in flight too (<https://keda.sh/docs/2.20/scalers/aws-sqs/>): a
//! `ScaledObject`, through the HorizontalPodAutoscaler, and a `ScaledJob`, a job for each message.

use std::collections::VecDeque;

use super::agenda::{HOUR, MINUTE, Moment, SECOND};
use super::fleet::{Consumers, Scaler, Seen};
use super::queue::Terms;

/// `maxReplicaCount` of both.
const MOST: usize = 100;
/// `pollingInterval`.
const POLLING: Moment = 30 * SECOND;
/// `cooldownPeriod`: of nothing to do, before the last goes.
const COOLDOWN: Moment = 5 * MINUTE;
/// Of the autoscaler: how often it looks, what difference it lets pass, and for how long the highest it wanted counts when it would remove
/// (<https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>).
const SYNC: Moment = 15 * SECOND;
const TOLERANCE: f64 = 0.1;
const STABILIZATION: Moment = 5 * MINUTE;
/// Its default policy: so many pods more, or twice as many, in fifteen seconds.
const MORE: usize = 4;

/// What the queue is set to in both, and that nothing is given up early.
const TERMS: Terms = Terms {
    visibility: 2 * HOUR,
    receives: Some(3),
};

#[derive(Debug, Default)]
pub(super) struct Object {
    recommended: VecDeque<(Moment, usize)>,
    idle_since: Option<Moment>,
}

impl Object {
    /// A program that ends when it is told to, or goes on for as long as `terminationGracePeriodSeconds` lets it.
    pub(super) fn consumers(grace: Moment) -> Consumers {
        Consumers {
            grace,
            young_first: true,
            ..Consumers::plain(TERMS)
        }
    }
}

impl Scaler for Object {
    fn period(&self) -> Moment {
        SYNC
    }

    fn look(&mut self, seen: &Seen) -> usize {
        let messages = seen.visible + seen.in_flight;
        if messages > 0 {
            self.idle_since = None;
        }
        if seen.desired == 0 {
            // KEDA itself takes the first step.
            let polled = seen.now % POLLING < SYNC;
            return usize::from(polled && messages > 0);
        }
        if messages == 0 {
            let since = *self.idle_since.get_or_insert(seen.now);
            if seen.now >= since + COOLDOWN {
                return 0;
            }
        }
        let off = messages as f64 / seen.desired as f64 - 1.0;
        let wanted = match off.abs() <= TOLERANCE {
            true => seen.desired,
            false => messages.clamp(1, MOST),
        };
        self.recommended.push_back((seen.now, wanted));
        self.recommended.retain(|(at, _)| seen.now < at + STABILIZATION);
        let highest = self.recommended.iter().map(|(_, wanted)| *wanted).max();
        match wanted > seen.desired {
            true => wanted.min((seen.desired * 2).max(seen.desired + MORE)),
            false => highest.unwrap_or(wanted).min(seen.desired),
        }
    }

    fn resting(&self) -> usize {
        0
    }
}

/// Its default strategy: as many jobs as messages, less those that run.
#[derive(Debug)]
pub(super) struct Job;

impl Job {
    pub(super) fn consumers() -> Consumers {
        Consumers {
            one_each: true,
            // One receive that waits for as long as it may.
            patience: Some(20 * SECOND),
            ..Consumers::plain(TERMS)
        }
    }
}

impl Scaler for Job {
    fn period(&self) -> Moment {
        POLLING
    }

    fn look(&mut self, seen: &Seen) -> usize {
        let messages = seen.visible + seen.in_flight;
        seen.tasks + MOST.min(messages).saturating_sub(seen.tasks)
    }

    fn resting(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::super::fleet::{Burst, simulate};
    use super::*;

    fn run(consumers: Consumers, scaler: &mut dyn Scaler, takes: &[Moment]) -> Burst {
        simulate(consumers, scaler, takes, &mut Rng::with_seed(6))
    }

    /// From ten to forty minutes.
    fn mixed() -> Vec<Moment> {
        (0..100).map(|job| (10 * 60 + job * 18) * SECOND).collect()
    }

    #[test]
    fn pods_double_every_fifteen_seconds() {
        let mut object = Object::default();
        let mut desired = 0;
        let mut counts = Vec::new();
        for look in 0..9_u64 {
            let seen = Seen {
                now: look * SYNC,
                visible: 100,
                in_flight: 0,
                desired,
                tasks: desired,
                running: desired,
                working: 0,
            };
            desired = object.look(&seen);
            counts.push(desired);
        }
        assert_eq!(counts, [1, 5, 10, 20, 40, 80, 100, 100, 100]);
    }

    #[test]
    fn an_object_kills_what_works_when_others_are_done_and_a_grace_mends_it() {
        let killed = run(Object::consumers(0), &mut Object::default(), &mixed());
        assert!(killed.killed > 5, "{killed:?}");
        assert!(killed.done.is_none_or(|done| done > 2 * HOUR));
        let patient = run(Object::consumers(2 * HOUR), &mut Object::default(), &mixed());
        assert_eq!((patient.killed, patient.dead), (0, 0));
        assert!(patient.done.is_some_and(|done| done < 45 * MINUTE), "{patient:?}");
    }

    #[test]
    fn a_job_for_each_message_is_done_with_the_longest() {
        let burst = run(Job::consumers(), &mut Job, &mixed());
        assert_eq!((burst.killed, burst.dead, burst.repeated, burst.most), (0, 0, 0, 100));
        // 39.7 minutes, a poll within half a minute, a start of about one.
        let minutes = burst.done.expect("all are done") as f64 / MINUTE as f64;
        assert!((40.5..42.0).contains(&minutes), "{minutes}");
    }
}
