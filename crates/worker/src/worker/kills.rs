//! How often the kernel has killed in this container for want of memory: a task's limit is the limit of everything in it, and is met before
//! anybody who watches has seen it coming.

use std::fs;

/// Where it counts: of the second kind of cgroups, and of the first.
const PLACES: [(&str, &str); 2] = [
    ("/sys/fs/cgroup/memory.events", "oom_kill "),
    ("/sys/fs/cgroup/memory/memory.oom_control", "oom_kill "),
];
/// Of a thousand: the program goes before the worker, which has to tell of it.
const SCORE: &str = "500";

/// So often until now; zero where nobody counts.
pub(crate) fn count() -> u64 {
    let of = |(path, word): (&str, &str)| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(word))?;
        line.trim().parse().ok()
    };
    PLACES.into_iter().find_map(of).unwrap_or(0)
}

/// A process, and what it starts from now on, is chosen before this one.
pub(crate) fn prefer(pid: u32) {
    // Where that is not allowed the kernel chooses by itself.
    let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), SCORE);
}
