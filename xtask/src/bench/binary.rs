//! The `kingtide` to measure: the one named, or a release build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::options::Options;
use super::timing::output_of;

pub(super) struct Kingtide {
    pub(super) path: PathBuf,
    /// As it prints it itself.
    pub(super) version: String,
}

impl Kingtide {
    pub(super) fn find(options: &Options) -> anyhow::Result<Kingtide> {
        let path = match &options.kingtide {
            Some(path) => path.clone(),
            None => build()?,
        };
        let version = output_of(Command::new(&path).arg("--version"))?.trim().to_owned();
        if !version.starts_with("kingtide") {
            bail!("the binary does not say that it is kingtide");
        }
        Ok(Kingtide { path, version })
    }

    /// Runs `job` of the project in `folder`; the error says what did not go well. Returns how many tasks succeeded.
    pub(super) fn succeeded(&self, folder: &Path, job: &str) -> anyhow::Result<u64> {
        let text = output_of(
            Command::new(&self.path)
                .args(["run", job, "--json"])
                .current_dir(folder),
        )?;
        succeeded_in(&text)
    }
}

/// The count of succeeded tasks in the last line of `run --json`.
pub(super) fn succeeded_in(text: &str) -> anyhow::Result<u64> {
    let last = text.lines().last().context("`run --json` printed nothing")?;
    let summary: serde_json::Value = serde_json::from_str(last).context("the last line of `run --json` is not JSON")?;
    summary["tasks"]["succeeded"]
        .as_u64()
        .context("the summary does not count succeeded tasks")
}

fn build() -> anyhow::Result<PathBuf> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--quiet", "--bin", "kingtide"])
        .current_dir(crate::workspace_root())
        .status()
        .context("failed to start cargo")?;
    if !status.success() {
        bail!("the release build failed");
    }
    Ok(target_folder().join("release/kingtide"))
}

/// Where the benchmark's files go: below the build folder, hence on a disk, where a flush costs what it costs.
pub(super) fn scratch() -> anyhow::Result<PathBuf> {
    let folder = target_folder().join("bench");
    fs::create_dir_all(&folder).context("failed to make the benchmark's folder")?;
    Ok(folder)
}

fn target_folder() -> PathBuf {
    let root = crate::workspace_root();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_stands_in_the_last_line() {
        let text = "{\"task\":1}\n{\"run\":1,\"state\":\"succeeded\",\"tasks\":{\"total\":3,\"succeeded\":3}}\n";
        assert_eq!(succeeded_in(text).expect("a summary"), 3);
        assert!(succeeded_in("").is_err());
        assert!(succeeded_in("{\"tasks\":{}}").is_err());
    }
}
