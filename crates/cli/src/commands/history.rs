//! `history`: the runs, the newest first.

use std::io::Write;

use kingtide_runtime::view::{Run, RunState};

use crate::args::History;
use crate::exit::{Exit, Outcome};
use crate::output::live::Size;
use crate::output::style::Style;
use crate::output::table::Table;
use crate::output::text::{ago, count, duration, moment, now, tame};
use crate::output::{self, json};
use crate::project::Place;
use crate::settings::Settings;

pub(crate) fn run(history: &History, settings: &Settings) -> Outcome {
    let place = Place::find(settings)?;
    let database = place.database()?;
    let runs = database.snapshot()?.runs(history.job.as_deref(), history.limit)?;
    let mut out = output::data();
    if settings.json {
        for run in &runs {
            json::line(&mut out, &json::run(run, now()))?;
        }
    } else if runs.is_empty() {
        output::say("no such run yet");
    } else {
        let columns = settings
            .out_is_terminal
            .then(|| Size::of(std::io::stdout()))
            .flatten()
            .map(|size| size.columns);
        writeln!(out, "{}", table(&runs, settings.out).render(settings.out, columns))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn table(runs: &[Run], style: Style) -> Table {
    let mut table = Table::new(&[
        "run", "state", "started", "", ">took", ">tasks", ">done", ">skipped", ">failed", "messages",
    ]);
    let now = now();
    for run in runs {
        let counts = &run.counts;
        let some = |number: u64| if number == 0 { String::new() } else { count(number) };
        let source = match run.retry_of {
            Some(other) => format!("failures of {}-{other}", run.job),
            None => tame(&run.source),
        };
        table.row(vec![
            run.name(),
            coloured(run.state, style),
            moment(run.created_at),
            style.dim(&ago(now.since(run.created_at))),
            duration(run.wall(now)),
            count(counts.total),
            some(counts.succeeded),
            some(counts.skipped),
            some(counts.failed + counts.rejected),
            source,
        ]);
    }
    table
}

/// A state in its colour.
pub(crate) fn coloured(state: RunState, style: Style) -> String {
    match state {
        RunState::Succeeded => style.green("succeeded"),
        RunState::Failed => style.red("failed"),
        RunState::Cancelled => style.yellow("cancelled"),
        RunState::Open => style.yellow("open"),
    }
}
