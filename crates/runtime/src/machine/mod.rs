//! What this machine has to give: cores, memory, GPUs, as this process may use them.
//!
//! Read from `/proc`, `/sys/fs/cgroup` and `/dev` alone, without starting anything, so that it costs well below a
//! millisecond. `cgroup.rs` finds the limits that a container or a service manager has set; `doctor.rs` says in words what else
//! matters on this machine.

mod cgroup;
mod containers;
mod doctor;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub use doctor::{Asked, Fact, facts};

const MIB: u64 = 1024 * 1024;

/// What this process may use of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Thousandths of a core: the cores this process may run on, or the quota of its cgroups where that is less.
    pub cpu_milli: u32,
    /// Bytes: what the machine has, or the limit of our cgroups where that is less.
    pub memory: u64,
    /// How many GPUs a task can ask for.
    pub gpus: u32,
    /// Their names as `CUDA_VISIBLE_DEVICES` takes them, as many as `gpus`.
    pub gpu_names: Vec<String>,
    pub limits: Limits,
}

/// What set the figures of a [`Machine`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub cpu: CpuLimit,
    pub memory: MemoryLimit,
    /// `CUDA_VISIBLE_DEVICES` hides some of the GPUs.
    pub gpus_hidden: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CpuLimit {
    #[default]
    Cores,
    /// The cores we may run on, fewer than there are: `taskset`, a cpuset.
    Affinity,
    /// A quota of CPU time.
    Cgroup,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryLimit {
    #[default]
    Installed,
    Cgroup,
}

impl Machine {
    /// Asks the machine.
    pub fn read() -> Machine {
        let affinity = rustix::thread::sched_getaffinity(None).map(|set| set.count()).ok();
        // The call fails on machines with more than 1,024 cores.
        let cores = affinity.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32));
        Machine::under(
            Path::new("/"),
            cores,
            std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref(),
        )
    }

    /// Bytes that tasks may reserve together: `memory` without what the system, the keeper and the page cache need, a
    /// twentieth but no less than 128 MiB and no more than 2 GiB; at least three quarters on a very small machine. `[local] memory`
    /// is taken as it is.
    pub fn memory_for_tasks(&self) -> u64 {
        let kept = (self.memory / 20).clamp(128 * MIB, 2048 * MIB).min(self.memory / 4);
        self.memory - kept
    }

    /// The same for the files under another root, for tests.
    fn under(root: &Path, cores: u32, cuda_visible_devices: Option<&str>) -> Machine {
        let cgroup = cgroup::limits(root);
        let mut limits = Limits::default();
        let online = online_cores(&fs::read_to_string(root.join("sys/devices/system/cpu/online")).unwrap_or_default());
        if online.is_some_and(|online| cores < online) {
            limits.cpu = CpuLimit::Affinity;
        }
        let mut cpu_milli = cores.max(1).saturating_mul(1000);
        if let Some(quota) = cgroup.cpu_milli.filter(|quota| *quota < cpu_milli) {
            // Less than a hundredth of a core would let no task run at all.
            cpu_milli = quota.max(10);
            limits.cpu = CpuLimit::Cgroup;
        }
        let installed = memory_total(&fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default());
        let memory = match (installed, cgroup.memory) {
            (installed, Some(limit)) if installed.is_none_or(|installed| limit < installed) => {
                limits.memory = MemoryLimit::Cgroup;
                limit
            }
            (Some(installed), _) => installed,
            (None, _) => rustix::system::sysinfo()
                .totalram
                .saturating_mul(u64::from(rustix::system::sysinfo().mem_unit)),
        };
        let there = graphics_devices(&root.join("dev"));
        let gpu_names = visible_devices(there, cuda_visible_devices);
        limits.gpus_hidden = (gpu_names.len() as u32) < there;
        Machine {
            cpu_milli,
            memory,
            gpus: gpu_names.len() as u32,
            gpu_names,
            limits,
        }
    }
}

/// `0-3,8` has five.
fn online_cores(list: &str) -> Option<u32> {
    let mut cores = 0;
    for range in list.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores += last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1;
    }
    (cores > 0).then_some(cores)
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// `/dev/nvidia0` and so on; `nvidiactl` and others are not GPUs.
fn graphics_devices(dev: &Path) -> u32 {
    let Ok(entries) = fs::read_dir(dev) else { return 0 };
    let is_gpu = |name: &str| {
        name.strip_prefix("nvidia")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_gpu))
        .count() as u32
}

