//! Processes that flee: a program that forks twice and calls `setsid` has a grandchild that belongs to no group we know.
//! The keeper is a subreaper, so such a process becomes a child of its main thread, to be found and ended with its
//! attempt. It is told by the mark in its environment; one that has cleared its environment is ended with the last
//! attempt it may belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::processes::{self, Process, Table};
use crate::wire::Attempt;

/// The variable that names the attempt and the keeper a process belongs to: `<run>/<task>/<attempt>@<keeper>`.
pub const MARK: &str = "KINGTIDE_MARK";

/// As long may the environment of a process be empty before that is taken for its own wish; the kernel has no event for
/// the end of execve.
const EXEC_PATIENCE: Duration = Duration::from_millis(20);
const EXEC_PAUSE: Duration = Duration::from_micros(500);

/// Of whom something was alive a moment ago, and was killed.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) attempts: BTreeSet<Attempt>,
    /// Something that carries no mark; it may be anybody's who has ended.
    pub(crate) unknown: bool,
}

/// What is known of the main thread's children.
#[derive(Debug)]
pub(crate) struct Flight {
    keeper: String,
    pid: i32,
    /// By pid and start: the attempts that ran when a process without a mark was first seen.
    unmarked: BTreeMap<(i32, u64), BTreeSet<Attempt>>,
}

/// What the kernel says of the main thread's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orphans {
    /// There has been none since we last asked.
    None,
    /// There were some, and all have ended.
    Reaped,
    Alive,
}

impl Flight {
    /// To be used from the main thread only: orphans are handed to it, and only it can wait for them.
    pub(crate) fn new(keeper: &str) -> Flight {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Flight {
            keeper: keeper.to_owned(),
            pid,
            unmarked: BTreeMap::new(),
        }
    }

    /// Reaps orphans that have ended. One call into the kernel when there is none.
    pub(crate) fn reap(&self) -> Orphans {
        let mut orphans = Orphans::None;
        loop {
            let mut status = 0;
            // Children of the slots' threads are not the main thread's and not looked at.
            // SAFETY: writes to `status` and nothing else.
            let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WNOTHREAD | libc::__WALL) };
            match pid {
                0 => return Orphans::Alive,
                1.. => orphans = Orphans::Reaped,
                _ if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
                _ => return orphans,
            }
        }
    }

    /// Kills what belongs to no running attempt, and answers of whom something may still be alive.
    pub(crate) fn kill_left_behind(&mut self, running: impl FnOnce() -> BTreeSet<Attempt>) -> Result<Left, Errno> {
        let table = Table::read()?;
        let children = table.children(self.pid).filter(|process| !process.is_zombie);
        let marked: Vec<_> = children.map(|child| (*child, self.mark(child))).collect();
        // Asked only now: whatever was seen with the mark of an attempt that is not among them has outlived it.
        let running = running();
        let mut left = Left::default();
        let mut unmarked = BTreeMap::new();
        for (process, mark) in marked {
            let attempt = mark
                .as_deref()
                .and_then(|mark| mark.strip_suffix(&self.keeper)?.strip_suffix('@'));
            match attempt {
                Some(attempt) if running.contains(attempt) => {}
                Some(attempt) => {
                    if processes::kill(&process) {
                        left.attempts.insert(attempt.to_owned());
                    }
                }
                None => {
                    let key = (process.pid, process.start);
                    let mut suspects = self.unmarked.remove(&key).unwrap_or_else(|| running.clone());
                    suspects.retain(|attempt| running.contains(attempt));
                    if suspects.is_empty() {
                        left.unknown |= processes::kill(&process);
                    }
                    unmarked.insert(key, suspects);
                }
            }
        }
        self.unmarked = unmarked;
        Ok(left)
    }

    /// The mark in the environment of a process. One that is just calling execve has none for a moment; it is given the
    /// time to get it back when it is first seen.
    fn mark(&self, process: &Process) -> Option<String> {
        let deadline = Instant::now() + EXEC_PATIENCE;
        loop {
            let mark = processes::variable(process.pid, MARK);
            let may_come = mark.is_none()
                && !self.unmarked.contains_key(&(process.pid, process.start))
                && processes::environment(process.pid).is_some_and(|environment| environment.is_empty());
            if !may_come || Instant::now() >= deadline {
                return mark.or_else(|| processes::variable(process.pid, MARK));
            }
            // No event tells that an execve is over.
            std::thread::sleep(EXEC_PAUSE);
        }
    }

    /// Whether something is alive whose attempt is not known.
    pub(crate) fn has_unmarked(&self) -> bool {
        !self.unmarked.is_empty()
    }
}
