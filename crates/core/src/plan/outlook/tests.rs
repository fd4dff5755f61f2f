//! Runs under way, as they are foreseen: known exactly, slow as a whole, without history.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn at(minutes: u32) -> Timestamp {
    Timestamp(0) + minutes * MINUTE
}

fn luck(sigma: f64) -> Luck {
    Luck {
        common: Common { sigma, degrees: 8.0 },
        ..Luck::NONE
    }
}

/// So many tasks of about ten minutes.
fn outlook(tasks: i64, sigma: f64, luck: Luck) -> Outlook {
    Outlook::new(
        (1..=tasks).map(|seq| (seq, LogNormal::around(10 * MINUTE, sigma))),
        luck,
    )
}

fn median(outlook: &Outlook, now: Timestamp, workers: usize) -> f64 {
    let finish = outlook.finish(now, workers, &outlook.level(now), 1);
    finish.quantile(0.5).as_secs_f64() / 60.0
}

#[test]
fn what_is_known_exactly_is_foreseen_exactly() {
    let mut outlook = outlook(10, 0.0, Luck::NONE);
    assert_eq!(median(&outlook, at(0), 5), 20.0);
    for seq in 1..=5 {
        outlook.start(seq, at(0));
    }
    assert_eq!(median(&outlook, at(4), 5), 16.0);
    for seq in 1..=5 {
        outlook.end(seq, Some(10 * MINUTE));
    }
    assert_eq!((median(&outlook, at(10), 5), outlook.left()), (10.0, 5));
    // Fewer workers than run already: nobody is sent away.
    for seq in 6..=10 {
        outlook.start(seq, at(10));
    }
    assert_eq!(median(&outlook, at(11), 1), 9.0);
}

#[test]
fn a_run_that_turns_out_slow_is_foreseen_to_stay_so() {
    let mut outlook = outlook(40, 0.1, luck(0.3));
    let before = median(&outlook, at(0), 4);
    for seq in 1..=8 {
        outlook.start(seq, at(0));
        outlook.end(seq, Some(15 * MINUTE));
    }
    let level = outlook.level(at(30));
    assert!((level.shift - 1.5_f64.ln()).abs() < 0.05, "{level:?}");
    let after = median(&outlook, at(30), 4);
    assert!(
        (100.0..115.0).contains(&before) && (118.0..132.0).contains(&after),
        "{before} {after}"
    );
}

#[test]
fn those_that_have_not_ended_tell_too() {
    let mut outlook = outlook(40, 0.2, luck(0.5));
    for seq in 1..=8 {
        outlook.start(seq, at(0));
    }
    let young = outlook.level(at(3));
    let old = outlook.level(at(25));
    assert!(young.shift.abs() < 0.05 && old.shift > 0.6, "{young:?} {old:?}");
    // The first to end are the short ones: they alone would tell of a fast run.
    outlook.end(1, Some(8 * MINUTE));
    outlook.end(2, Some(8 * MINUTE));
    let alone = (0.8_f64).ln();
    assert!(outlook.level(at(8)).shift > 0.3 * alone, "{:?}", outlook.level(at(8)));
}

#[test]
fn without_any_history_the_first_to_end_are_the_pilots() {
    let vague = Luck {
        common: Common {
            sigma: 3.0,
            degrees: 8.0,
        },
        ..Luck::NONE
    };
    let mut outlook = Outlook::new((1..=100).map(|seq| (seq, LogNormal::around(MINUTE, 0.5))), vague);
    for seq in 1..=20 {
        outlook.start(seq, at(0));
        outlook.end(seq, Some(20 * MINUTE));
    }
    let left = median(&outlook, at(40), 10);
    assert!((160.0..260.0).contains(&left), "{left}");
}

