//! What an attempt left behind: the JSON it wrote to `KINGTIDE_RESULT` and the folder `KINGTIDE_OUTPUT`.
//!
//! Between the end of an attempt and its success lie [`read_result`] and [`prepare_output`]: they check what is there
//! and put it safely on disk. After the success is committed, [`publish`] moves the folder to its place. Each may be called
//! again after a crash and comes to the same end.

mod output;
mod publish;
mod result;

pub use output::{MANIFEST, OutputError, OutputSummary, prepare_output};
pub use publish::publish;
pub use result::{Collected, MAX_RESULT_BYTES, ResultError, read_result};
