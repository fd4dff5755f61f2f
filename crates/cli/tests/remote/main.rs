//! Commands for AWS by the real binary, with a stand-in for `kingtide-aws` (`stand_in.rs`): for states of stacks that no emulator has.
//! `kingtide-aws` itself is tested over emulators.

mod runs;
mod stacks;
mod stand_in;
