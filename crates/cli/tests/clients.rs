//! Clients of Amazon SQS as their users have them, unmodified, against `kingtide up`: boto3 (the newest, and the last that speaks
//! the query protocol), the AWS CLI, the SDKs for JavaScript and Rust, `sqs-consumer` from npm and Celery from PyPI.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kingtide_testkit::{Running, TestProject};
use rustix::process::Signal;

/// The folder into which `cargo xtask check` installs them; without it nothing can be tested.
fn clients(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("KINGTIDE_TEST_CLIENTS").map(PathBuf::from);
    let found = folder.filter(|folder| folder.join(what).exists());
    if found.is_none() {
        eprintln!("skipped: KINGTIDE_TEST_CLIENTS names no folder with {what}; `cargo xtask check` installs it");
    }
    found
}

struct House {
    project: TestProject,
    up: Running,
    sqs: String,
}

impl House {
    fn open() -> House {
        let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
            .toml("[project]\nname = \"clients\"\n[job.work]\ncommand = [\"true\"]\n");
        let mut up = project.spawn(&["up", "--sqs", "127.0.0.1:0", "--web", "127.0.0.1:0", "--json"]);
        let line = up.wait_for_line("\"up\":true");
        let told: serde_json::Value = serde_json::from_str(&line).expect("the line is JSON");
        let sqs = told["sqs"].as_str().expect("the queues listen").to_owned();
        House { project, up, sqs }
    }

    /// Runs a client in the project's folder, told where the queues are as every AWS SDK is, and expects its last word.
    fn expect_fine(self, program: &str, arguments: &[&str], variables: &[(&str, OsString)]) {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.project.path())
            .stdin(Stdio::null())
            .envs(variables.iter().map(|(name, value)| (*name, value)));
        let output = told(command, &self.sqs).output().expect("the client starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.trim_end().ends_with("fine"),
            "{program} {arguments:?}: {}\n{said}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        self.leave();
    }

    fn leave(self) {
        self.up.signal(Signal::TERM);
        self.up.wait().expect_code(0);
    }
}

/// Tells a client where the queues are, as every AWS SDK is told.
fn told(mut command: Command, sqs: &str) -> Command {
    command
        .env("AWS_ENDPOINT_URL_SQS", sqs)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "anybody")
        .env("AWS_SECRET_ACCESS_KEY", "anything")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
    path.to_string_lossy().into_owned()
}

fn boto3(folder: &str, protocol: &str) {
    let Some(clients) = clients(&format!("{folder}/boto3")) else {
        return;
    };
    let python = [("PYTHONPATH", clients.join(folder).into_os_string())];
    House::open().expect_fine("python3", &[&script("boto3_client.py"), protocol], &python);
}

#[test]
fn boto3_as_it_is() {
    boto3("py", "json");
}

#[test]
fn boto3_as_it_was_with_the_query_protocol() {
    boto3("py-query", "query");
}

#[test]
fn the_aws_cli() {
    let Some(folder) = clients("py/awscli") else { return };
    let python = [("PYTHONPATH", folder.join("py").into_os_string())];
    House::open().expect_fine("sh", &[&script("aws-cli.sh")], &python);
}

#[test]
fn the_sdk_for_javascript_and_sqs_consumer() {
    let Some(folder) = clients("js/node_modules/sqs-consumer") else {
        return;
    };
    // Modules are looked for beside the file that asks for them.
    let copy = folder.join("js").join(format!("sdk-{}.mjs", std::process::id()));
    std::fs::copy(script("sdk.mjs"), &copy).expect("copied");
    House::open().expect_fine("node", &[&copy.to_string_lossy()], &[]);
    std::fs::remove_file(copy).expect("removed");
}

#[test]
fn celery() {
    let Some(folder) = clients("py/celery") else { return };
    let house = House::open();
    std::fs::copy(script("tasks.py"), house.project.path().join("tasks.py")).expect("copied");
    let python = [("PYTHONPATH", folder.join("py").into_os_string())];
    house.expect_fine("sh", &[&script("celery.sh")], &python);
}

#[test]
fn the_sdk_for_rust() {
    let Some(folder) = clients("sqs-client") else { return };
    House::open().expect_fine(&folder.join("sqs-client").to_string_lossy(), &["smoke"], &[]);
}

/// What a process holds in memory, in MiB.
fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.expect("the kernel says it") / 1024.0
}

#[test]
fn heavy_sixty_four_clients_at_once_lose_nothing() {
    let Some(folder) = clients("sqs-client") else { return };
    let house = House::open();
    let mut command = Command::new(folder.join("sqs-client"));
    command.args(["soak", "64", "10", "10"]);
    let client = Running::start(told(command, &house.sqs));
    let mut held = Vec::new();
    while !client.ended_within(Duration::from_millis(500)) {
        held.push(resident_mib(house.up.pid()));
    }
    let output = client.wait().expect_code(0);
    let number = |name: &str| -> u64 {
        let line = output.stdout.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().parse().ok())
            .unwrap_or_else(|| panic!("no `{name}` in {}", output.text()))
    };
    assert!(number("sent ") > 1000, "{}", output.text());
    assert_eq!((number("lost "), number("twice "), number("foreign ")), (0, 0, 0));
    // Grown to what 64 clients need, it stays there.
    let grown = held.len() / 2;
    let most = |held: &[f64]| held.iter().copied().fold(0.0, f64::max);
    let (first, second) = (most(&held[..grown]), most(&held[grown..]));
    assert!(second < first * 1.2 + 2.0, "memory grows: {held:?}");
    house.leave();
}
