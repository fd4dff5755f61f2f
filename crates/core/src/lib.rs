//! The pure part of Kingtide: what a project says, what the engine decides, what the planner predicts.
//!
//! Nothing here asks for the time, reads a file, draws an unseeded number or talks to a socket; each of those is an
//! argument. See `ARCHITECTURE.md` for the map.

pub mod cloud;
pub mod contract;
pub mod dispatch;
pub mod drain;
pub mod engine;
pub mod finding;
pub mod hash;
pub mod hex;
pub mod id;
pub mod message;
pub mod plan;
pub mod project;
pub mod template;
pub mod time;
