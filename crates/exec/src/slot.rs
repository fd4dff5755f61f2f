//! One attempt from start to end, in the thread that calls: start it, read its log, sample it, stop it when its time is
//! over or somebody asks, and see it off so that nothing of its process group is left.
//!
//! The neighbours: `spawn` makes the process, `watch` stays with it, `log` keeps what it says, `memory` limits it, `keeper` gives the orders.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::image::{Environment, Image};
use crate::log::{Buffers, Log};
use crate::memory::{Limit, Limiter, Means};
use crate::processes;
use crate::program::{self, Finder};
use crate::redact::Secrets;
use crate::spawn::{Child, Plan, SpawnError, Spawner};
use crate::stamp::now_ms;
use crate::stopper::Stopper;
use crate::watch::{Running, Watch, wait};
use crate::wire::{End, Start, Usage};

/// `Started` is said of attempts that live this long.
pub const STARTED_AFTER: Duration = Duration::from_millis(50);
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// How long to go on trying when the machine has no process, memory or descriptor left.
const SCARCITY_PATIENCE: Duration = Duration::from_secs(30);
/// What to run and with what.
pub struct Order<'a> {
    pub start: &'a Start,
    pub environment: &'a Environment,
    pub secrets: &'a Arc<Secrets>,
    /// On top of the variables of `start`.
    pub variables: &'a [(&'a str, &'a str)],
    /// Who gets the lines of its log as they come, too.
    pub echo: Option<BorrowedFd<'a>>,
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
        let mut log = Log::new(
            Path::new(&start.log),
            start.log_limit,
            Arc::clone(order.secrets),
            buffers,
        );
        if let Some(echo) = order.echo.and_then(|echo| echo.try_clone_to_owned().ok()) {
            log.echo_to(echo);
        }
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
        let running = Running {
            start,
            child,
            pipe,
            log,
            limit,
            began,
            started_ms,
        };
        let mut watch = Watch::new(running, &self.stopper, &self.limiter, &self.processes);
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

/// Waits before another try, unless asked to stop.
fn wait_unless_asked(stopper: &Stopper, pause: Duration) -> Result<(), End> {
    wait(
        &mut [PollFd::from_borrowed_fd(stopper.event(), PollFlags::IN)],
        Some(pause),
    );
    match stopper.asked() {
        Some(reason) => Err(End::Stopped(reason)),
        None => Ok(()),
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
