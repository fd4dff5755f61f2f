//! `history`: the runs, the newest first; of one job also what its configurations took over the weeks (`history/review.rs`).

mod review;

use std::io::Write;

use kingtide_core::time::Timestamp;
use kingtide_runtime::view::{Run, RunState};

use self::review::Review;
use crate::args::History;
use crate::exit::{Exit, Outcome};
use crate::output::live::Size;
use crate::output::style::Style;
use crate::output::table::Table;
use crate::output::text::{ago, count, duration, moment, now, tame};
use crate::output::{self, json};
use crate::remote::fetched::{self, Want};
use crate::settings::Settings;

pub(crate) fn run(history: &History, settings: &Settings) -> Outcome {
    let place = fetched::place(&history.place, None, Want::Runs, settings)?;
    let database = place.database()?;
    let snapshot = database.snapshot()?;
    let runs = snapshot.runs(history.job.as_deref(), history.limit)?;
    let review = match &history.job {
        Some(job) => Review::of(&snapshot, job)?,
        None => None,
    };
    let mut out = output::data();
    if settings.json {
        for run in &runs {
            json::line(&mut out, &json::run(run, now()))?;
        }
        if let Some(review) = review {
            json::line(&mut out, &review.json())?;
        }
    } else if runs.is_empty() && review.is_none() {
        output::say("no such run yet");
    } else {
        let columns = settings
            .out_is_terminal
            .then(|| Size::of(std::io::stdout()))
            .flatten()
            .map(|size| size.columns);
        if !runs.is_empty() {
            writeln!(out, "{}", table(&runs, settings.out).render(settings.out, columns))?;
        }
        if let Some(review) = review {
            writeln!(out, "\n{}", review.render(settings.out, columns))?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn table(runs: &[Run], style: Style) -> Table {
    let mut table = Table::new(&[
        "run", "state", "started", "", ">took", ">tasks", ">done", ">skipped", ">failed", "deadline", "messages",
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
            deadline(run, now, style),
            source,
        ]);
    }
    table
}

/// Whether it was met, and how likely that was to be.
fn deadline(run: &Run, now: Timestamp, style: Style) -> String {
    let chance = run
        .chance
        .map_or_else(String::new, |chance| format!(" ({:.0} %)", chance * 100.0));
    match run.is_met(now) {
        None => String::new(),
        Some(true) => format!("{}{chance}", style.green("met")),
        Some(false) => format!("{}{chance}", style.red("missed")),
    }
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
