//! The public face of the compiler in `kingtide-core`, for programs; `file.rs` is what lies between them.
//!
#![doc = include_str!("../../../docs/constructs.md")]

mod file;
mod queue_processing;
mod scheduled_task;
mod template;

pub use queue_processing::{Doorbell, Image, QueueProcessing};
pub use scheduled_task::{Schedule, ScheduledTask};
pub use template::{Problem, Refused, Template};
