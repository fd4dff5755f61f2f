//! `run`: a job over its messages.

mod attached;
pub(crate) mod dry_run;
pub(crate) mod launch;
pub(crate) mod messages;
pub(crate) mod remote;
pub(crate) mod watcher;

use kingtide_core::project::{Job, Mode};
use kingtide_runtime::view::{Run as RunRow, RunState};

use self::launch::Launch;
use self::messages::{Messages, Wish};
use crate::args::Run;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::glimpse::withstand;
use crate::output::text::now;
use crate::project::{Checked, Needs, Place, job};
use crate::settings::Settings;

pub(crate) fn run(run: &Run, settings: &Settings) -> Outcome {
    withstand();
    if run.place.is_aws() {
        return remote::run(run, settings);
    }
    let place = Place::find(settings)?;
    let checked = Checked::read(&place, Needs::Job(&run.job))?;
    let (name, source) = (checked.name.clone(), checked.source.clone());
    let project = checked.usable(settings)?;
    let job = job(&project, &run.job)?;
    let launch = Launch {
        settings,
        place: &place,
        project: &project,
        job,
        workers: run.workers,
        due: run.deadline.as_ref().map(|due| due.at(now())).transpose()?,
        is_detached: run.detach,
    };
    if run.resume
        && !run.dry_run
        && let Some(exit) = launch::resume(&launch)?
    {
        return Ok(exit);
    }
    let wish = Wish::of(run);
    messages_of(job, &wish)?;
    let messages = Messages::check(&place, job, &wish);
    crate::project::print_findings(&messages.findings, &name, &source, settings);
    if messages.findings.has_errors() {
        return Err(Failure::said(Exit::Findings));
    }
    if run.dry_run {
        return dry_run::print(&launch, &wish, &messages);
    }
    launch::start(&launch, &wish, &messages)
}

/// Whether there are messages to be had.
///
/// # Errors
/// When the job needs some and nothing says where they are.
pub(crate) fn messages_of(job: &Job, wish: &Wish) -> Outcome<()> {
    let needs_params = match wish {
        Wish::Params => !takes_nothing(job),
        Wish::Rows { file, .. } => file.is_none(),
        Wish::One(_) | Wish::Lines(_) => false,
    };
    if needs_params && job.params.is_none() {
        return Err(
            Failure::usage(format!("the job `{}` needs messages and has no `params`", job.name)).help(format!(
                "`kingtide run {} {}`, or `--params FILE`",
                job.name,
                placeholders(job)
            )),
        );
    }
    Ok(())
}

/// Whether a command has no placeholder: then it runs once, with an empty message.
pub(crate) fn takes_nothing(job: &Job) -> bool {
    job.mode == Mode::Task && placeholder_names(job).is_empty()
}

fn placeholder_names(job: &Job) -> Vec<&str> {
    let mut names: Vec<&str> = job
        .command
        .iter()
        .chain(job.env.values())
        .flat_map(|template| template.placeholders())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// `dest=… depth=…`
pub(crate) fn placeholders(job: &Job) -> String {
    placeholder_names(job)
        .iter()
        .map(|name| format!("{name}=…"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The code for a run as it ended; the first that applies in the order of [`Exit::ORDER`].
pub(crate) fn exit_of(run: &RunRow, job: Option<&Job>) -> Exit {
    match run.state {
        RunState::Cancelled | RunState::Open => Exit::Cancelled,
        RunState::Failed if run.late => {
            let failed = run.counts.failed + run.counts.rejected;
            let is_borne = job.map_or(failed == 0, |job| job.tolerate_failures.bears(failed, run.counts.total));
            if is_borne { Exit::Late } else { Exit::Failed }
        }
        RunState::Failed => Exit::Failed,
        RunState::Succeeded => Exit::Done,
    }
}

#[cfg(test)]
mod tests {
    use kingtide_runtime::notice::Counts;

    use super::*;
    use crate::output::summary::sample;

    #[test]
    fn the_first_that_applies() {
        let job = sample::job();
        let exit = |state, failed, is_late: bool| {
            let mut run = sample::run(
                state,
                Counts {
                    total: 100,
                    failed,
                    ..Counts::default()
                },
            );
            run.late = is_late;
            exit_of(&run, Some(&job))
        };
        assert_eq!(exit(RunState::Succeeded, 0, false), Exit::Done);
        assert_eq!(exit(RunState::Failed, 9, false), Exit::Failed);
        assert_eq!(exit(RunState::Failed, 9, true), Exit::Failed);
        assert_eq!(exit(RunState::Failed, 5, true), Exit::Late);
        assert_eq!(exit(RunState::Cancelled, 9, true), Exit::Cancelled);
        assert_eq!(exit(RunState::Open, 0, false), Exit::Cancelled);
    }
}
