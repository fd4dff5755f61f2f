//! What nobody can beat on this machine: one process started and waited for, one durable commit.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::timing::{Summary, labelled, output_of, time};

/// Both in milliseconds.
pub(super) struct Floors {
    pub(super) spawn_ms: f64,
    /// `Err` says why it could not be measured.
    pub(super) commit_ms: anyhow::Result<f64>,
}

pub(super) fn measure(scratch: &Path) -> anyhow::Result<Floors> {
    let spawn = |_| time(&mut Command::new("/bin/true")).map(|took| took.as_secs_f64() * 1000.0);
    let samples = (0..300).map(spawn).collect::<anyhow::Result<Vec<f64>>>()?;
    let spawn_ms = Summary::of(&samples).context("no start was measured")?.median;
    Ok(Floors {
        spawn_ms,
        commit_ms: commit(scratch),
    })
}

fn commit(scratch: &Path) -> anyhow::Result<f64> {
    let folder = scratch.join("floors");
    super::peers::empty_folder(&folder)?;
    let script = crate::workspace_root().join("bench/floors/commit.py");
    labelled(
        &output_of(Command::new("python3").arg(script).arg("300").arg(&folder))?,
        "milliseconds ",
    )
}
