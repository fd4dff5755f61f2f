//! On which terms a run would be on AWS: how many workers there may be, what one costs, and how long they take to begin.

use std::time::Duration;

use kingtide_core::cloud::cost::{self, Bill, LEAST_SECONDS, Used, Worker};
use kingtide_core::cloud::fargate;
use kingtide_core::plan::burst::Tariff;
use kingtide_core::project::Job;
use kingtide_remote::wire::{Ask, Event, Premises};

use super::session::Session;
use super::site::Site;
use super::{fetched, tariff};
use crate::commands::plan::foresight::{Foresight, Ground};
use crate::commands::run::messages::{Messages, Wish};
use crate::commands::run::messages_of;
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::settings::Settings;

/// From the start of an execution to the first attempt, before any run tells: two tasks begin one after the other, the dispatcher's and a
/// worker's, of 30 to 60 s each with an image of some hundred megabytes (`docs/decisions/007-aws.md`).
const START: Duration = Duration::from_secs(90);
/// Of a worker's own beginning so much is paid for, from the pull of its image on, and a minute at least.
const TARIFF: Tariff = Tariff {
    start: Duration::from_secs(30),
    least: Duration::from_secs(LEAST_SECONDS as u64),
};
/// So many workers are looked at where nothing bounds them.
const MOST: usize = 5000;

pub(crate) fn premises(session: &mut Session) -> Outcome<Premises> {
    session.one(Ask::Premises, |event| match event {
        Event::Premises(premises) => Some(premises),
        _ => None,
    })
}

/// A job's worker as the file says it; `None` where no size of Fargate holds it: then it runs on machines whose price is not known here.
pub(crate) fn worker(site: &Site, job: &Job) -> Option<Worker> {
    Some(Worker {
        size: fargate::size(&job.resources)?,
        architecture: site.aws.architecture,
        // Only tasks whose repetition still fits run there: the quote is the dearer one.
        is_spot: false,
        has_public_ip: site.aws.network.as_ref().is_none_or(|network| network.public_ip),
        disk_gib: 20.0,
    })
}

/// What bounds the workers, the narrowest first named, and what one costs.
pub(crate) fn ground(site: &Site, job: &Job, premises: Option<&Premises>, settings: &Settings) -> Outcome<Ground> {
    let worker = worker(site, job);
    let cores = worker.map_or(f64::from(job.resources.cpu_milli) / 1000.0, |worker| {
        f64::from(worker.size.cpu) / 1024.0
    });
    let mut bounds: Vec<(usize, &'static str)> = vec![(MOST, "tasks of a cluster")];
    bounds.extend(job.max_workers.map(|most| (most as usize, "max_workers")));
    bounds.extend(site.aws.max_workers.map(|most| (most as usize, "[aws] max_workers")));
    if let Some(premises) = premises {
        // Other machines have a quota of their own, by their kind.
        if let Some(quota) = premises.vcpu_quota.filter(|_| worker.is_some()) {
            // The dispatcher has a quarter of one.
            let free = (quota - premises.vcpus_in_use.unwrap_or(0.0) - 0.25).max(0.0);
            bounds.push(((free / cores) as usize, "the quota of Fargate's vCPUs"));
        }
        if let Some(free) = premises.addresses {
            bounds.push((usize::try_from(free).unwrap_or(usize::MAX), "free addresses"));
        }
    }
    let (slots, limit) = bounds.into_iter().min_by_key(|(most, _)| *most).unwrap_or((MOST, ""));
    if slots == 0 {
        return Err(Failure::new(format!(
            "no worker of `{}` can run now: {limit} leave no room for {cores} vCPU",
            job.name
        ))
        .help("wait for other tasks to end, or ask for more in the console: Service Quotas, AWS Fargate"));
    }
    let region = premises
        .map(|premises| premises.region.clone())
        .or_else(|| site.region());
    let prices = tariff::load();
    let known = region.as_deref().and_then(|region| prices.region(region));
    let hourly = known.zip(worker).and_then(|(prices, worker)| worker.hourly(&prices));
    if hourly.is_none() && !settings.quiet {
        let region = region.unwrap_or_else(|| "this region".to_owned());
        output::say(&format!(
            "what a worker costs in {region} is not known: `kingtide prices update` reads AWS's price list"
        ));
    }
    Ok(Ground {
        slots,
        limit,
        start: START,
        hourly,
        tariff: TARIFF,
        is_aws: true,
    })
}

/// Hours of workers that a run of the job's own messages takes, as far as anything tells.
pub(crate) fn worker_hours(site: &Site, job: &Job) -> Option<f64> {
    // Whatever an hour costs: it is divided by it again.
    let ground = Ground {
        slots: MOST,
        limit: "",
        start: START,
        hourly: Some(1.0),
        tariff: TARIFF,
        is_aws: true,
    };
    let wish = Wish::Params;
    messages_of(job, &wish).ok()?;
    if Messages::check(&site.place, job, &wish).findings.has_errors() {
        return None;
    }
    let known = fetched::known(site);
    let of = Foresight::of(&[&known, &site.place], job, &wish, &ground, None, None).ok()?;
    of.proposal?.chosen.cost
}

/// All that a run costs, as it is foreseen; `None` where that or the prices are not known.
pub(crate) fn bill(site: &Site, job: &Job, region: &str, of: &Foresight, ground: &Ground) -> Outcome<Option<Bill>> {
    let prices = tariff::load();
    let (Some(prices), Some(proposal)) = (prices.region(region), &of.proposal) else {
        return Ok(None);
    };
    let chosen = &proposal.chosen;
    let Some((cost, hourly)) = chosen.cost.zip(ground.hourly).filter(|(_, hourly)| *hourly > 0.0) else {
        return Ok(None);
    };
    let Some(worker) = worker(site, job) else {
        return Ok(None);
    };
    let each = cost / hourly * 3600.0 / chosen.workers.max(1) as f64;
    let used = Used {
        worker,
        seconds: vec![each; chosen.workers],
        dispatcher_seconds: chosen.finish.quantile(0.5).as_secs_f64(),
        tasks: of.tasks as u64,
        log_bytes: 0,
    };
    Ok(Some(cost::run(&used, &prices)))
}
