//! Rows of a CSV file (RFC 4180): the first line names the parameters, values stay the strings they are.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value as Json};

use crate::finding::Finding;
use crate::message::{MAX_BODY_BYTES, Message};
use crate::project::params::{Row, bad_utf8, unreadable};

/// A longer row is no message; usually a quote was never closed.
const MAX_TEXT_BYTES: usize = 2 * MAX_BODY_BYTES;

/// The parser below the `csv` crate: what feeds it counts lines itself, and keeps a row from growing without bound.
pub(super) struct CsvRows<R> {
    file: String,
    reader: R,
    parser: Reader,
    /// Fields of the record, one after the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    line: u64,
    /// Empty until the first line has been read.
    names: Vec<String>,
    /// What there is to say about the first line.
    pending: VecDeque<Finding>,
    over: bool,
}

/// What reading a record came to.
enum Record {
    /// It starts on this line.
    At(u64),
    TooLong(u64),
    End,
}

impl<R: BufRead> CsvRows<R> {
    pub(super) fn new(file: &str, reader: R) -> CsvRows<R> {
        CsvRows {
            file: file.to_owned(),
            reader,
            parser: Reader::new(),
            text: vec![0; 4096],
            ends: vec![0; 64],
            fields: 0,
            line: 1,
            names: Vec::new(),
            pending: VecDeque::new(),
            over: false,
        }
    }

