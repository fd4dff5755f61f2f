//! What `doctor` reports: facts about this machine that decide whether and how well Kingtide runs here.
//!
//! Unlike the rest of the module it may start programs (`python3`, `uv`) to see whether they run.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use rustix::process::{Resource, getrlimit};

use super::containers::containers;
use super::{CpuLimit, Machine, MemoryLimit};
use crate::docker;
use crate::python::{self, look_up};

const GIB: u64 = 1024 * 1024 * 1024;
/// A moment when this was written. A clock behind it is wrong.
const PAST_SECONDS: u64 = 1_760_000_000;

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
    /// What to do, or what to know, in one sentence.
    pub advice: Option<String>,
    pub ok: bool,
}

/// What is asked about.
pub struct Asked<'a> {
    /// The project's folder.
    pub project: &'a Path,
    pub machine: &'a Machine,
    /// How memory is limited here, as the keeper would do it (`v2`, `v1`, `watch`); `None` when nobody asked it.
    pub cgroup: Option<&'a str>,
    /// PATH.
    pub search_path: &'a OsStr,
}

/// All facts, in the order in which they are shown.
pub fn facts(asked: &Asked<'_>) -> Vec<Fact> {
    let mut facts = vec![
        kernel(),
        cores(asked.machine),
        memory(asked.machine),
        gpus(asked.machine),
    ];
    facts.extend(asked.cgroup.map(memory_limits));
    facts.extend([folder(asked.project), disk(asked.project), file_system(asked.project)]);
    let (uv, python) = look_up(asked.search_path, asked.project);
    facts.extend([
        python_fact(python.as_ref(), uv.as_ref()),
        uv_fact(uv.as_ref()),
        containers(&docker::probe()),
        open_files(),
        user(),
        clock(),
    ]);
    facts
}

impl Fact {
    pub(super) fn good(name: &'static str, value: impl Into<String>) -> Fact {
        Fact {
            name,
            value: value.into(),
            advice: None,
            ok: true,
        }
    }

    fn bad(name: &'static str, value: impl Into<String>, advice: impl Into<String>) -> Fact {
        Fact {
            name,
            value: value.into(),
            advice: Some(advice.into()),
            ok: false,
        }
    }

    pub(super) fn noting(mut self, advice: impl Into<String>) -> Fact {
        self.advice = Some(advice.into());
        self
    }
}

fn kernel() -> Fact {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let release = text(name.release());
    let value = format!("{} {release} {}", text(name.sysname()), text(name.machine()));
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    // pidfd_open came with 5.3.
    match version >= (5, 3) {
        true => Fact::good("kernel", value),
        false => Fact::bad("kernel", value, "Kingtide needs Linux 5.3 or newer"),
    }
}

fn cores(machine: &Machine) -> Fact {
    let value = format!("{} cores", f64::from(machine.cpu_milli) / 1000.0);
    match machine.limits.cpu {
        CpuLimit::Cores => Fact::good("cpu", value),
        CpuLimit::Affinity => {
            Fact::good("cpu", value).noting("the machine has more; taskset or a cpuset keeps them away")
        }
        CpuLimit::Cgroup => Fact::good("cpu", value).noting("a cgroup's quota, less than the machine has"),
    }
}

fn memory(machine: &Machine) -> Fact {
    let value = format!(
        "{}, {} of it for tasks",
        size(machine.memory),
        size(machine.memory_for_tasks())
    );
    match machine.limits.memory {
        MemoryLimit::Installed => Fact::good("memory", value),
        MemoryLimit::Cgroup => Fact::good("memory", value).noting("a cgroup's limit, less than the machine has"),
    }
}

fn gpus(machine: &Machine) -> Fact {
    let fact = Fact::good(
        "gpus",
        if machine.gpus == 0 {
            "none".to_owned()
        } else {
            machine.gpu_names.join(", ")
        },
    );
    if machine.limits.gpus_hidden {
        fact.noting("CUDA_VISIBLE_DEVICES hides the others")
    } else {
        fact
    }
}

