//! Writing the rows by their schema: CSV, JSON lines, or the cells of a table for a terminal.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Map, Number, Value};

use super::schema::{Kind, Origin, Own, Schema, lines};
use super::{ResultRow, flat};

/// The longest cell on a terminal, in characters.
const CELL_LIMIT: usize = 48;

/// Why a table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TableError<E: std::error::Error + 'static> {
    #[error("the results cannot be read")]
    Rows(#[source] E),
    /// A closed pipe too; see its kind.
    #[error("the results cannot be written")]
    Write(#[source] io::Error),
}

/// A table's cells for a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    pub header: Vec<String>,
    /// Right-aligned, for each column of the header.
    pub numeric: Vec<bool>,
    pub rows: Vec<Vec<String>>,
    pub elided: Elided,
}

/// What a terminal's table leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elided {
    /// Lines beyond the limit.
    pub rows: u64,
    /// The names of columns that have values and found no room.
    pub columns: Vec<String>,
}

impl Schema {
    /// RFC 4180 with a header; null is an empty field. Returns the number of lines after the header.
    pub fn write_csv<E: std::error::Error + 'static>(
        &self,
        rows: impl IntoIterator<Item = Result<ResultRow, E>>,
        out: impl Write,
    ) -> Result<u64, TableError<E>> {
        let failed = |error: csv::Error| match error.into_kind() {
            csv::ErrorKind::Io(error) => TableError::Write(error),
            other => TableError::Write(io::Error::other(format!("{other:?}"))),
        };
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(out);
        writer
            .write_record(self.columns.iter().map(|column| &column.name))
            .map_err(failed)?;
        let mut count = 0;
        for row in rows {
            for line in self.lines_of(&row.map_err(TableError::Rows)?) {
                writer.write_record(line.iter().map(text)).map_err(failed)?;
                count += 1;
            }
        }
        writer.flush().map_err(TableError::Write)?;
        Ok(count)
    }

    /// One object a line, each with all columns, values of the column's type. Returns the number of lines.
    pub fn write_jsonl<E: std::error::Error + 'static>(
        &self,
        rows: impl IntoIterator<Item = Result<ResultRow, E>>,
        out: impl Write,
    ) -> Result<u64, TableError<E>> {
        let mut out = io::BufWriter::new(out);
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|column| Value::from(column.name.as_str()).to_string())
            .collect();
        let mut count = 0;
        for row in rows {
            for line in self.lines_of(&row.map_err(TableError::Rows)?) {
                let mut text = String::from("{");
                for (at, (name, value)) in names.iter().zip(line).enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    text.push_str(&format!("{comma}{name}:{value}"));
                }
                text.push_str("}\n");
                out.write_all(text.as_bytes()).map_err(TableError::Write)?;
                count += 1;
            }
        }
        out.flush().map_err(TableError::Write)?;
        Ok(count)
    }

    /// At most `rows_max` lines and as many columns as fit into `width` characters, with 3 between two of them. Columns without a
    /// value are not shown; of the others, the task, its state and its parameters are the last to go.
    pub fn terminal<E: std::error::Error + 'static>(
        &self,
        rows: impl IntoIterator<Item = Result<ResultRow, E>>,
        rows_max: usize,
        width: usize,
    ) -> Result<Terminal, TableError<E>> {
        let mut shown: Vec<Vec<String>> = Vec::new();
        let mut elided = Elided::default();
        for row in rows {
            for line in self.lines_of(&row.map_err(TableError::Rows)?) {
                if shown.len() < rows_max {
                    shown.push(
                        line.iter()
                            .enumerate()
                            .map(|(at, value)| self.cell(at, value))
                            .collect(),
                    );
                } else {
                    elided.rows += 1;
                }
            }
        }
        let kept = self.fitting(&shown, width);
        for (at, column) in self.columns.iter().enumerate() {
            if !kept.contains(&at) && shown.iter().any(|row| !row[at].is_empty()) {
                elided.columns.push(column.name.clone());
            }
        }
        let pick = |row: &Vec<String>| kept.iter().map(|at| row[*at].clone()).collect();
        Ok(Terminal {
            header: kept.iter().map(|at| one_line(&self.columns[*at].name)).collect(),
            numeric: kept
                .iter()
                .map(|at| matches!(self.columns[*at].kind, Kind::Integer | Kind::Float))
                .collect(),
            rows: shown.iter().map(pick).collect(),
            elided,
        })
    }

    /// The lines of a task, each with a value for every column.
    fn lines_of(&self, row: &ResultRow) -> Vec<Vec<Value>> {
        let mut common = vec![Value::Null; self.columns.len()];
        for (at, column) in self.columns.iter().enumerate() {
            if let Origin::Own(own) = column.origin {
                common[at] = own_value(own, row);
            }
        }
        let mut beyond = Map::new();
        flat::leaves(&row.params.0, &mut |key, value| {
            self.put(&mut common, &mut beyond, self.params.get(key), key, value)
        });
        let mut result: Vec<Vec<Value>> = lines(row)
            .map(|object| {
                let (mut line, mut beyond) = (common.clone(), beyond.clone());
                flat::leaves(object, &mut |key, value| {
                    self.put(&mut line, &mut beyond, self.results.get(key), key, value);
                });
                self.put_beyond(&mut line, beyond);
                line
            })
            .collect();
        if result.is_empty() {
            self.put_beyond(&mut common, beyond);
            result.push(common);
        }
        result
    }

    fn put(&self, line: &mut [Value], beyond: &mut Map<String, Value>, at: Option<&usize>, key: &str, value: &Value) {
        match at {
            Some(at) => line[*at] = typed(self.columns[*at].kind, value),
            None => {
                beyond.insert(flat::shown(key), value.clone());
            }
        }
    }

    fn put_beyond(&self, line: &mut [Value], beyond: Map<String, Value>) {
        if let Some(at) = self.overflow.filter(|_| !beyond.is_empty()) {
            line[at] = Value::String(Value::Object(beyond).to_string());
        }
    }

    fn cell(&self, at: usize, value: &Value) -> String {
        match (self.columns[at].origin, value) {
            (_, Value::Null) => String::new(),
            (Origin::Own(Own::Seconds), Value::Number(seconds)) => format!("{:.1}", seconds.as_f64().unwrap_or(0.0)),
            (Origin::Own(Own::MemoryPeak), Value::Number(bytes)) => {
                format!("{} MiB", bytes.as_u64().unwrap_or(0).div_ceil(1024 * 1024))
            }
            (_, Value::Number(number)) if number.is_f64() => short_float(number.as_f64().unwrap_or(0.0)),
            (_, value) => one_line(&text(value)),
        }
    }

    /// The columns that are shown, from left to right.
    fn fitting(&self, rows: &[Vec<String>], width: usize) -> BTreeSet<usize> {
        let has_value = |at: &usize| rows.is_empty() || rows.iter().any(|row| !row[*at].is_empty());
        let mut wanted: Vec<usize> = (0..self.columns.len()).filter(has_value).collect();
        // Stable: within a rank from left to right.
        wanted.sort_by_key(|at| match self.columns[*at].origin {
            Origin::Own(Own::Task | Own::State) => 0,
            Origin::Param => 1,
            Origin::Own(Own::Reason) => 2,
            Origin::Result => 3,
            Origin::Own(Own::Attempts | Own::Seconds | Own::MemoryPeak) => 2,
        });
        let mut kept = BTreeSet::new();
        let mut used = 0;
        for at in wanted {
            let cells = rows.iter().map(|row| row[at].chars().count());
            let widest = cells.chain([self.columns[at].name.chars().count()]).max().unwrap_or(0) + 3;
            if used + widest <= width || kept.is_empty() {
                used += widest;
                kept.insert(at);
            }
        }
        kept
    }
}

