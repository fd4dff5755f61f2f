//! The peers of the dispatch benchmark: how each is had, and how it runs a program many times in its documented way.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use super::binary::{Kingtide, succeeded_in};
use super::options::Options;
use super::timing::{labelled, output_of, time};

/// What every task runs.
pub(super) const PROGRAM: &str = "/bin/true";
/// How many run at a time.
pub(super) const WIDTH: usize = 2;

const HYPERQUEUE: &str = "0.27.0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Bare,
    Xargs,
    Parallel,
    HyperQueue,
    HyperQueueFiles,
    Kingtide,
}

/// A peer that can run.
pub(super) struct Ready {
    pub(super) peer: Peer,
    pub(super) version: String,
    /// Its executable; for HyperQueue a Python that has it.
    executable: PathBuf,
}

impl Peer {
    pub(super) const ALL: [Peer; 6] = [
        Peer::Bare,
        Peer::Xargs,
        Peer::Parallel,
        Peer::HyperQueue,
        Peer::HyperQueueFiles,
        Peer::Kingtide,
    ];

    /// As it is called on the command line.
    fn key(self) -> &'static str {
        match self {
            Peer::Bare => "bare",
            Peer::Xargs => "xargs",
            Peer::Parallel => "parallel",
            Peer::HyperQueue => "hyperqueue",
            Peer::HyperQueueFiles => "hyperqueue-files",
            Peer::Kingtide => "kingtide",
        }
    }

    pub(super) fn named(key: &str) -> anyhow::Result<Peer> {
        Peer::ALL
            .into_iter()
            .find(|peer| peer.key() == key)
            .with_context(|| format!("no peer is called `{key}`"))
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Peer::Bare => "bare `posix_spawn`",
            Peer::Xargs => "xargs",
            Peer::Parallel => "GNU parallel",
            Peer::HyperQueue => "HyperQueue",
            Peer::HyperQueueFiles => "HyperQueue, files",
            Peer::Kingtide => "Kingtide",
        }
    }

    /// What is typed, without this machine's paths.
    pub(super) fn command(self, count: usize) -> String {
        match self {
            Peer::Bare => format!("bare {count} {WIDTH} {PROGRAM}"),
            Peer::Xargs => format!("seq {count} \\| xargs -P{WIDTH} -n1 {PROGRAM}"),
            Peer::Parallel => format!("seq {count} \\| parallel -j{WIDTH} -n0 {PROGRAM}"),
            Peer::HyperQueue => format!("python3 with_hyperqueue.py {count} {WIDTH} {PROGRAM} none"),
            Peer::HyperQueueFiles => format!("python3 with_hyperqueue.py {count} {WIDTH} {PROGRAM} files"),
            Peer::Kingtide => "kingtide run burst --quiet --json".to_owned(),
        }
    }

    /// Builds or installs it; the error says why it cannot be had.
    pub(super) fn prepare(self, options: &Options, scratch: &Path) -> anyhow::Result<Ready> {
        let (executable, version) = match self {
            Peer::Bare => bare(scratch)?,
            Peer::Xargs => (PathBuf::from("xargs"), first_line_of("xargs")?),
            Peer::Parallel => parallel()?,
            Peer::HyperQueue | Peer::HyperQueueFiles => hyperqueue()?,
            Peer::Kingtide => {
                let kingtide = Kingtide::find(options)?;
                (kingtide.path, kingtide.version)
            }
        };
        Ok(Ready {
            peer: self,
            version,
            executable,
        })
    }
}

impl Ready {
    /// Runs the program `count` times and says how many seconds that took.
    pub(super) fn run(&self, count: usize, scratch: &Path) -> anyhow::Result<f64> {
        let folder = scratch.join("rounds").join(self.peer.key());
        empty_folder(&folder)?;
        let mut command = Command::new(&self.executable);
        command.current_dir(&folder);
        match self.peer {
            Peer::Bare => {
                command.args([&count.to_string(), &WIDTH.to_string(), PROGRAM]);
            }
            Peer::Xargs | Peer::Parallel => command = fed_by_seq(self, count, &folder),
            Peer::HyperQueue | Peer::HyperQueueFiles => return self.run_hyperqueue(count, &folder),
            Peer::Kingtide => {
                write_burst(&folder, count)?;
                command.args(["run", "burst", "--quiet", "--json"]);
                return time_counted(&mut command, count);
            }
        }
        Ok(time(&mut command)?.as_secs_f64())
    }

