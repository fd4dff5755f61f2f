//! What the queues carry: send → receive → delete through boto3 and the Rust SDK, beside a null server with fixed answers and moto's
//! server; with and without a million messages waiting; and what a runtime costs that has nothing to do.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::binary::{self, Kingtide};
use super::options::Options;
use super::peers::empty_folder;
use super::report::{Report, Target};
use super::timing::{Summary, output_of};
use super::{floors, machine};

const PROJECT: &str = "[project]\nname = \"queues\"\n\n[job.noop]\ncommand = [\"/bin/true\"]\n";
const BACKLOG: usize = 1_000_000;
/// So long an idle runtime is looked at.
const IDLE: Duration = Duration::from_secs(10);
/// Clients, messages a call, and how many are worth waiting for: boto3, the Rust SDK.
const SHAPES: [(usize, usize, usize, usize); 4] = [
    (1, 1, 300, 2000),
    (1, 10, 3000, 20_000),
    (8, 1, 800, 8000),
    (8, 10, 8000, 80_000),
];

/// A server that is measured, ended when it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = binary::scratch()?;
    let load_before = machine::load();
    let kingtide = Kingtide::find(options)?;
    let floors = floors::measure(&scratch)?;
    let client = client(&scratch)?;
    let python = packages(&scratch)?;
    let null = Server::start(Command::new(&client).arg("null"))?;
    let house = up(&kingtide, &scratch.join("queue"))?;
    let (memory, wakeups) = idle(&house)?;
    let moto = moto(&python);

    let servers: Vec<(&str, Option<&Server>)> = vec![
        ("null server", Some(&null)),
        ("Kingtide", Some(&house)),
        ("moto server", moto.as_ref()),
    ];
    let boto = |server: &Server, shape: (usize, usize, usize, usize)| {
        let mut command = Command::new("python3");
        let script = crate::workspace_root().join("bench/queue/with_boto3.py");
        command
            .arg(script)
            .args([shape.0, shape.1, shape.2].map(|number| number.to_string()));
        rate(command.env("PYTHONPATH", &python), server)
    };
    let rust = |server: &Server, shape: (usize, usize, usize, usize)| {
        let mut command = Command::new(&client);
        command
            .arg("load")
            .args([shape.0, shape.1, shape.3].map(|number| number.to_string()));
        rate(&mut command, server)
    };
    let mut rows = Vec::new();
    let mut worst: Option<f64> = None;
    let mut best_rust = 0.0;
    for shape in SHAPES {
        for (name, is_boto) in [("boto3", true), ("Rust SDK", false)] {
            // By turns, round by round, so that a disturbance meets all of them.
            let mut samples: Vec<Vec<f64>> = vec![Vec::new(); servers.len()];
            for _ in 0..options.rounds {
                for (index, (_, server)) in servers.iter().enumerate() {
                    // moto takes seconds for what the others do in one; through boto3 it is seen well enough.
                    let Some(server) = server.filter(|_| index < 2 || is_boto) else {
                        continue;
                    };
                    samples[index].push(if is_boto {
                        boto(server, shape)?
                    } else {
                        rust(server, shape)?
                    });
                }
            }
            let medians: Vec<Option<f64>> = samples
                .iter()
                .map(|samples| Summary::of(samples).map(|summary| summary.median))
                .collect();
            let ratio = medians[1].zip(medians[0]).map(|(ours, null)| ours / null);
            if is_boto {
                worst = worst.into_iter().chain(ratio).min_by(f64::total_cmp);
            } else if shape.0 == 8 && shape.1 == 10 {
                best_rust = medians[1].unwrap_or(0.0);
            }
            let number = |value: &Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"));
            rows.push(vec![
                format!(
                    "{name}, {} client{}, {} a call",
                    shape.0,
                    if shape.0 == 1 { "" } else { "s" },
                    shape.1
                ),
                number(&medians[0]),
                number(&medians[1]),
                ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
                number(&medians[2]),
            ]);
        }
    }
    let poll = output_of(told(Command::new(&client).args(["poll", "300"]), &house))?;
    let p99: f64 = poll
        .split_whitespace()
        .nth(1)
        .context("`poll` printed one number")?
        .parse()?;
    output_of(told(Command::new(&client).args(["fill", &BACKLOG.to_string()]), &house))?;
    let empty = up(&kingtide, &scratch.join("queue-empty"))?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        without.push(rust(&empty, SHAPES[3])?);
        with.push(rust(&house, SHAPES[3])?);
    }
    let median = |samples: &[f64]| {
        Summary::of(samples)
            .map(|summary| summary.median)
            .context("nothing was measured")
    };
    let (with, without) = (median(&with)?, median(&without)?);

    let mut report = Report::new(
        "queue",
        &format!(
            "Messages of 100 bytes a second through send, receive and delete; the median of {} rounds, the servers by turns. The null \
             server answers at once with the same words. Every send and delete of Kingtide is flushed to the disk before it is answered.",
            options.rounds
        ),
    );
    report.section("Messages a second");
    report.table(&["client", "null server", "Kingtide", "ratio", "moto server"], &rows);
    report.section("A million messages waiting");
    report.line(&format!(
        "Rust SDK, 8 clients × 10 a call: {with:.0} a second beside {BACKLOG} waiting messages, {without:.0} beside none: {:.2}.",
        with / without
    ));
    report.section("Waiting and idle");
    report.line(&format!(
        "A long-polling receive has its message within {p99:.2} ms of the send's answer (99th percentile of 300). An idle `kingtide up`: \
         {memory:.1} MiB resident, {wakeups:.0} voluntary context switches of all its threads in {} s.",
        IDLE.as_secs()
    ));
    report.line(&format!("\nVersion: {}.", kingtide.version));
    let quiet = machine::is_quiet(&load_before);
    let target = |promise: &str, at_most: f64, unit: &'static str, measured: Option<f64>| Target {
        promise: promise.to_owned(),
        at_most,
        unit,
        measured,
        disturbed: !quiet,
    };
    report.targets(&[
        target(
            "null server's rate through boto3, over Kingtide's, the worst of four",
            1.0 / 0.7,
            "",
            worst.map(|ratio| 1.0 / ratio),
        ),
        target(
            "µs a message, Rust SDK, 8 clients × 10 a call (5,000 a second)",
            200.0,
            " µs",
            Some(1e6 / best_rust),
        ),
        target(
            "time beside a million waiting, over that beside none",
            1.25,
            "",
            Some(without / with),
        ),
        target("99th percentile of a long poll", 10.0, " ms", Some(p99)),
        target("resident memory of an idle `up`", 30.0, " MiB", Some(memory)),
        target("wake-ups of an idle `up`", 0.0, "", Some(wakeups)),
    ]);
    report.machine(&scratch, &floors, &load_before);
    report.write()
}

