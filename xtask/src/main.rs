//! The project's own chores, as `cargo xtask <chore>`: `check` is everything that must hold before a change is merged,
//! `generate` rewrites the files that come from the binary, `bench` measures against peers, `kill` ends runtimes and
//! keepers at random for longer than a test may. Nothing here is part of what users get.

#![expect(clippy::print_stdout, reason = "a chore speaks on stdout")]

mod bench;
mod check;
mod kill;
mod sim;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>

  check [--only SUITE]... [--release-budget]   everything that must hold, with the time it took against its budget
  generate                                     rewrite the files that come from the binary (docs/)
  bench <area> [option]...                     measure against peers, write bench/results/<area>.md
  sim [--aws] [--schedules N] [--seed N]       the engine, or runs on AWS, under seeded misfortune, on all cores
  worker [ARCHITECTURE]                        the static binary for containers on AWS, and its size
  kill [option]...                             end runtime and keeper at random, many times, and look at what is left
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (chore, rest) = match args.split_first() {
        Some((chore, rest)) => (chore.as_str(), rest),
        None => ("help", &args[..]),
    };
    let done = match chore {
        "check" => check::run(rest),
        "generate" => check::generate(rest),
        "bench" => bench::run(rest),
        "kill" => kill::run(rest),
        "sim" => sim::run(rest),
        "worker" => worker::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("error: no chore is called `{other}`\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace, wherever the chore was started from.
pub(crate) fn workspace_root() -> PathBuf {
    // Asked at run time: the build folder is shared between checkouts, and a compiled-in path would be that of another.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("./xtask"), PathBuf::from);
    manifest.parent().unwrap_or(Path::new(".")).to_owned()
}
