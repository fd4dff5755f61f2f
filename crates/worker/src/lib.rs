//! The one binary that Kingtide has in containers on AWS. `role` says what it is to be: it copies itself to a volume (`install`), works off a
//! queue (`worker`), or directs a run (`dispatcher`). No SDK and no async: a handful of threads and one channel.
//!
//! What is decided is decided by `kingtide-core`, how AWS is asked is `kingtide-remote`'s, and how a program is run `kingtide-exec`'s: the same code
//! as on one machine.

mod dispatcher;
pub mod install;
pub mod role;
mod settings;
mod signals;
mod voice;
mod worker;
