//! The result file: one JSON object, or several one after the other, usually one a line.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::redact::Secrets;
use kingtide_core::finding::line_and_column;
use serde_json::{Map, Value};

/// A result is a row or a few of a table; what is larger belongs into the output.
pub const MAX_RESULT_BYTES: u64 = 16 * 1024 * 1024;

/// A result as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// One object, or an array of objects when the program wrote several.
    pub body: String,
    pub rows: usize,
}

/// Why a result cannot be taken. All but [`ResultError::Unreadable`] are the program's doing; they read as a reason of its
/// failure and name places as `line:column` of the result file.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error("the result file has {} MiB, more than the {} MiB it may have (write large data to KINGTIDE_OUTPUT)",
        .0.div_ceil(1024 * 1024), MAX_RESULT_BYTES / (1024 * 1024))]
    TooLarge(u64),
    #[error("the result file is {0}, not a file")]
    NotAFile(&'static str),
    #[error("the result file is not UTF-8 at {line}:{column}")]
    NotUtf8 { line: usize, column: usize },
    #[error("the result file has `{written}` at {line}:{column}, which is not JSON (write null instead)")]
    NotANumber {
        line: usize,
        column: usize,
        written: &'static str,
    },
    #[error("the result file ends in the middle of a value at {line}:{column}")]
    Unfinished { line: usize, column: usize },
    #[error("the result file is not JSON at {line}:{column}: {problem}")]
    Invalid {
        line: usize,
        column: usize,
        problem: String,
    },
    #[error("the result file has {found} at {line}:{column}; it may hold one JSON object, or one on each line")]
    NotAnObject {
        line: usize,
        column: usize,
        found: &'static str,
    },
    #[error("the result file cannot be read")]
    Unreadable(#[source] io::Error),
}

/// Reads a result file; `None` when it is not there or holds nothing but white space. Secrets in it are replaced before it is
/// stored, as they are in logs.
pub fn read_result(path: &Path, secrets: &Secrets) -> Result<Option<Collected>, ResultError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            return Err(ResultError::NotAFile("a link to nowhere"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ResultError::Unreadable(error)),
    };
    // Looked at before it is opened: opening a FIFO would wait for a writer.
    if metadata.is_dir() {
        return Err(ResultError::NotAFile("a folder"));
    } else if !metadata.is_file() {
        return Err(ResultError::NotAFile("a device, a socket or a pipe"));
    } else if metadata.len() > MAX_RESULT_BYTES {
        return Err(ResultError::TooLarge(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    let file = File::open(path).map_err(ResultError::Unreadable)?;
    file.take(MAX_RESULT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(ResultError::Unreadable)?;
    if bytes.len() as u64 > MAX_RESULT_BYTES {
        return Err(ResultError::TooLarge(bytes.len() as u64));
    }
    parse(&bytes, secrets)
}

fn parse(bytes: &[u8], secrets: &Secrets) -> Result<Option<Collected>, ResultError> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let (line, column) = line_and_column(&before, before.len());
            return Err(ResultError::NotUtf8 { line, column });
        }
    };
    let mut body = String::new();
    let mut rows = 0;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>();
    loop {
        let start = values.byte_offset();
        match values.next() {
            None => break,
            Some(Ok(row)) => {
                if rows > 0 {
                    body.push(',');
                }
                body.push_str(&without(secrets, Value::Object(row)).to_string());
                rows += 1;
            }
            Some(Err(error)) => return Err(explain(text, start, &error)),
        }
    }
    match rows {
        0 => Ok(None),
        1 => Ok(Some(Collected { body, rows })),
        _ => Ok(Some(Collected {
            body: format!("[{body}]"),
            rows,
        })),
    }
}

/// A value without secrets. Texts and names are looked through as they are meant: escaped, a secret may look otherwise.
fn without(secrets: &Secrets, value: Value) -> Value {
    match value {
        _ if secrets.is_empty() => value,
        Value::String(text) => Value::String(secrets.clean(&text)),
        Value::Array(items) => items.into_iter().map(|item| without(secrets, item)).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(name, value)| (secrets.clean(&name), without(secrets, value)))
            .collect(),
        Value::Number(number) => {
            let text = number.to_string();
            let cleaned = secrets.clean(&text);
            match cleaned == text {
                true => Value::Number(number),
                false => Value::String(cleaned),
            }
        }
        Value::Null | Value::Bool(_) => value,
    }
}

