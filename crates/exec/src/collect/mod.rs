//! What an attempt left behind: the JSON it wrote to `KINGTIDE_RESULT` and the folder `KINGTIDE_OUTPUT`.
//!
//! Between the end of an attempt and its success lie [`read_result`] and [`prepare_output`]: they check what is there
//! and put it safely on disk. After the success is committed, [`publish`] moves the folder to its place. Each may be called
//! again after a crash and comes to the same end.

mod output;
mod publish;
mod result;

use std::path::Path;

use crate::redact::Secrets;

pub use output::{MANIFEST, OutputError, OutputSummary, prepare_output};
pub use publish::publish;
pub use result::{Collected, MAX_RESULT_BYTES, ResultError, read_result};

/// What an attempt that succeeded has left, read and on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Canonical JSON: an object, or an array of objects.
    pub result: Option<String>,
    pub summary: Option<OutputSummary>,
}

/// Why it cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncollected {
    /// It is not what it should be: the attempt has failed.
    Program(String),
    /// It cannot be read or kept now.
    Machine(String),
}

/// Takes what there is: the path of a result, the folder of an output.
///
/// # Errors
/// When it is not what it should be, or not to be had now.
pub fn collect(result: Option<&Path>, output: Option<&Path>, secrets: &Secrets) -> Result<Left, Uncollected> {
    let result = match result {
        None => None,
        Some(path) => match read_result(path, secrets) {
            Ok(read) => read.map(|read| read.body),
            Err(error @ ResultError::Unreadable(_)) => return Err(Uncollected::Machine(chain(&error))),
            Err(error) => return Err(Uncollected::Program(chain(&error))),
        },
    };
    let summary = match output {
        None => None,
        Some(folder) => match prepare_output(folder) {
            Ok(summary) => Some(summary),
            Err(error @ OutputError::Unwritable(_)) => return Err(Uncollected::Machine(chain(&error))),
            Err(error) => return Err(Uncollected::Program(chain(&error))),
        },
    };
    Ok(Left { result, summary })
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
