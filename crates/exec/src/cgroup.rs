//! Control groups, where one may be made: a memory limit that the kernel enforces, and a list of all processes of an
//! attempt that none can leave. Version 2 where it is delegated to us, version 1 where its memory hierarchy is writable.
//!
//! A keeper has one group, `kingtide-<id>`, below the group it was started in (version 1) or beside it (version 2, where
//! a group with processes has no limited children); in it each slot has its own, used for one attempt after the other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::Access;
use rustix::process::{Pid, PidfdFlags, Signal};

/// How long killed processes may take to disappear before a group is given up.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// The two kinds of cgroups Linux has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// A place where groups with memory limits can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub version: Version,
    /// The folder below which they are made.
    pub base: PathBuf,
}

impl Hierarchy {
    /// Where this process may make groups; `None` if nowhere.
    pub fn detect() -> Option<Hierarchy> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        candidates(&mounts, &own).into_iter().find(Hierarchy::is_usable)
    }

    fn is_usable(&self) -> bool {
        let writable = |name: &str| rustix::fs::access(self.base.join(name), Access::WRITE_OK).is_ok();
        if !writable(".") {
            return false;
        }
        match self.version {
            Version::V1 => self.base.join("memory.limit_in_bytes").exists(),
            Version::V2 => {
                let has_memory = |name: &str| {
                    let list = std::fs::read_to_string(self.base.join(name)).unwrap_or_default();
                    list.split_whitespace().any(|controller| controller == "memory")
                };
                // A process may be moved only by whom the common ancestor belongs to.
                writable("cgroup.procs") && (has_memory("cgroup.subtree_control") || self.can_enable(&has_memory))
            }
        }
    }

    /// Version 2 lets a group limit its children only when it has no processes itself; the root alone may have both.
    fn can_enable(&self, has_memory: &dyn Fn(&str) -> bool) -> bool {
        let processes = std::fs::read_to_string(self.base.join("cgroup.procs")).unwrap_or_default();
        let is_root = !self.base.join("cgroup.type").exists();
        has_memory("cgroup.controllers")
            && (is_root || processes.is_empty())
            && rustix::fs::access(self.base.join("cgroup.subtree_control"), Access::WRITE_OK).is_ok()
    }

    /// The group of a keeper, which is not made yet.
    pub fn keeper_group(&self, keeper: &str) -> PathBuf {
        self.base.join(format!("kingtide-{keeper}"))
    }
}

/// Places to try, best first, from what `/proc/self` says of mounts and groups.
fn candidates(mounts: &str, own: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        // `36 35 98:0 /root /mount/point rw,noatime shared:1 - cgroup2 source rw,options`
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let mut left = left.split(' ').skip(3);
        let (Some(root), Some(mount)) = (left.next(), left.next()) else {
            continue;
        };
        let mut right = right.split(' ');
        let (Some(kind), Some(options)) = (right.next(), right.nth(1)) else {
            continue;
        };
        let version = match kind {
            "cgroup2" => Version::V2,
            "cgroup" if options.split(',').any(|option| option == "memory") => Version::V1,
            _ => continue,
        };
        let group = own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, group) = rest.split_once(':')?;
            let fits = match version {
                Version::V1 => controllers.split(',').any(|controller| controller == "memory"),
                Version::V2 => controllers.is_empty(),
            };
            fits.then_some(group)
        });
        let Some(group) = group else { continue };
        let below = if root == "/" {
            group
        } else {
            group.strip_prefix(root).unwrap_or("")
        };
        let own = Path::new(mount).join(below.trim_start_matches('/'));
        if version == Version::V2
            && !below.trim_matches('/').is_empty()
            && let Some(parent) = own.parent()
        {
            found.push(Hierarchy {
                version,
                base: parent.to_owned(),
            });
        }
        found.push(Hierarchy { version, base: own });
    }
    // Where both are mounted, the memory controller is with one of them only; version 2 limits more exactly.
    found.sort_by_key(|hierarchy| hierarchy.version != Version::V2);
    found
}

/// Kills everything in a keeper's group and removes it with the groups below.
pub fn sweep(group: &Path) -> io::Result<()> {
    let Ok(entries) = std::fs::read_dir(group) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            kill_all(&entry.path())?;
            remove(&entry.path())?;
        }
    }
    kill_all(group)?;
    remove(group)
}

/// The group of a slot.
#[derive(Debug)]
pub struct Group {
    version: Version,
    path: PathBuf,
    procs: std::fs::File,
    /// How many processes the kernel had killed here when the attempt began.
    kills_before: u64,
}

