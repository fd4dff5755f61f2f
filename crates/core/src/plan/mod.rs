//! What earlier runs teach, and what follows for the next: how long tasks take (`model.rs`, `lognormal.rs`, with `normal.rs`), when a burst of them is
//! done (`schedule.rs`, `burst.rs`), and how many workers it takes (`size.rs`).

pub mod burst;
pub mod configuration;
mod covariates;
mod levels;
pub mod lognormal;
pub mod model;
pub mod normal;
pub mod outlook;
pub mod proposal;
pub mod review;
pub mod schedule;
pub mod size;
mod two_ways;

use std::time::Duration;

/// The newest duration weighs as much as all before it.
pub fn remember(before: Option<Duration>, newest: Duration) -> Duration {
    match before {
        Some(before) => (before + newest) / 2,
        None => newest,
    }
}
