//! `check`: everything that is wrong with the project, and nothing started.

use std::io::Write;

use kingtide_core::project::params::Params;
use serde_json::json;

use super::run::messages::{Messages, Wish};
use crate::exit::{Exit, Outcome};
use crate::output::{self, findings, json::line};
use crate::project::{self, Checked, Needs, Place};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings) -> Outcome {
    let place = Place::find(settings)?;
    let mut checked = Checked::read(&place, Needs::All)?;
    let mut tasks = 0;
    for job in checked.understood.jobs.values() {
        // A file that is not there was missed already.
        let is_there = match &job.params {
            Some(Params::File(file)) => place.folder.join(file).is_file(),
            params => params.is_some(),
        };
        if is_there {
            let messages = Messages::check(&place, job, &Wish::Params);
            tasks += messages.count;
            checked.findings.0.extend(messages.findings.0);
        }
    }
    let exit = if checked.findings.has_errors() {
        Exit::Findings
    } else {
        Exit::Done
    };
    if settings.json {
        let findings = findings::to_json(&checked.findings, &checked.name, &checked.source);
        let mut out = output::data();
        line(&mut out, &json!({ "ok": exit == Exit::Done, "findings": findings }))?;
        out.flush()?;
        return Ok(exit);
    }
    checked.print(&checked.findings, settings);
    let tally = project::tally(&checked.findings);
    if settings.quiet {
    } else if exit == Exit::Findings {
        output::say(&format!("{} {tally}{}", settings.err.red("✗"), checked.within()));
    } else if let Some(project) = &checked.project {
        let jobs = output::text::plural(project.jobs.len() as u64, "job");
        let tasks = output::text::plural(tasks, "message");
        let but = if tally.is_empty() {
            String::new()
        } else {
            format!(", {tally}")
        };
        output::say(&format!(
            "{} {} is sound: {jobs}, {tasks}{but}",
            settings.err.green("✓"),
            checked.name
        ));
    }
    Ok(exit)
}
