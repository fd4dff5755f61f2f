//! What others who watch may know of what runs, in memory: the last samples, and how runs stand. `progress.rs` shows it in this process,
//! `control.rs` hands it to others. Nothing of it is written, so that a look every second costs no flush.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kingtide_core::id::{AttemptId, RunId};

use crate::notice::Progress;

/// It holds what is leased and nothing else; a clone is the same board.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    samples: BTreeMap<AttemptId, Sample>,
    progress: BTreeMap<RunId, Progress>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    memory: u64,
    cpu_ms: u64,
    at: Instant,
    /// Thousandths of a core since the sample before.
    cpu_milli: u32,
}

impl Samples {
    /// Milliseconds of processor time since its start, and bytes.
    pub(crate) fn note(&self, attempt: AttemptId, cpu_ms: u64, memory: u64) {
        let mut board = self.board();
        let now = Instant::now();
        let before = board.samples.get(&attempt);
        let cpu_milli = before.map_or(0, |before| {
            let elapsed = now.duration_since(before.at).as_millis().max(1) as u64;
            let used = cpu_ms.saturating_sub(before.cpu_ms);
            u32::try_from(used * 1000 / elapsed).unwrap_or(u32::MAX)
        });
        let sample = Sample {
            memory,
            cpu_ms,
            at: now,
            cpu_milli,
        };
        board.samples.insert(attempt, sample);
    }

    /// Bytes; 0 for an attempt that was not sampled yet.
    pub(crate) fn memory(&self, attempt: AttemptId) -> u64 {
        self.board().samples.get(&attempt).map_or(0, |sample| sample.memory)
    }

    /// Thousandths of a core and bytes that all of them use.
    pub(crate) fn sums(&self) -> (u32, u64) {
        let board = self.board();
        let samples = board.samples.values();
        samples.fold((0, 0), |(cpu, memory), sample| {
            (
                cpu.saturating_add(sample.cpu_milli),
                memory.saturating_add(sample.memory),
            )
        })
    }

    /// It no longer runs.
    pub(crate) fn remove(&self, attempt: AttemptId) {
        self.board().samples.remove(&attempt);
    }

    /// Nothing of this run runs any more, whatever a late report said.
    pub(crate) fn remove_run(&self, run: RunId) {
        let mut board = self.board();
        board.samples.retain(|attempt, _| attempt.task.run != run);
        board.progress.remove(&run);
    }

    /// How a run stands.
    pub(crate) fn stand(&self, progress: Progress) {
        self.board().progress.insert(progress.run, progress);
    }

    pub(crate) fn progress(&self, run: RunId) -> Option<Progress> {
        self.board().progress.get(&run).cloned()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
