//! AWS CDK's `QueueProcessingFargateService`, as the template says that aws-cdk-lib 2.276.0 makes of its properties: step scaling on what is
//! visible in the queue, by two alarms of five minutes, and target tracking of the CPU (aws/aws-cdk,
//! `packages/aws-cdk-lib/aws-ecs-patterns/lib/base/queue-processing-service-base.ts`).

use fastrand::Rng;

use super::agenda::{HOUR, MINUTE, Moment, SECOND};
use super::fleet::{Consumers, Scaler, Seen};
use super::queue::Terms;
use super::scaling::{Metric, PERIOD, Range, Steps, Tracking};

/// Minutes of the alarms' period; it cannot be set.
const WINDOW: usize = 5;
/// What the service takes where the pattern says nothing.
const COOLDOWN: Moment = 5 * MINUTE;

#[derive(Debug)]
pub(super) struct Pattern {
    range: Range,
    /// From so many visible messages on, so many tasks more; the last that holds.
    out: Vec<(f64, i64)>,
    /// With none visible.
    inwards: i64,
    metric: Metric,
    outwards: Steps,
    back: Steps,
    /// Nothing is removed within the cooldown after something was added, either: as one may read its documentation.
    waits_after_out: bool,
    cpu: Option<Tracking>,
}

/// How the pattern is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing but an image.
    Defaults,
    /// And a visibility timeout of two hours.
    Visibility,
    /// As near to a burst as its properties come: 0 to 100 tasks, all at once, no scaling by CPU, a cooldown of a minute.
    BestEffort,
    /// The same, with a cooldown of two hours.
    LongCooldown,
    /// The same as best effort, and the program protects its task while it works, and extends what it holds.
    Protected,
}

const DEFAULT_VISIBILITY: Moment = 30 * SECOND;
/// The pattern's `maxReceiveCount`.
const RECEIVES: Option<u32> = Some(3);
/// `ApproximateNumberOfMessagesVisible` of a queue that slept comes within it.
const WAKING: Moment = 15 * MINUTE;

impl Use {
    pub(super) fn consumers(self) -> Consumers {
        let visibility = match self {
            Use::Defaults => DEFAULT_VISIBILITY,
            Use::Visibility | Use::BestEffort | Use::LongCooldown => 2 * HOUR,
            Use::Protected => 5 * MINUTE,
        };
        let own = self == Use::Protected;
        Consumers {
            heartbeat: own,
            protected: own,
            ..Consumers::plain(Terms {
                visibility,
                receives: RECEIVES,
            })
        }
    }

    pub(super) fn pattern(self, random: &mut Rng) -> Pattern {
        let mut best = |cooldown| Pattern {
            range: Range { least: 0, most: 100 },
            out: vec![(1.0, 100)],
            inwards: -100,
            metric: Metric::waking_at(random.u64(0..WAKING)),
            outwards: Steps::with_cooldown(cooldown),
            back: Steps::with_cooldown(cooldown),
            waits_after_out: false,
            cpu: None,
        };
        match self {
            Use::Defaults | Use::Visibility => Pattern {
                range: Range { least: 1, most: 2 },
                out: vec![(100.0, 1), (500.0, 5)],
                inwards: -1,
                // The one task that is always there keeps the queue awake.
                metric: Metric::waking_at(0),
                outwards: Steps::with_cooldown(COOLDOWN),
                back: Steps::with_cooldown(COOLDOWN),
                waits_after_out: false,
                cpu: Some(Tracking::new(50.0, COOLDOWN, COOLDOWN)),
            },
            Use::BestEffort | Use::Protected => best(MINUTE),
            Use::LongCooldown => Pattern {
                waits_after_out: true,
                ..best(2 * HOUR)
            },
        }
    }
}

impl Scaler for Pattern {
    fn period(&self) -> Moment {
        PERIOD
    }

    fn look(&mut self, seen: &Seen) -> usize {
        self.metric.publish(seen.now, seen.visible as f64);
        // A job keeps its task's processors busy; one that waits needs none.
        let by_cpu = match (&mut self.cpu, seen.running) {
            (Some(cpu), 1..) => {
                let load = 100.0 * seen.working as f64 / seen.running as f64;
                cpu.look(seen.now, load, seen.desired, self.range)
            }
            _ => seen.desired,
        };
        let Some(visible) = self.metric.maximum(WINDOW) else {
            return by_cpu;
        };
        let step = self.out.iter().rev().find(|(from, _)| visible >= *from);
        let by_queue = match step {
            Some((_, change)) => self.outwards.step(seen.now, seen.desired, *change, self.range),
            None if visible <= 0.0 && !self.is_waiting(seen.now) => {
                self.back.step(seen.now, seen.desired, self.inwards, self.range)
            }
            None => seen.desired,
        };
        // Of several policies whose alarms are on, the one counts that leaves most
        // (<https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html>).
        let is_held = self.cpu.as_ref().is_some_and(Tracking::is_high);
        match is_held || by_queue.max(by_cpu) > seen.desired {
            true => by_queue.max(by_cpu),
            false => by_queue.min(by_cpu),
        }
    }

    fn resting(&self) -> usize {
        self.range.least
    }
}