impl Server {
    /// Starts it; the first line that it prints has its address.
    fn start(command: &mut Command) -> anyhow::Result<Server> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {command:?}"))?;
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next().context("it printed nothing")??;
        let start = line.find("http://").context("its first line names no address")?;
        let url: String = line[start..]
            .chars()
            .take_while(|c| !c.is_whitespace() && *c != ',' && *c != '"')
            .collect();
        // Its pipe is read on, so that it never stops for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Server { child, url })
    }
}

fn up(kingtide: &Kingtide, folder: &Path) -> anyhow::Result<Server> {
    empty_folder(folder)?;
    fs::write(folder.join("kingtide.toml"), PROJECT)?;
    let arguments = ["up", "--sqs", "127.0.0.1:0", "--web", "127.0.0.1:0"];
    Server::start(Command::new(&kingtide.path).args(arguments).current_dir(folder))
}

/// A command with the variables by which every AWS SDK finds its queues.
fn told<'c>(command: &'c mut Command, server: &Server) -> &'c mut Command {
    command
        .env("AWS_ENDPOINT_URL_SQS", &server.url)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "anybody")
        .env("AWS_SECRET_ACCESS_KEY", "anything")
}

fn rate(command: &mut Command, server: &Server) -> anyhow::Result<f64> {
    let text = output_of(told(command, server))?;
    text.trim().parse().with_context(|| format!("`{text}` is no rate"))
}

/// MiB resident and wake-ups of a runtime that nobody asks anything.
fn idle(house: &Server) -> anyhow::Result<(f64, f64)> {
    let pid = house.child.id();
    let switches = || -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            sum += field(
                &fs::read_to_string(task?.path().join("status"))?,
                "voluntary_ctxt_switches:",
            )?;
        }
        Ok(sum)
    };
    let before = switches()?;
    // How long nothing happens is what is measured.
    std::thread::sleep(IDLE);
    let memory = field(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:")? / 1024.0;
    Ok((memory, switches()? - before))
}

fn field(text: &str, name: &str) -> anyhow::Result<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .with_context(|| format!("no `{name}`"))?;
    let number = line.split_whitespace().next().context("no number")?;
    Ok(number.parse()?)
}

/// Builds the Rust client.
fn client(scratch: &Path) -> anyhow::Result<PathBuf> {
    let target = scratch.join("client");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--release",
            "--quiet",
            "--locked",
            "--manifest-path",
            "bench/queue/client/Cargo.toml",
        ])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(crate::workspace_root())
        .status()
        .context("failed to start cargo")?;
    if !status.success() {
        bail!("the Rust client cannot be built");
    }
    Ok(target.join("release/sqs-client"))
}

/// boto3 and moto's server, in a folder of the benchmark's.
fn packages(scratch: &Path) -> anyhow::Result<OsString> {
    let folder = scratch.join("queue-python");
    if !folder.join("moto").is_dir() {
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
        ];
        output_of(
            Command::new("python3")
                .args(pip)
                .arg(&folder)
                .args(["boto3", "moto[server]"]),
        )?;
    }
    Ok(folder.into_os_string())
}

/// `None` where it does not start.
fn moto(python: &OsString) -> Option<Server> {
    // It says where it listens on its error stream.
    let script = "exec python3 -m moto.server -H 127.0.0.1 -p 0 2>&1 | grep --line-buffered -o 'http://[0-9.:]*'";
    Server::start(Command::new("sh").args(["-c", script]).env("PYTHONPATH", python)).ok()
}
