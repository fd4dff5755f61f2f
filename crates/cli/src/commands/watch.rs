//! Waiting for what other processes do, without asking again and again: inotify on folders, a pidfd on a process.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::departure::Departure;
use crate::exit::{Failure, Outcome};

/// Wakes when something in a watched folder changes or a process ends.
#[derive(Debug)]
pub(crate) struct Waker {
    changes: OwnedFd,
    process: Option<OwnedFd>,
    departure: Option<Departure>,
    is_settling: bool,
}

/// A flush takes less than this almost always.
const SETTLE: Duration = Duration::from_millis(100);

impl Waker {
    pub(crate) fn new() -> Result<Waker, Failure> {
        let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|error| Failure::new("failed to watch for changes").because(std::io::Error::from(error)))?;
        Ok(Waker {
            changes,
            process: None,
            departure: None,
            is_settling: false,
        })
    }

    /// Whether the folder is there and watched. Watching it twice is watching it once.
    pub(crate) fn watch(&self, folder: &Path) -> bool {
        let changes = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        inotify::add_watch(&self.changes, folder, changes | WatchFlags::ONLYDIR).is_ok()
    }

    /// Also wakes when this process has ended.
    pub(crate) fn watch_process(&mut self, pid: u32) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        self.process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    }

    /// Also wakes when this is wanted.
    pub(crate) fn watch_departure(&mut self, departure: &Departure) {
        self.departure = Some(departure.clone());
    }

    /// Until something changes, or for so long; whether something did. A change is told when it is written, and a commit is
    /// seen a moment after it is written: so after a change the next wait is a short one.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Outcome<bool> {
        let at_most = if self.is_settling { at_most.min(SETTLE) } else { at_most };
        let timeout = Timespec::try_from(at_most).ok();
        let mut streams = vec![PollFd::new(&self.changes, PollFlags::IN)];
        streams.extend(self.process.iter().map(|process| PollFd::new(process, PollFlags::IN)));
        streams.extend(
            self.departure
                .iter()
                .map(|departure| PollFd::from_borrowed_fd(departure.bell(), PollFlags::IN)),
        );
        match poll(&mut streams, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Failure::new("failed to wait for changes").because(std::io::Error::from(error))),
        }
        let has_ended = self.process.is_some() && !streams[1].revents().is_empty();
        if has_ended {
            // It would wake us for ever.
            self.process = None;
        }
        // Which files changed does not matter: whoever waits looks at its own.
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.changes, &mut buffer);
        let mut has_changed = has_ended;
        while events.next().is_ok() {
            has_changed = true;
        }
        self.is_settling = has_changed;
        Ok(has_changed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_change_wakes_and_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut waker = Waker::new().expect("inotify");
        assert!(waker.watch(folder.path()));
        assert!(!waker.watch(&folder.path().join("nowhere")));
        std::fs::write(folder.path().join("a"), "x").expect("a file");
        assert!(waker.wait(Duration::from_secs(600)).expect("waits"));
        let started = Instant::now();
        assert!(
            !waker.wait(Duration::from_secs(600)).expect("waits"),
            "nothing is left to be told"
        );
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "the wait after a change is a short one"
        );
    }

    #[test]
    fn who_wants_to_leave_is_woken() {
        let mut waker = Waker::new().expect("inotify");
        let departure = Departure::new().expect("descriptors");
        waker.watch_departure(&departure);
        assert!(!departure.is_wanted());
        departure.clone().leave();
        let started = Instant::now();
        waker.wait(Duration::from_secs(600)).expect("waits");
        assert!(departure.is_wanted() && started.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn the_end_of_a_process_wakes_once() {
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let mut waker = Waker::new().expect("inotify");
        waker.watch_process(child.id());
        assert!(waker.wait(Duration::from_secs(600)).expect("waits"));
        assert!(waker.process.is_none());
        child.wait().expect("reaped");
    }
}
