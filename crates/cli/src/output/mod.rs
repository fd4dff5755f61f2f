//! What people and programs read: data goes to stdout, talk to stderr.

pub(crate) mod findings;
pub(crate) mod foresight;
pub(crate) mod glimpse;
pub(crate) mod json;
pub(crate) mod live;
pub(crate) mod plain;
pub(crate) mod style;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod text;

use std::io::Write;

/// A line for people. A terminal that has gone away is no reason to stop working, so nothing comes of a failure.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A buffered stdout, for data. Flush it, so that a failure to write is not lost.
pub(crate) fn data() -> std::io::BufWriter<std::io::StdoutLock<'static>> {
    std::io::BufWriter::new(std::io::stdout().lock())
}
