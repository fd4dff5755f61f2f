//! The stack: what it is (`describe.rs`), where its images go (`registry.rs`), how it is changed (`deploy.rs`) and removed (`destroy.rs`), and what
//! would be lost (`contents.rs`). `standing.rs` decides, purely, what can be done with a stack as it stands; `change.rs` makes change sets and
//! carries them out; `follow.rs` tells what happens until it is over.

mod change;
mod contents;
mod deploy;
mod describe;
mod destroy;
mod follow;
mod registry;
mod standing;

pub(crate) use contents::contents;
pub(crate) use deploy::deploy;
pub(crate) use describe::describe;
pub(crate) use destroy::destroy;
pub(crate) use registry::registry;
