//! What attempts have cost, remembered of runs that are over: of those it changes no more, and figures are asked for every few
//! seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use kingtide_core::id::RunId;

use crate::view::{Effort, ReadError, RunState, Snapshot};

/// A few hundred bytes for each run that is kept.
#[derive(Debug, Default)]
pub(super) struct Efforts(Mutex<BTreeMap<RunId, Effort>>);

impl Efforts {
    pub(super) fn of(&self, snapshot: &Snapshot<'_>, run: RunId, state: RunState) -> Result<Effort, ReadError> {
        if let Some(known) = self.known().get(&run) {
            return Ok(known.clone());
        }
        let effort = snapshot.effort(run)?;
        if state.is_over() {
            self.known().insert(run, effort.clone());
        }
        Ok(effort)
    }

    /// By job, of all runs that are kept; what is remembered of others is forgotten.
    pub(super) fn by_job(&self, snapshot: &Snapshot<'_>) -> Result<BTreeMap<String, Effort>, ReadError> {
        let mut by_job: BTreeMap<String, Effort> = BTreeMap::new();
        let mut kept = BTreeSet::new();
        for (run, job, state) in snapshot.run_states()? {
            *by_job.entry(job).or_default() += &self.of(snapshot, run, state)?;
            kept.insert(run);
        }
        self.known().retain(|run, _| kept.contains(run));
        Ok(by_job)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<RunId, Effort>> {
        // What it guards is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
