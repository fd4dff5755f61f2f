//! Runs a project on this machine: the store, the one loop, its actuators.

mod actuators;
pub mod asker;
mod chores;
mod containers;
pub mod control;
pub mod docker;
pub mod endpoints;
mod forecaster;
pub mod http;
mod inbox;
mod keeper;
mod keys;
pub mod layout;
pub mod machine;
pub mod notice;
mod process;
mod progress;
pub mod python;
mod queue;
mod random;
pub mod results;
pub mod runtime;
mod samples;
mod secrets;
mod signals;
pub mod sqs;
pub mod store;
mod surroundings;
mod turn;
pub mod view;
mod web;
pub mod words;

pub use runtime::{Doors, Ended, ExecuteOptions, OpenError, RunError, Runtime};
