//! The keeper: the parent of all programs of a project. It starts, limits, logs and ends them for a runtime that may die
//! at any moment, and keeps their ends until one has committed them. `docs/decisions/002-keeper.md` tells why.
//!
//! Two processes: `guard` waits for the other. In that, the main thread runs `server` (socket, pools, reports, the
//! hunt for fled processes) and each slot has a thread (`crew`). `client` is the other end of the socket.

pub mod client;
mod connection;
mod crew;
mod flight;
mod guard;
mod lifetime;
mod listener;
mod outbox;
mod pool;
mod server;
mod signals;
mod state;
mod sweep;
mod work;

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

pub use flight::MARK;
pub use sweep::{SweepError, sweep};

use guard::Fork;

/// In `.kingtide/`: held by keeper and guard as long as one of them lives.
pub(crate) const LOCK: &str = "keeper.lock";
pub(crate) const SOCKET: &str = "keeper.sock";
/// Set to `watch`, it forbids cgroups.
pub const LIMITS_VARIABLE: &str = "KINGTIDE_LIMITS";

/// What a starting keeper says on its standard output, in one line; then it closes it.
pub(crate) const READY: &str = "ready";
pub(crate) const BUSY: &str = "busy";

/// Why there is no keeper.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("{BUSY}")]
    Busy,
    #[error("{what}: {source}")]
    Failed { what: &'static str, source: io::Error },
}

pub(crate) fn failed<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> ServeError {
    move |error| ServeError::Failed {
        what,
        source: error.into(),
    }
}

/// Becomes the keeper of a project, whose `.kingtide` folder this is. Returns in three processes: at once in the one that
/// was started, and at the end in guard and keeper. Must be called before there is a second thread.
pub fn serve(kingtide_dir: &Path) -> ExitCode {
    match start(kingtide_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever has started us reads this.
            let _ = writeln!(io::stdout(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn start(kingtide_dir: &Path) -> Result<(), ServeError> {
    close_inherited();
    let kingtide_dir = &std::path::absolute(kingtide_dir).map_err(failed("the folder has no path"))?;
    let lock = lock(kingtide_dir)?;
    if let Fork::Parent = guard::fork().map_err(failed("no process can be made"))? {
        return Ok(());
    }
    rustix::process::setsid().map_err(failed("no session can be made"))?;
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).map_err(failed("the guard cannot be a subreaper"))?;
    std::env::set_current_dir("/").map_err(failed("`/` cannot be entered"))?;
    match guard::fork().map_err(failed("no process can be made"))? {
        Fork::Parent => {
            let _ = close_streams();
            guard::watch();
            drop(lock);
            Ok(())
        }
        Fork::Child => {
            if guard::follow(own).is_err() {
                // Killed already: whoever has started us hears no word, and tries again.
                return Ok(());
            }
            let own = rustix::process::getpid();
            rustix::process::set_child_subreaper(Some(own)).map_err(failed("the keeper cannot be a subreaper"))?;
            server::Server::open(kingtide_dir, lock)?.run();
            Ok(())
        }
    }
}

/// Both processes inherit the lock, so that no other keeper begins before the guard has cleared up.
fn lock(kingtide_dir: &Path) -> Result<OwnedFd, ServeError> {
    let path = kingtide_dir.join(LOCK);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let lock =
        rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).map_err(failed("the lock cannot be opened"))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(ServeError::Busy),
        Err(error) => Err(failed("the lock cannot be taken")(error)),
    }
}

/// Closes what whoever started us had open, so that no program and no keeper holds on to it.
fn close_inherited() {
    // SAFETY: nothing has been opened in this process but the standard streams, which stay. Kernels before 5.9 refuse;
    // there these descriptors stay open.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// Nothing is read from or written to where the keeper was started.
pub(crate) fn close_streams() -> Result<(), Errno> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    rustix::stdio::dup2_stdout(null.as_fd())?;
    rustix::stdio::dup2_stderr(null.as_fd())
}
