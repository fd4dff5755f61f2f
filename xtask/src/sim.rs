//! `cargo xtask sim`: more schedules of the simulator than a test may run, on all cores, and how many go by in a minute; with `--aws`, runs on AWS
//! from the state machine to the last worker.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use kingtide_testkit::sim::{self, Mutation};

/// Runs `--schedules N` (100,000; with `--aws` 10,000) from `--seed N` (0) on.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let is_aws = args.iter().any(|arg| arg == "--aws");
    let args: Vec<&String> = args.iter().filter(|arg| *arg != "--aws").collect();
    let (mut schedules, mut first) = (if is_aws { 10_000 } else { 100_000 }, 0);
    for pair in args.chunks(2) {
        match pair {
            [option, value] if *option == "--schedules" => schedules = value.parse()?,
            [option, value] if *option == "--seed" => first = value.parse()?,
            _ => anyhow::bail!("usage: cargo xtask sim [--aws] [--schedules N] [--seed N]"),
        }
    }
    let next = AtomicU64::new(first);
    let failed = AtomicU64::new(u64::MAX);
    let before = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + schedules || failed.load(Ordering::Relaxed) < seed {
                        return;
                    }
                    // The message of the panic has been printed, with the seed.
                    let is_broken = match is_aws {
                        true => catch_unwind(|| sim::aws::run(seed, sim::aws::Mutation::None)).is_err(),
                        false => catch_unwind(|| sim::run(seed, Mutation::None)).is_err(),
                    };
                    if is_broken {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let took = before.elapsed();
    let rate = schedules as f64 / took.as_secs_f64() * 60.0;
    match failed.into_inner() {
        u64::MAX => println!("{schedules} schedules in {took:.1?} on {cores} cores: {rate:.0} a minute"),
        seed => anyhow::bail!(
            "seed {seed} fails: KINGTIDE_SEED={seed} cargo test -p kingtide-testkit --test {}",
            if is_aws { "sim_aws" } else { "sim" }
        ),
    }
    Ok(())
}
