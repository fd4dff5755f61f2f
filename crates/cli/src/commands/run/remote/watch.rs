//! Watching a run on AWS: shown as one here, left without ending it, and summed up from what was fetched of it.

use std::time::Duration;

use kingtide_core::id::RunId;
use kingtide_core::time::Timestamp;
use kingtide_remote::record::Progress as Document;
use kingtide_remote::wire::{Ask, Event};
use kingtide_runtime::notice::{Due, Forecast, Load, Notice, Progress};
use kingtide_runtime::view::Run as Row;

use super::super::exit_of;
use super::super::launch::facts;
use super::super::watcher::Watcher;
use super::note;
use crate::departure::Departure;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::now;
use crate::output::{json, say, summary};
use crate::project::Place;
use crate::remote::fetched::{self, Want};
use crate::remote::session::Session;
use crate::remote::site::Site;
use crate::select::RunName;
use crate::settings::Settings;

pub(super) fn come_back(name: &str, site: &Site) -> String {
    format!("`kingtide status {name} --on aws{} --watch`", site.flag())
}

/// A run there that is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched<'a> {
    pub(crate) run: RunId,
    pub(crate) job: &'a str,
    pub(crate) due: Option<Timestamp>,
}

/// Watches a run there to its end, and says what it came to; Ctrl-C and `q` end the watching and nothing else.
pub(crate) fn follow(
    site: &Site,
    session: &mut Session,
    watched: &Watched<'_>,
    settings: &Settings,
    departure: &Departure,
) -> Outcome {
    let place = fetched::known(site);
    let (run, job) = (watched.run, watched.job);
    let name = format!("{job}-{run}");
    let layout = place.layout();
    let mut watcher = Watcher::new(job, &name, settings, &layout, Some(departure));
    let confidence = site.project.jobs.get(job).map_or(0.0, |job| job.confidence);
    let mut said: Vec<String> = Vec::new();
    let began = now();
    let has_left = session.ask_until(departure, Ask::Watch { run: run.0 }, |event| {
        if let Event::Progress { document } = event
            && let Ok(document) = serde_json::from_value::<Document>(document)
        {
            for warning in document.warnings.iter().filter(|warning| !said.contains(warning)) {
                watcher.on_notice(Notice::Said(warning.clone()));
            }
            said.clone_from(&document.warnings);
            watcher.on_notice(Notice::Progress(progress(watched, &name, began, &document, confidence)));
        }
        Ok(())
    });
    drop(watcher);
    if has_left? {
        let ends = format!("`kingtide cancel {name} --on aws{}` ends it", site.flag());
        note(
            settings,
            &format!(
                "{name} goes on on AWS; {} comes back to it, {ends}",
                come_back(&name, site)
            ),
        );
        return Ok(Exit::Cancelled);
    }
    fetched::fetch(site, session, Some(&RunName::Id(run.0)), Want::Runs)?;
    sum_up(site, &place, run, settings)
}

/// As it is shown of a run here.
fn progress(watched: &Watched<'_>, name: &str, began: Timestamp, of: &Document, confidence: f64) -> Progress {
    let forecast = of.foreseen.map(|foreseen| Forecast {
        p50: Timestamp(foreseen.median_ms),
        p95: Timestamp(foreseen.high_ms),
        due: watched
            .due
            .zip(foreseen.chance)
            .map(|(at, chance)| Due { at, chance, confidence }),
    });
    let at = Timestamp(of.at_ms);
    Progress {
        run: watched.run,
        name: name.to_owned(),
        now: now(),
        started_at: began,
        counts: of.counts.into(),
        running: Vec::new(),
        leased: of.running,
        remaining: forecast.map(|forecast| forecast.p50.since(at)),
        forecast,
        load: Load {
            slots: of.workers.wanted,
            taken: of.workers.running,
            ..Load::default()
        },
        draining: false,
    }
}

fn sum_up(site: &Site, place: &Place, run: RunId, settings: &Settings) -> Outcome {
    let database = place.database()?;
    let snapshot = database.snapshot()?;
    let row: Row = snapshot
        .run(run)?
        .ok_or_else(|| Failure::new(format!("run {run} is over, and its record is not in the bucket")))?;
    let job = site.project.jobs.get(&row.job);
    let exit = exit_of(&row, job);
    let wall: Duration = row.wall(now());
    let facts = facts(&snapshot, row, wall, job)?;
    if !settings.quiet {
        say(&summary::render(&facts, settings.err));
        note(
            settings,
            &format!("  `kingtide cost {}` says what it cost", facts.run.name()),
        );
    } else if exit != Exit::Done {
        say(&summary::headline(&facts, settings.err));
    }
    if settings.json {
        json::line(&mut std::io::stdout().lock(), &json::ended(&facts.run, wall))?;
    }
    Ok(exit)
}
