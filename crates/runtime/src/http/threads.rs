//! The threads of whatever in this process speaks HTTP: a runtime each, so that a connection stays on one of them and nobody else
//! is woken for what arrives on it.

use std::future;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Handle};

/// Where one loop performs everything, few can keep it busy; more than half of the cores would only take them from it and from
/// whoever asks.
const MOST: usize = 4;

/// Handles to them, at least one; started with the first that asks. A runtime goes with the process.
///
/// # Errors
/// When the system gives no threads.
pub(crate) fn threads() -> io::Result<Vec<Handle>> {
    static STARTED: Mutex<Vec<Handle>> = Mutex::new(Vec::new());
    // Of those that were started each is whole.
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, MOST));
    while started.len() < wanted {
        started.push(start()?);
    }
    Ok(started.clone())
}

fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || runtime.block_on(future::pending::<()>()))?;
    Ok(handle)
}
