//! Tasks that read a queue, in cases counted by hand.

use super::super::agenda::{HOUR, SECOND};
use super::*;

const TERMS: Terms = Terms {
    visibility: 2 * HOUR,
    receives: Some(3),
};

/// So many tasks, from the first look until a time, and none afterwards.
struct Until(usize, Moment);

impl Scaler for Until {
    fn period(&self) -> Moment {
        SECOND
    }
    fn look(&mut self, seen: &Seen) -> usize {
        if seen.now < self.1 { self.0 } else { 0 }
    }
    fn resting(&self) -> usize {
        0
    }
}

fn run(consumers: Consumers, scaler: &mut dyn Scaler, takes: &[Moment]) -> Burst {
    simulate(consumers, scaler, takes, &mut Rng::with_seed(3))
}

#[test]
fn as_many_tasks_as_messages_are_done_with_the_longest() {
    let takes = [10 * MINUTE, 30 * MINUTE, 20 * MINUTE];
    let burst = run(Consumers::plain(TERMS), &mut Until(3, HOUR), &takes);
    let done = burst.done.expect("all are done");
    assert!((30 * MINUTE + 20 * SECOND..33 * MINUTE).contains(&done), "{done}");
    assert_eq!((burst.killed, burst.repeated, burst.dead, burst.most), (0, 0, 0, 3));
    // Three tasks until the hour is over.
    let hours = burst.paid as f64 / HOUR as f64;
    assert!((2.9..3.0).contains(&hours), "{hours}");
}

#[test]
fn scaling_in_kills_what_works_unless_it_is_protected_or_given_time() {
    let takes = [30 * MINUTE; 4];
    let plain = Consumers::plain(TERMS);
    let killed = run(plain, &mut Until(4, 10 * MINUTE), &takes);
    assert_eq!((killed.killed, killed.done), (4, None));
    let protected = Consumers {
        protected: true,
        ..plain
    };
    let patient = Consumers { grace: HOUR, ..plain };
    for kept in [protected, patient] {
        let burst = run(kept, &mut Until(4, 10 * MINUTE), &takes);
        assert_eq!((burst.killed, burst.dead), (0, 0));
        assert!(burst.done.is_some_and(|done| done < 33 * MINUTE));
    }
    let hasty = Consumers { grace: MINUTE, ..plain };
    assert_eq!(run(hasty, &mut Until(4, 10 * MINUTE), &takes).killed, 4);
}

#[test]
fn who_keeps_what_it_works_on_for_too_short_a_time_is_met_by_others() {
    let short = Terms {
        visibility: 30 * SECOND,
        ..TERMS
    };
    // Three tasks for one message: each has it for half a minute, then it is a dead letter, and the program runs on.
    let burst = run(Consumers::plain(short), &mut Until(4, HOUR), &[20 * MINUTE]);
    assert_eq!((burst.repeated, burst.dead), (2, 1));
    assert!(burst.done.is_some());
    let careful = Consumers {
        heartbeat: true,
        ..Consumers::plain(short)
    };
    let burst = run(careful, &mut Until(4, HOUR), &[20 * MINUTE]);
    assert_eq!((burst.repeated, burst.dead), (0, 0));
}

#[test]
fn one_that_takes_one_message_ends_with_it() {
    let single = Consumers {
        one_each: true,
        patience: Some(20 * SECOND),
        ..Consumers::plain(TERMS)
    };
    let burst = run(single, &mut Until(2, 40 * MINUTE), &[10 * MINUTE; 4]);
    assert_eq!((burst.killed, burst.repeated, burst.most), (0, 0, 2));
    let done = burst.done.expect("all are done");
    assert!((21 * MINUTE..24 * MINUTE).contains(&done), "{done}");
}
