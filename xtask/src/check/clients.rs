//! Clients of Amazon SQS that tests run against the queues, and checkers of what is made for AWS, installed in the set-up so that no test
//! needs the network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::installed::{once, python_packages};
use super::suite::{Deadline, Tool};
use super::wheels;

/// Where tests are told to find them.
pub(crate) const VARIABLE: &str = "KINGTIDE_TEST_CLIENTS";

/// Folder and requirements: the newest of all, the last boto3 that speaks the query protocol, and the checkers of templates.
const PYTHON: [(&str, &str); 5] = [
    ("py", "crates/cli/tests/clients/requirements.txt"),
    ("py-query", "crates/cli/tests/clients/requirements-query.txt"),
    ("cfn-lint", "crates/cli/tests/aws/requirements.txt"),
    ("emulators", "crates/aws/tests/emulators/requirements.txt"),
    ("checkov", "crates/cli/tests/aws/requirements-checkov.txt"),
];
/// Folder, and where `package.json` lies, with what it asks for down to the last digest beside it.
const JAVASCRIPT: [(&str, &str); 2] = [("js", "crates/cli/tests/clients"), ("asl", "crates/cli/tests/aws")];
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
        once(
            &format!("clients and checkers, Python ({name})"),
            requirements,
            &folder.join(name),
            |into| python_packages(into, requirements, &[], limit),
        )?;
    }
    if Tool::new("npm").arg("--version").works(limit) {
        for (name, from) in JAVASCRIPT {
            let lock = format!("{from}/package-lock.json");
            once(
                &format!("clients and checkers, JavaScript ({name})"),
                &lock,
                &folder.join(name),
                |into| {
                    fs::copy(format!("{from}/package.json"), into.join("package.json"))?;
                    fs::copy(&lock, into.join("package-lock.json"))?;
                    let npm = "ci --silent --no-audit --no-fund --ignore-scripts --prefix";
                    npm.split(' ')
                        .fold(Tool::new("npm"), Tool::arg)
                        .arg(into.as_os_str())
                        .run(limit)
                },
            )?;
        }
    } else {
        println!("clients and checkers, JavaScript: no npm here, its tests are skipped");
    }
    rust(&folder, limit)
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
