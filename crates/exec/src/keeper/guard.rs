//! The guard: the keeper's parent, which does nothing but wait for it. When the keeper dies, everything below it becomes
//! the guard's, since it is a subreaper too, and is killed. When the guard dies, the keeper is told by a signal.

use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions};

use crate::processes::{self, Table};

/// Which of the two this process is after [`fork`].
pub(crate) enum Fork {
    Parent,
    Child,
}

/// Makes a copy of this process, which must have no other thread.
pub(crate) fn fork() -> Result<Fork, Errno> {
    // SAFETY: there is one thread, so no lock is held by another that would be missing in the copy.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        1.. => Ok(Fork::Parent),
        _ => Err(Errno::from_raw_os_error(
            std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN),
        )),
    }
}

/// In the keeper: TERM when the guard ends. Fails if it has ended already.
pub(crate) fn follow(guard: rustix::process::Pid) -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    if rustix::process::getppid() == Some(guard) {
        Ok(())
    } else {
        Err(Errno::SRCH)
    }
}

/// Waits for the keeper, then ends what it has left; returns when nothing is.
pub(crate) fn watch() {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // The keeper is the only child as long as it lives, and nobody else ends before it.
    while let Ok(Some(_)) | Err(Errno::INTR) = rustix::process::wait(WaitOptions::empty()) {
        // Its children are ours now. Those of the killed follow when they have died, each with another round.
        if let Ok(table) = Table::read() {
            for child in table.children(own).filter(|child| !child.is_zombie) {
                processes::kill(child);
            }
        }
    }
}
