//! How many attempts per slot are leased ahead: see `docs/decisions/001-leases-ahead.md`.

use std::time::Duration;

use crate::project::{Job, OnCrash};
use crate::time::Timestamp;

/// The most leases per slot.
pub const MAX_WINDOW: u32 = 256;
/// What a slot works off in this time is leased ahead of it.
const AHEAD: Duration = Duration::from_millis(100);
/// From this length on nothing is leased ahead.
const LONG: Duration = Duration::from_secs(1);
/// The weight of the newest duration in the moving mean.
const WEIGHT: f64 = 0.2;

/// The moving mean of a run's observed attempts.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    mean_ms: Option<f64>,
}

impl Pace {
    pub fn observe(&mut self, took: Duration) {
        let milliseconds = took.as_secs_f64() * 1000.0;
        self.mean_ms = Some(match self.mean_ms {
            Some(mean) => mean + WEIGHT * (milliseconds - mean),
            None => milliseconds,
        });
    }

    /// Leases per slot, the running one included. `oldest` is the start of the longest-running attempt that is known.
    pub fn window(&self, job: &Job, oldest: Option<Timestamp>, now: Timestamp) -> u32 {
        if job.on_crash == OnCrash::Fail || job.resources.gpus > 0 || oldest.is_some_and(|at| now.since(at) >= LONG) {
            return 1;
        }
        match self.mean_ms {
            Some(mean) if mean < LONG.as_secs_f64() * 1000.0 => {
                // Durations are measured in milliseconds; what takes less is taken for half of one.
                let ahead = (AHEAD.as_secs_f64() * 1000.0 / mean.max(0.5)).ceil() as u32;
                (1 + ahead).min(MAX_WINDOW)
            }
            _ => 1,
        }
    }

    /// When a window that leases ahead has to be looked at again because of an attempt running since `oldest`.
    pub fn review_at(oldest: Timestamp) -> Timestamp {
        oldest + LONG
    }
}
