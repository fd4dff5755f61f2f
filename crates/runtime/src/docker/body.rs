//! What a container is to be, in the engine's words.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, DeviceRequest, HostConfig, HostConfigLogConfig, Mount as EngineMount, MountType,
};
use kingtide_exec::wire;

use super::container::Plan;
use super::engine::Facts;
use super::image::Image;
use super::work::{INSIDE, OUTPUT, RESULT};

/// A name by which containers reach this machine.
const HOST: &str = "host.docker.internal:host-gateway";
/// Threads count: enough for any numeric library, too few to take the machine along.
const PIDS: i64 = 16_384;
/// The engine keeps a log as JSON, up to three times as long as ours; what was cut is not there for a later runtime.
const LOG_FILES: u64 = 3;
const LEAST_LOG_FILE: u64 = 1 << 20;
/// The least the engine takes, in thousandths of a core.
const LEAST_CPU_MILLI: u32 = 10;
/// Where a message too long for a variable is found.
const MESSAGE_FILE: &str = "/kingtide-message.json";

/// An attempt to be run in a container.
#[derive(Clone, Debug)]
pub struct ContainerStart {
    /// `run/task/attempt`.
    pub attempt: wire::Attempt,
    pub image: Image,
    /// In place of the image's.
    pub entrypoint: Option<Vec<String>>,
    /// What the entrypoint is handed; the image's when empty and there is no `entrypoint` either.
    pub args: Vec<String>,
    /// Inside the container; the image's by default.
    pub workdir: Option<String>,
    /// On top of the image's. `KINGTIDE_RESULT` and `KINGTIDE_OUTPUT` are added here.
    pub env: Vec<(String, String)>,
    /// A message too long for a variable, on this machine: mounted, and named by `KINGTIDE_MESSAGE_FILE`.
    pub message_file: Option<PathBuf>,
    pub mounts: Vec<Mount>,
    /// `name`, `uid`, `name:group` or `uid:gid`; the image's by default.
    pub user: Option<String>,
    /// Bytes of `/dev/shm`; the engine's 64 MiB by default.
    pub shm_size: Option<u64>,
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Bytes; there is no swap beyond them.
    pub memory: Option<u64>,
    /// Indices of this machine's GPUs; inside they count from 0.
    pub gpus: Vec<u32>,
    pub timeout_ms: Option<u64>,
    pub stop_timeout_ms: u64,
    /// Absolute path of the log; created with the first byte.
    pub log: PathBuf,
    pub log_limit: u64,
    /// Further ones; those that begin with `kingtide.` may be ours.
    pub labels: Vec<(String, String)>,
}

/// A folder or file of this machine, seen inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Absolute.
    pub source: PathBuf,
    /// Absolute, inside.
    pub target: String,
    pub read_only: bool,
}

impl ContainerStart {
    /// What its container must be told from start to end.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            log: self.log.clone(),
            log_limit: self.log_limit,
            memory: self.memory,
            timeout_ms: self.timeout_ms,
            stop_timeout_ms: self.stop_timeout_ms,
        }
    }
}

/// The whole of it. `folder` is what is mounted at [`INSIDE`].
pub(super) fn body(
    start: &ContainerStart,
    facts: &Facts,
    labels: HashMap<String, String>,
    folder: &Path,
) -> ContainerCreateBody {
    let mut all_labels: HashMap<String, String> = start.labels.iter().cloned().collect();
    all_labels.extend(labels);
    let mut env = start.env.clone();
    env.push(("KINGTIDE_RESULT".to_owned(), format!("{INSIDE}/{RESULT}")));
    env.push(("KINGTIDE_OUTPUT".to_owned(), format!("{INSIDE}/{OUTPUT}")));
    if start.message_file.is_some() {
        env.push(("KINGTIDE_MESSAGE_FILE".to_owned(), MESSAGE_FILE.to_owned()));
    }
    ContainerCreateBody {
        image: Some(start.image.id.clone()),
        entrypoint: start.entrypoint.clone(),
        cmd: (!start.args.is_empty()).then(|| start.args.clone()),
        working_dir: start.workdir.clone(),
        env: Some(env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: start.user.clone(),
        labels: Some(all_labels),
        host_config: Some(host(start, facts, folder)),
        ..ContainerCreateBody::default()
    }
}

fn host(start: &ContainerStart, facts: &Facts, folder: &Path) -> HostConfig {
    let memory = start
        .memory
        .and_then(|bytes| i64::try_from(bytes).ok())
        .filter(|_| facts.limits_memory);
    let cpu_milli = start
        .cpu_milli
        .clamp(LEAST_CPU_MILLI, facts.cpu_milli.max(LEAST_CPU_MILLI));
    HostConfig {
        memory,
        // The sum of both: as much as memory is no swap at all.
        memory_swap: memory,
        nano_cpus: facts.limits_cpu.then(|| i64::from(cpu_milli) * 1_000_000),
        pids_limit: facts.limits_pids.then_some(PIDS),
        shm_size: start.shm_size.and_then(|bytes| i64::try_from(bytes).ok()),
        mounts: Some(mounts(start, folder)),
        extra_hosts: Some(vec![HOST.to_owned()]),
        security_opt: security(start, facts),
        device_requests: (!start.gpus.is_empty()).then(|| vec![gpus(&start.gpus)]),
        log_config: Some(log(start.log_limit)),
        ..HostConfig::default()
    }
}

fn mounts(start: &ContainerStart, folder: &Path) -> Vec<EngineMount> {
    let bind = |source: &Path, target: &str, read_only: bool| EngineMount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..EngineMount::default()
    };
    let mut mounts = vec![bind(folder, INSIDE, false)];
    mounts.extend(start.message_file.iter().map(|file| bind(file, MESSAGE_FILE, true)));
    mounts.extend(
        start
            .mounts
            .iter()
            .map(|mount| bind(&mount.source, &mount.target, mount.read_only)),
    );
    mounts
}

/// An image made for another user than root may rely on `sudo` and the like; one that runs as root needs none of it.
fn security(start: &ContainerStart, facts: &Facts) -> Option<Vec<String>> {
    let mut options = Vec::new();
    if start.image.runs_as_root() {
        options.push("no-new-privileges".to_owned());
    }
    if facts.selinux {
        // Otherwise mounts can only be used after their files, which are the user's, were relabelled.
        options.push("label=disable".to_owned());
    }
    (!options.is_empty()).then_some(options)
}

fn gpus(indices: &[u32]) -> DeviceRequest {
    DeviceRequest {
        device_ids: Some(indices.iter().map(u32::to_string).collect()),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }
}

/// Whatever the engine's default is: this one can be read.
fn log(limit: u64) -> HostConfigLogConfig {
    let options = [
        ("max-size", limit.max(LEAST_LOG_FILE).to_string()),
        ("max-file", LOG_FILES.to_string()),
    ];
    HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(options.map(|(name, value)| (name.to_owned(), value)).into()),
    }
}
