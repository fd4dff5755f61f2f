//! Where a job's messages come from.

use crate::message::Message;

/// The parameters of a job, one message a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Params {
    /// A `.csv`, `.jsonl` or `.json` file, relative to the project's folder.
    File(String),
    /// An inline array of tables, or a matrix multiplied out.
    Inline(Vec<Message>),
}
