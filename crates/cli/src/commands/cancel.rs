//! `cancel`: ends a run, through the runtime that runs it or without one.

use kingtide_core::id::RunId;
use kingtide_core::project::{Project, Secret};
use kingtide_remote::wire::Ask;
use serde_json::json;

use super::run::launch::{self, Launch};
use crate::args::Cancel;
use crate::exit::{Exit, Outcome};
use crate::output::{self, json::line};
use crate::project::{Checked, Needs, Place, job};
use crate::remote::fetched::{self, Want};
use crate::remote::site::{Site, whoami};
use crate::settings::Settings;

pub(crate) fn run(cancel: &Cancel, settings: &Settings) -> Outcome {
    if cancel.place.is_aws() {
        return there(cancel, settings);
    }
    let place = Place::find(settings)?;
    let (id, name, state, job_name) = {
        let database = place.database()?;
        let run = cancel.run.find(&database.snapshot()?)?;
        (run.id, run.name(), run.state, run.job)
    };
    if state.is_over() {
        // Who wants it ended has what he wants.
        return ended(id, &name, &format!("{name} has already {state}"), settings);
    }
    // The one who works on it needs nothing of the file.
    if launch::cancel_there(&place, id)? {
        return ended(id, &name, &format!("{name} is cancelled"), settings);
    }
    let project = Checked::read(&place, Needs::Nothing)?.usable(settings)?;
    let project = without_needs(project, &place);
    let job = job(&project, &job_name)?;
    let launch = Launch {
        settings,
        place: &place,
        project: &project,
        job,
        due: None,
        workers: None,
        is_detached: false,
    };
    launch::cancel_here(&launch, id)?;
    ended(id, &name, &format!("{name} is cancelled"), settings)
}

/// Of a run on AWS: its dispatcher ends it with its next look.
fn there(cancel: &Cancel, settings: &Settings) -> Outcome {
    let place = fetched::place(&cancel.place, Some(&cancel.run), Want::Runs, settings)?;
    let run = {
        let database = place.database()?;
        cancel.run.find(&database.snapshot()?)?
    };
    let name = run.name();
    if run.state.is_over() {
        return ended(run.id, &name, &format!("{name} has already {}", run.state), settings);
    }
    let site = Site::find(settings, cancel.place.env.as_deref())?;
    let ask = Ask::Cancel {
        run: run.id.0,
        by: whoami(),
    };
    site.session()?.ask(ask, |_| Ok(()))?;
    ended(run.id, &name, &format!("{name} is cancelled"), settings)
}

/// Nothing is started, so nothing is made ready for it: no environment, and no secret that is not there.
fn without_needs(mut project: Project, place: &Place) -> Project {
    let is_there = |secret: &Secret| match &secret.file {
        Some(file) => place.folder.join(file).is_file(),
        None => std::env::var_os(&secret.name).is_some(),
    };
    for job in project.jobs.values_mut() {
        job.python = None;
        // The others still hide in what runs on and is logged until it ends.
        job.secrets.retain(is_there);
    }
    project
}

fn ended(id: RunId, name: &str, words: &str, settings: &Settings) -> Outcome {
    if settings.json {
        line(
            &mut std::io::stdout().lock(),
            &json!({ "run": id.0, "name": name, "cancelled": words.ends_with("is cancelled") }),
        )?;
    } else if !settings.quiet {
        output::say(&words.replace("has already cancelled", "has already been cancelled"));
    }
    Ok(Exit::Done)
}
