//! Running one command: how it is started, limited, logged, sampled and ended, and the keeper that does so for many.
//!
//! `slot` runs one attempt from start to end with the help of `image` (what execve is handed), `spawn`, `watch`, `log`, `memory`
//! (`cgroup`, or watching) and `usage`. `keeper` is the process around the slots; `wire` is what it speaks with the
//! runtime, and `keeper::client` the runtime's end. `collect` takes what an attempt has left. Nothing here knows of jobs, runs or the store.

pub mod cgroup;
pub mod collect;
pub mod disk;
pub mod image;
pub mod keeper;
pub mod log;
mod log_file;
pub mod memory;
pub mod processes;
pub mod program;
pub mod redact;
pub mod slot;
pub mod spawn;
pub mod stamp;
pub mod stopper;
pub mod usage;
mod watch;
pub mod wire;