fn memory_limits(mode: &str) -> Fact {
    match mode {
        "v1" | "v2" => Fact::good("memory limits", format!("by cgroup {mode}")),
        _ => Fact::good("memory limits", "by watching")
            .noting("no cgroup is writable here, so a task that grows very fast may exceed its limit for a moment"),
    }
}

fn folder(project: &Path) -> Fact {
    let name = "project folder";
    let value = project.display().to_string();
    match rustix::fs::access(project, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
        Ok(()) => Fact::good(name, value),
        Err(rustix::io::Errno::ROFS) => Fact::bad(
            name,
            value,
            "it is read-only; Kingtide keeps its database beside kingtide.toml",
        ),
        Err(error) => Fact::bad(
            name,
            value,
            format!("it cannot be written to ({error}); Kingtide keeps its database there"),
        ),
    }
}

fn disk(project: &Path) -> Fact {
    match rustix::fs::statvfs(project) {
        Ok(disk) => free_space(disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_files, disk.f_favail),
        Err(error) => Fact::bad(
            "disk space",
            "unknown",
            format!("the project's folder cannot be asked: {error}"),
        ),
    }
}

/// `files` is 0 on file systems that do not count them.
fn free_space(bytes: u64, files: u64, files_free: u64) -> Fact {
    let name = "disk space";
    let value = format!("{} free", size(bytes));
    if bytes < GIB {
        Fact::bad(
            name,
            value,
            "free some: logs, results and outputs are kept in the project's folder; `kingtide clean` removes old ones",
        )
    } else if files > 0 && files_free < 10_000 {
        Fact::bad(
            name,
            format!("{value}, room for {files_free} files"),
            "remove files: the disk has few inodes left",
        )
    } else {
        Fact::good(name, value)
    }
}

fn file_system(project: &Path) -> Fact {
    match rustix::fs::statfs(project) {
        Ok(answer) => file_system_of(answer.f_type as u64 & 0xffff_ffff),
        Err(error) => Fact::bad(
            "file system",
            "unknown",
            format!("the project's folder cannot be asked: {error}"),
        ),
    }
}

/// By the magic numbers of statfs(2). The database needs shared memory and locks that hold, which network file systems
/// promise and do not keep.
fn file_system_of(magic: u64) -> Fact {
    let name = "file system";
    let network = |kind: &str| {
        Fact::bad(
            name,
            kind,
            "a database on a network file system may be damaged; move the project to a local disk",
        )
    };
    match magic {
        0xef53 => Fact::good(name, "ext4"),
        0x5846_5342 => Fact::good(name, "xfs"),
        0x9123_683e => Fact::good(name, "btrfs"),
        0x2fc1_2fc1 => Fact::good(name, "zfs"),
        0xf2f5_2010 => Fact::good(name, "f2fs"),
        0xca45_1a4e => Fact::good(name, "bcachefs"),
        0x6969 => network("NFS"),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => network("SMB"),
        0x0102_1997 => network("9p"),
        0x00c3_6400 => network("Ceph"),
        0x0bd0_0bd0 => network("Lustre"),
        0x786f_4256 => network("a VirtualBox share"),
        0x6573_5546 => {
            Fact::good(name, "FUSE").noting("if this is a network or object store, move the project to a local disk")
        }
        0x794c_7630 => {
            Fact::good(name, "overlay").noting("what is kept here goes with the container; mount a volume to keep it")
        }
        0x0102_1994 | 0x8584_58f6 => {
            Fact::good(name, "in memory").noting("what is kept here goes with the next restart of the machine")
        }
        other => Fact::good(name, format!("unknown (0x{other:x})")),
    }
}

