//! A job as it is meant: every default filled in, every name resolved.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::project::aws::{Doorbell, Schedule, Trigger};
use crate::project::deadline::Deadline;
use crate::project::params::Params;
use crate::template::Template;

/// What to run, once for each message.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub name: String,
    /// Where the program comes from.
    pub program: Program,
    /// The program and its arguments; never empty for a process. What its entrypoint is handed for a container, whose image
    /// has its own where this is empty.
    pub command: Vec<Template>,
    /// Relative to the project's folder. In a container: an absolute path there.
    pub workdir: Option<String>,
    pub env: BTreeMap<String, Template>,
    pub secrets: Vec<Secret>,
    /// A requirements file, relative to the project's folder.
    pub python: Option<String>,
    pub params: Option<Params>,
    pub resources: Resources,
    /// Up to here memory doubles after an attempt was killed for want of it.
    pub memory_max: Option<u64>,
    /// Of an attempt; none by default.
    pub timeout: Option<Duration>,
    /// Of a run; none by default.
    pub max_duration: Option<Duration>,
    /// By when a run is to be done; nothing is ended that is late.
    pub deadline: Option<Deadline>,
    /// The wanted chance of the deadline, above 0 and below 1.
    pub confidence: f64,
    /// How long a task takes by its user's word.
    pub expected: Option<Duration>,
    /// What concerns AWS alone.
    pub cloud: Cloud,
    /// From TERM to KILL.
    pub stop_timeout: Duration,
    /// How many failed attempts are followed by another.
    pub retries: u32,
    pub backoff: Backoff,
    /// Exit codes with a meaning of their own; 0 succeeds and every other fails.
    pub on_exit: BTreeMap<i32, ExitAction>,
    pub mode: Mode,
    /// Of a consumer: a message that it holds stays its own for as long as it lives.
    pub heartbeat: bool,
    pub max_workers: Option<u32>,
    /// A run of messages that others send ends when nothing has happened in it for so long.
    pub run_idle: Duration,
    pub tolerate_failures: Tolerance,
    pub on_crash: OnCrash,
}

/// How a job starts and ends on AWS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cloud {
    pub schedule: Option<Schedule>,
    pub triggers: Vec<Trigger>,
    /// Names of alarms.
    pub alarms: Vec<String>,
    /// A steady stream.
    pub service: bool,
    /// What begins a run when a message is sent while none is open; nothing where there is none.
    pub doorbell: Option<Doorbell>,
    /// ARNs of policies: what the program may do on AWS by itself.
    pub policies: Vec<String>,
    /// Bytes of disk that an attempt may fill.
    pub disk: Option<u64>,
    /// Dollars of a run.
    pub max_cost: Option<f64>,
}

/// Where a job's program comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// This machine has it.
    Process,
    /// It is in an image.
    Container(Container),
}

/// What a job's containers are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub image: ImageSource,
    /// In place of the image's.
    pub entrypoint: Option<Vec<String>>,
    pub mounts: Vec<Mount>,
    /// As the engine takes it; the image's by default.
    pub user: Option<String>,
    /// Bytes of `/dev/shm`; the engine's default is 64 MiB.
    pub shm_size: Option<u64>,
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// Its name; pulled where it is not here.
    Named(String),
    Built(Build),
}

/// An image to be built when its sources have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// A folder, relative to the project's.
    pub context: String,
    /// Relative to `context`.
    pub dockerfile: String,
    pub args: BTreeMap<String, String>,
    /// The stage to stop at; the last by default.
    pub target: Option<String>,
}

/// A folder or file of this machine that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Relative to the project's folder, or absolute.
    pub source: String,
    /// Absolute, in the container.
    pub target: String,
    pub read_only: bool,
}

impl Job {
    /// What its containers are made of, if it runs in containers.
    pub fn container(&self) -> Option<&Container> {
        match &self.program {
            Program::Container(container) => Some(container),
            Program::Process => None,
        }
    }
}

/// What one attempt occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Bytes; `None` is neither reserved nor limited.
    pub memory: Option<u64>,
    pub gpus: u32,
}

/// A value that comes from the environment or a file when it is used and never reaches a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The variable that the program sees.
    pub name: String,
    /// A file that holds the value, relative to the project's folder; else the variable of that name.
    pub file: Option<String>,
}

/// Delay before a retry: `first · factor^(n-1)`, at most `max`, spread by `± jitter` of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    pub first: Duration,
    pub factor: f64,
    pub max: Duration,
    /// 0 to 1.
    pub jitter: f64,
}

/// What an exit code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitAction {
    Skip,
    Release,
    Reject,
}

/// How many failed tasks a run bears and still succeeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    Count(u64),
    /// 0 to 100, of all tasks of the run.
    Percent(f64),
}

/// Who reads the job's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Kingtide: the program runs once for each message.
    Task,
    /// The program itself.
    Consumer,
}

/// What an infrastructure loss does to a task that may have been running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCrash {
    Retry,
    Fail,
}

/// What this machine may give; what is `None` is asked of the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    pub cpu_milli: Option<u32>,
    pub memory: Option<u64>,
    pub gpus: Option<u32>,
    /// Bytes of log kept per attempt.
    pub log_limit: u64,
    /// What it costs, where it has a price.
    pub cost: Option<Cost>,
}

/// The price of a machine, in whatever currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    pub cpu_hour: f64,
    /// Of 2³⁰ bytes.
    pub gib_hour: f64,
}

impl Cost {
    /// What an attempt with these resources costs in an hour.
    pub fn hour(&self, of: &Resources) -> f64 {
        let gib = of.memory.unwrap_or(0) as f64 / f64::from(1 << 30);
        f64::from(of.cpu_milli) / 1000.0 * self.cpu_hour + gib * self.gib_hour
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(300),
            jitter: 0.2,
        }
    }
}

impl Tolerance {
    /// Whether a run of `total` tasks bears `failed` failures.
    pub fn bears(self, failed: u64, total: u64) -> bool {
        match self {
            Tolerance::Count(count) => failed <= count,
            Tolerance::Percent(percent) => failed as f64 * 100.0 <= percent * total as f64,
        }
    }
}
