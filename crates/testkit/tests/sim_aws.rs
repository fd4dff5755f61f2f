//! Runs on AWS under seeded misfortune. A failing seed is printed; `KINGTIDE_SEED=n cargo test -p kingtide-testkit --test sim_aws` replays it
//! alone.

use std::panic::catch_unwind;

use kingtide_testkit::sim::aws::{self, Mutation};

/// Runs in the test suite; `cargo xtask sim --aws` runs more.
const RUNS: u64 = 1_000;

#[test]
fn every_run_ends_as_it_should() {
    if let Some(seed) = std::env::var("KINGTIDE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        aws::run(seed, Mutation::None);
        return;
    }
    let before = std::time::Instant::now();
    let (mut misfortunes, mut dispatchers, mut launched, mut executions) = (0, 0, 0, 0);
    for seed in 0..RUNS {
        let outcome = aws::run(seed, Mutation::None);
        misfortunes += outcome.misfortunes;
        dispatchers += outcome.dispatchers;
        launched += outcome.launched;
        executions += outcome.executions;
    }
    eprintln!(
        "{RUNS} runs, {misfortunes} misfortunes, {dispatchers} dispatchers, {launched} workers, {executions} executions in {:.1?}",
        before.elapsed()
    );
    assert!(
        dispatchers > RUNS * 3 / 2 && misfortunes > RUNS * 10 && executions > RUNS * 4,
        "the runs are too tame: {misfortunes}, {dispatchers}, {executions}"
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        assert_eq!(aws::run(seed, Mutation::None), aws::run(seed, Mutation::None));
    }
}

#[test]
fn a_claim_that_is_written_blindly_is_caught() {
    assert_caught(Mutation::ClaimBlindly);
}

#[test]
fn forgotten_tokens_are_caught() {
    assert_caught(Mutation::ForgetTokens);
}

#[test]
fn forgotten_ends_are_caught() {
    assert_caught(Mutation::ForgetEnds);
}

#[test]
fn a_dispatcher_that_nobody_starts_again_is_caught() {
    assert_caught(Mutation::LeaveAlone);
}

fn assert_caught(mutation: Mutation) {
    let caught = (0..500).find(|seed| catch_unwind(|| aws::run(*seed, mutation)).is_err());
    assert!(caught.is_some(), "{mutation:?} went unnoticed");
}
