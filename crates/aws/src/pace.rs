//! How often AWS is asked while something is awaited: soon at first, and more seldom the longer nothing happens.

use std::thread;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LAST: Duration = Duration::from_secs(4);

/// Pauses that grow.
pub(crate) struct Pace {
    next: Duration,
}

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace { next: FIRST }
    }

    /// Something has happened: more may follow soon.
    pub(crate) fn hurry(&mut self) {
        self.next = FIRST;
    }

    pub(crate) fn wait(&mut self) {
        // AWS tells nobody when it is done.
        thread::sleep(self.next);
        self.next = (self.next * 3 / 2).min(LAST);
    }
}
