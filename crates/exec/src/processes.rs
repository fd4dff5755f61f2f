//! What `/proc` says about the processes of this machine: one pass over all of them, shared by all slots that sample in
//! the same moment, and the environment of single ones.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;

/// One process, from `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    /// Has ended and waits to be reaped.
    pub is_zombie: bool,
    /// Clock ticks after boot: with the pid it names a process for good.
    pub start: u64,
    /// Of its own and of the children it has waited for, in clock ticks.
    pub cpu_ticks: u64,
    pub resident_pages: u64,
}

/// All processes at one moment, by pid.
#[derive(Debug, Default)]
pub struct Table {
    processes: BTreeMap<i32, Process>,
}

impl Table {
    pub fn read() -> Result<Table, Errno> {
        let proc = open_proc()?;
        let mut processes = BTreeMap::new();
        let mut names = [std::mem::MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(&proc, &mut names);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let Ok(pid) = entry.file_name().to_str().unwrap_or_default().parse::<i32>() else {
                continue;
            };
            // Processes that end meanwhile are simply not there.
            if let Some(process) = read_stat(&proc, pid) {
                processes.insert(pid, process);
            }
        }
        Ok(Table { processes })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    pub fn get(&self, pid: i32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    pub fn children(&self, parent: i32) -> impl Iterator<Item = &Process> {
        self.iter().filter(move |process| process.parent == parent)
    }

    /// The members of a process group and everything that descends from them.
    pub fn tree(&self, group: i32) -> Vec<Process> {
        let mut tree: BTreeMap<i32, Process> = self
            .iter()
            .filter(|process| process.group == group)
            .map(|process| (process.pid, *process))
            .collect();
        // A child mostly has the higher number, so that one pass finds all but a few.
        loop {
            let more: Vec<Process> = self
                .iter()
                .filter(|process| tree.contains_key(&process.parent) && !tree.contains_key(&process.pid))
                .copied()
                .collect();
            if more.is_empty() {
                break;
            }
            tree.extend(more.into_iter().map(|process| (process.pid, process)));
        }
        tree.into_values().collect()
    }
}

/// Hands out a table to several askers, and reads it anew when it is too old for one of them.
#[derive(Debug, Default)]
pub struct Shared {
    last: Mutex<Option<(Instant, Arc<Table>)>>,
}

impl Shared {
    /// A table that is at most `age` old; the last one known if `/proc` cannot be read.
    pub fn table(&self, age: Duration) -> Arc<Table> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, table)) = &*last
            && at.elapsed() <= age
        {
            return Arc::clone(table);
        }
        let table = Arc::new(Table::read().unwrap_or_default());
        *last = Some((Instant::now(), Arc::clone(&table)));
        table
    }
}

/// Sends KILL to a process and to no other that has its number by now. False if it is gone.
pub fn kill(process: &Process) -> bool {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let Some(pidfd) = Pid::from_raw(process.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    // The descriptor holds on to whoever has the number now; if that one began when the process did, it is the process.
    let is_same =
        open_proc().is_ok_and(|proc| read_stat(&proc, process.pid).is_some_and(|now| now.start == process.start));
    is_same && pidfd_send_signal(&pidfd, Signal::KILL).is_ok()
}

/// The environment a process was started with, if we may see it. For a moment in the middle of execve it is empty.
pub fn environment(pid: i32) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ")).ok()
}

/// The value of a variable in the environment a process was started with, if we may see it.
pub fn variable(pid: i32, name: &str) -> Option<String> {
    let environ = environment(pid)?;
    environ.split(|byte| *byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

fn open_proc() -> Result<OwnedFd, Errno> {
    rustix::fs::open(
        "/proc",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn read_stat(proc: &OwnedFd, pid: i32) -> Option<Process> {
    let file = rustix::fs::openat(
        proc,
        format!("{pid}/stat"),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let mut text = [0; 1024];
    let length = rustix::io::read(&file, &mut text).ok()?;
    parse_stat(pid, &text[..length])
}

/// The fields after the name, which is in parentheses and may hold anything, parentheses included.
fn parse_stat(pid: i32, text: &[u8]) -> Option<Process> {
    let end = memchr::memrchr(b')', text)?;
    let text = std::str::from_utf8(&text[end + 1..]).ok()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    // Fields are numbered from 1 in proc(5); the state, field 3, is the first one here.
    let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
    let ticks = |field: usize| number(field).map(|ticks| ticks.max(0) as u64);
    Some(Process {
        pid,
        parent: number(4)? as i32,
        group: number(5)? as i32,
        is_zombie: matches!(fields.first(), Some(&"Z" | &"X")),
        start: ticks(22)?,
        cpu_ticks: ticks(14)? + ticks(15)? + ticks(16)? + ticks(17)?,
        resident_pages: ticks(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let line = b"42 (a) b (c)) S 7 8 9 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 555 4096 77 1844 1 1";
        let process = parse_stat(42, line).expect("a process");
        assert_eq!(
            (process.pid, process.parent, process.group, process.is_zombie),
            (42, 7, 8, false)
        );
        assert_eq!(
            (process.start, process.cpu_ticks, process.resident_pages),
            (555, 100, 77)
        );
    }

    #[test]
    fn this_process_is_in_the_table() {
        let table = Table::read().expect("/proc");
        let own = i32::try_from(std::process::id()).expect("a pid");
        let process = table.get(own).expect("this process");
        assert!(process.resident_pages > 0 && !process.is_zombie);
        assert!(table.tree(process.group).iter().any(|member| member.pid == own));
    }
}
