//! An attempt that runs, from the moment its process is there: waiting for whatever happens first, and its end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use crate::disk::is_full;
use crate::log::{Buffers, Log, Read};
use crate::memory::{self, Limit, Limiter, WATCH_INTERVAL};
use crate::processes;
use crate::slot::{Ended, SAMPLE_INTERVAL, STARTED_AFTER, Said};
use crate::spawn::Child;
use crate::stopper::Stopper;
use crate::usage;
use crate::wire::{End, Start, StopReason, Usage};

/// Where an attempt is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// TERM was sent; KILL follows at that time.
    Asked {
        reason: StopReason,
        kill_at: Instant,
    },
    Killed {
        reason: Option<StopReason>,
    },
}

/// An attempt that runs.
pub(crate) struct Watch<'a> {
    start: &'a Start,
    child: Child,
    /// Gone once nobody can write to it any more.
    pipe: Option<OwnedFd>,
    log: Log,
    limit: Limit,
    began: Instant,
    started_ms: i64,
    stopper: &'a Stopper,
    limiter: &'a Limiter,
    processes: &'a processes::Shared,
    phase: Phase,
    /// When `Started` or the next sample is due.
    next_word: Option<Instant>,
    said_started: bool,
    /// When to look at the memory of a watched tree.
    next_look: Option<Instant>,
    over_memory: bool,
    usage: Usage,
}

