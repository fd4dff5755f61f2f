//! Signals read from descriptors: the main thread waits for them with everything else.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

/// A descriptor from which these signals are read; they are blocked already.
pub(crate) fn open(signals: &[libc::c_int]) -> io::Result<OwnedFd> {
    // SAFETY: the set is our own, and the descriptor is new.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

/// Takes all that have come.
pub(crate) fn quiet(signals: &OwnedFd) {
    let mut buffer = [0_u8; 1024];
    while matches!(rustix::io::read(signals, &mut buffer), Ok(1..) | Err(Errno::INTR)) {}
}