fn python_fact(python: Option<&python::Found>, uv: Option<&python::Found>) -> Fact {
    let name = "python3";
    let uv_runs = uv.is_some_and(|uv| uv.version.is_some());
    match python {
        Some(python::Found {
            path,
            version: Some(version),
        }) => Fact::good(name, format!("{version} ({})", path.display())),
        Some(python::Found { path, version: None }) if !uv_runs => Fact::bad(
            name,
            path.display().to_string(),
            "it does not run; see what `python3 --version` says in the project's folder",
        ),
        None if !uv_runs => Fact::good(name, "not found")
            .noting("needed by jobs with `python`: `apt install python3 python3-venv`, or install uv"),
        _ => Fact::good(name, "not found").noting("uv brings its own"),
    }
}

fn uv_fact(uv: Option<&python::Found>) -> Fact {
    match uv {
        Some(python::Found {
            path,
            version: Some(version),
        }) => Fact::good("uv", format!("{version} ({})", path.display())),
        Some(python::Found { path, version: None }) => Fact::good("uv", format!("{} does not run", path.display()))
            .noting("Python environments are made with pip instead"),
        None => Fact::good("uv", "not found").noting("Python environments are made with pip instead, which is slower"),
    }
}

fn open_files() -> Fact {
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < 1024 => Fact::bad("open files", limit.to_string(), "raise it with `ulimit -n 4096`"),
        Some(limit) => Fact::good("open files", limit.to_string()),
        None => Fact::good("open files", "unlimited"),
    }
}

fn user() -> Fact {
    let id = rustix::process::geteuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    });
    let value = name.map_or_else(|| id.to_string(), |name| format!("{name} ({id})"));
    let home = std::env::var_os("HOME");
    let home_is_ours = home.as_deref().and_then(|home| fs::metadata(home).ok());
    match home_is_ours {
        Some(home) if home.is_dir() && home.permissions().mode() & 0o200 != 0 => Fact::good("user", value),
        _ => Fact::bad(
            "user",
            value,
            "there is no home folder; set XDG_CACHE_HOME to keep Python environments elsewhere",
        ),
    }
}

fn clock() -> Fact {
    let seconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let value =
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).to_string();
    match seconds >= PAST_SECONDS {
        true => Fact::good("clock", value),
        false => Fact::bad(
            "clock",
            value,
            "it is behind; deadlines and retries go by it: `timedatectl set-ntp true`",
        ),
    }
}

fn size(bytes: u64) -> String {
    if bytes >= GIB {
        format!("{:.1} GiB", bytes as f64 / GIB as f64)
    } else {
        format!("{} MiB", bytes / (1024 * 1024))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_that_is_not_ok_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = Machine::read();
        let asked = Asked {
            project: folder.path(),
            machine: &machine,
            cgroup: Some("watch"),
            search_path: OsStr::new(""),
        };
        let facts = facts(&asked);
        let fact = |name: &str| facts.iter().find(|fact| fact.name == name).expect("it is there");
        assert!(facts.iter().all(|fact| fact.ok || fact.advice.is_some()), "{facts:?}");
        assert!(fact("memory limits").advice.is_some());
        assert_eq!(fact("project folder").value, folder.path().display().to_string());
        assert!(fact("python3").value == "not found" && fact("python3").advice.is_some());
        let gone = Asked {
            project: Path::new("/nowhere/at/all"),
            ..asked
        };
        let facts = super::facts(&gone);
        for name in ["project folder", "disk space", "file system"] {
            assert!(
                facts.iter().any(|fact| fact.name == name && !fact.ok),
                "{name}: {facts:?}"
            );
        }
    }

    #[test]
    fn file_systems_and_space_are_judged() {
        assert!(file_system_of(0xef53).ok);
        assert!(!file_system_of(0x6969).ok && !file_system_of(0x0102_1997).ok);
        assert!(file_system_of(0x794c_7630).advice.is_some());
        assert!(!free_space(GIB - 1, 0, 0).ok && free_space(GIB, 0, 0).ok && !free_space(GIB, 100_000, 9_999).ok);
    }
}
