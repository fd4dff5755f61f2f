//! Whether the kernel has killed in a container for want of memory. The engine says so itself, and on a busy machine not
//! always: what it hears of a kill and of the end come by two ways, and the end may be faster. So the container's control group is
//! watched as well, where it can be seen from here: of version 2 by anybody, of version 1 by root.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kingtide_exec::cgroup::Version;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

/// Of a group of version 1: what tells of kills, and is gone before the group.
const CONTROL: &str = "memory.oom_control";

/// A container that is watched; no longer than this lives.
#[derive(Default)]
pub(super) struct Watch {
    task: Option<JoinHandle<()>>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    killed: AtomicBool,
    /// What version 1 has told: one for each kill, and one for the end of the group.
    told: AtomicU64,
}

impl Watch {
    /// Begins to watch a container, which may not be started yet: its group is there some milliseconds before its program, and
    /// the engine's word that it was started may come when all is over.
    pub(super) fn begin(id: &str) -> Watch {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let uid = rustix::process::getuid().as_raw();
        let groups = groups(&mounts, id, uid);
        let seen = Arc::<Seen>::default();
        let telling = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            // Where groups cannot be seen, or no more can be watched, the engine's word is all there is.
            match appear(groups).await {
                Some((Version::V2, path)) => drop(watch_v2(&path, &telling).await),
                Some((Version::V1, path)) => drop(watch_v1(&path, &telling).await),
                None => {}
            }
        });
        Watch { task: Some(task), seen }
    }

    /// Whether it was killed in, as far as we saw.
    pub(super) fn killed(&self) -> bool {
        self.seen.killed.load(Ordering::Acquire) || self.seen.told.load(Ordering::Acquire) > 1
    }
}

/// The one of the groups that is there, or comes.
async fn appear(groups: Vec<(Version, PathBuf)>) -> Option<(Version, PathBuf)> {
    let is_there = || groups.iter().find(|(_, path)| path.is_dir()).cloned();
    if let Some(group) = is_there() {
        return Some(group);
    }
    let made = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    let parents: Vec<&Path> = groups.iter().filter_map(|(_, path)| path.parent()).collect();
    let watched = parents
        .into_iter()
        .filter(|parent| inotify::add_watch(&made, *parent, WatchFlags::CREATE).is_ok());
    if watched.count() == 0 {
        return None;
    }
    let made = register(made, Interest::READABLE)?;
    loop {
        if let Some(group) = is_there() {
            return Some(group);
        }
        let mut ready = made.readable().await.ok()?;
        let mut events = [0; 4096];
        while rustix::io::read(made.get_ref(), &mut events).is_ok_and(|length| length > 0) {}
        ready.clear_ready();
    }
}

fn register(fd: impl Into<OwnedFd>, interest: Interest) -> Option<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is the same descriptor as long as it lives, and the `AsyncFd` lets go of it before it is closed.
    unsafe { AsyncFd::register_with_interest(fd.into(), interest) }.ok()
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// `memory.events` is to be read again whenever poll says that it is urgent. It ends with the group, or with the first kill.
async fn watch_v2(group: &Path, seen: &Seen) -> Option<()> {
    let events = register(File::open(group.join("memory.events")).ok()?, Interest::PRIORITY)?;
    loop {
        let mut text = [0; 512];
        let length = rustix::io::pread(events.get_ref(), &mut text, 0).ok()?;
        if kills(&text[..length]) > 0 {
            seen.killed.store(true, Ordering::Release);
            return Some(());
        }
        events.ready(Interest::PRIORITY).await.ok()?.clear_ready();
    }
}

fn kills(events: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(events);
    let kills = text
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
    kills.unwrap_or(0)
}

/// An eventfd is told of each kill, and once more when the group is removed.
async fn watch_v1(group: &Path, seen: &Seen) -> Option<()> {
    let control = File::open(group.join(CONTROL)).ok()?;
    let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
    let order = format!("{} {}", counter.as_raw_fd(), control.as_raw_fd());
    let mut registry = File::options()
        .write(true)
        .open(group.join("cgroup.event_control"))
        .ok()?;
    registry.write_all(order.as_bytes()).ok()?;
    let counter = register(counter, Interest::READABLE)?;
    loop {
        let mut ready = counter.readable().await.ok()?;
        let mut count = [0; 8];
        if rustix::io::read(counter.get_ref(), &mut count).is_ok() {
            // The files of a group go before it tells of its end, and the folder not always.
            if group.join(CONTROL).exists() {
                seen.killed.store(true, Ordering::Release);
                return Some(());
            }
            seen.told.fetch_add(u64::from_ne_bytes(count), Ordering::AcqRel);
        }
        ready.clear_ready();
    }
}

/// Where engines put the group of a container, by their drivers and their users.
fn groups(mounts: &str, id: &str, uid: u32) -> Vec<(Version, PathBuf)> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let Some(mount) = left.split(' ').nth(4) else { continue };
        let mut right = right.split(' ');
        let version = match (right.next(), right.nth(1)) {
            (Some("cgroup2"), _) => Version::V2,
            (Some("cgroup"), Some(options)) if options.split(',').any(|option| option == "memory") => Version::V1,
            _ => continue,
        };
        let own = format!("user.slice/user-{uid}.slice/user@{uid}.service/user.slice");
        for group in [
            format!("docker/{id}"),
            format!("system.slice/docker-{id}.scope"),
            format!("{own}/docker-{id}.scope"),
            format!("machine.slice/libpod-{id}.scope"),
            format!("{own}/libpod-{id}.scope"),
            format!("libpod_parent/libpod-{id}"),
        ] {
            found.push((version, Path::new(mount).join(group)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_looked_for_where_engines_put_them() {
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = groups(v2, "abc", 1000);
        assert!(found.contains(&(
            Version::V2,
            PathBuf::from("/sys/fs/cgroup/system.slice/docker-abc.scope")
        )));
        let rootless = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/docker-abc.scope";
        assert!(found.contains(&(Version::V2, PathBuf::from(rootless))));
        let v1 = "40 39 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  41 39 0:34 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let found = groups(v1, "abc", 0);
        assert!(
            found
                .iter()
                .all(|(version, path)| *version == Version::V1 && path.starts_with("/sys/fs/cgroup/memory"))
        );
        assert!(found.contains(&(Version::V1, PathBuf::from("/sys/fs/cgroup/memory/docker/abc"))));
    }

    #[test]
    fn kills_are_counted_and_other_events_are_not() {
        assert_eq!(kills(b"low 0\nhigh 3\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(kills(b"low 0\noom 2\noom_kill 0\n"), 0);
        assert_eq!(kills(b""), 0);
    }
}
