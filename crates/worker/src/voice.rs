//! What the binary itself has to say: lines on standard output, where the log driver takes them, behind the same stamp as those of programs.

use std::io::Write as _;

use kingtide_exec::stamp::{now_ms, stamp};

/// One line.
pub(crate) fn say(text: &str) {
    let mut line = stamp(now_ms()).to_vec();
    line.extend_from_slice(b"kingtide: ");
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    // Nobody may be there to take it, and work goes on.
    let _ = std::io::stdout().lock().write_all(&line);
}