#[test]
fn a_straggler_is_one_beyond_what_its_kind_takes() {
    let mut outlook = outlook(20, 0.2, luck(0.1));
    outlook.start(1, at(0));
    let prediction = outlook.prediction(1, &outlook.level(at(0))).expect("it is open");
    assert!(
        (9.9..10.2).contains(&(prediction.median.as_secs_f64() / 60.0)),
        "{prediction:?}"
    );
    assert!(
        (13.0..16.0).contains(&(prediction.limit.as_secs_f64() / 60.0)),
        "{prediction:?}"
    );
    outlook.end(1, None);
    assert_eq!(outlook.prediction(1, &outlook.level(at(0))), None);
    assert_eq!(outlook.seen(), 0, "a failure tells of no duration");
}

#[test]
fn failures_take_their_time() {
    let often = Luck {
        failure: 0.5,
        retries: 3,
        ..Luck::NONE
    };
    let steady = median(&outlook(100, 0.1, Luck::NONE), at(0), 5);
    let failing = median(&outlook(100, 0.1, often), at(0), 5);
    assert!(failing > 1.6 * steady, "{failing} {steady}");
}

#[test]
fn the_chance_follows_the_clock() {
    let mut outlook = outlook(1, 0.3, Luck::NONE);
    outlook.start(1, at(0));
    let chance = |outlook: &Outlook, now: u32, due: u32| {
        let finish = outlook.finish(at(now), 1, &outlook.level(at(now)), 1);
        finish.chance(at(due).since(at(now)))
    };
    assert!((chance(&outlook, 0, 10) - 0.5).abs() < 0.08);
    assert!(chance(&outlook, 9, 10) < 0.5);
    assert_eq!(chance(&outlook, 11, 10), 0.0);
    let deciding = outlook.deciding(at(9), MINUTE, &outlook.level(at(9)), 3);
    assert_eq!(deciding.len(), 1);
    assert!(deciding[0].1 > 0.5, "{deciding:?}");
    outlook.end(1, Some(9 * MINUTE));
    assert_eq!(chance(&outlook, 9, 10), 1.0, "nothing is left to be late");
}

#[test]
fn what_is_over_is_forgotten() {
    let mut outlook = outlook(10_000, 0.1, Luck::NONE);
    for seq in 1..=9_999 {
        outlook.end(seq, Some(MINUTE));
        assert!(outlook.order.len() <= 2 * outlook.left() + 64);
    }
    outlook.put_back(10_000, None);
    outlook.start(20_000, at(0));
    assert_eq!(outlook.left(), 1);
}

#[test]
fn one_straggler_is_no_slow_run_and_many_are() {
    let mut alone = outlook(40, 0.1, luck(0.1));
    for seq in 1..=9 {
        alone.start(seq, at(0));
        alone.end(seq, Some(10 * MINUTE));
    }
    alone.start(10, at(0));
    alone.end(10, Some(300 * MINUTE));
    assert!(alone.level(at(300)).shift.abs() < 0.05, "{:?}", alone.level(at(300)));
    // Thirty times as long, all of them: whatever was thought before.
    let mut all = outlook(40, 0.1, luck(0.1));
    for seq in 1..=10 {
        all.start(seq, at(0));
        all.end(seq, Some(300 * MINUTE));
    }
    let shift = all.level(at(300)).shift;
    assert!((shift - 30_f64.ln()).abs() < 0.1, "{shift}");
}

#[test]
fn what_waits_for_its_retry_is_waited_for() {
    let mut outlook = outlook(1, 0.0, Luck::NONE);
    outlook.start(1, at(0));
    outlook.put_back(1, Some(at(30)));
    assert_eq!(median(&outlook, at(10), 4), 30.0, "twenty to wait, ten to run");
    let often = Luck {
        failure: 0.5,
        retries: 6,
        backoff: crate::project::Backoff {
            first: 10 * MINUTE,
            factor: 2.0,
            max: 100 * MINUTE,
            jitter: 0.0,
        },
        ..Luck::NONE
    };
    let steady = median(
        &Outlook::new((1..=30).map(|seq| (seq, LogNormal::around(MINUTE, 0.0))), Luck::NONE),
        at(0),
        30,
    );
    let failing = median(
        &Outlook::new((1..=30).map(|seq| (seq, LogNormal::around(MINUTE, 0.0))), often),
        at(0),
        30,
    );
    assert!(steady == 1.0 && failing > 100.0, "{steady} {failing}");
}
