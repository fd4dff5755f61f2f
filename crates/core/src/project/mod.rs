//! The project file: `kingtide.toml` → `RawProject` (what the user wrote, with spans) → `Project` (what is meant).

pub mod job;
pub mod params;

use std::collections::BTreeMap;

pub use job::{Backoff, ExitAction, Job, Local, OnCrash, Resources, Secret, Tolerance};

/// A project as it is meant: names resolved, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    pub name: String,
    pub jobs: BTreeMap<String, Job>,
    pub local: Local,
}
