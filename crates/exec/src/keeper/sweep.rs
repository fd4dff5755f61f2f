//! Ending what a keeper has left that was killed together with its guard: programs have died with it, but those that
//! fled from them have nobody who would know. They are found by their cgroup, or by the mark in their environment.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::cgroup;
use crate::keeper::LOCK;
use crate::keeper::client;
use crate::keeper::flight::MARK;
use crate::keeper::state::{KeeperRecord, State};
use crate::processes::{self, Table};

/// A killed process that lives on longer is stuck in the kernel; then the sweep is said to have failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at a lock that is held by nobody who listens.
const PAUSE: Duration = Duration::from_millis(5);

/// Processes of an earlier keeper could not be ended.
#[derive(Debug, thiserror::Error)]
#[error("failed to end what an earlier keeper has left")]
pub struct SweepError(#[source] io::Error);

/// Ends whatever earlier keepers of this project have left. Does nothing while one lives. A keeper does this itself
/// when it starts; this is for whoever starts none.
pub fn sweep(kingtide_dir: &Path) -> Result<(), SweepError> {
    let lock = match std::fs::File::open(kingtide_dir.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SweepError(error)),
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if client::is_listening(kingtide_dir) => return Ok(()),
            // One is about to begin or to end, or a process that it was about to start still holds its descriptors. No
            // event tells when that is over.
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(error) => return Err(SweepError(error.into())),
        }
    }
    let mut state = State::read(kingtide_dir);
    if state.keepers.is_empty() {
        return Ok(());
    }
    sweep_keepers(&state.keepers).map_err(SweepError)?;
    state.keepers.clear();
    state.write(kingtide_dir).map_err(SweepError)
}

/// The caller holds the lock, so none of these keepers lives.
pub(crate) fn sweep_keepers(keepers: &[KeeperRecord]) -> io::Result<()> {
    if keepers.is_empty() {
        return Ok(());
    }
    for group in keepers.iter().filter_map(|keeper| keeper.group.as_deref()) {
        cgroup::sweep(group)?;
    }
    let deadline = Instant::now() + PATIENCE;
    // Until a look at all processes has found none: those that are killed may have been forking.
    loop {
        let mut dying: Vec<OwnedFd> = Vec::new();
        for process in Table::read()?.iter().filter(|process| !process.is_zombie) {
            if is_marked(process.pid, keepers)
                && let Some(pid) = Pid::from_raw(process.pid)
                && let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
                // Asked again: now the descriptor holds on to the process that the number meant.
                && is_marked(process.pid, keepers)
            {
                match rustix::process::pidfd_send_signal(&pidfd, Signal::KILL) {
                    Ok(()) => dying.push(pidfd),
                    Err(Errno::SRCH) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        if dying.is_empty() {
            return Ok(());
        }
        for pidfd in dying {
            let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
            if rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], left.as_ref()) == Ok(0) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

fn is_marked(pid: i32, keepers: &[KeeperRecord]) -> bool {
    let Some(mark) = processes::variable(pid, MARK) else {
        return false;
    };
    let Some((_, keeper)) = mark.rsplit_once('@') else {
        return false;
    };
    keepers.iter().any(|record| record.id == keeper)
}
