//! Signals as events. All are blocked before the first thread is started, and one thread waits for them: so it is also for the first process of a
//! container, to whom the kernel delivers none that it would leave to the default.

use std::thread;

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// A Spot notice, or somebody stops the task: leave.
    Leave,
    /// A process of ours has ended; it may be an orphan that was handed to us.
    Child,
}

/// Blocks them in this thread and all that it will start; `tell` is called from a thread of its own, until it answers that nobody listens.
pub(crate) fn listen(tell: impl Fn(Signal) -> bool + Send + 'static) {
    const SIGNALS: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD];
    // SAFETY: plain calls on a set of our own.
    let set = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in SIGNALS {
            libc::sigaddset(&mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    };
    thread::spawn(move || {
        loop {
            let mut signal = 0;
            // SAFETY: waits for what is blocked, and writes to `signal` and nothing else.
            if unsafe { libc::sigwait(&set, &mut signal) } != 0 {
                return;
            }
            let meant = match signal {
                libc::SIGCHLD => Signal::Child,
                _ => Signal::Leave,
            };
            if !tell(meant) {
                return;
            }
        }
    });
}
