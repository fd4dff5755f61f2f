//! Commands for AWS by the real binary, with a stand-in for `kingtide-aws` (`stand_in.rs`): for states of stacks that no emulator has.
//! `emulated.rs` is the real one over an emulator.

mod emulated;
mod runs;
mod stacks;
mod stand_in;