/// `start` is where the row begins that the error is in.
fn explain(text: &str, start: usize, error: &serde_json::Error) -> ResultError {
    let row = &text[start..];
    let begin = start + row.len() - row.trim_start().len();
    let found = match text[begin..].bytes().next() {
        Some(b'[') => Some("an array"),
        Some(b'"') => Some("a text"),
        Some(b't' | b'f') if ["true", "false"].iter().any(|word| text[begin..].starts_with(word)) => {
            Some("a truth value")
        }
        Some(b'n') if text[begin..].starts_with("null") => Some("null"),
        Some(b'0'..=b'9' | b'-') if !text[begin..].starts_with("-I") => Some("a number"),
        _ => None,
    };
    if let Some(found) = found {
        let (line, column) = line_and_column(text, begin);
        return ResultError::NotAnObject { line, column, found };
    }
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        return ResultError::Unfinished { line, column };
    }
    let offset = offset_of(text, line, column);
    // Python's `json.dump` writes these unless told `allow_nan=False`; the parser stops at their first letter or the one after.
    for written in ["-Infinity", "Infinity", "NaN"] {
        let near = text.ceil_char_boundary(offset.saturating_sub(2));
        let end = text.floor_char_boundary((offset + 1).min(text.len()));
        if let Some(at) = (near..=end).find(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(written))) {
            let (line, column) = line_and_column(text, at);
            return ResultError::NotANumber { line, column, written };
        }
    }
    let problem = error.to_string();
    let problem = problem
        .rfind(" at line ")
        .map_or(problem.as_str(), |place| &problem[..place])
        .to_owned();
    ResultError::Invalid {
        line,
        column: line_and_column(text, offset).1,
        problem,
    }
}

/// The byte that serde_json's line and column (in bytes, from 1) mean.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (start + column.saturating_sub(1)).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<Option<Collected>, ResultError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("result.json");
        fs::write(&path, text).expect("written");
        read_result(&path, &Secrets::default())
    }

    fn taken(text: &str) -> Option<(String, usize)> {
        read(text)
            .expect("it is taken")
            .map(|collected| (collected.body, collected.rows))
    }

    fn refused(text: impl AsRef<[u8]>) -> String {
        read(text).expect_err("it is refused").to_string()
    }

    #[test]
    fn objects_are_taken_one_or_many() {
        assert_eq!(
            taken("{\"b\": 1.50,\n \"a\": [null, \"é\"]}\n"),
            Some((r#"{"b":1.5,"a":[null,"é"]}"#.into(), 1))
        );
        assert_eq!(taken("\u{feff}{}"), Some(("{}".into(), 1)));
        assert_eq!(
            taken("{\"a\":1}\n\n{\"a\":2}"),
            Some((r#"[{"a":1},{"a":2}]"#.into(), 2))
        );
        assert_eq!(taken(" \n"), None);
        assert_eq!(
            read_result(Path::new("/nowhere/result.json"), &Secrets::default()).expect("no result"),
            None
        );
    }

    #[test]
    fn what_is_no_object_is_said_with_its_place() {
        assert_eq!(
            refused("[{\"a\":1}]"),
            "the result file has an array at 1:1; it may hold one JSON object, or one on each line"
        );
        assert!(refused("{\"a\":1}\n  0.5\n").contains("a number at 2:3"));
        assert!(refused("null").contains("has null at 1:1"));
        assert!(refused("\"x\"").contains("a text at 1:1"));
        assert!(refused("true").contains("a truth value"));
    }

    #[test]
    fn what_is_no_json_is_said_with_its_place() {
        assert_eq!(
            refused("{\"a\": 1,\n \"b\": NaN}"),
            "the result file has `NaN` at 2:7, which is not JSON (write null instead)"
        );
        assert!(refused("{\"a\":1}\n{\"é\": -Infinity}").contains("`-Infinity` at 2:7"));
        assert!(refused("{\"a\": [1, Infinity]}").contains("`Infinity` at 1:11"));
        assert!(refused("NaN").contains("`NaN` at 1:1"));
        assert!(refused("{\"a\": ").starts_with("the result file ends in the middle of a value at 1:"));
        assert_eq!(
            refused("{\"a\": 1,}"),
            "the result file is not JSON at 1:9: trailing comma"
        );
        assert!(refused("{\"é\": x}").contains("not JSON at 1:7: expected value"));
        assert!(refused("mae=3").contains("not JSON at 1:1"));
        assert!(refused("{\"a\": 1e999}").contains("number out of range"));
        assert!(refused(b"{\"a\":\n\"\xff\"}").contains("not UTF-8 at 2:2"));
        assert!(refused("[".repeat(200)).contains("an array"));
        assert!(refused(format!("{{\"a\":{}", "[".repeat(200))).contains("recursion limit"));
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused_unread() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("result.json");
        let refused = || {
            read_result(&path, &Secrets::default())
                .expect_err("it is refused")
                .to_string()
        };
        let file = File::create(&path).expect("created");
        file.set_len(17 * 1024 * 1024).expect("a sparse file");
        assert!(refused().starts_with("the result file has 17 MiB, more than the 16 MiB it may have"));
        fs::remove_file(&path).expect("removed");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
        assert!(refused().contains("a pipe, not a file"));
        fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("nowhere", &path).expect("linked");
        assert!(refused().contains("a link to nowhere"));
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("a folder");
        assert!(refused().contains("a folder, not a file"));
    }
}