    fn read(&mut self) -> io::Result<Record> {
        self.skip_line_ends()?;
        let start = self.line;
        let mut filled = 0;
        self.fields = 0;
        loop {
            let input = self.reader.fill_buf()?;
            let (text, ends) = (&mut self.text[filled..], &mut self.ends[self.fields..]);
            let (result, read, written, ended) = self.parser.read_record(input, text, ends);
            self.line += newlines(&input[..read]);
            self.reader.consume(read);
            filled += written;
            self.fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if filled > MAX_TEXT_BYTES => return Ok(Record::TooLong(start)),
                ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => return Ok(Record::At(start)),
                ReadRecordResult::End => return Ok(Record::End),
            }
        }
    }

    /// Empty lines are passed over, and so is what is left of the last line's end.
    fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            let input = self.reader.fill_buf()?;
            let length = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let more = length > 0 && length == input.len();
            self.line += newlines(&input[..length]);
            self.reader.consume(length);
            if !more {
                return Ok(());
            }
        }
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts
            .zip(&self.ends[..self.fields])
            .map(|(start, end)| &self.text[start..*end])
    }

    /// Takes the record for the names of the parameters.
    fn header(&mut self, line: u64) {
        let mut seen = BTreeSet::new();
        let mut problems = Vec::new();
        let mut names = Vec::with_capacity(self.fields);
        for (field, column) in self.fields().zip(1..) {
            let Ok(name) = std::str::from_utf8(field) else {
                problems.push(bad_utf8(&self.file, line, &format!("the name of column {column}")));
                continue;
            };
            let mut bad = |message: String, help: &str| {
                problems.push(
                    Finding::error("bad-header", message)
                        .at_line(&self.file, line)
                        .help(help),
                );
            };
            if name.trim().is_empty() {
                bad(
                    format!("column {column} has no name"),
                    "the first line names the columns",
                );
            } else if name.trim() != name {
                bad(
                    format!("the name of column {column}, \"{name}\", has spaces around it"),
                    "remove the spaces",
                );
            } else if !seen.insert(name) {
                bad(
                    format!("two columns are called `{name}`"),
                    "give each column a name of its own",
                );
            } else if self.fields == 1 && name.contains([';', '\t']) {
                bad(
                    format!("there is one column, called \"{}\"", name.escape_debug()),
                    "separate columns by commas",
                );
            }
            names.push(name.to_owned());
        }
        self.names = names;
        self.over = !problems.is_empty();
        self.pending.extend(problems);
    }

    fn row(&self, line: u64) -> Result<Row, Finding> {
        let (expected, found) = (self.names.len(), self.fields);
        if found != expected {
            let message = format!(
                "the row has {}, the first line names {expected}",
                counted(found, "value")
            );
            let open_quote = self.fields().any(|field| field.contains(&b'\n'));
            let help = match open_quote {
                true => "a quote is opened here and closed lines later, or never",
                false => "a value that contains a comma needs quotes: \"a, b\"",
            };
            return Err(Finding::error("ragged-row", message)
                .at_line(&self.file, line)
                .help(help));
        }
        let mut map = Map::with_capacity(expected);
        for (name, field) in self.names.iter().zip(self.fields()) {
            let text = std::str::from_utf8(field).map_err(|_| bad_utf8(&self.file, line, &format!("`{name}`")))?;
            map.insert(name.clone(), Json::from(text));
        }
        Ok(Row {
            line,
            message: Message(map),
        })
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

impl<R: BufRead> Iterator for CsvRows<R> {
    type Item = Result<Row, Finding>;

    fn next(&mut self) -> Option<Result<Row, Finding>> {
        loop {
            if let Some(finding) = self.pending.pop_front() {
                return Some(Err(finding));
            }
            if self.over {
                return None;
            }
            match self.read() {
                Ok(Record::At(line)) if self.names.is_empty() => self.header(line),
                Ok(Record::At(line)) => return Some(self.row(line)),
                Ok(Record::TooLong(line)) => {
                    self.over = true;
                    let message = format!("the row is longer than {} MiB", MAX_TEXT_BYTES >> 20);
                    let finding = Finding::error("message-too-large", message).at_line(&self.file, line);
                    return Some(Err(finding.help("is a quote opened here that is never closed?")));
                }
                Ok(Record::End) => self.over = true,
                Err(error) => {
                    self.over = true;
                    return Some(Err(unreadable(&self.file, &error)));
                }
            }
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::params::Rows;

    fn read(text: impl AsRef<[u8]>) -> Vec<String> {
        let rows = Rows::from_file("p.csv", text.as_ref())
            .expect("a CSV file")
            .map(|row| match row {
                Ok(row) => format!("{}: {}", row.line, row.message.body()),
                Err(finding) => {
                    let Some(crate::finding::Place::Line { line, .. }) = finding.place else {
                        panic!("no line: {finding:?}")
                    };
                    format!("{line}: {}: {}", finding.code, finding.message)
                }
            });
        rows.collect()
    }

    #[test]
    fn strings_stay_strings() {
        assert_eq!(
            read("a,b\n007,1e5\n\"x, \"\"y\"\"\", true\n"),
            [r#"2: {"a":"007","b":"1e5"}"#, r#"3: {"a":"x, \"y\"","b":" true"}"#]
        );
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let expected = [
            r#"2: {"a":"1"}"#,
            r#"4: {"a":"2"}"#,
            "6: {\"a\":\"x\\ny\"}",
            r#"8: {"a":"3"}"#,
        ];
        assert_eq!(read("a\n1\n\n2\n\n\"x\ny\"\n3"), expected, "with LF");
        let expected = [
            r#"2: {"a":"1"}"#,
            r#"4: {"a":"2"}"#,
            "6: {\"a\":\"x\\r\\ny\"}",
            r#"8: {"a":"3"}"#,
        ];
        assert_eq!(
            read("a\r\n1\r\n\r\n2\r\n\r\n\"x\r\ny\"\r\n3\r\n"),
            expected,
            "with CRLF"
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() {
        assert_eq!(read("\u{feff}a\n1\n"), [r#"2: {"a":"1"}"#]);
        assert_eq!(read("\u{feff}\"a\"\n1\n"), [r#"2: {"a":"1"}"#]);
    }

    #[test]
    fn ragged_rows_are_found_and_reading_goes_on() {
        assert_eq!(
            read("a,b\n1\n1,2\n1,2,3\n"),
            [
                "2: ragged-row: the row has 1 value, the first line names 2",
                r#"3: {"a":"1","b":"2"}"#,
                "4: ragged-row: the row has 3 values, the first line names 2"
            ]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_says_so() {
        let finding = CsvRows::new("p.csv", "a,b\n1,2\n\"1,2\n3,4\n".as_bytes()).find_map(Result::err);
        let finding = finding.expect("a finding");
        assert!(finding.help.expect("a help").contains("quote"));
    }

    #[test]
    fn an_endless_row_is_not_kept() {
        let text = format!("a\n1\n\"{}", "x".repeat(3 * MAX_TEXT_BYTES));
        assert_eq!(
            read(text),
            [r#"2: {"a":"1"}"#, "3: message-too-large: the row is longer than 2 MiB"]
        );
    }

    #[test]
    fn lines_do_not_depend_on_how_the_file_is_cut() {
        let text = "a,b\r\n1,2\r\n\r\n\"x\r\ny\",2\r\n3,4";
        let whole: Vec<_> = CsvRows::new("p.csv", text.as_bytes()).collect();
        for size in 1..10 {
            let reader = io::BufReader::with_capacity(size, text.as_bytes());
            assert_eq!(
                CsvRows::new("p.csv", reader).collect::<Vec<_>>(),
                whole,
                "cut into {size}"
            );
        }
    }

    #[test]
    fn bad_utf8_has_its_line() {
        assert_eq!(
            read(b"a,b\n1,\xff\n1,2\n"),
            ["2: bad-utf8: `b` is not UTF-8", r#"3: {"a":"1","b":"2"}"#]
        );
        assert_eq!(
            read(b"a,\xff\n1,2\n"),
            ["1: bad-utf8: the name of column 2 is not UTF-8"]
        );
    }

    #[test]
    fn the_first_line_must_name_each_column() {
        assert_eq!(
            read("a,,a, b\n1,2,3,4\n"),
            [
                "1: bad-header: column 2 has no name",
                "1: bad-header: two columns are called `a`",
                "1: bad-header: the name of column 4, \" b\", has spaces around it"
            ]
        );
        assert_eq!(
            read("a;b\n1;2\n"),
            ["1: bad-header: there is one column, called \"a;b\""]
        );
        assert_eq!(read(""), [""; 0]);
        assert_eq!(read("a\n"), [""; 0]);
    }
}
