//! Runs a project on this machine: the store, the one loop, its actuators.

pub mod collect;
pub mod machine;
pub mod notice;
pub mod python;
pub mod results;