/// The GPUs that a program of ours would see. As CUDA does it, a number that no GPU has hides what follows it.
fn visible_devices(there: u32, variable: Option<&str>) -> Vec<String> {
    let Some(list) = variable else {
        return (0..there).map(|index| index.to_string()).collect();
    };
    let mut seen = BTreeSet::new();
    list.split(',')
        .map(str::trim)
        .take_while(|name| match name.parse::<i64>() {
            Ok(index) => (0..i64::from(there)).contains(&index),
            Err(_) => name.starts_with("GPU-") || name.starts_with("MIG-"),
        })
        .filter(|name| there > 0 && seen.insert(name.to_owned()))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        let common = [
            ("proc/meminfo", "MemTotal:       8388608 kB\nMemFree: 1 kB\n"),
            ("sys/devices/system/cpu/online", "0-7\n"),
        ];
        for (name, content) in common.iter().chain(files) {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, content).expect("written");
        }
        root
    }

    #[test]
    fn without_limits_all_of_it_is_ours() {
        let machine = Machine::under(root(&[]).path(), 8, None);
        assert_eq!((machine.cpu_milli, machine.memory, machine.gpus), (8000, 8192 * MIB, 0));
        assert_eq!(machine.limits, Limits::default());
        assert_eq!(machine.memory_for_tasks(), 8192 * MIB - 8192 * MIB / 20);
        let small = Machine {
            memory: 256 * MIB,
            ..machine
        };
        assert_eq!(small.memory_for_tasks(), 192 * MIB);
    }

    #[test]
    fn the_strictest_of_the_groups_above_counts() {
        let v2 = root(&[
            ("proc/self/cgroup", "0::/user.slice/app\n"),
            (
                "proc/self/mountinfo",
                "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw\n",
            ),
            ("sys/fs/cgroup/user.slice/app/memory.max", "max\n"),
            ("sys/fs/cgroup/user.slice/app/cpu.max", "400000 100000\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n"),
        ]);
        let machine = Machine::under(v2.path(), 4, None);
        assert_eq!((machine.cpu_milli, machine.memory), (1500, 1024 * MIB));
        assert_eq!(
            (machine.limits.cpu, machine.limits.memory),
            (CpuLimit::Cgroup, MemoryLimit::Cgroup)
        );
    }

    #[test]
    fn version_1_in_a_container_is_understood() {
        let v1 = root(&[
            ("proc/self/cgroup", "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n"),
            (
                "proc/self/mountinfo",
                "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                 35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        let machine = Machine::under(v1.path(), 8, None);
        assert_eq!((machine.cpu_milli, machine.memory), (500, 2048 * MIB));
    }

    #[test]
    fn what_is_no_limit_is_none() {
        let unlimited = root(&[
            ("proc/self/cgroup", "4:memory:/\n1:cpu:/\n0::/\n"),
            (
                "proc/self/mountinfo",
                "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                 35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        let machine = Machine::under(unlimited.path(), 2, None);
        assert_eq!((machine.cpu_milli, machine.memory), (2000, 8192 * MIB));
        assert_eq!(
            (machine.limits.cpu, machine.limits.memory),
            (CpuLimit::Affinity, MemoryLimit::Installed)
        );
    }

    #[test]
    fn gpus_are_counted_as_cuda_would() {
        let root = root(&[
            ("dev/nvidia0", ""),
            ("dev/nvidia1", ""),
            ("dev/nvidiactl", ""),
            ("dev/nvidia-uvm", ""),
        ]);
        let names = |variable: Option<&str>| Machine::under(root.path(), 8, variable).gpu_names.join(",");
        assert_eq!(names(None), "0,1");
        assert_eq!(names(Some("1")), "1");
        assert_eq!(names(Some("1,7,0")), "1");
        assert_eq!(names(Some("")), "");
        assert_eq!(names(Some("-1")), "");
        assert_eq!(names(Some("NoDevFiles")), "");
        assert_eq!(names(Some("GPU-8932f937, GPU-ab")), "GPU-8932f937,GPU-ab");
        assert!(Machine::under(root.path(), 8, Some("1")).limits.gpus_hidden);
        assert!(visible_devices(0, Some("GPU-8932f937")).is_empty());
    }

    #[test]
    fn this_machine_is_read_at_once() {
        let fastest = (0..20)
            .map(|_| {
                let started = Instant::now();
                let machine = Machine::read();
                assert!(machine.cpu_milli >= 10 && machine.memory > 0);
                started.elapsed()
            })
            .min()
            .expect("twenty of them");
        eprintln!("the machine was read in {fastest:?}");
        assert!(fastest < Duration::from_millis(5), "{fastest:?}");
    }
}
