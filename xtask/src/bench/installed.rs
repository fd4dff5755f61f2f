//! What benchmarks hold Kingtide against and what is no part of the workspace: Python environments and packages of npm, in the user's cache,
//! made anew when what is wanted of them changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::peers::cache;
use super::timing::output_of;

/// A Python environment with these requirements.
pub(super) fn python(name: &str, requirements: &Path) -> anyhow::Result<PathBuf> {
    let wanted = read(requirements)?;
    let folder = cache()?.join(name);
    let installed = folder.join("requirements.txt");
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    output_of(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
    output_of(Command::new(folder.join("bin/python3")).args(pip).arg(requirements))?;
    fs::write(&installed, wanted).with_context(|| format!("failed to write `{}`", installed.display()))?;
    Ok(folder)
}

/// A folder with the packages of `project`'s lock file.
pub(super) fn node(name: &str, project: &Path) -> anyhow::Result<PathBuf> {
    let files = ["package.json", "package-lock.json"];
    let folder = cache()?.join(name);
    let installed = folder.join("installed.json");
    let wanted = read(&project.join(files[1]))?;
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).context("failed to make the folder of the packages")?;
    for file in files {
        fs::copy(project.join(file), folder.join(file)).with_context(|| format!("failed to copy `{file}`"))?;
    }
    let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
    output_of(Command::new("npm").args(npm).current_dir(&folder))?;
    fs::write(&installed, wanted).with_context(|| format!("failed to write `{}`", installed.display()))?;
    Ok(folder)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))
}
