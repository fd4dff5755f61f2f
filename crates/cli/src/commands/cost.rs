//! `cost`: what a run on AWS cost, by the seconds of its workers and the prices that are known.

use std::collections::BTreeMap;
use std::io::Write;

use kingtide_core::cloud::cost::{self, Bill, Used};
use kingtide_remote::record::{self, RunOutcome, TaskLine};
use kingtide_remote::wire::{Ask, Event, Fetch};
use kingtide_runtime::view::Run;
use serde_json::json;

use super::prices::unknown;
use crate::args::{Cost, On, Where};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::{duration, now};
use crate::output::{self, json};
use crate::project::job;
use crate::remote::fetched::{self, Want};
use crate::remote::quote;
use crate::remote::site::{Site, Standing};
use crate::remote::tariff::{self, dollars};
use crate::settings::Settings;

/// From the pull of its image to its first claim, a worker is paid for, and nobody has kept how long that was.
const START_SECONDS: f64 = 30.0;

pub(crate) fn run(cost: &Cost, settings: &Settings) -> Outcome {
    let of = Where {
        on: Some(On::Aws),
        env: cost.env.clone(),
    };
    let place = fetched::place(&of, Some(&cost.run), Want::Runs, settings)?;
    let run = {
        let database = place.database()?;
        cost.run.find(&database.snapshot()?)?
    };
    let site = Site::find(settings, cost.env.as_deref())?;
    let mut session = site.session()?;
    let standing = Standing::ask(&mut session, false)?;
    let region = standing.region().to_owned();
    let ask = Fetch {
        runs: vec![run.id.0],
        ..Fetch::default()
    };
    let (mut lines, mut told) = (String::new(), None);
    let key = |name: &str| format!("runs/{}/{name}", run.id);
    session.ask(Ask::Fetch(ask), |event| {
        match event {
            Event::Document(document) if document.key == key("tasks.jsonl") => lines = document.body,
            Event::Document(document) if document.key == key("outcome.json") => {
                told = record::read::<RunOutcome>(&document.key, document.body.as_bytes()).ok();
            }
            _ => {}
        }
        Ok(())
    })?;
    if lines.is_empty() {
        return Err(Failure::usage(format!(
            "{} is under way: what it costs is known when it is over",
            run.name()
        ))
        .help(format!("`kingtide status {} --on aws` says how far it is", run.name())));
    }
    let prices = tariff::load();
    let Some(prices_there) = prices.region(&region) else {
        return Err(unknown(&region, &prices));
    };
    let seconds = workers(&lines, &key("tasks.jsonl"))?;
    let worker = quote::worker(&site, job(&site.project, &run.job)?).ok_or_else(|| {
        Failure::new(format!("{} ran on machines whose price is not known here", run.name()))
            .help("Cost Explorer has it, a day later: by the tag kingtide:project")
    })?;
    let used = Used {
        worker,
        dispatcher_seconds: run.wall(now()).as_secs_f64(),
        tasks: run.counts.total,
        log_bytes: 0,
        seconds,
    };
    let bill = cost::run(&used, &prices_there);
    print(&run, &region, &used, &bill, told.as_ref(), settings)
}

/// How long each task of ECS worked, by the attempts that it claimed.
fn workers(lines: &str, key: &str) -> Outcome<Vec<f64>> {
    let mut spans: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let line: TaskLine = record::read(key, line.as_bytes()).map_err(Failure::from)?;
        for attempt in &line.attempts {
            let end = attempt.ended_ms.unwrap_or(attempt.claimed_ms);
            let span = spans
                .entry(attempt.place.task.clone())
                .or_insert((attempt.claimed_ms, end));
            *span = (span.0.min(attempt.claimed_ms), span.1.max(end));
        }
    }
    let seconds = spans
        .values()
        .map(|(from, to)| (to - from).max(0) as f64 / 1000.0 + START_SECONDS);
    Ok(seconds.collect())
}

fn print(run: &Run, region: &str, used: &Used, bill: &Bill, told: Option<&RunOutcome>, settings: &Settings) -> Outcome {
    let mut out = output::data();
    if settings.json {
        let lines = bill
            .lines
            .iter()
            .map(|line| json!({ "what": line.what, "usd": line.usd }));
        let line = json!({
            "run": run.id.0,
            "name": run.name(),
            "region": region,
            "workers": used.seconds.len(),
            "worker_s": used.seconds.iter().sum::<f64>().round(),
            "usd": bill.sum(),
            "lines": lines.collect::<Vec<_>>(),
            "usd_by_dispatcher": told.map(|told| told.dollars),
        });
        json::line(&mut out, &line)?;
    } else {
        writeln!(
            out,
            "{} in {region}: {}, in {}",
            settings.out.bold(&run.name()),
            settings.out.bold(&dollars(bill.sum())),
            duration(run.wall(now()))
        )?;
        for line in &bill.lines {
            let amount = line.usd.map_or_else(|| "unknown".to_owned(), dollars);
            writeln!(out, "  {amount:>18}  {}", line.what)?;
        }
        let text = format!(
            "an estimate: without tax, free tiers and traffic; {START_SECONDS} s of each worker's start are assumed, and Spot is counted as on demand"
        );
        writeln!(out, "{}", settings.out.dim(&text))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_paid_for_from_its_first_claim_to_its_last_end() {
        let line = |seq: i64, task: &str, from: i64, to: i64| {
            json!({
                "format": 1, "seq": seq, "state": "succeeded", "message": {},
                "attempts": [{ "number": 1, "place": { "task": task }, "claimed_ms": from, "ended_ms": to, "outcome": "succeeded" }],
            })
            .to_string()
        };
        let lines = [
            line(1, "a", 0, 10_000),
            line(2, "a", 11_000, 60_000),
            line(3, "b", 5_000, 6_000),
        ]
        .join("\n");
        assert_eq!(workers(&lines, "tasks.jsonl").expect("lines"), [90.0, 31.0]);
    }
}
