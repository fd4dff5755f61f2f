//! `plan`: what a run would come to, before it runs. `plan/render.rs` says it to people, `plan/foresight.rs` finds it out.

pub(crate) mod foresight;
mod render;

use std::io::Write;
use std::time::Duration;

use kingtide_core::plan::burst::Finish;
use kingtide_core::plan::proposal::{Choice, Remedy};
use kingtide_core::project::Job;
use serde_json::{Value, json};

use self::foresight::{Foresight, Ground};
use super::run::{
    messages::{Messages, Wish},
    messages_of,
};
use crate::args::Plan;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::now;
use crate::output::{self, json};
use crate::project::{Checked, Needs, Place, job};
use crate::remote::site::Site;
use crate::remote::{fetched, quote};
use crate::settings::Settings;

pub(crate) fn run(plan: &Plan, settings: &Settings) -> Outcome {
    let place = Place::find(settings)?;
    // What the job lacks here is no reason not to ask what it would be there.
    let needs = match plan.place.is_aws() {
        true => Needs::Nothing,
        false => Needs::Job(&plan.job),
    };
    let checked = Checked::read(&place, needs)?;
    let (name, source) = (checked.name.clone(), checked.source.clone());
    let project = checked.usable(settings)?;
    let job = job(&project, &plan.job)?;
    let wish = Wish::rows(plan.params.as_ref(), &plan.only);
    messages_of(job, &wish)?;
    let messages = Messages::check(&place, job, &wish);
    crate::project::print_findings(&messages.findings, &name, &source, settings);
    if messages.findings.has_errors() {
        return Err(Failure::said(Exit::Findings));
    }
    let now = now();
    let due = match &plan.deadline {
        Some(due) => Some(due.at(now)?),
        None => job.deadline.as_ref().map(|deadline| deadline.due(now)),
    };
    let deadline = due.map(|at| at.since(now));
    let foresight = match plan.place.is_aws() {
        true => on_aws(plan, job, &wish, deadline, settings)?,
        false => {
            let ground = Ground::here(&project, job, &plan.what_if)?;
            Foresight::of(&[&place], job, &wish, &ground, plan.workers, deadline)?
        }
    };
    let mut out = output::data();
    if settings.json {
        json::line(&mut out, &as_json(&foresight))?;
    } else {
        writeln!(out, "{}", render::render(&foresight, now, settings.out))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// By what AWS gives and asks; where nobody can be asked, by what the file and the prices say.
fn on_aws(plan: &Plan, job: &Job, wish: &Wish, deadline: Option<Duration>, settings: &Settings) -> Outcome<Foresight> {
    if !plan.what_if.is_empty() {
        return Err(
            Failure::usage("`--what-if` is about this machine").help("on AWS a job's own `cpu` and `memory` count")
        );
    }
    let site = Site::find(settings, plan.place.env.as_deref())?;
    let premises = site.session().and_then(|mut session| quote::premises(&mut session));
    let premises = match premises {
        Ok(premises) => Some(premises),
        Err(failure) => {
            if !settings.quiet {
                output::say(&format!("without quotas and addresses: {}", failure.words()));
            }
            None
        }
    };
    let ground = quote::ground(&site, job, premises.as_ref(), settings)?;
    let known = fetched::known(&site);
    Foresight::of(&[&known, &site.place], job, wish, &ground, plan.workers, deadline)
}

/// Its shape is a promise.
fn as_json(foresight: &Foresight) -> Value {
    let Some(proposal) = &foresight.proposal else {
        return json!({
            "job": foresight.job, "tasks": foresight.tasks, "workers": foresight.slots, "finish": null, "chance": null, "cost": null,
            "deciding": [], "alternatives": [], "remedies": [], "history": history(foresight),
        });
    };
    let chosen = &proposal.chosen;
    let deciding = |(task, chance): &(usize, f64)| {
        let of = foresight.task(*task);
        json!({
            "task": of.label,
            "p50_s": json::seconds(of.median),
            "p95_s": json::seconds(of.long),
            "late": rounded(*chance),
        })
    };
    let mut value = choice(chosen);
    let more = json!({
        "job": foresight.job,
        "tasks": foresight.tasks,
        "slots": foresight.slots,
        "deadline_s": foresight.deadline.map(json::seconds),
        "confidence": foresight.deadline.map(|_| foresight.confidence),
        "deciding": proposal.deciding.iter().map(deciding).collect::<Vec<_>>(),
        "alternatives": proposal.alternatives.iter().map(choice).collect::<Vec<_>>(),
        "remedies": proposal.remedies.iter().map(remedy).collect::<Vec<_>>(),
        "history": history(foresight),
    });
    if let Some((low, high)) = foresight.cost_range {
        value["cost_range"] = json!([rounded(low), rounded(high)]);
    }
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn choice(of: &Choice) -> Value {
    json!({
        "workers": of.workers,
        "finish": finish(&of.finish),
        "chance": of.chance.map(rounded),
        "cost": of.cost.map(rounded),
    })
}

fn finish(of: &Finish) -> Value {
    json!({ "p50_s": json::seconds(of.quantile(0.5)), "p95_s": json::seconds(of.quantile(0.95)) })
}

fn remedy(of: &Remedy) -> Value {
    match of {
        Remedy::Time(more) => json!({ "later_s": json::seconds(*more) }),
        Remedy::Workers(workers) => json!({ "workers": workers }),
        Remedy::Faster { tasks, chance } => json!({ "twice_as_fast": tasks, "chance": rounded(*chance) }),
    }
}

fn history(of: &Foresight) -> Value {
    json!({
        "configurations": of.configurations,
        "by_hint": of.is_hint,
        "trend": of.trend.map(rounded),
        "covariates": of.covariates,
        "foreign_runs": of.foreign,
    })
}

/// More digits would be luck.
fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}
