//! One attempt from start to end, in the thread that calls: start it, read its log, sample it, stop it when its time is
//! over or somebody asks, and see it off so that nothing of its process group is left.
//!
//! The neighbours: `spawn` makes the process, `log` keeps what it says, `memory` limits it, `keeper` gives the orders.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal};

use crate::image::{Environment, Image};
use crate::log::{Buffers, Log, Read};
use crate::memory::{self, Limit, Limiter, Means, WATCH_INTERVAL};
use crate::processes;
use crate::program::{self, Finder};
use crate::redact::Secrets;
use crate::spawn::{Child, Plan, SpawnError, Spawner};
use crate::stamp::now_ms;
use crate::usage;
use crate::wire::{End, Start, StopReason, Usage};

/// `Started` is said of attempts that live this long.
pub const STARTED_AFTER: Duration = Duration::from_millis(50);
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// How long to go on trying when the machine has no process, memory or descriptor left.
const SCARCITY_PATIENCE: Duration = Duration::from_secs(30);
/// A disk with less than this is full for a program that has just failed.
const FULL_DISK_BYTES: u64 = 256 * 1024;

/// What to run and with what.
pub struct Order<'a> {
    pub start: &'a Start,
    pub environment: &'a Environment,
    pub secrets: &'a Arc<Secrets>,
    /// On top of the variables of `start`.
    pub variables: &'a [(&'a str, &'a str)],
}

/// What is said while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Started { pid: u32, at_ms: i64 },
    Sample(Usage),
}

/// How it ended. Its process group is gone; whatever left the group is not this module's to find.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub end: End,
    pub started_ms: i64,
    pub ended_ms: i64,
    pub took: Duration,
    pub usage: Usage,
    pub tail: String,
}

/// How others ask a slot to end its attempt.
#[derive(Debug)]
pub struct Stopper {
    event: OwnedFd,
    asked: AtomicU8,
}

impl Stopper {
    pub fn new() -> Result<Stopper, Errno> {
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stopper {
            event,
            asked: AtomicU8::new(0),
        })
    }

    /// The first reason counts.
    pub fn ask(&self, reason: StopReason) {
        let code = match reason {
            StopReason::Cancel => 1,
            StopReason::Release => 2,
            StopReason::Fence => 3,
            StopReason::Timeout => 4,
        };
        let _ = self
            .asked
            .compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire);
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// The attempt it was meant for is over.
    pub fn reset(&self) {
        if self.asked.swap(0, Ordering::AcqRel) != 0 {
            self.quiet();
        }
    }

    fn asked(&self) -> Option<StopReason> {
        match self.asked.load(Ordering::Acquire) {
            1 => Some(StopReason::Cancel),
            2 => Some(StopReason::Release),
            3 => Some(StopReason::Fence),
            4 => Some(StopReason::Timeout),
            _ => None,
        }
    }

    fn quiet(&self) {
        let _ = rustix::io::read(&self.event, &mut [0_u8; 8]);
    }
}

/// Runs attempts, one at a time. Owned by one thread, whose end would be theirs.
pub struct Slot {
    spawner: Spawner,
    finder: Finder,
    image: Image,
    buffers: Buffers,
    null: OwnedFd,
    stopper: Arc<Stopper>,
    limiter: Limiter,
    processes: Arc<processes::Shared>,
}

impl Slot {
    /// Blocks all signals in the calling thread, see [`Spawner`].
    pub fn new(number: usize, means: Arc<Means>, processes: Arc<processes::Shared>) -> Result<Slot, Errno> {
        use rustix::fs::{Mode, OFlags};
        crate::spawn::block_signals();
        Ok(Slot {
            spawner: Spawner::new()?,
            finder: Finder::default(),
            image: Image::default(),
            buffers: Buffers::default(),
            null: rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?,
            stopper: Arc::new(Stopper::new()?),
            limiter: Limiter::new(means, format!("slot-{number}")),
            processes,
        })
    }

    pub fn stopper(&self) -> Arc<Stopper> {
        Arc::clone(&self.stopper)
    }

    /// Runs it to its end. `say` is called in between, from this thread.
    pub fn run(&mut self, order: &Order<'_>, say: &mut dyn FnMut(Said)) -> Ended {
        let started_ms = now_ms();
        let began = Instant::now();
        let start = order.start;
        let limit = self.limiter.begin(start.memory);
        let buffers = std::mem::take(&mut self.buffers);
        let log = Log::new(
            Path::new(&start.log),
            start.log_limit,
            Arc::clone(order.secrets),
            buffers,
        );
        let (child, pipe, limit) = match self.start(order, limit, began) {
            Ok(started) => started,
            Err(end) => {
                self.buffers = log.finish().buffers;
                let (usage, tail) = (Usage::default(), String::new());
                return Ended {
                    end,
                    started_ms,
                    ended_ms: now_ms(),
                    took: began.elapsed(),
                    usage,
                    tail,
                };
            }
        };
        let mut watch = Watch {
            start,
            child,
            pipe: Some(pipe),
            log,
            limit,
            began,
            started_ms,
            stopper: &self.stopper,
            limiter: &self.limiter,
            processes: &self.processes,
            phase: Phase::Running,
            next_word: Some(began + STARTED_AFTER),
            said_started: false,
            next_look: matches!(limit, Limit::Watch(_)).then(|| began + WATCH_INTERVAL),
            over_memory: false,
            usage: Usage::default(),
        };
        while !watch.step(say) {}
        let (ended, buffers) = watch.end();
        self.buffers = buffers;
        ended
    }

