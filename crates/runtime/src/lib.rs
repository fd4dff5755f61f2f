//! Runs a project on this machine: the store, the one loop, its actuators.

pub mod notice;
pub mod store;
