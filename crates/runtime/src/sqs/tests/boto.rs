//! boto3 and botocore against a listener in front of real queues: each answer is compared with the service models that botocore
//! ships, in both protocols. The scripts are in `crates/runtime/tests/sqs`; `cargo xtask check` brings the packages.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{House, pump};
use crate::sqs::fault::Code;
use crate::sqs::service::{Policy, limits};

/// Holds `boto3` and `botocore-query`, each a folder of Python packages.
const VARIABLE: &str = "KINGTIDE_TEST_BOTO";

fn packages() -> Option<PathBuf> {
    let folder = std::env::var_os(VARIABLE).map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: {VARIABLE} names no folder of Python packages; `cargo xtask check` fetches them");
    }
    folder
}

#[track_caller]
fn run(packages: &Path, script: &str, arguments: &[&str], input: &str) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sqs");
    let mut python = Command::new("python3")
        .arg(scripts.join(script))
        .args(arguments)
        .arg(packages.join("botocore-query"))
        .env("PYTHONPATH", packages.join("boto3"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // Nothing of the machine's own configuration is read.
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut stdin = python.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("read");
    drop(stdin);
    let output = python.wait_with_output().expect("python3 ends");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        said(&output.stdout),
        said(&output.stderr)
    );
}

fn conforms(protocol: &str) {
    let Some(packages) = packages() else { return };
    let house = House::open();
    let endpoint = format!("http://{}", house.address);
    run(&packages, "conformance.py", &[protocol, &endpoint], "");
}

#[test]
fn boto3_finds_what_the_model_says_in_json() {
    conforms("json");
}

#[test]
fn boto3_finds_what_the_model_says_in_xml() {
    conforms("query");
}

#[test]
fn signatures_of_botocore_hold() {
    let Some(packages) = packages() else { return };
    let secret = |key: &str| (key == "AKID").then(|| "secret/+".to_owned());
    let house = House::with(Policy::Signed(Box::new(secret)), limits(), pump::start());
    run(&packages, "signatures.py", &[&format!("http://{}", house.address)], "");
}

#[test]
fn codes_of_errors_are_those_of_the_models() {
    let Some(packages) = packages() else { return };
    let told = |code: &Code| serde_json::json!([code.namespace(), code.shape(), code.query(), code.status()]);
    let codes: Vec<serde_json::Value> = Code::ALL.iter().map(told).collect();
    run(&packages, "codes.py", &[], &serde_json::Value::from(codes).to_string());
}
