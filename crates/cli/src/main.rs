//! The `kingtide` executable: arguments → settings → one command → an exit code.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Kingtide runs on Linux on x86_64 and aarch64 only: it relies on pidfd, subreapers and /proc");

mod args;
mod commands;
mod departure;
mod due;
mod exit;
mod output;
mod project;
mod remote;
mod select;
mod settings;

use std::process::ExitCode;

use output::style::Style;

fn main() -> ExitCode {
    match args::parse() {
        Ok(arguments) => {
            let style = Style::of_stderr(arguments.globals.color);
            exit::report(commands::run(arguments), style)
        }
        Err(failure) => exit::report(Err(failure), Style::of_stderr(None)),
    }
}
