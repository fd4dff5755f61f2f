//! The process table, as far as it belongs to a folder: what runs in it, was called with it, or has it in its environment.
//! A test project's folder is in the `HOME` of everything that is started below it, also of what has fled.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::patience::within;

/// How long `assert_no_process_left` waits for processes to go by themselves.
pub const LEAVING: Duration = Duration::from_secs(10);

/// A process that is alive; one that has ended and only waits to be reaped is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    /// In clock ticks since the machine started; a number that comes again comes with another.
    pub started: u64,
    /// Its arguments, joined by spaces.
    pub command: String,
}

/// The processes that belong to a folder, the calling one apart.
pub fn processes_of(folder: &Path) -> Vec<Process> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    search(|entry, command| {
        // What may not be read belongs to somebody else.
        let workdir = std::fs::read_link(entry.join("cwd")).is_ok_and(|workdir| workdir.starts_with(&folder));
        let environment = || std::fs::read(entry.join("environ")).unwrap_or_default();
        let needle = folder.as_os_str().as_bytes();
        workdir || names(command, needle) || names(&environment(), needle)
    })
}

/// The processes whose environment has exactly this variable.
pub fn processes_with(name: &str, value: &str) -> Vec<Process> {
    let variable = format!("{name}={value}");
    search(|entry, _| {
        let environment = std::fs::read(entry.join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|pair| pair == variable.as_bytes())
    })
}

/// Panics when processes of a folder are still there after a while, and names them.
#[track_caller]
pub fn assert_no_process_left(folder: &Path) {
    if within(LEAVING, || is_empty(folder).then_some(())).is_none() {
        let left: Vec<String> = processes_of(folder).iter().map(Process::to_string).collect();
        assert!(
            left.is_empty(),
            "processes are left after {} s:\n  {}",
            LEAVING.as_secs(),
            left.join("\n  ")
        );
    }
}

/// Ends every process of a folder with KILL, until none is left; gives back whether that came to be.
pub fn kill_processes_of(folder: &Path) -> bool {
    let gone = within(LEAVING, || {
        let left = processes_of(folder);
        left.iter().for_each(|process| process.signal(Signal::KILL));
        (left.is_empty() && is_empty(folder)).then_some(())
    });
    gone.is_some()
}

/// Looks twice: a process in the middle of `exec` has neither arguments nor environment for a moment.
fn is_empty(folder: &Path) -> bool {
    processes_of(folder).is_empty() && processes_of(folder).is_empty()
}

impl Process {
    /// Sends a signal, unless this process has ended.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        // Read after the handle was opened, so that the handle is this process's and not that of a successor.
        if self.is_alive() {
            let _ = pidfd_send_signal(&handle, signal);
        }
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        stat(&Path::new("/proc").join(self.pid.to_string()))
            .is_some_and(|stat| stat.started == self.started && stat.alive)
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (child of {}): {}", self.pid, self.parent, self.command)
    }
}

/// The living processes, the calling one apart, whose `/proc` entry and command line satisfy a test.
fn search(belongs: impl Fn(&Path, &[u8]) -> bool) -> Vec<Process> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux has /proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let entry = entry.path();
        let command = std::fs::read(entry.join("cmdline")).unwrap_or_default();
        if !belongs(&entry, &command) {
            continue;
        }
        if let Some(stat) = stat(&entry).filter(|stat| stat.alive) {
            let words: Vec<String> = command
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            found.push(Process {
                pid,
                parent: stat.parent,
                started: stat.started,
                command: words.join(" ").trim_end().to_owned(),
            });
        }
    }
    found.sort();
    found
}

/// Whether the bytes hold this path or one below it.
fn names(bytes: &[u8], path: &[u8]) -> bool {
    bytes.windows(path.len()).enumerate().any(|(start, window)| {
        let next = bytes.get(start + path.len());
        window == path && next.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"_-.".contains(byte))
    })
}

struct Stat {
    alive: bool,
    parent: u32,
    started: u64,
}

fn stat(entry: &Path) -> Option<Stat> {
    let text = std::fs::read_to_string(entry.join("stat")).ok()?;
    // The name in parentheses may hold anything; the fields begin behind the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        alive: !matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::patience::eventually;

    /// A process that lasts until it is killed.
    fn lasting(edit: impl FnOnce(&mut Command) -> &mut Command) -> Child {
        let mut command = Command::new("sleep");
        command
            .arg("1000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/");
        edit(&mut command);
        command.spawn().expect("sleep is everywhere")
    }

    fn pids(processes: &[Process]) -> Vec<u32> {
        processes.iter().map(|process| process.pid).collect()
    }

    #[test]
    fn a_folder_knows_its_processes() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = tempfile::tempdir().expect("a folder");
        let mut children = [
            lasting(|command| command.current_dir(folder.path())),
            lasting(|command| command.env("HOME", folder.path().join("home"))),
            lasting(|command| command.current_dir(other.path())),
            lasting(|command| command.arg0(folder.path())),
        ];
        let mut expected = vec![children[0].id(), children[1].id(), children[3].id()];
        expected.sort_unstable();
        // A program that was just started has no environment yet.
        let seen = || Some(pids(&processes_of(folder.path()))).filter(|seen| *seen == expected);
        eventually("all three are seen", LEAVING, seen);
        let seen = eventually("the other is seen", LEAVING, || processes_of(other.path()).pop());
        assert_eq!((seen.pid, seen.command.as_str()), (children[2].id(), "sleep 1000"));

        assert!(kill_processes_of(folder.path()));
        assert_no_process_left(folder.path());
        assert_eq!(
            pids(&processes_of(other.path())),
            [children[2].id()],
            "others are left alone"
        );
        assert!(kill_processes_of(other.path()));
        children.iter_mut().for_each(|child| drop(child.wait()));
    }

    #[test]
    fn a_mark_is_found_whole() {
        let mark = format!("mark-{}", std::process::id());
        let mut child = lasting(|command| command.env("KINGTIDE_TEST", &mark));
        let found = eventually("the mark", LEAVING, || processes_with("KINGTIDE_TEST", &mark).pop());
        assert_eq!((found.pid, found.parent), (child.id(), std::process::id()));
        assert_eq!(processes_with("KINGTIDE_TEST", &mark[..mark.len() - 1]), []);
        assert!(found.is_alive());
        found.signal(Signal::KILL);
        child.wait().expect("it was killed");
        assert!(!found.is_alive());
    }

    #[test]
    fn a_path_is_not_found_in_a_longer_one() {
        assert!(names(b"HOME=/tmp/kt-1/home\0", b"/tmp/kt-1"));
        assert!(names(b"PATH=/bin:/tmp/kt-1:/sbin", b"/tmp/kt-1"));
        assert!(names(b"/tmp/kt-1", b"/tmp/kt-1"));
        assert!(!names(b"HOME=/tmp/kt-12/home\0", b"/tmp/kt-1"));
    }
}
