//! What the running tasks occupy, asked of the runtime that lives: it has the keeper's last samples in memory. The database has
//! them only when an attempt is over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kingtide_core::id::{AttemptId, RunId};
use kingtide_core::time::Timestamp;
use kingtide_runtime::control;
use kingtide_runtime::notice::Progress;
use kingtide_runtime::view::{Lease, Task};

/// Longer than one that lives takes, and short enough for one that was stopped (SIGSTOP).
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks, but not again and again one who does not answer.
#[derive(Debug)]
pub(super) struct Memory {
    root: PathBuf,
    /// When the lease had last been renewed, as one did not answer.
    unanswered: Option<Timestamp>,
}

impl Memory {
    pub(super) fn new(root: &Path) -> Memory {
        Memory {
            root: root.to_owned(),
            unanswered: None,
        }
    }

    /// What the runtime itself shows of a run: the same view for whoever watches.
    pub(super) fn progress(&mut self, run: RunId, lease: &Lease) -> Option<Progress> {
        if self.unanswered == Some(lease.renewed_at) {
            return None;
        }
        match control::progress(&self.root, run, PATIENCE) {
            Ok(progress) => progress,
            Err(_) => {
                self.unanswered = Some(lease.renewed_at);
                None
            }
        }
    }

    /// Bytes of each that was sampled. Empty when nobody says, or one of an older version: the rest is shown all the same.
    pub(super) fn of(&mut self, tasks: &[Task], lease: &Lease) -> BTreeMap<AttemptId, u64> {
        // A stopped one renews nothing; each question would wait in vain, and stay in its socket's queue.
        if tasks.is_empty() || self.unanswered == Some(lease.renewed_at) {
            return BTreeMap::new();
        }
        let attempts: Vec<AttemptId> = tasks.iter().map(|task| task.id.attempt(task.attempt)).collect();
        let Ok(answer) = control::memory(&self.root, &attempts, PATIENCE) else {
            self.unanswered = Some(lease.renewed_at);
            return BTreeMap::new();
        };
        let memory = attempts.into_iter().zip(answer.unwrap_or_default());
        memory.filter(|(_, bytes)| *bytes > 0).collect()
    }
}
