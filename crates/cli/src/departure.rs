//! The wish to stop watching a run that goes on without us: by a key, or by Ctrl-C.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// A wish that whoever waits is woken by. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    is_wanted: Arc<AtomicBool>,
    /// The end that is waited on, and the other one.
    ends: Arc<(UnixStream, UnixStream)>,
}

impl Departure {
    pub(crate) fn new() -> io::Result<Departure> {
        let ends = UnixStream::pair()?;
        ends.1.set_nonblocking(true)?;
        Ok(Departure {
            is_wanted: Arc::default(),
            ends: Arc::new(ends),
        })
    }

    /// From now on Ctrl-C and SIGTERM are this wish and nothing else.
    pub(crate) fn on_signals(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // The flag first: whoever is woken finds it set.
            signal_hook::flag::register(signal, Arc::clone(&self.is_wanted))?;
            signal_hook::low_level::pipe::register(signal, self.ends.1.try_clone()?)?;
        }
        Ok(())
    }

    pub(crate) fn leave(&self) {
        self.is_wanted.store(true, Ordering::Release);
        // When no more fits in, it is readable already.
        let _ = (&self.ends.1).write(b"q");
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    /// Readable once it is wanted, and for ever after.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.ends.0.as_fd()
    }
}
