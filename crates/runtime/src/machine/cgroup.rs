//! The limits that our control groups set, of version 2 or 1, however deep we are in them.

use std::fs;
use std::path::{Path, PathBuf};

/// The strictest limits of our group and those above it; `None` where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) cpu_milli: Option<u32>,
    pub(super) memory: Option<u64>,
}

pub(super) fn limits(root: &Path) -> Limits {
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
    let (membership, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let groups = |controller| groups(root, &membership, &mounts, controller);
    let mut limits = Limits::default();
    for group in groups(None) {
        limits.lower_memory(number(&group.join("memory.max")));
        limits.lower_cpu(
            fs::read_to_string(group.join("cpu.max"))
                .ok()
                .as_deref()
                .and_then(quota),
        );
    }
    for group in groups(Some("memory")) {
        limits.lower_memory(number(&group.join("memory.limit_in_bytes")));
    }
    for group in groups(Some("cpu")) {
        let microseconds = |name| number(&group.join(name)).filter(|number| *number > 0);
        let both = microseconds("cpu.cfs_quota_us").zip(microseconds("cpu.cfs_period_us"));
        limits.lower_cpu(both.map(|(quota, period)| milli(quota, period)));
    }
    limits
}

impl Limits {
    fn lower_memory(&mut self, limit: Option<u64>) {
        // Version 1 writes "no limit" as a number beyond any memory.
        let limit = limit.filter(|bytes| *bytes < 1 << 60);
        self.memory = self.memory.into_iter().chain(limit).min();
    }

    fn lower_cpu(&mut self, limit: Option<u32>) {
        self.cpu_milli = self.cpu_milli.into_iter().chain(limit).min();
    }
}

/// The folders of our group of a controller (of version 2 if `None`) and of those above it that can be seen from here.
fn groups(root: &Path, membership: &str, mounts: &str, controller: Option<&str>) -> Vec<PathBuf> {
    let group = membership.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let is_ours = match controller {
            Some(controller) => controllers.split(',').any(|name| name == controller),
            None => controllers.is_empty(),
        };
        is_ours.then_some(group)
    });
    let mount = mounts.lines().find_map(|line| mount_of(line, controller));
    let (Some(group), Some((mounted, folder))) = (group, mount) else {
        return Vec::new();
    };
    // In a container the mount may show our group as its top, while we are told the name it has outside.
    let inside = Path::new(group).strip_prefix(&mounted).unwrap_or(Path::new(""));
    let inside = if inside.components().any(|part| part == std::path::Component::ParentDir) {
        Path::new("")
    } else {
        inside
    };
    let top = root.join(folder.trim_start_matches('/'));
    inside.ancestors().map(|inside| top.join(inside)).collect()
}

/// Which group is mounted where, from a line of `mountinfo`.
fn mount_of(line: &str, controller: Option<&str>) -> Option<(String, String)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let (file_system, options) = (kind.next()?, kind.nth(1)?);
    let is_it = match controller {
        Some(controller) => file_system == "cgroup" && options.split(',').any(|option| option == controller),
        None => file_system == "cgroup2",
    };
    let mut place = place.split(' ').skip(3);
    let unescaped = |text: &str| text.replace("\\040", " ").replace("\\134", "\\");
    is_it.then_some((unescaped(place.next()?), unescaped(place.next()?)))
}

/// `150000 100000` are microseconds of CPU time in each period; `max 100000` is no limit.
fn quota(text: &str) -> Option<u32> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period) = (quota.parse().ok()?, period.parse().ok().filter(|period| *period > 0)?);
    Some(milli(quota, period))
}

fn milli(quota: u64, period: u64) -> u32 {
    u32::try_from(quota.saturating_mul(1000) / period).unwrap_or(u32::MAX)
}

/// `None` for `max`, `-1`, and a file that is not there.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
