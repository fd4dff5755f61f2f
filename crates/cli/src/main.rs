//! The `kingtide` executable: arguments → settings → one command → an exit code.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Kingtide runs on Linux on x86_64 and aarch64 only: it relies on pidfd, subreapers and /proc");

mod args;
mod commands;
mod exit;
mod output;
mod project;
mod select;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    exit::report(args::parse().and_then(commands::run))
}
