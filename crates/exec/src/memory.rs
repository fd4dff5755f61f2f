//! Keeping an attempt within its memory: by a cgroup where one can be made, else by watching the tree from outside.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cgroup::{Group, Hierarchy, Version};
use crate::processes::Process;
use crate::usage;

/// How often a tree is looked at that is limited by watching. What it can grow by in between is what it can exceed.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// How memory is limited on this machine.
#[derive(Clone, Debug)]
pub enum Means {
    Cgroup { version: Version, keeper_group: PathBuf },
    Watch,
}

impl Means {
    /// The best there is for a keeper of that name.
    pub fn detect(keeper: &str) -> Means {
        match Hierarchy::detect() {
            Some(hierarchy) => Means::Cgroup {
                version: hierarchy.version,
                keeper_group: hierarchy.keeper_group(keeper),
            },
            None => Means::Watch,
        }
    }

    /// `v2`, `v1` or `watch`.
    pub fn name(&self) -> &'static str {
        match self {
            Means::Cgroup {
                version: Version::V2, ..
            } => "v2",
            Means::Cgroup {
                version: Version::V1, ..
            } => "v1",
            Means::Watch => "watch",
        }
    }
}

/// A slot's part of it; its group is kept from one attempt to the next.
#[derive(Debug)]
pub struct Limiter {
    means: Arc<Means>,
    name: String,
    group: Option<Group>,
}

/// How one attempt is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    None,
    Cgroup,
    Watch(u64),
}

impl Limiter {
    /// `name` tells the slots of a keeper apart.
    pub fn new(means: Arc<Means>, name: String) -> Limiter {
        Limiter {
            means,
            name,
            group: None,
        }
    }

    /// Prepares for an attempt with this limit in bytes.
    pub fn begin(&mut self, memory: Option<u64>) -> Limit {
        let Some(bytes) = memory else { return Limit::None };
        let Means::Cgroup { version, keeper_group } = &*self.means else {
            return Limit::Watch(bytes);
        };
        // Once with the group there is, and once with a new one, should somebody have removed it.
        for _ in 0..2 {
            if self.group.is_none() {
                self.group = Group::make(*version, keeper_group, &self.name).ok();
            }
            if self.group.as_mut().is_some_and(|group| group.limit(bytes).is_ok()) {
                return Limit::Cgroup;
            }
            self.group = None;
        }
        Limit::Watch(bytes)
    }

    /// The group of the attempt that is limited by one.
    pub fn group(&self, limit: Limit) -> Option<&Group> {
        self.group.as_ref().filter(|_| limit == Limit::Cgroup)
    }

    /// The group could not be entered: watch from now on.
    pub fn give_up_group(&mut self) {
        self.group = None;
        self.means = Arc::new(Means::Watch);
    }
}

/// Whether a tree has gone beyond what it may have.
pub fn exceeds(tree: &[Process], bytes: u64) -> bool {
    // The sum counts shared pages several times; only when it is too high is the exact one worth its price.
    usage::resident_bytes(tree) > bytes && usage::proportional_bytes(tree) > bytes
}
