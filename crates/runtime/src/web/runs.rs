//! Runs and their tasks.

use kingtide_core::engine::state::Named;
use kingtide_core::id::RunId;
use serde_json::{Value, json};

use super::query::Query;
use super::{Look, Objection, usage};
use crate::view::json as shapes;
use crate::view::{Run, RunState, TaskState};

/// Reasons of failures that are told of one run.
const REASONS: usize = 20;

/// The newest first: `job=`, `state=`, `after=` (a run's number), `limit=`.
pub(super) fn list(look: &Look<'_>, query: &mut Query) -> Result<Value, Objection> {
    let job = query.text("job");
    let state = query
        .text("state")
        .map(|text| named::<RunState>("state", &text))
        .transpose()?;
    let after = query.parse("after", "the number of a run")?.map(RunId);
    let limit = query.limit()?;
    let mut runs = look
        .snapshot
        .runs_before(job.as_deref(), state, after, limit as u64 + 1)?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| more).map(|run| run.id.0);
    let runs: Vec<Value> = runs.iter().map(|run| summary(look, run)).collect();
    Ok(json!({ "runs": runs, "next": next }))
}

pub(super) fn one(look: &Look<'_>, name: &str) -> Result<Value, Objection> {
    let run = find(look, name)?;
    let standing = look.snapshot.queue(run.id)?;
    let outputs = look.snapshot.output_total(run.id)?;
    let counts = &run.counts;
    let active = standing.running + standing.leased;
    let mut value = summary(look, &run);
    value["standing"] = json!({
        "running": standing.running,
        "leased": standing.leased,
        "delayed": standing.delayed,
        "waiting": counts.total.saturating_sub(counts.done() + active + standing.delayed),
    });
    value["usage"] = usage::of_run(look, &run)?;
    value["results"] = look.snapshot.result_count(run.id)?.into();
    value["outputs"] = json!({ "folders": outputs.outputs, "files": outputs.files, "bytes": outputs.bytes });
    let reasons = look.snapshot.reasons(run.id, REASONS)?;
    let reasons = reasons.iter().map(|reason| {
        json!({ "state": reason.state.text(), "reason": reason.words, "tasks": reason.tasks, "task": reason.seq })
    });
    value["reasons"] = reasons.collect();
    Ok(value)
}

/// In the order of their messages: `state=` (several with commas), `after=` (a task's number), `limit=`.
pub(super) fn tasks(look: &Look<'_>, name: &str, query: &mut Query) -> Result<Value, Objection> {
    let run = find(look, name)?;
    let states = query.text("state").unwrap_or_default();
    let states = states.split(',').filter(|state| !state.is_empty());
    let states: Vec<TaskState> = states.map(|text| named("state", text)).collect::<Result<_, _>>()?;
    let after = query.parse("after", "the number of a task")?.unwrap_or(0);
    let page = look.snapshot.task_page(run.id, &states, after, query.limit()?)?;
    let tasks: Vec<Value> = page.rows.iter().map(shapes::task).collect();
    Ok(json!({ "run": run.id.0, "tasks": tasks, "next": page.next }))
}

/// With its attempts that have ended and what its program wrote.
pub(super) fn task(look: &Look<'_>, name: &str, seq: &str) -> Result<Value, Objection> {
    let run = find(look, name)?;
    let unknown = || Objection::Unknown(format!("{} has no task `{seq}`", run.name()));
    let id = run.id.task(seq.parse().map_err(|_| unknown())?);
    let task = look.snapshot.task(id)?.ok_or_else(unknown)?;
    let attempts = look.snapshot.attempts(id)?;
    let result = look.snapshot.result(id)?;
    let mut value = shapes::task(&task);
    value["run"] = run.id.0.into();
    value["ended_attempts"] = attempts.iter().map(shapes::attempt).collect();
    // Written by us, so it is JSON; what is not is told as the text it is.
    value["result"] = match result {
        Some(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        None => Value::Null,
    };
    Ok(value)
}

fn summary(look: &Look<'_>, run: &Run) -> Value {
    let mut value = shapes::run(run, look.now);
    value["name"] = run.name().into();
    value
}

/// By its number, or as people call it: `retrain-12`.
fn find(look: &Look<'_>, name: &str) -> Result<Run, Objection> {
    let unknown = || Objection::Unknown(format!("there is no run `{name}`"));
    let (job, number) = match name.rsplit_once('-') {
        Some((job, number)) => (Some(job), number),
        None => (None, name),
    };
    let number = number.parse().map_err(|_| unknown())?;
    let run = look.snapshot.run(RunId(number))?;
    run.filter(|run| job.is_none_or(|job| run.job == job))
        .ok_or_else(unknown)
}

fn named<T: Named>(parameter: &str, text: &str) -> Result<T, Objection> {
    T::named(text).ok_or_else(|| {
        let words: Vec<&str> = T::ALL.iter().map(|state| state.word()).collect();
        Objection::Unsound(format!("`{parameter}={text}` is none of {}", words.join(", ")))
    })
}