    fn run_hyperqueue(&self, count: usize, folder: &Path) -> anyhow::Result<f64> {
        let files = if self.peer == Peer::HyperQueueFiles {
            "files"
        } else {
            "none"
        };
        let script = crate::workspace_root().join("bench/dispatch/with_hyperqueue.py");
        let mut command = Command::new(&self.executable);
        command.arg(std::path::absolute(script)?);
        command
            .args([&count.to_string(), &WIDTH.to_string(), PROGRAM, files])
            .arg(folder);
        labelled(&output_of(&mut command)?, "seconds ")
    }
}

fn fed_by_seq(ready: &Ready, count: usize, folder: &Path) -> Command {
    let flags = if ready.peer == Peer::Xargs { "-n1" } else { "-n0" };
    let width = if ready.peer == Peer::Xargs {
        format!("-P{WIDTH}")
    } else {
        format!("-j{WIDTH}")
    };
    let mut command = Command::new("bash");
    command.args([
        "-c",
        "set -o pipefail; seq \"$1\" | \"$2\" \"$3\" \"$4\" \"$5\"",
        "bash",
    ]);
    command
        .arg(count.to_string())
        .arg(&ready.executable)
        .args([&width, flags, PROGRAM])
        .current_dir(folder);
    command
}

/// Seconds of a run of Kingtide, which must have counted every task as succeeded.
fn time_counted(command: &mut Command, count: usize) -> anyhow::Result<f64> {
    let start = Instant::now();
    let text = output_of(command)?;
    let seconds = start.elapsed().as_secs_f64();
    match succeeded_in(&text)? {
        all if all == count as u64 => Ok(seconds),
        other => bail!("of {count} tasks, {other} succeeded"),
    }
}

/// A project with a task for each row of its parameters.
fn write_burst(folder: &Path, count: usize) -> anyhow::Result<()> {
    let project = format!(
        "[project]\nname = \"burst\"\n\n[local]\ncpu = {WIDTH}\n\n\
         [job.burst]\ncommand = [\"{PROGRAM}\"]\ncpu = 1\nparams = \"rows.csv\"\n"
    );
    let rows: String = std::iter::once("row\n".to_owned())
        .chain((1..=count).map(|row| format!("{row}\n")))
        .collect();
    fs::write(folder.join("kingtide.toml"), project).context("failed to write the project")?;
    fs::write(folder.join("rows.csv"), rows).context("failed to write the parameters")
}

fn bare(scratch: &Path) -> anyhow::Result<(PathBuf, String)> {
    let executable = scratch.join("bare");
    let source = crate::workspace_root().join("bench/dispatch/bare.c");
    output_of(Command::new("cc").args(["-O2", "-o"]).arg(&executable).arg(source))?;
    Ok((executable, first_line_of("cc")?))
}

fn parallel() -> anyhow::Result<(PathBuf, String)> {
    if first_line_of("parallel").is_err() {
        output_of(Command::new("apt-get").args(["install", "--yes", "--quiet", "parallel"]))
            .context("`parallel` is not installed, and cannot be")?;
    }
    let version = first_line_of("parallel")?;
    // moreutils has a program of the same name.
    if !version.starts_with("GNU") {
        bail!("the `parallel` here is not GNU parallel");
    }
    Ok((PathBuf::from("parallel"), version))
}

/// An environment with HyperQueue's package, in the user's cache.
fn hyperqueue() -> anyhow::Result<(PathBuf, String)> {
    let folder = cache()?.join(format!("hyperqueue-{HYPERQUEUE}"));
    let python = folder.join("bin/python3");
    let imports = |python: &Path| output_of(Command::new(python).args(["-c", "import hyperqueue"]));
    if imports(&python).is_err() {
        output_of(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let package = format!("hyperqueue=={HYPERQUEUE}");
        output_of(Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]))?;
        imports(&python)?;
    }
    Ok((python, format!("HyperQueue {HYPERQUEUE} (PyPI)")))
}

/// Where the peers are kept: in the user's cache.
pub(super) fn cache() -> anyhow::Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").context("`HOME` is not set")?).join(".cache"),
    };
    Ok(cache.join("kingtide-bench"))
}

fn first_line_of(program: &str) -> anyhow::Result<String> {
    let text = output_of(Command::new(program).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Makes the folder, without anything left of an earlier use.
pub(super) fn empty_folder(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("failed to empty a folder of the benchmark"),
    }
    fs::create_dir_all(folder).context("failed to make a folder of the benchmark")
}
