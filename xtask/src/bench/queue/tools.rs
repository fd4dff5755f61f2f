//! What the queues' benchmark needs beside Kingtide: the Rust client and the server of fixed answers, built here, and Python
//! environments with boto3 and with the peers, in the user's cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::super::installed;
use super::super::timing::{labelled, output_of};

const FOLDER: &str = "bench/queue";
/// The peers, as they are called in `requirements-peers.txt`.
const PEERS: [&str; 2] = ["moto", "ministack"];

pub(super) struct Tools {
    /// The Rust client.
    client: PathBuf,
    pub(super) null: PathBuf,
    /// Has boto3.
    python: PathBuf,
    /// The environment of the peers; the error says why there is none.
    peers: Result<PathBuf, String>,
    pub(super) versions: Vec<(String, String)>,
}

/// Who sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Boto3,
    Rust,
}

impl Client {
    pub(super) const ALL: [Client; 2] = [Client::Boto3, Client::Rust];

    pub(super) fn title(self) -> &'static str {
        match self {
            Client::Boto3 => "boto3",
            Client::Rust => "Rust SDK",
        }
    }
}

impl Tools {
    pub(super) fn prepare(scratch: &Path) -> anyhow::Result<Tools> {
        let target = scratch.join("queue-client");
        let manifest = crate::workspace_root().join(FOLDER).join("client/Cargo.toml");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
            .arg(manifest)
            .env("CARGO_TARGET_DIR", &target)
            .status()
            .context("failed to start cargo")?;
        if !status.success() {
            bail!("the client of the benchmark could not be built");
        }
        let python = environment("queue-client", "requirements.txt")?;
        let peers = environment("queue-peers", "requirements-peers.txt").map_err(|error| format!("{error:#}"));
        let mut versions = vec![("boto3".to_owned(), pinned("requirements.txt", "boto3")?)];
        for peer in PEERS {
            versions.push((peer.to_owned(), pinned("requirements-peers.txt", peer)?));
        }
        versions.push(("aws-sdk-sqs".to_owned(), locked("aws-sdk-sqs")?));
        Ok(Tools {
            client: target.join("release/sqs-client"),
            null: target.join("release/sqs-null"),
            python: python.join("bin/python3"),
            peers,
            versions,
        })
    }

    /// Why the peers cannot be had.
    pub(super) fn peers_missing(&self) -> Option<&str> {
        self.peers.as_ref().err().map(String::as_str)
    }

    /// A program of the peers' environment; one that does not exist where there is none.
    pub(super) fn peer(&self, program: &str) -> PathBuf {
        self.peers
            .as_ref()
            .map_or_else(|_| PathBuf::from(program), |folder| folder.join("bin").join(program))
    }

    /// Messages a second through all three calls.
    pub(super) fn rate(&self, client: Client, url: &str, load: Load) -> anyhow::Result<f64> {
        let numbers = [load.clients, load.batch, load.seconds].map(|number| number.to_string());
        match client {
            Client::Boto3 => {
                let script = std::path::absolute(crate::workspace_root().join(FOLDER).join("with_boto3.py"))?;
                let mut command = Command::new(&self.python);
                labelled(&output_of(at(command.arg(script).args(numbers), url))?, "rate ")
            }
            Client::Rust => first_number(&output_of(self.rust(url).arg("load").args(numbers))?),
        }
    }

    /// Leaves so many messages in the queue of the load.
    pub(super) fn fill(&self, url: &str, messages: usize) -> anyhow::Result<()> {
        output_of(self.rust(url).arg("fill").arg(messages.to_string())).map(drop)
    }

    /// Milliseconds from a send's answer to a waiting receive's: median and 99th percentile.
    pub(super) fn poll(&self, url: &str, rounds: usize) -> anyhow::Result<(f64, f64)> {
        let text = output_of(self.rust(url).arg("poll").arg(rounds.to_string()))?;
        let mut numbers = text.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(median)), Some(Ok(late))) => Ok((median, late)),
            _ => bail!("the client told no times"),
        }
    }

    /// So many clients for so long, while `look` is called again and again; then what the client counted, by its word.
    pub(super) fn soak(&self, url: &str, load: Load, mut look: impl FnMut()) -> anyhow::Result<Counts> {
        let numbers = [load.clients, load.batch, load.seconds].map(|number| number.to_string());
        let mut command = self.rust(url);
        command.arg("soak").args(numbers);
        let soaking = std::thread::spawn(move || output_of(&mut command));
        while !soaking.is_finished() {
            look();
            // Often enough to see a trend.
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        let text = soaking
            .join()
            .map_err(|_| anyhow::anyhow!("the client's thread panicked"))??;
        Ok(Counts {
            sent: labelled(&text, "sent ")?,
            lost: labelled(&text, "lost ")?,
            twice: labelled(&text, "twice ")?,
        })
    }

    fn rust(&self, url: &str) -> Command {
        let mut command = Command::new(&self.client);
        at(&mut command, url);
        command
    }
}

/// How hard the clients work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) clients: usize,
    /// Messages a call.
    pub(super) batch: usize,
    pub(super) seconds: usize,
}

/// What came of a soak.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) sent: f64,
    pub(super) lost: f64,
    pub(super) twice: f64,
}

/// Tells a client where the queues are.
fn at<'a>(command: &'a mut Command, url: &str) -> &'a mut Command {
    command
        .env("AWS_ENDPOINT_URL_SQS", url)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "anybody")
        .env("AWS_SECRET_ACCESS_KEY", "anything")
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

fn first_number(text: &str) -> anyhow::Result<f64> {
    let first = text.split_whitespace().next();
    first
        .and_then(|word| word.parse().ok())
        .context("the client told no number")
}

/// A Python environment with these requirements.
fn environment(name: &str, requirements: &str) -> anyhow::Result<PathBuf> {
    installed::python(name, &crate::workspace_root().join(FOLDER).join(requirements))
}

fn pinned(requirements: &str, package: &str) -> anyhow::Result<String> {
    let path = crate::workspace_root().join(FOLDER).join(requirements);
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix(package)?.strip_prefix("=="));
    Ok(version
        .with_context(|| format!("`{package}` is not pinned"))?
        .to_owned())
}

fn locked(package: &str) -> anyhow::Result<String> {
    let path = crate::workspace_root().join(FOLDER).join("client/Cargo.lock");
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let after = text.split(&format!("name = \"{package}\"\nversion = \"")).nth(1);
    let version = after.and_then(|text| text.split('"').next());
    Ok(version
        .with_context(|| format!("`{package}` is not locked"))?
        .to_owned())
}