impl Pattern {
    fn is_waiting(&self, now: Moment) -> bool {
        let since = self.outwards.acted().filter(|_| self.waits_after_out);
        since.is_some_and(|at| now < at + self.outwards.cooldown)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fleet::simulate;
    use super::*;

    fn run(how: Use, messages: usize, takes: Moment) -> super::super::fleet::Burst {
        let mut random = Rng::with_seed(4);
        let mut pattern = how.pattern(&mut random);
        simulate(how.consumers(), &mut pattern, &vec![takes; messages], &mut random)
    }

    #[test]
    fn a_hundred_jobs_of_half_an_hour_take_two_tasks_a_day_and_more() {
        // The CPU's policy adds the second task within minutes; there never is a third: 100 x 30 minutes / 2. A program that may finish is
        // looked at, so that the end does not depend on whom a scale-in meets.
        let mut random = Rng::with_seed(4);
        let patient = Consumers {
            grace: HOUR,
            ..Use::Visibility.consumers()
        };
        let takes = [30 * MINUTE; 100];
        let burst = simulate(patient, &mut Use::Visibility.pattern(&mut random), &takes, &mut random);
        let hours = burst.done.expect("all are done") as f64 / HOUR as f64;
        assert_eq!((burst.most, burst.killed), (2, 0));
        assert!((25.0..25.6).contains(&hours), "{hours}");
        // Where the program needs no processor nobody adds a task: 100 x 30 minutes.
        let mut alone = Pattern {
            cpu: None,
            ..Use::Visibility.pattern(&mut random)
        };
        let burst = simulate(patient, &mut alone, &takes, &mut random);
        assert_eq!((burst.most, burst.done), (1, Some(50 * HOUR)));
    }

    #[test]
    fn one_more_task_in_five_minutes_while_a_hundred_and_more_wait() {
        let mut pattern = Pattern {
            range: Range { least: 1, most: 100 },
            cpu: None,
            ..Use::Defaults.pattern(&mut Rng::with_seed(1))
        };
        let mut desired = 1;
        let mut reached = None;
        for minute in 0..600 {
            let seen = Seen {
                now: minute * MINUTE,
                visible: 300,
                in_flight: desired,
                desired,
                tasks: desired,
                running: desired,
                working: desired,
            };
            desired = pattern.look(&seen);
            if desired == 100 {
                reached.get_or_insert(minute);
            }
        }
        // 99 more, one for each five minutes: eight hours and a quarter.
        assert_eq!(reached, Some(490));
    }

    #[test]
    fn ninety_nine_messages_start_nothing_by_the_queues_alarm() {
        let mut pattern = Use::Defaults.pattern(&mut Rng::with_seed(1));
        let mut seen = Seen {
            now: 0,
            visible: 99,
            in_flight: 1,
            desired: 1,
            tasks: 1,
            running: 1,
            working: 0,
        };
        for minute in 0..120 {
            seen.now = minute * MINUTE;
            assert_eq!(pattern.look(&seen), 1);
        }
    }

    #[test]
    fn best_effort_kills_all_that_takes_more_than_some_minutes_until_it_is_dead() {
        let burst = run(Use::BestEffort, 100, 30 * MINUTE);
        // Three receives of each message, each ended by a scale-in; no job is ever done.
        assert_eq!((burst.done, burst.dead, burst.killed), (None, 100, 300));
        // What is short enough is done before the alarm has seen five empty minutes.
        let short = run(Use::BestEffort, 100, 3 * MINUTE);
        assert_eq!((short.dead, short.killed), (0, 0));
        assert!(short.done.is_some());
    }

    #[test]
    fn a_program_that_protects_its_task_is_done_whatever_the_alarm_says() {
        for how in [Use::Protected, Use::LongCooldown] {
            let burst = run(how, 100, 30 * MINUTE);
            assert_eq!((burst.killed, burst.dead), (0, 0), "{how:?}");
            // The metric within fifteen minutes, a look, a start, the job.
            let minutes = burst.done.expect("all are done") as f64 / MINUTE as f64;
            assert!((31.0..50.0).contains(&minutes), "{how:?}: {minutes}");
        }
        assert!(run(Use::LongCooldown, 100, 30 * MINUTE).paid > 3 * run(Use::Protected, 100, 30 * MINUTE).paid);
    }

    #[test]
    fn half_a_minute_of_visibility_makes_dead_letters_of_healthy_jobs() {
        let burst = run(Use::Defaults, 20, 30 * MINUTE);
        assert!(burst.repeated > 0, "{burst:?}");
        assert_eq!(run(Use::Visibility, 20, 30 * MINUTE).repeated, 0);
    }

    #[test]
    fn of_two_tasks_of_which_one_works_either_is_ended() {
        // The last job: its alarm sees nothing visible, and whom it ends is chance; the message is back two hours later.
        let killed = (0..40).map(|seed| {
            let mut random = Rng::with_seed(seed);
            let mut pattern = Use::Visibility.pattern(&mut random);
            let takes = [30 * MINUTE, 20 * MINUTE];
            simulate(Use::Visibility.consumers(), &mut pattern, &takes, &mut random).killed
        });
        let killed = killed.filter(|killed| *killed > 0).count();
        assert!((5..36).contains(&killed), "{killed}");
    }
}
