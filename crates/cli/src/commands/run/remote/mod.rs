//! A run on AWS: quoted, opened, and watched as one here (`remote/watch.rs`). Who leaves leaves it going.

pub(crate) mod watch;

use std::io::Write;
use std::path::PathBuf;

use kingtide_core::finding::Finding;
use kingtide_core::id::RunId;
use kingtide_core::message::Message;
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use kingtide_remote::wire::{Ask, Event, Start, Started};
use kingtide_runtime::view::{Filter, TaskState};
use serde_json::json;

use self::watch::{Watched, come_back, follow};
use super::messages::{Messages, Wish};
use super::messages_of;
use crate::args::{Retry, Run};
use crate::commands::plan::foresight::{Foresight, Ground};
use crate::departure::Departure;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::{duration, now, plural};
use crate::output::{json, say};
use crate::project::{Place, job};
use crate::remote::fetched::{self, Want};
use crate::remote::quote;
use crate::remote::session::Session;
use crate::remote::site::{Site, Standing, check_changeable, not_deployed, whoami};
use crate::remote::tariff::dollars;
use crate::settings::Settings;

/// What is to be started.
struct Errand<'a> {
    site: &'a Site,
    job: &'a Job,
    workers: Option<u32>,
    due: Option<Timestamp>,
    is_detached: bool,
    settings: &'a Settings,
}

pub(super) fn run(run: &Run, settings: &Settings) -> Outcome {
    let site = Site::find(settings, run.place.env.as_deref())?;
    let job = job(&site.project, &run.job)?;
    if run.resume {
        return Err(
            Failure::usage("a run on AWS goes on by itself: there is nothing to resume").help(format!(
                "`kingtide status {} --on aws --watch` comes back to it",
                job.name
            )),
        );
    }
    let wish = Wish::of(run);
    messages_of(job, &wish)?;
    let messages = Messages::check(&site.place, job, &wish);
    crate::project::print_findings(&messages.findings, "kingtide.toml", "", settings);
    if messages.findings.has_errors() {
        return Err(Failure::said(Exit::Findings));
    }
    let due = match &run.deadline {
        Some(due) => Some(due.at(now())?),
        None => job.deadline.as_ref().map(|deadline| deadline.due(now())),
    };
    let errand = Errand {
        site: &site,
        job,
        workers: run.workers,
        due,
        is_detached: run.detach,
        settings,
    };
    let mut session = site.session()?;
    let standing = ready(&errand, &mut session)?;
    let (foresight, ground) = foresee(&errand, &mut session, &wish)?;
    say_quote(&errand, &foresight, &ground, &standing)?;
    if run.dry_run {
        return Ok(Exit::Done);
    }
    let bodies = Outbox::of(&site, job, |out| {
        Messages::hand_over(&site.place, job, &wish, |rows| write(rows, out))
    })?;
    start(&errand, session, &bodies, &foresight)
}

/// What failed in a run there, again, there.
pub(crate) fn again(retry: &Retry, settings: &Settings) -> Outcome {
    let place = fetched::place(&retry.place, Some(&retry.run), Want::Runs, settings)?;
    let database = place.database()?;
    let (old, failed) = {
        let snapshot = database.snapshot()?;
        let old = retry.run.find(&snapshot)?;
        let filter = Filter {
            states: vec![TaskState::Failed, TaskState::Rejected, TaskState::Cancelled],
            ..Filter::default()
        };
        let failed = snapshot.tasks(old.id, &filter, usize::MAX)?;
        (old, failed)
    };
    if !old.state.is_over() {
        return Err(Failure::usage(format!("{} is under way", old.name()))
            .help(format!("`kingtide status {} --on aws --watch` follows it", old.name())));
    }
    if failed.is_empty() {
        note(
            settings,
            &format!("nothing of {} failed: there is nothing to run again", old.name()),
        );
        return Ok(Exit::Done);
    }
    let site = Site::find(settings, retry.place.env.as_deref())?;
    let job = job(&site.project, &old.job)?;
    let errand = Errand {
        site: &site,
        job,
        workers: retry.workers,
        due: job.deadline.as_ref().map(|deadline| deadline.due(now())),
        is_detached: false,
        settings,
    };
    let mut session = site.session()?;
    let standing = ready(&errand, &mut session)?;
    let messages: Vec<Message> = failed.into_iter().map(|task| task.message).collect();
    let bodies = Outbox::of(&site, job, |out| {
        let mut rows = messages.iter().cloned().map(Ok);
        write(&mut rows, out)?.map_err(|finding| Failure::new(finding.message))
    })?;
    let wish = Wish::Rows {
        file: Some(bodies.path.clone()),
        only: Vec::new(),
    };
    let (foresight, ground) = foresee(&errand, &mut session, &wish)?;
    say_quote(&errand, &foresight, &ground, &standing)?;
    start(&errand, session, &bodies, &foresight)
}

