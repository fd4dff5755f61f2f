//! `results`: one table of all tasks, their parameters, figures and what their programs wrote.

use std::io::Write;

use kingtide_core::message::Message;
use kingtide_runtime::results::{Elided, ResultRow, Schema, TableError};
use kingtide_runtime::view::{ReadError, ResultRow as ViewRow, Run, Snapshot};

use crate::args::{Format, Results};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::output::live::Size;
use crate::output::table::Table;
use crate::output::text::plural;
use crate::remote::fetched::{self, Want};
use crate::settings::Settings;

/// Lines that a terminal is given at most; files take all.
const MOST_ROWS: usize = 1000;
/// Columns of a table that no terminal cuts.
const WIDE: usize = 400;

pub(crate) fn run(results: &Results, settings: &Settings) -> Outcome {
    let place = fetched::place(&results.place, Some(&results.run), Want::Results, settings)?;
    let database = place.database()?;
    let snapshot = database.snapshot()?;
    let run = results.run.find(&snapshot)?;
    let format = match results.format {
        Some(format) => format,
        None if settings.json => Format::Jsonl,
        None if settings.out_is_terminal => Format::Table,
        None => Format::Csv,
    };
    let mut out = output::data();
    write(&snapshot, &run, format, settings, &mut out)?;
    out.flush()?;
    Ok(Exit::Done)
}

fn write(snapshot: &Snapshot<'_>, run: &Run, format: Format, settings: &Settings, out: &mut impl Write) -> Outcome<()> {
    let rows = || snapshot.result_rows(run.id).map(|row| row.map(joined));
    let schema = Schema::infer(rows())?;
    match format {
        Format::Csv => {
            schema.write_csv(rows(), out).map_err(unwritten)?;
        }
        Format::Jsonl => {
            schema.write_jsonl(rows(), out).map_err(unwritten)?;
        }
        Format::Table => {
            let columns = Size::of(std::io::stdout()).map(|size| size.columns);
            let shown = schema
                .terminal(rows(), MOST_ROWS, columns.unwrap_or(WIDE))
                .map_err(unwritten)?;
            let titles = shown.header.iter().zip(&shown.numeric);
            let titles: Vec<String> = titles
                .map(|(title, numeric)| if *numeric { format!(">{title}") } else { title.clone() })
                .collect();
            let mut table = Table::new(&titles);
            shown.rows.into_iter().for_each(|row| table.row(row));
            writeln!(out, "{}", table.render(settings.out, columns))?;
            if shown.elided != Elided::default() {
                output::say(&elided(&shown.elided));
            }
        }
    }
    Ok(())
}

fn joined(row: ViewRow) -> ResultRow {
    ResultRow {
        seq: row.task.seq,
        params: Message::of_body(&row.message),
        state: row.state.text(),
        attempts: row.attempts,
        seconds: row.wall.map(|wall| wall.as_secs_f64()),
        memory_peak: row.memory_peak,
        reason: row.reason,
        result: row.result.and_then(|body| serde_json::from_str(&body).ok()),
    }
}

/// A reader that has left is no failure, however deep it is said.
fn unwritten(error: TableError<ReadError>) -> Failure {
    match error {
        TableError::Write(error) => Failure::from(error),
        other => Failure::from(other),
    }
}

/// What a table does not show, and where it is.
fn elided(elided: &Elided) -> String {
    let mut parts = Vec::new();
    if elided.rows > 0 {
        parts.push(plural(elided.rows, "more row"));
    }
    if !elided.columns.is_empty() {
        parts.push(format!("the columns {}", elided.columns.join(", ")));
    }
    format!("not shown: {}; `--format csv` has everything", parts.join("; "))
}
