//! `status --on aws`: the stack, and how a run there stands, as of when it was fetched.

use std::io::Write;

use kingtide_core::time::Timestamp;
use kingtide_runtime::view::{Run, Snapshot};
use serde_json::json;

use super::super::run::exit_of;
use super::super::run::launch::facts;
use super::super::run::remote::watch::{Watched, follow};
use super::{Memory, Standing};
use crate::args::Status;
use crate::departure::Departure;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::{ago, now};
use crate::output::{self, summary};
use crate::project::Place;
use crate::remote::fetched::{self, Want};
use crate::remote::site::{Site, Standing as OfStack, not_deployed};
use crate::settings::Settings;

pub(super) fn run(status: &Status, settings: &Settings) -> Outcome {
    let site = Site::find(settings, status.place.env.as_deref())?;
    let place = fetched::known(&site);
    match ask(status, &site, settings) {
        Ok(Some(exit)) => return Ok(exit),
        Ok(None) => {}
        Err(failure) => {
            let Some(at) = fetched::fetched_at(&place) else {
                return Err(failure);
            };
            if !settings.quiet {
                output::say(&format!("as of {}: {}", ago(now().since(at)), failure.words()));
            }
        }
    }
    print(status, &site, &place, settings)
}

/// Fetches, says how the stack stands, and watches where that is wanted; then it is all said.
fn ask(status: &Status, site: &Site, settings: &Settings) -> Outcome<Option<Exit>> {
    let mut session = site.session()?;
    let standing = OfStack::ask(&mut session, false)?;
    let Some(stack) = standing.stack() else {
        return Err(not_deployed(site, &standing));
    };
    if !settings.quiet && !settings.json {
        let age = ago(now().since(Timestamp(stack.changed_at_ms)));
        output::say(&format!(
            "{} in {} (account {}): {}, changed {age}",
            settings.err.bold(&site.stack),
            stack.region,
            stack.account,
            stack.status.to_ascii_lowercase().replace('_', " ")
        ));
    }
    fetched::fetch(site, &mut session, Some(&status.run), Want::Runs)?;
    if !status.watch {
        return Ok(None);
    }
    let place = fetched::known(site);
    let run = {
        let database = place.database()?;
        status.run.find(&database.snapshot()?)?
    };
    if run.state.is_over() {
        return Ok(None);
    }
    let departure = Departure::new()?;
    departure.on_signals()?;
    let watched = Watched {
        run: run.id,
        job: &run.job,
        due: run.due_at,
    };
    follow(site, &mut session, &watched, settings, &departure).map(Some)
}

fn print(status: &Status, site: &Site, place: &Place, settings: &Settings) -> Outcome {
    let database = place.database()?;
    let snapshot = database.snapshot()?;
    if snapshot.last_run(None)?.is_none() {
        return Err(
            Failure::usage(format!("nothing of `{}` has run on AWS yet", site.stack))
                .help(format!("start a job with `kingtide run JOB --on aws{}`", site.flag())),
        );
    }
    let run = status.run.find(&snapshot)?;
    let standing = Standing::read(&snapshot, run, &mut Memory::new(place.layout().root()))?;
    let job = site.project.jobs.get(&standing.run.job);
    let exit = match status.watch {
        true => exit_of(&standing.run, job),
        false => Exit::Done,
    };
    let mut out = output::data();
    if settings.json {
        let mut value = standing.json();
        let starts = starts(&snapshot, &standing.run)?;
        if let Some((first, apart)) = starts {
            value["first_start_s"] = json!(first);
            value["starts_apart_s"] = json!(apart);
        }
        value["fetched_at"] = json!(fetched::fetched_at(place).map(output::text::rfc3339));
        output::json::line(&mut out, &value)?;
    } else if standing.run.state.is_over() {
        let wall = standing.run.wall(now());
        let facts = facts(&snapshot, standing.run, wall, job)?;
        writeln!(out, "{}", summary::render(&facts, settings.out))?;
    } else {
        let at = fetched::fetched_at(place).map_or_else(String::new, |at| ago(now().since(at)));
        let line = settings.out.dim(&format!("  on AWS, as of {at}"));
        writeln!(out, "{}", standing.render_at(now(), settings.out, Some(line)))?;
    }
    out.flush()?;
    Ok(exit)
}

/// Seconds from the run's opening to its first attempt, and from that to the last of the tasks that began first: a worker's each.
fn starts(snapshot: &Snapshot<'_>, run: &Run) -> Outcome<Option<(f64, f64)>> {
    let mut all: Vec<i64> = Vec::new();
    for task in snapshot.tasks(run.id, &Default::default(), usize::MAX)? {
        let first = snapshot
            .attempts(task.id)?
            .into_iter()
            .find(|attempt| attempt.id.number == 1);
        all.extend(first.and_then(|attempt| attempt.started_at).map(|at| at.0));
    }
    all.sort_unstable();
    let workers = 4.min(all.len());
    let (Some(first), Some(last)) = (all.first(), workers.checked_sub(1).and_then(|last| all.get(last))) else {
        return Ok(None);
    };
    let seconds = |milliseconds: i64| milliseconds as f64 / 1000.0;
    Ok(Some((seconds(first - run.created_at.0), seconds(last - first))))
}
