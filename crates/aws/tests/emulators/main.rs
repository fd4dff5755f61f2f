//! `kingtide-aws`, the real binary, against emulators of AWS: stacks of the examples made, changed and removed, runs opened and fetched. Where no
//! emulator is installed the tests are skipped; those without one need none.

mod conversation;
mod emulator;
mod runs;
mod scripted;
mod services;
mod sources;
mod stacks;
mod trouble;
