//! Where a job's messages come from, and how they are read: one row at a time, whatever the size.
//!
//! [`Rows`] yields a message or a finding for each row of a CSV, JSON-lines or JSON file, of an inline list or of a
//! matrix. [`RowCheck`] looks at each of them before anything starts; [`Only`] is the filter of `--only`. Files are
//! handed in as readers: this crate opens none.

mod check;
mod csv;
mod fault;
mod json;
mod only;

use std::io::{self, BufRead, Read};

use serde_json::{Map, Value as Json};

pub use check::{RESERVED_NAMES, RowCheck};
pub use only::{Only, message_from_pairs};

use crate::finding::Finding;
use crate::message::Message;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The parameters of a job, one message a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Params {
    /// A `.csv`, `.jsonl` or `.json` file, relative to the project's folder.
    File(String),
    /// An inline array of tables.
    Inline(Vec<Message>),
    /// Lists of values, multiplied out.
    Matrix(Matrix),
}

/// Every combination of the values, in the order written: the last name varies fastest. It is multiplied out as it is
/// read.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix(pub Vec<(String, Vec<Json>)>);

/// One row of the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Of the file, from 1: where the row starts. Of inline parameters and a matrix the how-manieth row it is.
    pub line: u64,
    pub message: Message,
}

/// How a file of parameters is written; its name says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    JsonLines,
    Json,
}

impl Format {
    /// By the end of the name; a finding when it says nothing.
    pub fn of(file: &str) -> Result<Format, Finding> {
        match file
            .rsplit_once('.')
            .map(|(_, end)| end.to_ascii_lowercase())
            .as_deref()
        {
            Some("csv") => Ok(Format::Csv),
            Some("jsonl" | "ndjson") => Ok(Format::JsonLines),
            Some("json") => Ok(Format::Json),
            _ => Err(Finding::error(
                "unknown-format",
                format!("`{file}` is no kind of file that parameters are read from"),
            )
            .help("parameters come from a .csv, .jsonl or .json file")),
        }
    }
}

impl Params {
    /// All rows; `open` is asked for the file, if they come from one.
    pub fn rows<R: BufRead + Send + 'static>(
        &self,
        open: impl FnOnce(&str) -> io::Result<R>,
    ) -> Result<Rows<'_>, Finding> {
        match self {
            Params::File(file) => Rows::from_file(file, open(file).map_err(|error| unreadable(file, &error))?),
            Params::Inline(messages) => Ok(Rows::inline(messages)),
            Params::Matrix(matrix) => Ok(Rows::matrix(matrix)),
        }
    }
}

impl Matrix {
    /// How many rows come of it; `None` beyond 64 bits.
    pub fn len(&self) -> Option<u64> {
        if self.0.is_empty() {
            return Some(0);
        }
        self.0
            .iter()
            .try_fold(1_u64, |product, (_, values)| product.checked_mul(values.len() as u64))
    }

    /// Whether nothing comes of it.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    fn row(&self, index: u64) -> Message {
        let mut rest = index;
        let mut values: Vec<(&String, &Json)> = Vec::with_capacity(self.0.len());
        for (name, list) in self.0.iter().rev() {
            let length = list.len() as u64;
            values.push((name, &list[(rest % length) as usize]));
            rest /= length;
        }
        Message(
            values
                .into_iter()
                .rev()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Map<_, _>>(),
        )
    }
}

/// Reads rows one by one. A row that cannot be read is a finding, and the next one follows where the format allows.
pub struct Rows<'a>(Box<dyn Iterator<Item = Result<Row, Finding>> + Send + 'a>);

