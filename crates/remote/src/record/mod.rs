//! A run on AWS as objects of the bucket (`docs/decisions/008-run-on-aws.md`): how their keys are made and read (`keys.rs`), and what is in
//! them: a run and how it ended (`run.rs`), how it stands (`progress.rs`), one task with its attempts (`task.rs`, `words.rs`).
//!
//! Documents are JSON with the number of their format. What a later version adds is passed over by an earlier one, and what an earlier one did
//! not write has a meaning of its own; only what would be misread raises the number, and is refused in words (`format.rs`). All workers of
//! a run are of one version, so that nobody writes over a task what he could not read of it.

mod format;
pub mod keys;
mod progress;
mod run;
mod task;
mod words;

pub use format::{DocumentError, FORMAT, read, write};
pub use keys::{Begin, End, Keys, RunKeys};
pub use progress::{Foreseen, Progress, Workers};
pub use run::{Arrival, Cancel, Counts, Number, Opener, Predictions, RunDocument, RunOutcome};
pub use task::{Attempt, Claim, Output, Place, Standing, TaskDocument, TaskLine, Usage, state_of};
