//! The results of a run as one table: a task's parameters, how it went, and the columns its program wrote.
//!
//! Two passes over the same rows, neither of which keeps them: [`Schema::infer`] finds the columns and their types over all
//! rows, then the rows are written by that schema (`table.rs`), so that every line has the same columns whatever its
//! program wrote. `flat.rs` turns nested JSON into columns. Both passes must see the same rows: read them in one transaction.

mod flat;
mod schema;
mod table;
#[cfg(test)]
mod tests;

use kingtide_core::message::Message;
use serde_json::Value;

pub use schema::{Column, Kind, Origin, Own, Schema};
pub use table::{Elided, TableError, Terminal};

/// A task with its message and its result.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// The task's number within its run.
    pub seq: i64,
    pub params: Message,
    /// As it is shown: the word that the database has for it.
    pub state: &'static str,
    pub attempts: u32,
    /// Of the last attempt.
    pub seconds: Option<f64>,
    /// Bytes, the largest of its attempts.
    pub memory_peak: Option<u64>,
    /// Why it is in its state, where there is something to say.
    pub reason: Option<String>,
    /// What the program wrote: an object, or an array of objects, each of which becomes a line of its own.
    pub result: Option<Value>,
}