impl<'a> Rows<'a> {
    /// Reads the file called `file`, whose name says how it is written.
    pub fn from_file(file: &str, reader: impl BufRead + Send + 'a) -> Result<Rows<'a>, Finding> {
        let format = Format::of(file)?;
        let reader = without_mark(reader).map_err(|error| unreadable(file, &error))?;
        Ok(match format {
            Format::Csv => Rows(Box::new(csv::CsvRows::new(file, reader))),
            Format::JsonLines => Rows(Box::new(json::JsonLines::new(file, reader))),
            Format::Json => Rows(Box::new(json::JsonArray::new(file, reader))),
        })
    }

    /// Reads one object a line, from what is called `name` in findings.
    pub fn json_lines(name: &str, reader: impl BufRead + Send + 'a) -> Result<Rows<'a>, Finding> {
        let reader = without_mark(reader).map_err(|error| unreadable(name, &error))?;
        Ok(Rows(Box::new(json::JsonLines::new(name, reader))))
    }

    pub fn inline(messages: &'a [Message]) -> Rows<'a> {
        Rows(Box::new(messages.iter().zip(1..).map(|(message, line)| {
            Ok(Row {
                line,
                message: message.clone(),
            })
        })))
    }

    pub fn matrix(matrix: &'a Matrix) -> Rows<'a> {
        let length = matrix.len().unwrap_or(u64::MAX);
        Rows(Box::new((0..length).map(|index| {
            Ok(Row {
                line: index + 1,
                message: matrix.row(index),
            })
        })))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, Finding>;
    fn next(&mut self) -> Option<Result<Row, Finding>> {
        self.0.next()
    }
}

/// Spreadsheets put a byte order mark in front; it is no part of the first name.
fn without_mark<R: BufRead>(mut reader: R) -> io::Result<impl BufRead + use<R>> {
    let mut start = Vec::with_capacity(BYTE_ORDER_MARK.len());
    reader
        .by_ref()
        .take(BYTE_ORDER_MARK.len() as u64)
        .read_to_end(&mut start)?;
    if start == BYTE_ORDER_MARK {
        start.clear();
    }
    Ok(io::Cursor::new(start).chain(reader))
}

/// `unreadable-file`: the system's own words.
pub(crate) fn unreadable(file: &str, error: &io::Error) -> Finding {
    Finding::error("unreadable-file", format!("cannot read `{file}`: {error}")).at_file(file)
}

/// `bad-utf8` in a line of a file.
fn bad_utf8(file: &str, line: u64, what: &str) -> Finding {
    Finding::error("bad-utf8", format!("{what} is not UTF-8"))
        .at_line(file, line)
        .help("save the file as UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_matrix_is_multiplied_out_in_the_order_written() {
        let matrix = Matrix(vec![
            ("dest".to_owned(), vec![json!("BOS"), json!("LAX")]),
            ("depth".to_owned(), vec![json!(4), json!(8)]),
        ]);
        assert_eq!(matrix.len(), Some(4));
        let labels: Vec<String> = Rows::matrix(&matrix)
            .map(|row| row.expect("no file, no mistake").message.label())
            .collect();
        assert_eq!(
            labels,
            [
                "dest=BOS depth=4",
                "dest=BOS depth=8",
                "dest=LAX depth=4",
                "dest=LAX depth=8"
            ]
        );
        assert_eq!(Rows::matrix(&Matrix(vec![("a".to_owned(), vec![])])).count(), 0);
        assert_eq!(Rows::matrix(&Matrix(vec![])).count(), 0);
    }

    #[test]
    fn a_mark_is_passed_over_however_the_file_is_cut() {
        for (file, text) in [
            ("p.csv", "\u{feff}\"a\"\nx\n"),
            ("p.jsonl", "\u{feff}{\"a\":\"x\"}"),
            ("p.json", "\u{feff}[{\"a\":\"x\"}]"),
        ] {
            let cut = io::BufReader::with_capacity(1, text.as_bytes());
            let rows: Vec<_> = Rows::from_file(file, cut).expect("a known kind").collect();
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0].as_ref().expect("it is right").message.body(), r#"{"a":"x"}"#);
        }
    }

    #[test]
    fn the_name_says_the_format() {
        assert_eq!(Format::of("a/b.CSV"), Ok(Format::Csv));
        assert_eq!(Format::of("b.jsonl"), Ok(Format::JsonLines));
        assert_eq!(Format::of("b.json"), Ok(Format::Json));
        assert_eq!(Format::of("csv").expect_err("no end").code, "unknown-format");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_a_finding() {
        let open = |_: &str| Err::<&[u8], _>(io::Error::from(io::ErrorKind::PermissionDenied));
        let finding = Params::File("p.csv".to_owned())
            .rows(open)
            .err()
            .expect("it cannot be opened");
        assert_eq!(finding.message, "cannot read `p.csv`: permission denied");
    }
}