fn own_value(own: Own, row: &ResultRow) -> Value {
    match own {
        Own::Task => row.seq.into(),
        Own::State => row.state.into(),
        Own::Attempts => row.attempts.into(),
        // Milliseconds are what is measured; more digits would only be noise.
        Own::Seconds => row
            .seconds
            .map_or(Value::Null, |seconds| ((seconds * 1000.0).round() / 1000.0).into()),
        Own::MemoryPeak => row.memory_peak.map_or(Value::Null, Value::from),
        Own::Reason => row.reason.as_deref().map_or(Value::Null, Value::from),
    }
}

/// A value as its column has it.
fn typed(kind: Kind, value: &Value) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        (Kind::Float, Value::Number(number)) => number
            .as_f64()
            .and_then(Number::from_f64)
            .map_or_else(|| value.clone(), Value::Number),
        (Kind::String, Value::String(_)) => value.clone(),
        (Kind::String, other) => Value::String(other.to_string()),
        // A row that the first pass did not see may differ; its value is kept as it is.
        (Kind::Null | Kind::Bool | Kind::Integer | Kind::Float, other) => other.clone(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Six significant digits; the whole number is in the other formats.
fn short_float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return format!("{number:.3e}");
    }
    let digits = if size < 1.0 {
        6
    } else {
        5_usize.saturating_sub(size.log10() as usize)
    };
    let text = format!("{number:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Without line breaks and whatever else could move a terminal's cursor.
fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(CELL_LIMIT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(CELL_LIMIT).is_some() {
        line.pop();
        line.push('…');
    }
    line
}