    /// Makes the process, or says why there is none.
    fn start(&mut self, order: &Order<'_>, limit: Limit, began: Instant) -> Result<(Child, OwnedFd, Limit), End> {
        let start = order.start;
        let mut limit = limit;
        let mut own: Vec<(&str, &str)> = Vec::with_capacity(start.env.len() + order.variables.len());
        own.extend(start.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        own.extend_from_slice(order.variables);
        let refused = |text: String| End::NotStarted(order.secrets.clean(&text));
        let vectors = self
            .image
            .lay_out(&start.argv, order.environment, &own)
            .map_err(|e| refused(e.to_string()))?;
        let workdir = CString::new(start.workdir.as_str()).map_err(|_| {
            refused(format!(
                "the folder `{}` contains a NUL byte",
                start.workdir.replace('\0', "\\0")
            ))
        })?;
        let path = own
            .iter()
            .rev()
            .find(|(name, _)| *name == "PATH")
            .map(|(_, value)| *value);
        let path = path.or_else(|| order.environment.get("PATH"));
        let name = start.argv.first().map_or("", String::as_str);
        let mut pause = Duration::from_millis(10);
        let mut again = true;
        loop {
            let program = self
                .finder
                .find(name, path, &start.workdir)
                .map_err(|e| refused(e.to_string()))?;
            let made = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
                .map_err(SpawnError::Process)
                .and_then(|(pipe, output)| {
                    let plan = Plan {
                        program: &program,
                        vectors,
                        workdir: &workdir,
                        stdin: self.null.as_fd(),
                        output: output.as_fd(),
                        cgroup: self.limiter.group(limit).map(|group| group.procs()),
                    };
                    self.spawner.spawn(&plan).map(|child| (child, pipe))
                });
            match made {
                Ok((child, pipe)) => return Ok((child, pipe, limit)),
                Err(SpawnError::Cgroup(_)) => {
                    self.limiter.give_up_group();
                    limit = self.limiter.begin(start.memory);
                }
                Err(SpawnError::Workdir(error)) => return Err(refused(folder_refusal(&start.workdir, error))),
                Err(SpawnError::Exec(Errno::NOENT | Errno::ACCESS)) if again => {
                    // It may have moved since it was found.
                    self.finder.forget();
                    again = false;
                }
                Err(SpawnError::Exec(Errno::TXTBSY)) if began.elapsed() < Duration::from_secs(1) => {
                    // Somebody is about to finish writing it.
                    wait_unless_asked(&self.stopper, pause)?;
                }
                Err(SpawnError::Exec(error)) => {
                    return Err(refused(program::refusal(&program, &start.workdir, error)));
                }
                Err(SpawnError::Process(error) | SpawnError::Setup(error)) if began.elapsed() > SCARCITY_PATIENCE => {
                    return Err(refused(format!("no process could be made: {error}")));
                }
                Err(SpawnError::Process(_) | SpawnError::Setup(_)) => {
                    wait_unless_asked(&self.stopper, pause)?;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }
}

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
struct Watch<'a> {
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

impl Watch<'_> {
    /// Waits for the next thing to happen and sees to it; true once the leader has ended.
    fn step(&mut self, say: &mut dyn FnMut(Said)) -> bool {
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
                PollFd::new(&self.stopper.event, stop_events),
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
    fn end(mut self) -> (Ended, Buffers) {
        let took = self.began.elapsed();
        signal_group(self.child.pid, Signal::KILL);
        if let Some(group) = self.limiter.group(self.limit) {
            let _ = group.kill_all();
        }
        let (status, rusage) = reap(self.child.pid);
        if let Some(pipe) = &self.pipe {
            self.log.drain(pipe.as_fd());
        }
        let ended_ms = now_ms().max(self.started_ms);
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
        } else if failed && (log.disk_full || is_full(&self.start.workdir)) {
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
fn wait(ready: &mut [PollFd<'_>], timeout: Option<Duration>) {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let _ = rustix::event::poll(ready, timeout.as_ref());
}

/// Waits before another try, unless asked to stop.
fn wait_unless_asked(stopper: &Stopper, pause: Duration) -> Result<(), End> {
    wait(&mut [PollFd::new(&stopper.event, PollFlags::IN)], Some(pause));
    match stopper.asked() {
        Some(reason) => Err(End::Stopped(reason)),
        None => Ok(()),
    }
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

fn folder_refusal(workdir: &str, error: Errno) -> String {
    match error {
        Errno::NOENT => format!("no such folder `{workdir}`"),
        Errno::NOTDIR => format!("`{workdir}` is not a folder"),
        Errno::ACCESS => format!("the folder `{workdir}` may not be entered"),
        other => format!("the folder `{workdir}` cannot be entered: {other}"),
    }
}

/// Whether the disk of a folder has no room, for bytes or for files.
fn is_full(folder: &str) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| {
        disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_DISK_BYTES || (disk.f_files > 0 && disk.f_favail == 0)
    })
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

/// Locks a mutex whatever happened to its last holder: what it guards is valid between any two statements.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
