//! `retry`: what failed, again, as a run of its own.

use super::run::launch::{self, Launch};
use super::run::remote;
use crate::args::Retry;
use crate::exit::Outcome;
use crate::output::glimpse::withstand;
use crate::project::{Checked, Needs, Place, job};
use crate::settings::Settings;

pub(crate) fn run(retry: &Retry, settings: &Settings) -> Outcome {
    withstand();
    if retry.place.is_aws() {
        return remote::again(retry, settings);
    }
    let place = Place::find(settings)?;
    let run = {
        let database = place.database()?;
        retry.run.find(&database.snapshot()?)?
    };
    let project = Checked::read(&place, Needs::Job(&run.job))?.usable(settings)?;
    let job = job(&project, &run.job)?;
    launch::again(
        &Launch {
            settings,
            place: &place,
            project: &project,
            job,
            due: None,
            workers: retry.workers,
            is_detached: false,
        },
        &run,
    )
}