/// What has just been started.
pub(crate) struct Running<'a> {
    pub(crate) start: &'a Start,
    pub(crate) child: Child,
    pub(crate) pipe: OwnedFd,
    pub(crate) log: Log,
    pub(crate) limit: Limit,
    pub(crate) began: Instant,
    pub(crate) started_ms: i64,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        running: Running<'a>,
        stopper: &'a Stopper,
        limiter: &'a Limiter,
        processes: &'a processes::Shared,
    ) -> Watch<'a> {
        let Running {
            start,
            child,
            pipe,
            log,
            limit,
            began,
            started_ms,
        } = running;
        Watch {
            start,
            child,
            pipe: Some(pipe),
            log,
            limit,
            began,
            started_ms,
            stopper,
            limiter,
            processes,
            phase: Phase::Running,
            next_word: Some(began + STARTED_AFTER),
            said_started: false,
            next_look: matches!(limit, Limit::Watch(_)).then(|| began + WATCH_INTERVAL),
            over_memory: false,
            usage: Usage::default(),
        }
    }

    /// Waits for the next thing to happen and sees to it; true once the leader has ended.
    pub(crate) fn step(&mut self, say: &mut dyn FnMut(Said)) -> bool {
        let timeout = self
            .next_deadline()
            .map(|at| at.saturating_duration_since(Instant::now()));
        let is_stoppable = self.phase == Phase::Running;
        let stop_events = if is_stoppable {
            PollFlags::IN
        } else {
            PollFlags::empty()
        };
        let (ended, asked, readable) = {
            let mut ready = [
                PollFd::new(&self.child.pidfd, PollFlags::IN),
                PollFd::from_borrowed_fd(self.stopper.event(), stop_events),
                PollFd::from_borrowed_fd(borrow(&self.pipe, &self.child), PollFlags::IN),
            ];
            let count = if self.pipe.is_some() { 3 } else { 2 };
            wait(&mut ready[..count], timeout);
            let is_ready = |place: usize| !ready[place].revents().is_empty() && place < count;
            (is_ready(0), is_ready(1), is_ready(2))
        };
        if readable
            && let Some(pipe) = &self.pipe
            && self.log.read_from(pipe.as_fd()) == Read::End
        {
            self.pipe = None;
        }
        if ended {
            return true;
        }
        if asked
            && is_stoppable
            && let Some(reason) = self.stopper.asked()
        {
            self.ask(reason);
        }
        self.on_time(say);
        false
    }

    fn next_deadline(&self) -> Option<Instant> {
        let end = match self.phase {
            Phase::Running => self
                .start
                .timeout_ms
                .and_then(|ms| self.began.checked_add(Duration::from_millis(ms))),
            Phase::Asked { kill_at, .. } => Some(kill_at),
            Phase::Killed { .. } => None,
        };
        [end, self.next_word, self.next_look].into_iter().flatten().min()
    }

    fn on_time(&mut self, say: &mut dyn FnMut(Said)) {
        let now = Instant::now();
        match self.phase {
            Phase::Running => {
                let timeout = self.start.timeout_ms.map(Duration::from_millis);
                if timeout.is_some_and(|timeout| now.duration_since(self.began) >= timeout) {
                    self.ask(StopReason::Timeout);
                }
            }
            Phase::Asked { reason, kill_at } if now >= kill_at => self.kill(Some(reason)),
            Phase::Asked { .. } | Phase::Killed { .. } => {}
        }
        if self.next_word.is_some_and(|at| now >= at) {
            if self.said_started {
                self.sample(say);
                self.next_word = Some(now + SAMPLE_INTERVAL);
            } else {
                self.said_started = true;
                say(Said::Started {
                    pid: self.child.pid.as_raw_nonzero().get().cast_unsigned(),
                    at_ms: self.started_ms,
                });
                self.next_word = Some(self.began + SAMPLE_INTERVAL);
            }
            self.log.settle();
        }
        if self.next_look.is_some_and(|at| now >= at) {
            self.next_look = Some(now + WATCH_INTERVAL);
            self.look_at_memory();
        }
    }

    fn sample(&mut self, say: &mut dyn FnMut(Said)) {
        let table = self.processes.table(SAMPLE_INTERVAL / 10);
        let tree = table.tree(self.child.pid.as_raw_nonzero().get());
        let mut usage = usage::of_tree(&tree);
        if let Some(group) = self.limiter.group(self.limit) {
            usage.memory = group.memory();
            usage.memory_peak = usage.memory;
        }
        self.usage = usage::at_least(usage, self.usage);
        say(Said::Sample(self.usage));
    }

    fn look_at_memory(&mut self) {
        let Limit::Watch(bytes) = self.limit else { return };
        let table = self.processes.table(WATCH_INTERVAL / 4);
        let tree = table.tree(self.child.pid.as_raw_nonzero().get());
        self.usage.memory_peak = self.usage.memory_peak.max(usage::resident_bytes(&tree));
        if memory::exceeds(&tree, bytes) {
            self.over_memory = true;
            self.kill(None);
        }
    }

    /// TERM now, KILL later.
    fn ask(&mut self, reason: StopReason) {
        let patience = Duration::from_millis(self.start.stop_timeout_ms);
        let now = Instant::now();
        let kill_at = now
            .checked_add(patience)
            .unwrap_or(now + Duration::from_secs(86_400 * 365));
        self.phase = Phase::Asked { reason, kill_at };
        if rustix::process::kill_process_group(self.child.pid, Signal::TERM).is_err() {
            // The leader has joined another group and left its own empty.
            let _ = rustix::process::pidfd_send_signal(&self.child.pidfd, Signal::TERM);
        }
        // Who was stopped can end only when continued.
        signal_group(self.child.pid, Signal::CONT);
    }

    fn kill(&mut self, reason: Option<StopReason>) {
        self.phase = Phase::Killed { reason };
        self.next_look = None;
        signal_group(self.child.pid, Signal::KILL);
        let _ = rustix::process::pidfd_send_signal(&self.child.pidfd, Signal::KILL);
    }

    /// The leader has ended and is not reaped: its number, which is its group's, cannot be another's yet.
    pub(crate) fn end(mut self) -> (Ended, Buffers) {
        let took = self.began.elapsed();
        signal_group(self.child.pid, Signal::KILL);
        if let Some(group) = self.limiter.group(self.limit) {
            let _ = group.kill_all();
        }
        // Before it is reaped: who waits for its end to make room must not change how it is judged.
        let disk_full = is_full(&self.start.workdir);
        let (status, rusage) = reap(self.child.pid);
        if let Some(pipe) = &self.pipe {
            self.log.drain(pipe.as_fd());
        }
        let ended_ms = self.started_ms + i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        let log = self.log.finish();
        let mut usage = usage::at_least(usage::of_rusage(&rusage), self.usage);
        usage.memory = 0;
        let mut end = match status {
            status if libc::WIFSIGNALED(status) => End::Signal(libc::WTERMSIG(status)),
            status => End::Code(libc::WEXITSTATUS(status)),
        };
        let failed = end != End::Code(0);
        let reason = match self.phase {
            Phase::Running => None,
            Phase::Asked { reason, .. } => Some(reason),
            Phase::Killed { reason } => reason,
        };
        let out_of_memory = self.over_memory
            || self
                .limiter
                .group(self.limit)
                .is_some_and(|group| failed && group.has_killed());
        if let Some(reason) = reason {
            end = End::Stopped(reason);
        } else if out_of_memory {
            end = End::OutOfMemory;
            usage.memory_peak = usage.memory_peak.max(self.start.memory.unwrap_or(0));
        } else if failed && (disk_full || log.disk_full) {
            end = End::DiskFull;
        }
        let tail = if end == End::Code(0) { String::new() } else { log.tail };
        (
            Ended {
                end,
                started_ms: self.started_ms,
                ended_ms,
                took,
                usage,
                tail,
            },
            log.buffers,
        )
    }
}

/// The pipe, or something to stand in its place.
fn borrow<'a>(pipe: &'a Option<OwnedFd>, child: &'a Child) -> BorrowedFd<'a> {
    pipe.as_ref().map_or(child.pidfd.as_fd(), OwnedFd::as_fd)
}

/// Waits until one is ready or the time is over; an interruption is as good as either.
pub(crate) fn wait(ready: &mut [PollFd<'_>], timeout: Option<Duration>) {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let _ = rustix::event::poll(ready, timeout.as_ref());
}

fn signal_group(leader: Pid, signal: Signal) {
    // It fails only when nobody is left to receive it.
    let _ = rustix::process::kill_process_group(leader, signal);
}

fn reap(pid: Pid) -> (libc::c_int, libc::rusage) {
    let mut status = 0;
    // SAFETY: all zeroes are a valid rusage, and wait4 writes to what it is handed and nothing else.
    unsafe {
        let mut rusage: libc::rusage = std::mem::zeroed();
        while libc::wait4(pid.as_raw_nonzero().get(), &mut status, 0, &mut rusage) < 0
            && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
        {}
        (status, rusage)
    }
}
