//! What the processes of an attempt have used: while they run from `/proc`, at the end from what wait4 says of the leader
//! and of everything it has waited for.

use crate::processes::Process;
use crate::wire::Usage;

/// Sums up the processes of a tree. Processor time that a process has used stays in the sum of its parent once that has
/// waited for it.
pub fn of_tree(tree: &[Process]) -> Usage {
    let mut usage = Usage::default();
    for process in tree {
        usage.cpu_ms += process.cpu_ticks * 1000 / clock_ticks_per_second();
        usage.memory += process.resident_pages * page_bytes();
        if let Some((read, written)) = io(process.pid) {
            usage.read_bytes += read;
            usage.written_bytes += written;
        }
    }
    usage.memory_peak = usage.memory;
    usage
}

/// What the leader has used, with all it has waited for. Its peak of memory is at least the keeper's own few megabytes,
/// which it shared until execve.
pub(crate) fn of_rusage(rusage: &libc::rusage) -> Usage {
    let milliseconds = |time: &libc::timeval| (time.tv_sec * 1000 + time.tv_usec / 1000).max(0) as u64;
    // Blocks are of 512 bytes here, whatever the file system's are.
    let bytes = |blocks: libc::c_long| blocks.max(0) as u64 * 512;
    Usage {
        cpu_ms: milliseconds(&rusage.ru_utime) + milliseconds(&rusage.ru_stime),
        memory: 0,
        memory_peak: rusage.ru_maxrss.max(0) as u64 * 1024,
        read_bytes: bytes(rusage.ru_inblock),
        written_bytes: bytes(rusage.ru_oublock),
    }
}

/// The larger of each: a later sample misses what has ended without being waited for.
#[must_use]
pub fn at_least(one: Usage, other: Usage) -> Usage {
    Usage {
        cpu_ms: one.cpu_ms.max(other.cpu_ms),
        memory: one.memory,
        memory_peak: one.memory_peak.max(other.memory_peak),
        read_bytes: one.read_bytes.max(other.read_bytes),
        written_bytes: one.written_bytes.max(other.written_bytes),
    }
}

/// Resident bytes of a tree, shared pages counted as often as they are mapped.
pub fn resident_bytes(tree: &[Process]) -> u64 {
    tree.iter().map(|process| process.resident_pages * page_bytes()).sum()
}

/// The same with shared pages split among those who share them: dear to ask, and fair to those who fork.
pub fn proportional_bytes(tree: &[Process]) -> u64 {
    tree.iter()
        .map(|process| proportional(process.pid).unwrap_or(process.resident_pages * page_bytes()))
        .sum()
}

fn proportional(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Bytes read from and written to storage.
fn io(pid: i32) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    Some((field("read_bytes:")?, field("write_bytes:")?))
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

fn clock_ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}