/// Whether the stack is there and takes runs of the job.
fn ready(errand: &Errand<'_>, session: &mut Session) -> Outcome<Standing> {
    let standing = Standing::ask(session, false)?;
    let Some(stack) = standing.stack().filter(|_| standing.is_made()) else {
        return Err(not_deployed(errand.site, &standing));
    };
    check_changeable(stack, errand.site)?;
    let name = &errand.job.name;
    if !stack.template.contains(&format!("\"job.{name}\"")) && !stack.template.contains(&format!("job.{name}")) {
        return Err(
            Failure::usage(format!("the stack `{}` has no job `{name}` yet", errand.site.stack))
                .help(format!("`kingtide deploy{}` brings it there", errand.site.flag())),
        );
    }
    let written = errand.site.compile(errand.settings)?.template();
    let is_same = serde_json::from_str::<serde_json::Value>(&stack.template).is_ok_and(|there| there == written);
    if !is_same {
        note(
            errand.settings,
            &format!(
                "the file says something else than what is deployed, and that is what runs: `kingtide diff{}` says what",
                errand.site.flag()
            ),
        );
    }
    Ok(standing)
}

fn foresee(errand: &Errand<'_>, session: &mut Session, wish: &Wish) -> Outcome<(Foresight, Ground)> {
    // What runs there have taken tells most; that it cannot be had is no reason not to run.
    if let Err(failure) = fetched::fetch(errand.site, session, None, Want::Runs) {
        note(
            errand.settings,
            &format!("without what earlier runs there took: {}", failure.words()),
        );
    }
    let premises = quote::premises(session)?;
    let ground = quote::ground(errand.site, errand.job, Some(&premises), errand.settings)?;
    let known = fetched::known(errand.site);
    let deadline = errand.due.map(|at| at.since(now()));
    let places = [&errand.site.place, &known];
    let places: Vec<&Place> = places.into_iter().rev().collect();
    let foresight = Foresight::of(&places, errand.job, wish, &ground, errand.workers, deadline)?;
    Ok((foresight, ground))
}

