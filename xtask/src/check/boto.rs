//! SDKs that speak to the queues in tests, installed in the set-up so that no test needs the network.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::suite::{Deadline, Tool};
use super::wheels;

/// Where tests are told to find them.
pub(crate) const VARIABLE: &str = "KINGTIDE_TEST_BOTO";

/// Folder, requirements, and what more pip is told.
const SETS: &[(&str, &str, &[&str])] = &[
    ("boto3", "crates/runtime/tests/sqs/requirements.txt", &[]),
    // Only data is taken from it, so what it needs to run is left where it is.
    (
        "botocore-query",
        "crates/runtime/tests/sqs/requirements-query.txt",
        &["--no-deps"],
    ),
];

/// In the user's cache, beside the wheels.
pub(crate) fn folder() -> PathBuf {
    wheels::folder().with_file_name("test-boto")
}

/// Installs what is missing, and nothing when the requirements are those of the last time.
pub(crate) fn install(limit: &Deadline) -> anyhow::Result<()> {
    for (name, requirements, more) in SETS {
        let folder = folder().join(name);
        let wanted = fs::read(requirements).with_context(|| format!("failed to read `{requirements}`"))?;
        let installed = folder.join("requirements.txt");
        if fs::read(&installed).is_ok_and(|found| found == wanted) {
            println!("Python packages, {name}: present");
            continue;
        }
        println!("Python packages, {name}: installed");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("failed to remove `{}`", folder.display()))?;
        }
        let pip = "-m pip install --quiet --disable-pip-version-check --root-user-action ignore --target";
        let tool = pip
            .split(' ')
            .fold(Tool::new("python3"), Tool::arg)
            .arg(folder.as_os_str());
        let tool = tool.arg("--requirement").arg(*requirements);
        more.iter().fold(tool, |tool, option| tool.arg(*option)).run(limit)?;
        fs::write(&installed, wanted).with_context(|| format!("failed to write `{}`", installed.display()))?;
    }
    Ok(())
}
