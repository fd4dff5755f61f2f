//! The project's own chores, as `cargo xtask <chore>`.

mod bench;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((chore, rest)) if chore == "bench" => bench::run(rest),
        _ => Err(anyhow::anyhow!("usage: cargo xtask bench <area>")),
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
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("./xtask"), PathBuf::from);
    manifest.parent().unwrap_or(Path::new(".")).to_owned()
}
