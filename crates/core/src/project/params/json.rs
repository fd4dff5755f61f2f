//! Rows of JSON: one object a line, or one array of objects, both read one object at a time.

use std::io::{self, BufRead};

use serde_json::Value as Json;

use crate::finding::Finding;
use crate::message::{MAX_BODY_BYTES, Message};
use crate::project::params::{Row, bad_utf8, unreadable};

/// Text of one object that is read at most: whatever is longer is no message, however it is written.
const MAX_TEXT_BYTES: usize = 8 * MAX_BODY_BYTES;

/// One object a line; empty lines are passed over.
pub(super) struct JsonLines<R> {
    file: String,
    reader: R,
    buffer: Vec<u8>,
    line: u64,
    over: bool,
}

impl<R: BufRead> JsonLines<R> {
    pub(super) fn new(file: &str, reader: R) -> JsonLines<R> {
        JsonLines {
            file: file.to_owned(),
            reader,
            buffer: Vec::new(),
            line: 0,
            over: false,
        }
    }

    /// Reads a line into the buffer, at most so much of it as could matter; `false` at the end.
    fn read(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        self.line += 1;
        let mut any = false;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                return Ok(any);
            }
            any = true;
            let end = available.iter().position(|byte| *byte == b'\n');
            let length = end.unwrap_or(available.len());
            let room = (MAX_TEXT_BYTES + 1).saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(&available[..length.min(room)]);
            self.reader.consume(end.map_or(length, |end| end + 1));
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Result<Row, Finding>;

    fn next(&mut self) -> Option<Result<Row, Finding>> {
        while !self.over {
            match self.read() {
                Ok(true) => {}
                Ok(false) => {
                    self.over = true;
                    break;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(unreadable(&self.file, &error)));
                }
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Some(row(&self.file, self.line, &self.buffer));
            }
        }
        None
    }
}

/// One array of objects. After a mistake in its punctuation nothing more is read.
pub(super) struct JsonArray<R> {
    file: String,
    reader: R,
    line: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    /// After `[`: an object or the end.
    First,
    /// After an object: a comma or the end.
    After,
    Over,
}

impl<R: BufRead> JsonArray<R> {
    pub(super) fn new(file: &str, reader: R) -> JsonArray<R> {
        JsonArray {
            file: file.to_owned(),
            reader,
            line: 1,
            state: State::Before,
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    fn advance(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.reader.consume(1);
    }

    /// The next byte that is no white space, not yet consumed.
    fn token(&mut self) -> io::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.advance(byte);
        }
        Ok(None)
    }

    /// The text of one element: up to the comma or bracket that ends it.
    fn element(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        while let Some(byte) = self.peek()? {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'[' | b'{' => depth += 1,
                b',' | b']' | b'}' if depth == 0 => break,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            if text.len() <= MAX_TEXT_BYTES {
                text.push(byte);
            }
            self.advance(byte);
        }
        Ok(text)
    }

    fn wrong(&mut self, expected: &str) -> Finding {
        self.state = State::Over;
        Finding::error("bad-json", format!("expected {expected}"))
            .at_line(&self.file, self.line)
            .help("a .json file of parameters is one array of objects; a .jsonl file has one object a line")
    }

    fn step(&mut self) -> io::Result<Option<Result<Row, Finding>>> {
        if self.state == State::Before {
            match self.token()? {
                Some(b'[') => self.advance(b'['),
                // An empty file is empty parameters, which is said elsewhere.
                None => return Ok(None),
                Some(_) => return Ok(Some(Err(self.wrong("an array of objects")))),
            }
            self.state = State::First;
        }
        match (self.state, self.token()?) {
            (State::Before | State::Over, _) => return Ok(None),
            (State::First | State::After, Some(b']')) => {
                self.advance(b']');
                self.state = State::Over;
                return match self.token()? {
                    None => Ok(None),
                    Some(_) => Ok(Some(Err(self.wrong("nothing after the array")))),
                };
            }
            (State::After, Some(b',')) => {
                self.advance(b',');
                if matches!(self.token()?, None | Some(b']' | b',')) {
                    return Ok(Some(Err(self.wrong("an object after the comma"))));
                }
            }
            (State::After, _) => return Ok(Some(Err(self.wrong("`,` or `]` after the object")))),
            (State::First, None) => return Ok(Some(Err(self.wrong("an object or `]`")))),
            (State::First, Some(_)) => {}
        }
        let line = self.line;
        let text = self.element()?;
        self.state = State::After;
        let row = row(&self.file, line, &text);
        if matches!(&row, Err(finding) if finding.code == "bad-json") && self.peek()?.is_none() {
            self.state = State::Over;
        }
        Ok(Some(row))
    }
}

impl<R: BufRead> Iterator for JsonArray<R> {
    type Item = Result<Row, Finding>;

    fn next(&mut self) -> Option<Result<Row, Finding>> {
        if self.state == State::Over {
            return None;
        }
        let step = self.step().unwrap_or_else(|error| {
            self.state = State::Over;
            Some(Err(unreadable(&self.file, &error)))
        });
        if step.is_none() {
            self.state = State::Over;
        }
        step
    }
}

