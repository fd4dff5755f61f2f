//! The threads of the slots. Each takes an attempt that its pool admits, runs it to its end, reports it and takes the
//! next; when there is none it sleeps. Threads are made when they are needed and stay.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rustix::io::Errno;

use crate::image::Environment;
use crate::keeper::flight::MARK;
use crate::keeper::outbox::{Ending, Outbox, SHORT};
use crate::keeper::pool::Pools;
use crate::keeper::work::WorkFolders;
use crate::memory::Means;
use crate::processes;
use crate::redact::Secrets;
use crate::slot::{Order, Said, Slot, lock};
use crate::stamp::now_ms;
use crate::wire::{End, Exited, Report, Start, Usage};

const STACK_BYTES: usize = 256 * 1024;

/// What main thread and slots share. Locks are taken in this order.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The keeper's name in marks.
    pub(crate) id: String,
    pub(crate) pools: Mutex<Pools>,
    /// Told when something is ready.
    pub(crate) ready: Condvar,
    pub(crate) outbox: Mutex<Outbox>,
    pub(crate) work: Mutex<WorkFolders>,
    pub(crate) context: Mutex<Arc<Context>>,
    /// An eventfd that wakes the main thread.
    pub(crate) wake: OwnedFd,
    pub(crate) means: Arc<Means>,
    pub(crate) processes: Arc<processes::Shared>,
    /// Threads that remove folders.
    pub(crate) removing: AtomicUsize,
}

/// What all attempts have in common, as the runtime said it.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) environment: Environment,
    pub(crate) secrets: Arc<Secrets>,
}

impl Shared {
    pub(crate) fn wake(&self) {
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Removes folders on a thread of its own: a large one takes its time, and nobody waits for it but who leaves.
    pub(crate) fn remove_folders(self: &Arc<Shared>, folders: Vec<PathBuf>) {
        if folders.is_empty() {
            return;
        }
        self.removing.fetch_add(1, Ordering::AcqRel);
        let shared = Arc::clone(self);
        let remove = move || {
            for folder in folders {
                // What stays is cleared away by the next keeper.
                let _ = std::fs::remove_dir_all(folder);
            }
            shared.removing.fetch_sub(1, Ordering::AcqRel);
            shared.wake();
        };
        let builder = std::thread::Builder::new()
            .name("removing".into())
            .stack_size(STACK_BYTES);
        if builder.spawn(remove).is_err() {
            self.removing.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Adds a thread. The slot is made here, so that whoever asks learns why it cannot.
pub(crate) fn add_thread(shared: &Arc<Shared>, number: usize) -> io::Result<()> {
    let slot = Slot::new(number, Arc::clone(&shared.means), Arc::clone(&shared.processes))?;
    let own = Arc::clone(shared);
    let builder = std::thread::Builder::new()
        .name(format!("slot {number}"))
        .stack_size(STACK_BYTES);
    builder.spawn(move || work(&own, slot))?;
    Ok(())
}

/// Never returns: the end of this thread would be the end of what it has started.
fn work(shared: &Shared, mut slot: Slot) {
    let stopper = slot.stopper();
    let mut pools = lock(&shared.pools);
    loop {
        let Some(start) = pools.take(&stopper) else {
            pools = shared
                .ready
                .wait(pools)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            continue;
        };
        drop(pools);
        let (ending, is_short) = run(shared, &mut slot, &start);
        pools = lock(&shared.pools);
        let is_ahead = pools.end(&start.attempt);
        pools.admit();
        let must_wake = lock(&shared.outbox).ended(ending, is_ahead && is_short);
        if must_wake {
            shared.wake();
        }
    }
}

fn run(shared: &Shared, slot: &mut Slot, start: &Start) -> (Ending, bool) {
    let folder = lock(&shared.work).take();
    let folder = match folder {
        Ok(folder) => folder,
        Err(error) => return (not_started(start, &error), false),
    };
    let context = Arc::clone(&lock(&shared.context));
    let mark = format!("{}@{}", start.attempt, shared.id);
    let variables = [
        ("KINGTIDE_RESULT", &*folder.result),
        ("KINGTIDE_OUTPUT", &*folder.output),
        (MARK, &*mark),
    ];
    let (environment, secrets) = (&context.environment, &context.secrets);
    let order = Order {
        start,
        environment,
        secrets,
        variables: &variables,
        echo: None,
    };
    let ended = slot.run(&order, &mut |said| {
        let mut outbox = lock(&shared.outbox);
        match said {
            Said::Started { pid, at_ms } => {
                outbox.say(Report::Started {
                    attempt: start.attempt.clone(),
                    pid,
                    at_ms,
                });
            }
            Said::Sample(usage) => outbox.sample(&start.attempt, usage),
        }
        drop(outbox);
        shared.wake();
    });
    let left = folder.look();
    let exited = Exited {
        attempt: start.attempt.clone(),
        end: ended.end,
        started_ms: ended.started_ms,
        ended_ms: ended.ended_ms,
        usage: ended.usage,
        result: None,
        output: None,
        tail: ended.tail,
    };
    (
        Ending {
            exited: Box::new(exited),
            folder: Some((folder, left)),
        },
        ended.took <= SHORT,
    )
}

/// There is no folder to work in.
fn not_started(start: &Start, error: &io::Error) -> Ending {
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let end = if is_full {
        End::DiskFull
    } else {
        End::NotStarted(format!("no work folder can be made: {error}"))
    };
    let now = now_ms();
    let exited = Exited {
        attempt: start.attempt.clone(),
        end,
        started_ms: now,
        ended_ms: now,
        usage: Usage::default(),
        result: None,
        output: None,
        tail: String::new(),
    };
    Ending {
        exited: Box::new(exited),
        folder: None,
    }
}

/// Reads a counter of wake-ups down to zero.
pub(crate) fn quiet(event: &OwnedFd) -> Result<(), Errno> {
    match rustix::io::read(event, &mut [0_u8; 8]) {
        Ok(_) | Err(Errno::WOULDBLOCK) => Ok(()),
        Err(error) => Err(error),
    }
}