/// Workers, finish, dollars: before anything is started.
fn say_quote(errand: &Errand<'_>, of: &Foresight, ground: &Ground, standing: &Standing) -> Outcome<()> {
    let settings = errand.settings;
    if settings.quiet {
        return Ok(());
    }
    let name = settings.err.bold(&errand.job.name);
    let tasks = plural(of.tasks as u64, "task");
    let Some(proposal) = &of.proposal else {
        say(&format!(
            "{name} on AWS: {tasks}, up to {} at once ({}); nothing tells how long a task takes: `expected` in the job says about how long",
            ground.slots.min(of.tasks.max(1)),
            ground.limit
        ));
        return Ok(());
    };
    let chosen = &proposal.chosen;
    say(&format!(
        "{name} on AWS: {tasks}, {}, done in {} as likely as not, in {} 19 times of 20",
        plural(chosen.workers as u64, "worker"),
        duration(chosen.finish.quantile(0.5)),
        duration(chosen.finish.quantile(0.95))
    ));
    if let Some(chance) = chosen.chance {
        say(&format!(
            "  the deadline: chance {}, {} wanted",
            crate::output::text::chance(chance),
            crate::output::text::chance(of.confidence)
        ));
    }
    if let Some(bill) = quote::bill(errand.site, errand.job, standing.region(), of, ground)? {
        let sum = bill.sum();
        let range = match (of.cost_range, chosen.cost) {
            (Some((low, high)), Some(cost)) => {
                let rest = sum - cost;
                format!(" ({} to {})", dollars(low + rest), dollars(high + rest))
            }
            _ => String::new(),
        };
        say(&format!("  about {}{range}", dollars(sum)));
        if let Some(most) = errand.job.cloud.max_cost {
            let high = of.cost_range.map_or(sum, |(_, high)| high.max(sum));
            let said = format!("  at most {}: `max_cost`", dollars(most));
            match high > most {
                true => say(&settings.err.yellow(&format!(
                    "{said}; no new task is started past it, and the run may end before all are done"
                ))),
                false => say(&said),
            }
        }
        for what in bill.unpriced() {
            say(&format!("  not counted, for want of a price: {what}"));
        }
    }
    Ok(())
}

/// Messages on their way: a line each, in a file that goes with it.
struct Outbox {
    path: PathBuf,
    count: u64,
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // Written anew with the next run.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Outbox {
    fn of(site: &Site, job: &Job, fill: impl FnOnce(&mut dyn Write) -> Outcome<u64>) -> Outcome<Outbox> {
        let folder = fetched::known(site).layout().root().to_owned();
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}-{}.jsonl", job.name, std::process::id()));
        let mut out = std::io::BufWriter::new(std::fs::File::create(&path)?);
        let mut outbox = Outbox { path, count: 0 };
        outbox.count = fill(&mut out)?;
        out.flush()?;
        Ok(outbox)
    }
}

fn write(
    rows: &mut dyn Iterator<Item = Result<Message, Finding>>,
    out: &mut dyn Write,
) -> Outcome<Result<u64, Finding>> {
    let mut count = 0;
    for row in rows {
        match row {
            Ok(message) => {
                writeln!(out, "{}", message.body())?;
                count += 1;
            }
            Err(finding) => return Ok(Err(finding)),
        }
    }
    Ok(Ok(count))
}

fn start(errand: &Errand<'_>, mut session: Session, outbox: &Outbox, of: &Foresight) -> Outcome {
    let is_known = of.proposal.is_some();
    let ask = Start {
        job: errand.job.name.clone(),
        messages: outbox.path.display().to_string(),
        count: outbox.count,
        deadline: errand.due.map(|at| at.0),
        // Without a word the dispatcher decides, and decides anew while it goes.
        workers: errand.workers,
        max_cost: errand.job.cloud.max_cost,
        predictions: of
            .known
            .iter()
            .filter(|_| is_known)
            .map(|of| (of.mu, of.sigma))
            .collect(),
        by: whoami(),
    };
    let started: Started = session.one(Ask::Start(ask), |event| match event {
        Event::Started(started) => Some(started),
        _ => None,
    })?;
    let name = format!("{}-{}", errand.job.name, started.run);
    if errand.is_detached {
        if errand.settings.json {
            let line = json!({
                "run": started.run, "job": errand.job.name, "name": name, "detached": true, "execution": started.execution,
            });
            json::line(&mut std::io::stdout().lock(), &line)?;
        } else {
            note(
                errand.settings,
                &format!("{name} runs on AWS: {} follows it", come_back(&name, errand.site)),
            );
        }
        return Ok(Exit::Done);
    }
    note(
        errand.settings,
        &format!("{name}: {} on AWS", plural(outbox.count, "task")),
    );
    let departure = Departure::new()?;
    departure.on_signals()?;
    let watched = Watched {
        run: RunId(started.run),
        job: &errand.job.name,
        due: errand.due,
    };
    follow(errand.site, &mut session, &watched, errand.settings, &departure)
}

pub(super) fn note(settings: &Settings, text: &str) {
    if !settings.quiet {
        say(text);
    }
}
