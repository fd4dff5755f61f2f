//! `explain`: why a run or a task is where it is. The rows are read here; what they mean is said by `sentences`, which is
//! pure.

mod sentences;

use std::io::Write;

use kingtide_runtime::view::Lease;
use serde_json::json;

use self::sentences::{OfRun, OfTask, Policy, Runner};
use crate::args::Explain;
use crate::exit::{Exit, Outcome};
use crate::output::text::{now, tame, task_label};
use crate::output::{self, json};
use crate::remote::fetched::{self, Want};
use crate::select;
use crate::settings::Settings;

pub(crate) fn run(explain: &Explain, settings: &Settings) -> Outcome {
    let place = fetched::place(&explain.place, Some(&explain.run), Want::Runs, settings)?;
    let database = place.database()?;
    let snapshot = database.snapshot()?;
    let run = explain.run.find(&snapshot)?;
    let project = place.peek();
    let job = project.as_ref().and_then(|project| project.jobs.get(&run.job));
    let of_run = OfRun {
        queue: snapshot.queue(run.id)?,
        totals: snapshot.totals(run.id)?,
        reasons: snapshot.reasons(run.id, 5)?,
        runtime: match place.stack {
            Some(_) => Runner::Aws,
            None => snapshot
                .lease()?
                .filter(Lease::is_held)
                .map_or(Runner::Nobody, |lease| Runner::Process(lease.pid)),
        },
        policy: job.map(Policy::of),
        now: now(),
        run,
    };
    let mut out = output::data();
    if explain.task.is_empty() {
        let said = sentences::of_run(&of_run);
        match settings.json {
            true => json::line(
                &mut out,
                &json!({ "run": json::run(&of_run.run, of_run.now), "because": said }),
            )?,
            false => {
                writeln!(out, "{}", settings.out.bold(&of_run.run.name()))?;
                said.iter()
                    .try_for_each(|sentence| writeln!(out, "  {}", tame(sentence)))?;
            }
        }
    } else {
        let task = select::task(&snapshot, &of_run.run, &explain.task)?;
        let attempts = snapshot.attempts(task.id)?;
        let ahead = snapshot.ahead(&task)?;
        let of_task = OfTask { task, attempts, ahead };
        let said = sentences::of_task(&of_run, &of_task);
        match settings.json {
            true => {
                let attempts: Vec<_> = of_task.attempts.iter().map(json::attempt).collect();
                let mut value = json::task(&of_task.task);
                value["attempts"] = attempts.into();
                value["because"] = said.into();
                json::line(&mut out, &value)?;
            }
            false => {
                let label = task_label(&of_task.task.message.label(), of_task.task.id.seq, 100);
                let name = format!("{}/{} {label}", of_run.run.name(), of_task.task.id.seq);
                writeln!(out, "{}", settings.out.bold(&name))?;
                said.iter()
                    .try_for_each(|sentence| writeln!(out, "  {}", tame(sentence)))?;
            }
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}
