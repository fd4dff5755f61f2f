//! Clients of Amazon SQS that tests run against the queues, installed in the set-up so that no test needs the network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::suite::{Deadline, Tool};
use super::wheels;

/// Where tests are told to find them.
pub(crate) const VARIABLE: &str = "KINGTIDE_TEST_CLIENTS";

/// Folder and requirements: the newest of all, and the last boto3 that speaks the query protocol.
const PYTHON: [(&str, &str); 2] = [
    ("py", "crates/cli/tests/clients/requirements.txt"),
    ("py-query", "crates/cli/tests/clients/requirements-query.txt"),
];
const JAVASCRIPT: &str = "crates/cli/tests/clients/package.json";
/// What `package.json` asks for, down to the last digest.
const JAVASCRIPT_LOCK: &str = "crates/cli/tests/clients/package-lock.json";
const RUST: &str = "bench/queue/client";

/// In the user's cache, beside the wheels.
pub(crate) fn folder() -> PathBuf {
    wheels::folder().with_file_name("test-clients")
}

/// Installs what is missing, and nothing when what is wanted is what was wanted the last time.
pub(crate) fn install(limit: &Deadline) -> anyhow::Result<()> {
    let folder = folder();
    fs::create_dir_all(&folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    for (name, requirements) in PYTHON {
        once(&format!("Python ({name})"), requirements, &folder.join(name), |into| {
            let pip = "-m pip install --quiet --disable-pip-version-check --root-user-action ignore --target";
            let tool = pip
                .split(' ')
                .fold(Tool::new("python3"), Tool::arg)
                .arg(into.as_os_str());
            tool.arg("--requirement").arg(requirements).run(limit)
        })?;
    }
    if Tool::new("npm").arg("--version").works(limit) {
        once("JavaScript", JAVASCRIPT_LOCK, &folder.join("js"), |into| {
            fs::create_dir_all(into)?;
            fs::copy(JAVASCRIPT, into.join("package.json"))?;
            fs::copy(JAVASCRIPT_LOCK, into.join("package-lock.json"))?;
            let npm = "ci --silent --no-audit --no-fund --ignore-scripts --prefix";
            npm.split(' ')
                .fold(Tool::new("npm"), Tool::arg)
                .arg(into.as_os_str())
                .run(limit)
        })?;
    } else {
        println!("clients of the queues, JavaScript: no npm here, its tests are skipped");
    }
    rust(&folder, limit)
}

/// Installs into an empty folder, unless it was installed from the same file.
fn once(
    name: &str,
    wanted: &str,
    into: &Path,
    install: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let text = fs::read(wanted).with_context(|| format!("failed to read `{wanted}`"))?;
    let mark = into.join(".installed-from");
    if fs::read(&mark).is_ok_and(|found| found == text) {
        println!("clients of the queues, {name}: present");
        return Ok(());
    }
    println!("clients of the queues, {name}: installed");
    if into.exists() {
        fs::remove_dir_all(into).with_context(|| format!("failed to remove `{}`", into.display()))?;
    }
    install(into)?;
    fs::write(&mark, text).with_context(|| format!("failed to write `{}`", mark.display()))
}

/// The Rust SDK is a workspace of its own, built here because building it takes minutes.
fn rust(folder: &Path, limit: &Deadline) -> anyhow::Result<()> {
    println!("clients of the queues, Rust: built where it has changed");
    let target = folder.join("target");
    Tool::cargo("build --locked --release --quiet --manifest-path")
        .arg(format!("{RUST}/Cargo.toml"))
        .env("CARGO_TARGET_DIR", target.as_os_str())
        .run(limit)?;
    let built = target.join("release/sqs-client");
    fs::copy(&built, folder.join("sqs-client")).with_context(|| format!("failed to copy `{}`", built.display()))?;
    Ok(())
}