impl Group {
    /// Makes a group below that of the keeper, which is made too if need be.
    pub fn make(version: Version, keeper_group: &Path, name: &str) -> io::Result<Group> {
        if !keeper_group.exists() {
            if version == Version::V2
                && let Some(base) = keeper_group.parent()
            {
                // Fails where it is on already and not ours to switch.
                let _ = std::fs::write(base.join("cgroup.subtree_control"), "+memory");
            }
            make_folder(keeper_group)?;
        }
        if version == Version::V2 {
            std::fs::write(keeper_group.join("cgroup.subtree_control"), "+memory")?;
        }
        let path = keeper_group.join(name);
        make_folder(&path)?;
        let procs = std::fs::OpenOptions::new()
            .write(true)
            .open(path.join("cgroup.procs"))?;
        Ok(Group {
            version,
            path,
            procs,
            kills_before: 0,
        })
    }

    /// Limits what the processes that enter from now on may have together.
    pub fn limit(&mut self, bytes: u64) -> io::Result<()> {
        let write = |name: &str, value: &str| std::fs::write(self.path.join(name), value);
        let limit = bytes.to_string();
        match self.version {
            Version::V1 => {
                // The limit with swap may never be below the one without, in whatever order they are changed.
                let _ = write("memory.memsw.limit_in_bytes", "-1");
                write("memory.limit_in_bytes", &limit)?;
                let _ = write("memory.memsw.limit_in_bytes", &limit);
            }
            Version::V2 => {
                write("memory.max", &limit)?;
                // Absent without swap; and the whole attempt goes, not its largest process.
                let _ = write("memory.swap.max", "0");
                let _ = write("memory.oom.group", "1");
            }
        }
        self.kills_before = self.kills();
        Ok(())
    }

    /// An open `cgroup.procs`: who writes `0` into it enters.
    pub fn procs(&self) -> BorrowedFd<'_> {
        self.procs.as_fd()
    }

    /// Whether the kernel has killed for want of memory since the limit was set.
    pub fn has_killed(&self) -> bool {
        self.kills() > self.kills_before
    }

    /// Memory that is in use by processes: file pages that can be dropped are not counted.
    pub fn memory(&self) -> u64 {
        let name = match self.version {
            Version::V1 => "total_rss",
            Version::V2 => "anon",
        };
        self.field("memory.stat", name).unwrap_or(0)
    }

    /// Ends everything in it and waits until it is empty.
    pub fn kill_all(&self) -> io::Result<()> {
        kill_all(&self.path)
    }

    fn kills(&self) -> u64 {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        self.field(file, "oom_kill").unwrap_or(0)
    }

    fn field(&self, file: &str, name: &str) -> Option<u64> {
        let text = std::fs::read_to_string(self.path.join(file)).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What cannot be removed now is swept with the keeper's group.
        let _ = kill_all(&self.path).and_then(|()| remove(&self.path));
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn kill_all(group: &Path) -> io::Result<()> {
    let deadline = Instant::now() + KILL_PATIENCE;
    loop {
        let list = std::fs::read_to_string(group.join("cgroup.procs"))?;
        let pids: Vec<Pid> = list
            .lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?))
            .collect();
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids {
            // The number may have passed to another process since it was listed; the descriptor cannot.
            let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
                continue;
            };
            let member = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
            let name = group.file_name().unwrap_or_default().to_string_lossy();
            if !member.lines().any(|line| line.ends_with(&*name)) {
                continue;
            }
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            if rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], timeout.as_ref()) == Ok(0) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

fn remove(group: &Path) -> io::Result<()> {
    match std::fs::remove_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mounts: &str, own: &str) -> Vec<(Version, String)> {
        let found = candidates(mounts, own).into_iter();
        found
            .map(|hierarchy| (hierarchy.version, hierarchy.base.to_string_lossy().into_owned()))
            .collect()
    }

    #[test]
    fn version_2_is_tried_beside_us_and_then_below() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope\n";
        let app = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice";
        assert_eq!(
            found(mounts, own),
            [
                (Version::V2, app.to_owned()),
                (Version::V2, format!("{app}/run-1.scope"))
            ]
        );
    }

    #[test]
    fn version_1_is_used_below_us_also_in_a_container() {
        let mounts = "40 39 0:33 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n\
                      41 39 0:34 /docker/abc /sys/fs/cgroup/cpu ro,nosuid - cgroup cgroup rw,cpu\n";
        let own = "5:cpu:/docker/abc\n4:memory:/docker/abc/x\n";
        assert_eq!(
            found(mounts, own),
            [(Version::V1, "/sys/fs/cgroup/memory/x".to_owned())]
        );
    }

    #[test]
    fn without_cgroups_there_is_no_place() {
        assert_eq!(found("22 1 8:1 / / rw - ext4 /dev/sda rw\n", "0::/\n"), []);
    }
}
