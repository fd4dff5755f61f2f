//! The engine under seeded misfortune. A failing seed is printed; `KINGTIDE_SEED=n cargo test -p kingtide-testkit --test sim`
//! replays it alone.

use std::panic::catch_unwind;

use kingtide_testkit::sim::{self, Mutation};

/// Schedules in the test suite; `cargo xtask sim` runs more.
const SCHEDULES: u64 = 20_000;

#[test]
fn every_schedule_drains() {
    if let Some(seed) = std::env::var("KINGTIDE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        sim::run(seed, Mutation::None);
        return;
    }
    let before = std::time::Instant::now();
    let (mut crashes, mut executions) = (0, 0);
    for seed in 0..SCHEDULES {
        let outcome = sim::run(seed, Mutation::None);
        crashes += outcome.crashes;
        executions += outcome.executions;
    }
    eprintln!(
        "{SCHEDULES} schedules, {crashes} crashes, {executions} executions in {:.1?}",
        before.elapsed()
    );
    assert!(
        crashes > SCHEDULES / 2 && executions > SCHEDULES * 4,
        "the schedules are too tame: {crashes}, {executions}"
    );
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    for seed in 0..100 {
        assert_eq!(sim::run(seed, Mutation::None), sim::run(seed, Mutation::None));
    }
}

#[test]
fn every_consumer_comes_to_rest() {
    if let Some(seed) = std::env::var("KINGTIDE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        sim::consumer::run(seed, sim::consumer::Mutation::None);
        return;
    }
    let done: u64 = (0..SCHEDULES / 4)
        .map(|seed| sim::consumer::run(seed, sim::consumer::Mutation::None))
        .sum();
    assert!(done > SCHEDULES, "the schedules are too tame: {done} messages");
}

#[test]
fn a_consumer_that_is_wronged_is_noticed() {
    use sim::consumer::Mutation;
    for mutation in [Mutation::ForgetReclaim, Mutation::HandToLeaving] {
        let caught = (0..500).find(|seed| catch_unwind(|| sim::consumer::run(*seed, mutation)).is_err());
        assert!(caught.is_some(), "{mutation:?} went unnoticed");
    }
}

#[test]
fn acting_before_the_commit_is_caught() {
    assert_caught(Mutation::ActBeforeCommit);
}

#[test]
fn a_forgotten_lease_is_caught() {
    assert_caught(Mutation::ForgetLease);
}

#[test]
fn a_lost_retry_is_caught() {
    assert_caught(Mutation::LoseRetry);
}

fn assert_caught(mutation: Mutation) {
    let caught = (0..500).find(|seed| catch_unwind(|| sim::run(*seed, mutation)).is_err());
    assert!(caught.is_some(), "{mutation:?} went unnoticed");
}
