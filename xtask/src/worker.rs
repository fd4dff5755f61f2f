//! `worker`: the static binary that goes into containers on AWS, as small as it gets; and what it weighs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::workspace_root;

/// Without a libc of the image: an image from scratch has none.
const FLAGS: &str = "-C target-feature=+crt-static -C relocation-model=static";
/// What is the first to be had of these is taken; either is static.
const LIBCS: [&str; 2] = ["musl", "gnu"];
const MOST_BYTES: u64 = 8_000_000;

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let architecture = match args {
        [] => std::env::consts::ARCH,
        [architecture] if ["x86_64", "aarch64"].contains(&architecture.as_str()) => architecture,
        _ => bail!("usage: cargo xtask worker [x86_64|aarch64]"),
    };
    let binary = build(architecture)?;
    let bytes = std::fs::metadata(&binary)
        .with_context(|| format!("failed to look at `{}`", binary.display()))?
        .len();
    println!("{} ({:.2} MB)", binary.display(), bytes as f64 / 1e6);
    if bytes > MOST_BYTES {
        bail!("it has {bytes} bytes, more than the {MOST_BYTES} that every start of a task pays for");
    }
    // Beside `kingtide`, where `deploy` looks for it.
    let beside = target_folder().join("release");
    let place = beside.join(format!("kingtide-worker-{architecture}"));
    std::fs::create_dir_all(&beside)
        .and_then(|()| std::fs::copy(&binary, &place))
        .with_context(|| format!("failed to write `{}`", place.display()))?;
    println!("{}", place.display());
    Ok(())
}

/// The path of what was built.
fn build(architecture: &str) -> anyhow::Result<PathBuf> {
    let libc = LIBCS.iter().find(|libc| has(architecture, libc));
    let Some(libc) = libc else {
        bail!("no toolchain for {architecture} is here: rustup target add {architecture}-unknown-linux-musl");
    };
    let target = format!("{architecture}-unknown-linux-{libc}");
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--package",
            "kingtide-worker",
            "--profile",
            "worker",
            "--target",
            &target,
        ])
        .env("RUSTFLAGS", FLAGS)
        .current_dir(workspace_root());
    let status = cargo.status().context("failed to start cargo")?;
    if !status.success() {
        bail!("the worker does not build for {target}");
    }
    Ok(target_folder().join(target).join("worker/kingtide-worker"))
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

/// Whether the toolchain has the target's own library.
fn has(architecture: &str, libc: &str) -> bool {
    let target = format!("{architecture}-unknown-linux-{libc}");
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", &target])
        .output();
    output.is_ok_and(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}
