//! `results`: one table of all tasks, their parameters, figures and what their programs wrote.

use std::io::Write;

use kingtide_runtime::view::{ResultRow, Run, Snapshot};
use serde_json::{Map, Value};

use crate::args::{Format, Results};
use crate::exit::{Exit, Outcome};
use crate::output::{self, json};
use crate::project::Place;
use crate::settings::Settings;

pub(crate) fn run(results: &Results, settings: &Settings) -> Outcome {
    let place = Place::find(settings)?;
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
    write(&snapshot, &run, format, &mut out)?;
    out.flush()?;
    Ok(Exit::Done)
}

/// The seam for `kingtide_runtime::results`, which infers one schema over all rows and writes each format.
fn write(snapshot: &Snapshot<'_>, run: &Run, _format: Format, out: &mut impl Write) -> Outcome<()> {
    for row in snapshot.result_rows(run.id) {
        json::line(out, &Value::Object(joined(&row?)))?;
    }
    Ok(())
}

fn joined(row: &ResultRow) -> Map<String, Value> {
    let mut all = match serde_json::from_str(&row.message) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    all.insert("state".to_owned(), row.state.text().into());
    all.insert("attempts".to_owned(), row.attempts.into());
    all.insert("seconds".to_owned(), row.wall.map(json::seconds).into());
    all.insert("memory_peak".to_owned(), row.memory_peak.into());
    if let Some(Ok(Value::Object(map))) = row.result.as_deref().map(serde_json::from_str) {
        all.extend(map);
    }
    all
}
