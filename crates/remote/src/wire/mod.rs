//! How `kingtide` speaks with `kingtide-aws`, the second binary that it starts: lines of JSON. One [`Request`] a line on stdin; what comes of it
//! as [`Event`]s, one a line on stdout, until `done` or `failed`. Then the next request may come. The end of stdin is the end of the process,
//! also in the middle of a watch: what was started on AWS goes on.
//!
//! Before anything is asked `kingtide-aws` says [`Hello`]; another protocol than ours is refused in words by whoever reads it. Nothing that a
//! person is to see is laid out here: an event says what is, `kingtide` how it looks. See `docs/decisions/008-run-on-aws.md`.

mod event;
mod request;

use std::io::{self, BufRead, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use event::*;
pub use request::*;

/// Raised with every change that an older peer would misread.
pub const PROTOCOL: u32 = 1;

/// The executable that `kingtide` looks for, beside its own and then in `PATH`.
pub const EXECUTABLE: &str = "kingtide-aws";

/// Writes one line, and sees to it that it has left.
///
/// # Errors
/// When nobody reads any more.
pub fn write(to: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// The next line; `None` at the end.
///
/// # Errors
/// When it cannot be read, or is not of this protocol.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if !line.trim_ascii().is_empty() {
            return Ok(Some(serde_json::from_slice(&line)?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_an_event_are_a_line_each() {
        let request = Request {
            target: Target {
                region: Some("eu-west-1".to_owned()),
                stack: "flights".to_owned(),
            },
            ask: Ask::Cancel {
                run: 7,
                by: "anna".to_owned(),
            },
        };
        let mut text = Vec::new();
        write(&mut text, &request).expect("memory");
        assert_eq!(
            String::from_utf8_lossy(&text),
            "{\"target\":{\"region\":\"eu-west-1\",\"stack\":\"flights\"},\"ask\":\"cancel\",\"run\":7,\"by\":\"anna\"}\n"
        );
        let read_back: Option<Request> = read(&mut &text[..]).expect("ours");
        assert_eq!(read_back, Some(request));
        let mut text = Vec::new();
        write(&mut text, &Event::Done).expect("memory");
        assert_eq!(text, b"{\"event\":\"done\"}\n");
        assert!(read::<Event>(&mut &b"{\"event\":\"dance\"}\n"[..]).is_err());
        assert_eq!(read::<Event>(&mut &b"\n"[..]).expect("the end"), None);
    }
}
