//! Amazon CloudWatch and Application Auto Scaling, as far as CDK's pattern and Copilot's template set them up: a queue's metric, alarms over
//! it, step scaling with its cooldown, target tracking.

use std::collections::VecDeque;

use super::agenda::{MINUTE, Moment};

/// A value a minute. Of a queue that nobody has touched for six hours nothing is published at first, for up to fifteen minutes
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-monitoring-using-cloudwatch.html>).
#[derive(Debug)]
pub(super) struct Metric {
    wakes: Moment,
    /// Those of the last minutes, the newest first.
    recent: VecDeque<f64>,
}

/// As far as any alarm looks back, in minutes.
const LONGEST: usize = 15;

impl Metric {
    pub(super) fn waking_at(wakes: Moment) -> Metric {
        Metric {
            wakes,
            recent: VecDeque::new(),
        }
    }

    pub(super) fn publish(&mut self, now: Moment, value: f64) {
        if now >= self.wakes {
            self.recent.push_front(value);
            self.recent.truncate(LONGEST);
        }
    }

    /// The largest of the last minutes: alarms look through a window that slides
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation-window.html>).
    pub(super) fn maximum(&self, minutes: usize) -> Option<f64> {
        self.recent.iter().take(minutes).copied().reduce(f64::max)
    }

    /// Whether that holds of so many values in a row, up to the newest.
    fn all(&self, minutes: usize, holds: impl Fn(f64) -> bool) -> bool {
        self.recent.len() >= minutes && self.recent.iter().take(minutes).all(|value| holds(*value))
    }
}

/// Between what a number of tasks may lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) least: usize,
    pub(super) most: usize,
}

impl Range {
    fn plus(self, desired: usize, change: i64) -> usize {
        let changed = i64::try_from(desired).unwrap_or(i64::MAX).saturating_add(change);
        usize::try_from(changed.max(0))
            .unwrap_or(usize::MAX)
            .clamp(self.least, self.most)
    }
}

/// A step scaling policy in one direction, called for each minute that its alarm is on. Within its cooldown one that adds adds only what goes
/// beyond the change before, and one that removes does nothing
/// (<https://docs.aws.amazon.com/autoscaling/application/APIReference/API_StepScalingPolicyConfiguration.html>).
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) cooldown: Moment,
    last: Option<(Moment, i64)>,
}

impl Steps {
    pub(super) fn with_cooldown(cooldown: Moment) -> Steps {
        Steps { cooldown, last: None }
    }

    /// When it last changed anything.
    pub(super) fn acted(&self) -> Option<Moment> {
        self.last.map(|(at, _)| at)
    }

    pub(super) fn step(&mut self, now: Moment, desired: usize, change: i64, range: Range) -> usize {
        let before = self.last.filter(|(at, _)| now < at + self.cooldown);
        let effective = match before {
            Some(_) if change < 0 => 0,
            Some((_, before)) => (change - before).max(0),
            None => change,
        };
        let wanted = range.plus(desired, effective);
        if wanted != desired {
            self.last = Some((now, change));
        }
        wanted
    }
}

/// Target tracking on a metric that falls as tasks are added: out after three minutes above the target, in proportion; in after fifteen minutes
/// below nine tenths of it. How fast in, the documentation does not say but "more gradually"
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html>): here by one task for each cooldown,
/// the slowest there is.
#[derive(Debug)]
pub(super) struct Tracking {
    pub(super) target: f64,
    pub(super) out: Moment,
    pub(super) inwards: Moment,
    last_out: Option<Moment>,
    last_in: Option<Moment>,
    metric: Metric,
}

const ABOVE: usize = 3;
const BELOW: usize = 15;

impl Tracking {
    pub(super) fn new(target: f64, out: Moment, inwards: Moment) -> Tracking {
        Tracking {
            target,
            out,
            inwards,
            last_out: None,
            last_in: None,
            metric: Metric::waking_at(0),
        }
    }

    /// Whether its alarm on what is too much is on: then it wants no task to go.
    pub(super) fn is_high(&self) -> bool {
        self.metric.all(ABOVE, |value| value > self.target)
    }

    /// Called once a minute with the newest value.
    pub(super) fn look(&mut self, now: Moment, value: f64, desired: usize, range: Range) -> usize {
        self.metric.publish(now, value);
        let cool = |last: Option<Moment>, cooldown: Moment| last.is_none_or(|at| now >= at + cooldown);
        let target = self.target;
        if self.is_high() && cool(self.last_out, self.out) {
            let wanted = (desired as f64 * value / target).ceil() as usize;
            let wanted = wanted.clamp(range.least, range.most);
            if wanted > desired {
                self.last_out = Some(now);
                return wanted;
            }
        }
        let low = self.metric.all(BELOW, |value| value < target * 0.9);
        if low && cool(self.last_in, self.inwards) && desired > range.least {
            self.last_in = Some(now);
            return desired - 1;
        }
        desired
    }
}

/// So long from one look to the next.
pub(super) const PERIOD: Moment = MINUTE;

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Range = Range { least: 0, most: 100 };

    #[test]
    fn a_queue_that_slept_says_nothing_until_it_wakes() {
        let mut metric = Metric::waking_at(2 * MINUTE);
        metric.publish(0, 100.0);
        metric.publish(MINUTE, 100.0);
        assert_eq!(metric.maximum(5), None);
        for minute in 2..7 {
            metric.publish(minute * MINUTE, if minute == 2 { 100.0 } else { 0.0 });
        }
        assert_eq!(metric.maximum(5), Some(100.0), "the window still holds it");
        metric.publish(7 * MINUTE, 0.0);
        assert_eq!(metric.maximum(5), Some(0.0));
    }

    #[test]
    fn one_more_task_for_each_cooldown_however_long_the_alarm_is_on() {
        let mut steps = Steps::with_cooldown(5 * MINUTE);
        let mut desired = 0;
        for minute in 0..60 {
            desired = steps.step(minute * MINUTE, desired, 1, RANGE);
        }
        assert_eq!(desired, 12);
    }

    #[test]
    fn within_the_cooldown_only_what_goes_beyond_is_added_and_nothing_removed() {
        let mut steps = Steps::with_cooldown(5 * MINUTE);
        assert_eq!(steps.step(0, 0, 2, RANGE), 2);
        assert_eq!(steps.step(MINUTE, 2, 5, RANGE), 5, "three more than the two before");
        let mut steps = Steps::with_cooldown(5 * MINUTE);
        assert_eq!(steps.step(0, 10, -1, RANGE), 9);
        assert_eq!(steps.step(4 * MINUTE, 9, -1, RANGE), 9);
        assert_eq!(steps.step(5 * MINUTE, 9, -1, RANGE), 8);
        assert_eq!(steps.step(11 * MINUTE, 8, -100, Range { least: 1, most: 2 }), 1);
    }

    #[test]
    fn target_tracking_is_out_in_proportion_after_three_minutes_and_in_by_one_after_fifteen() {
        let mut tracking = Tracking::new(50.0, 5 * MINUTE, 5 * MINUTE);
        let range = Range { least: 1, most: 10 };
        let mut desired = 1;
        let mut at = Vec::new();
        for minute in 0..40_u64 {
            let value = if minute < 4 { 100.0 } else { 10.0 };
            let wanted = tracking.look(minute * MINUTE, value, desired, range);
            if wanted != desired {
                at.push((minute, wanted));
            }
            desired = wanted;
        }
        assert_eq!(at, [(2, 2), (18, 1)]);
    }
}
