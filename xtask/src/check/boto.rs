//! SDKs that speak to the queues in tests, installed in the set-up so that no test needs the network.

use std::path::PathBuf;

use super::installed::{once, python_packages};
use super::suite::Deadline;
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
        once(
            &format!("Python packages, {name}"),
            requirements,
            &folder().join(name),
            |into| python_packages(into, requirements, more, limit),
        )?;
    }
    Ok(())
}
