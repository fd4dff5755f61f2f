//! The last sample of what runs, in memory: `progress.rs` shows it in this process, `control.rs` hands it to others who
//! watch. Nothing of it is written, so that a look every second costs no flush.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kingtide_core::id::{AttemptId, RunId};

/// Bytes of memory by attempt. It holds what is leased and nothing else; a clone is the same board.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Arc<Mutex<BTreeMap<AttemptId, u64>>>);

impl Samples {
    pub(crate) fn note(&self, attempt: AttemptId, memory: u64) {
        self.board().insert(attempt, memory);
    }

    /// 0 for an attempt that was not sampled yet.
    pub(crate) fn memory(&self, attempt: AttemptId) -> u64 {
        self.board().get(&attempt).copied().unwrap_or(0)
    }

    /// It no longer runs.
    pub(crate) fn remove(&self, attempt: AttemptId) {
        self.board().remove(&attempt);
    }

    /// Nothing of this run runs any more, whatever a late report said.
    pub(crate) fn remove_run(&self, run: RunId) {
        self.board().retain(|attempt, _| attempt.task.run != run);
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<AttemptId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
