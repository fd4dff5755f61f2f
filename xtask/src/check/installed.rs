//! What the set-up installs, in folders of the user's cache: each once, until what is wanted of it changes.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::suite::{Deadline, Tool};

/// In the folder: the file that said what it is to hold.
const MARK: &str = ".installed-from";

/// Installs into an empty folder, unless it was installed from the same file.
pub(super) fn once(
    name: &str,
    wanted: &str,
    into: &Path,
    install: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let text = fs::read(wanted).with_context(|| format!("failed to read `{wanted}`"))?;
    let mark = into.join(MARK);
    if fs::read(&mark).is_ok_and(|found| found == text) {
        println!("{name}: present");
        return Ok(());
    }
    println!("{name}: installed");
    if into.exists() {
        fs::remove_dir_all(into).with_context(|| format!("failed to remove `{}`", into.display()))?;
    }
    fs::create_dir_all(into).with_context(|| format!("failed to make `{}`", into.display()))?;
    install(into)?;
    fs::write(&mark, text).with_context(|| format!("failed to write `{}`", mark.display()))
}

/// Python packages in a folder, for `PYTHONPATH`; `more` is what else pip is told.
pub(super) fn python_packages(into: &Path, requirements: &str, more: &[&str], limit: &Deadline) -> anyhow::Result<()> {
    let pip = "-m pip install --quiet --disable-pip-version-check --root-user-action ignore --target";
    let tool = pip
        .split(' ')
        .fold(Tool::new("python3"), Tool::arg)
        .arg(into.as_os_str());
    let tool = tool.arg("--requirement").arg(requirements);
    more.iter().fold(tool, |tool, option| tool.arg(*option)).run(limit)
}
