//! `kill -9` of runtime, keeper and guard at random moments: everything is done once, nothing is left, nothing is half.
//! `cargo xtask kill` runs the same for longer.

use std::path::Path;

use kingtide_testkit::kill_loop;

/// How many kills, and which seed; `cargo xtask kill` sets them.
const KILLS: &str = "KINGTIDE_TEST_KILLS";
const SEED: &str = "KINGTIDE_TEST_SEED";

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("it is a number"))
}

#[test]
fn heavy_every_message_is_done_whatever_is_killed() {
    let kills = number(KILLS).unwrap_or(200);
    let seed = number(SEED).unwrap_or_else(|| fastrand::Rng::new().u64(..));
    eprintln!("seed {seed}");
    let binary = Path::new(env!("CARGO_BIN_EXE_kingtide"));
    let tally = kill_loop::run(binary, seed, u32::try_from(kills).expect("not so many"), &mut |tally| {
        eprintln!(
            "{} kills, {} runs, {:.0} s",
            tally.kills,
            tally.runs,
            tally.took.as_secs_f64()
        );
    });
    eprintln!("{tally:?}");
    assert!(
        tally.runtimes > 0 && tally.keepers > 0 && tally.guards > 0,
        "every kind was killed: {tally:?}"
    );
}