/// One object that starts on `line`.
fn row(file: &str, line: u64, text: &[u8]) -> Result<Row, Finding> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("the object is longer than {} MiB", MAX_TEXT_BYTES >> 20);
        return Err(Finding::error("message-too-large", message).at_line(file, line));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = text[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        bad_utf8(file, line + before as u64, "the object")
    })?;
    match serde_json::from_str(text) {
        Ok(Json::Object(map)) => Ok(Row {
            line,
            message: Message(map),
        }),
        Ok(other) => {
            let found = match other {
                Json::Null => "null",
                Json::Bool(_) => "a boolean",
                Json::Number(_) => "a number",
                Json::String(_) => "a string",
                Json::Array(_) | Json::Object(_) => "an array",
            };
            Err(Finding::error("bad-json", format!("expected an object, found {found}"))
                .at_line(file, line)
                .help("each row is an object of parameters: {\"dest\": \"BOS\"}"))
        }
        Err(error) => {
            // The library counts within the object; people count within the file.
            let words = error.to_string();
            let words = words
                .rsplit_once(" at line ")
                .map_or(words.as_str(), |(words, _)| words);
            let line = line + error.line().saturating_sub(1) as u64;
            let message = format!("not JSON: {words} (column {})", error.column());
            Err(Finding::error("bad-json", message).at_line(file, line))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::params::Rows;

    fn shown(rows: impl Iterator<Item = Result<Row, Finding>>) -> Vec<String> {
        rows.map(|row| match row {
            Ok(row) => format!("{}: {}", row.line, row.message.body()),
            Err(finding) => {
                let Some(crate::finding::Place::Line { line, .. }) = finding.place else {
                    panic!("no line: {finding:?}")
                };
                format!("{line}: {}: {}", finding.code, finding.message)
            }
        })
        .collect()
    }

    fn lines(text: impl AsRef<[u8]>) -> Vec<String> {
        shown(Rows::from_file("p.jsonl", text.as_ref()).expect("JSON lines"))
    }

    fn array(text: impl AsRef<[u8]>) -> Vec<String> {
        shown(Rows::from_file("p.json", text.as_ref()).expect("JSON"))
    }

    #[test]
    fn lines_keep_order_and_types() {
        assert_eq!(
            lines("\u{feff}{\"b\":1,\"a\":\"x\"}\r\n\n  \n{\"b\":2.5}"),
            [r#"1: {"b":1,"a":"x"}"#, r#"4: {"b":2.5}"#]
        );
        assert_eq!(lines(""), [""; 0]);
    }

    #[test]
    fn a_broken_line_does_not_hide_the_next() {
        assert_eq!(
            lines(b"{\"a\":}\n[1]\n\xff\n{\"a\":1}\n"),
            [
                "1: bad-json: not JSON: expected value (column 6)",
                "2: bad-json: expected an object, found an array",
                "3: bad-utf8: the object is not UTF-8",
                r#"4: {"a":1}"#
            ]
        );
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut text = vec![b'x'; MAX_TEXT_BYTES + 10];
        text.extend_from_slice(b"\n{\"a\":1}\n");
        assert_eq!(
            lines(text),
            ["1: message-too-large: the object is longer than 8 MiB", r#"2: {"a":1}"#]
        );
    }

    #[test]
    fn an_array_is_read_object_by_object() {
        assert_eq!(
            array("\u{feff}[\n {\"a\": \"x],\\\"}\"},\n\n {\"b\":\n [1, {}]}\n]\n"),
            [r#"2: {"a":"x],\"}"}"#, r#"4: {"b":[1,{}]}"#]
        );
        assert_eq!(array("[]"), [""; 0]);
        assert_eq!(array(" \n"), [""; 0]);
    }

    #[test]
    fn what_is_no_array_of_objects_says_where() {
        assert_eq!(array("{\"a\":1}"), ["1: bad-json: expected an array of objects"]);
        assert_eq!(
            array("[1,\n{\"a\":1}]"),
            ["1: bad-json: expected an object, found a number", r#"2: {"a":1}"#]
        );
        assert_eq!(
            array("[{}\n,]"),
            ["1: {}", "2: bad-json: expected an object after the comma"]
        );
        assert_eq!(
            array("[{}\n"),
            ["1: {}", "2: bad-json: expected `,` or `]` after the object"]
        );
        assert_eq!(
            array("[{}] x"),
            ["1: {}", "1: bad-json: expected nothing after the array"]
        );
        assert_eq!(array("[\n"), ["2: bad-json: expected an object or `]`"]);
        assert_eq!(
            array("[{\"a\":1},\n{\"a\":\n oops}, {}]"),
            [
                r#"1: {"a":1}"#,
                "3: bad-json: not JSON: expected value (column 2)",
                "3: {}"
            ]
        );
        assert_eq!(
            array("[{\"a\": [1}, {}]"),
            ["1: bad-json: not JSON: expected `,` or `]` (column 9)"]
        );
    }
}
