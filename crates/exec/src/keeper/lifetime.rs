//! How a keeper begins and how it ends: what it takes over from an earlier one, when it may leave, what it leaves behind.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;

use crate::keeper::crew::Shared;
use crate::keeper::flight::Flight;
use crate::keeper::outbox::Outbox;
use crate::keeper::pool::Pools;
use crate::keeper::server::Server;
use crate::keeper::state::{KeeperRecord, Reports, State};
use crate::keeper::work::WorkFolders;
use crate::keeper::{
    LIMITS_VARIABLE, LOCK, READY, SOCKET, ServeError, close_streams, failed, listener, signals, sweep,
};
use crate::memory::Means;
use crate::slot::lock;
use crate::stamp::now_ms;
use crate::wire::StopReason;

/// What went wrong, should the keeper itself have failed.
const CRASH: &str = "keeper.crash";
/// How long a keeper that was started waits for its first runtime, which speaks at once unless it was killed meanwhile; one that comes
/// later starts another.
const PATIENCE: Duration = Duration::from_secs(5);

impl Server {
    /// Opens everything and says that it is ready.
    pub(crate) fn open(kingtide_dir: &Path, lock_file: OwnedFd) -> Result<Server, ServeError> {
        crate::spawn::block_signals();
        abort_on_panic(kingtide_dir.join(CRASH));
        let mut state = State::read(kingtide_dir);
        sweep::sweep_keepers(&state.keepers).map_err(failed("an earlier keeper's processes cannot be ended"))?;
        let id = format!("{:x}-{:x}", std::process::id(), now_ms());
        let means = match std::env::var(LIMITS_VARIABLE) {
            Ok(limits) if limits == "watch" => Means::Watch,
            _ => Means::detect(&id),
        };
        let group = match &means {
            Means::Cgroup { keeper_group, .. } => Some(keeper_group.clone()),
            Means::Watch => None,
        };
        state.keepers = vec![KeeperRecord { id: id.clone(), group }];
        state
            .write(kingtide_dir)
            .map_err(failed("its folder cannot be written to"))?;
        let mut outbox = Outbox::default();
        let mut work = WorkFolders::open(kingtide_dir).map_err(failed("no work folder can be made"))?;
        let reports = Reports::read(kingtide_dir);
        for report in &reports.ended {
            if let Some(path) = report.result.as_ref().or(report.output.as_ref()) {
                work.adopt(&report.attempt, path);
            }
        }
        outbox.inherit(reports.ended, reports.withdrawn);
        let shared = Shared {
            id: id.clone(),
            pools: Mutex::new(Pools::default()),
            ready: Condvar::new(),
            outbox: Mutex::new(outbox),
            work: Mutex::new(work),
            context: Mutex::default(),
            wake: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(failed("no eventfd"))?,
            means: Arc::new(means),
            processes: Arc::default(),
            removing: AtomicUsize::new(0),
        };
        let server = Server {
            kingtide_dir: kingtide_dir.to_owned(),
            lock_file,
            shared: Arc::new(shared),
            listener: Some(listener::listen(kingtide_dir).map_err(failed("the socket cannot be opened"))?),
            signals: signals::open(&[libc::SIGTERM, libc::SIGINT]).map_err(failed("no signalfd"))?,
            child_signals: signals::open(&[libc::SIGCHLD]).map_err(failed("no signalfd"))?,
            strangers: Vec::new(),
            runtime: None,
            state,
            flight: Flight::new(&id),
            clearing: Vec::new(),
            threads: 0,
            is_leaving: false,
            stays_until: Some(Instant::now() + PATIENCE),
        };
        let mut stdout = io::stdout();
        // Nobody may be listening.
        let _ = writeln!(stdout, "{READY}").and_then(|()| stdout.flush());
        close_streams().map_err(failed("`/dev/null` cannot be opened"))?;
        Ok(server)
    }

    /// The guard has died, or somebody wants us to leave: everything is ended, and handed back at no cost.
    pub(super) fn on_terminate(&mut self) {
        self.is_leaving = true;
        self.stays_until = None;
        let mut pools = lock(&self.shared.pools);
        pools.close();
        let withdrawn = pools.withdraw(None);
        pools.stop_all(StopReason::Release);
        drop(pools);
        self.withdrawn(withdrawn);
    }

    pub(super) fn may_leave(&self) -> bool {
        let is_alone = self.runtime.is_none() && self.strangers.is_empty();
        if !(self.is_leaving || is_alone) || self.stays_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        let is_idle = lock(&self.shared.pools).is_idle();
        is_idle
            && self.clearing.is_empty()
            && !lock(&self.shared.outbox).has_fresh()
            && self.shared.removing.load(Ordering::Acquire) == 0
    }

    /// Writes what nobody has acknowledged and clears away what is its own. Whoever connects meanwhile finds the
    /// connection closed, and starts another keeper as soon as the lock is free.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        // Unmarked processes belong to no attempt any more.
        self.clear();
        if !self.has_folder() {
            // Nobody will ask for reports; what is there under the same name by now is another keeper's.
            self.remove_group();
            return Ok(());
        }
        let (ended, withdrawn) = {
            let outbox = lock(&self.shared.outbox);
            let (ended, withdrawn) = outbox.unacknowledged();
            (
                ended.into_iter().cloned().collect(),
                withdrawn.into_iter().cloned().collect(),
            )
        };
        Reports { ended, withdrawn }.write(&self.kingtide_dir)?;
        if self.remove_group() {
            self.state.keepers.clear();
        }
        let _ = self.state.write(&self.kingtide_dir);
        let _ = std::fs::remove_file(self.kingtide_dir.join(SOCKET));
        self.listener = None;
        lock(&self.shared.work).leave();
        Ok(())
    }

    /// Whether the project is still where it was: its user may have removed it.
    pub(super) fn has_folder(&self) -> bool {
        let there = rustix::fs::stat(self.kingtide_dir.join(LOCK));
        let ours = rustix::fs::fstat(&self.lock_file);
        matches!((there, ours), (Ok(there), Ok(ours)) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino))
    }

    /// False if something of it stays, for the next keeper to sweep.
    fn remove_group(&self) -> bool {
        match &*self.shared.means {
            Means::Cgroup { keeper_group, .. } => crate::cgroup::sweep(keeper_group).is_ok(),
            Means::Watch => true,
        }
    }
}

/// A thread that is gone would leave its attempt without an end. So a panic ends the keeper, the guard ends its programs,
/// and what happened is written down, since nobody sees its standard error.
fn abort_on_panic(note: PathBuf) {
    std::panic::set_hook(Box::new(move |panic| {
        let _ = std::fs::write(&note, format!("{panic}\n"));
        std::process::abort();
    }));
}
