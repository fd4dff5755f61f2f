//! Everything that is asked of the runtime, in one place: opening, queueing, executing, retrying, cancelling, forgetting.

use std::time::Duration;

use kingtide_core::id::RunId;
use kingtide_core::project::{Job, Project};
use kingtide_core::time::Timestamp;
use kingtide_runtime::store::LeaseError;
use kingtide_runtime::view::{Filter, Run, RunState, Snapshot, TaskState};
use kingtide_runtime::{ExecuteOptions, OpenError, RunError, Runtime, control};

use super::messages::{Messages, Wish};
use super::watcher::Watcher;
use super::{attached, exit_of};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::summary::{self, Facts};
use crate::output::text::{now, plural};
use crate::output::{json, say};
use crate::project::{Place, cache_folder, capacity};
use crate::settings::Settings;

/// What a run is started with.
#[derive(Clone, Copy)]
pub(crate) struct Launch<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) place: &'a Place,
    pub(crate) project: &'a Project,
    pub(crate) job: &'a Job,
    pub(crate) workers: Option<u32>,
    /// By when, in place of what the job says.
    pub(crate) due: Option<Timestamp>,
    /// Do not wait for its end.
    pub(crate) is_detached: bool,
}

/// The project's lease, or the word that somebody else works on it.
enum Door {
    Ours(Box<Runtime>),
    /// What is told when he cannot be asked to do it.
    Taken(Failure),
}

fn knock(place: &Place) -> Result<Door, Failure> {
    match Runtime::open(&place.folder) {
        Ok(runtime) => Ok(Door::Ours(Box::new(runtime))),
        Err(OpenError::Lease(error @ LeaseError::Busy { pid })) => Ok(Door::Taken(Failure::from(error).help(format!(
            "`kingtide status --watch` follows it, `kingtide cancel` or `kill {pid}` ends it"
        )))),
        Err(other) => Err(Failure::from(other)),
    }
}

/// Takes the lease of the project.
pub(crate) fn open(place: &Place) -> Result<Runtime, Failure> {
    check_writable(place)?;
    match knock(place)? {
        Door::Ours(runtime) => Ok(*runtime),
        Door::Taken(failure) => Err(failure),
    }
}

/// Whether anything can be kept here.
pub(crate) fn check_writable(place: &Place) -> Result<(), Failure> {
    let root = place.layout().root().to_owned();
    let folder = if root.exists() { &root } else { &place.folder };
    if let Err(error) = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK) {
        return Err(Failure::finding(format!("`{}` cannot be written", folder.display()))
            .because(std::io::Error::from(error))
            .help("runs are kept in `.kingtide` beside `kingtide.toml`: copy the project to a folder of yours"));
    }
    Ok(())
}

/// How runs are worked off here.
pub(crate) fn options(project: &Project, workers: Option<u32>) -> Outcome<ExecuteOptions> {
    Ok(ExecuteOptions {
        workers,
        capacity: capacity(project),
        cache: cache_folder(),
        executable: std::env::current_exe()?,
    })
}

/// A failure of the runtime with what to do about it.
pub(crate) fn failed(error: RunError) -> Failure {
    let help = match &error {
        RunError::Python { source, .. } => Some(source.help()),
        RunError::Docker { source, .. } => Some(source.advice()),
        RunError::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            Some("another program listens there, perhaps `kingtide up` of another project: choose another port, or port 0 for any".to_owned())
        }
        RunError::Secret { name, .. } => Some(format!("set `{name}`, or name a file in `secrets`")),
        _ => None,
    };
    match help {
        Some(help) => Failure::from(error).help(help),
        None => Failure::from(error),
    }
}

/// Queues the messages and executes the run, or hands it over to the runtime that lives on the project.
pub(crate) fn start(launch: &Launch<'_>, wish: &Wish, messages: &Messages) -> Outcome {
    check_writable(launch.place)?;
    let mut runtime = match knock(launch.place)? {
        Door::Ours(runtime) => *runtime,
        Door::Taken(failure) => return attached::start(launch, wish, messages, failure),
    };
    if let Some(other) = runtime.unfinished(&launch.job.name).map_err(failed)? {
        let name = &launch.job.name;
        note(
            launch,
            &format!("{name}-{other} is unfinished; `kingtide run {name} --resume` goes on with it"),
        );
    }
    let run = Messages::hand_over(launch.place, launch.job, wish, |rows| {
        runtime
            .submit(launch.job, &messages.source, launch.due, rows)
            .map_err(failed)
    })?;
    if launch.is_detached {
        return attached::detach(runtime, launch, run);
    }
    execute(runtime, launch, run, &messages.source)
}

/// Goes on with the unfinished run of a job; `None` when there is none.
pub(crate) fn resume(launch: &Launch<'_>) -> Outcome<Option<Exit>> {
    let runtime = open(launch.place)?;
    match runtime.unfinished(&launch.job.name).map_err(failed)? {
        Some(run) => execute(runtime, launch, run, "resumed").map(Some),
        None => Ok(None),
    }
}

/// Runs again what failed in a run that is over.
pub(crate) fn again(launch: &Launch<'_>, old: &Run) -> Outcome {
    if !old.state.is_over() {
        return Err(Failure::usage(format!("{} is unfinished", old.name()))
            .help(format!("`kingtide run {} --resume` goes on with it", old.job)));
    }
    check_writable(launch.place)?;
    let mut runtime = match knock(launch.place)? {
        Door::Ours(runtime) => *runtime,
        Door::Taken(failure) => return attached::again(launch, old, failure),
    };
    match runtime.retry(launch.job, old.id).map_err(failed)? {
        Some(run) => execute(runtime, launch, run, &format!("failures of {}", old.name())),
        None => nothing_to_retry(launch, old),
    }
}

pub(super) fn nothing_to_retry(launch: &Launch<'_>, old: &Run) -> Outcome {
    note(
        launch,
        &format!("nothing of {} failed: there is nothing to run again", old.name()),
    );
    if launch.settings.json {
        json::line(
            &mut std::io::stdout().lock(),
            &json::ended(&nothing(old), Duration::ZERO),
        )?;
    }
    Ok(Exit::Done)
}

/// A run of no tasks, for whoever reads the last line.
fn nothing(old: &Run) -> Run {
    Run {
        state: RunState::Succeeded,
        counts: Default::default(),
        ..old.clone()
    }
}

/// Has a run ended by the runtime that works on it; whether there is one.
pub(crate) fn cancel_there(place: &Place, run: RunId) -> Outcome<bool> {
    let asked = control::cancel(place.layout().root(), run).map_err(Failure::from)?;
    Ok(asked.is_some())
}

/// Ends a run that nobody works on.
pub(crate) fn cancel_here(launch: &Launch<'_>, run: RunId) -> Outcome<()> {
    let mut runtime = open(launch.place)?;
    runtime
        .cancel(
            run,
            launch.project,
            &options(launch.project, launch.workers)?,
            &mut |_| (),
        )
        .map_err(failed)?;
    Ok(())
}

/// Forgets runs that are over.
pub(crate) fn forget(mut runtime: Runtime, runs: &[RunId]) -> Outcome<()> {
    runtime.forget(runs).map_err(failed)
}

fn execute(mut runtime: Runtime, launch: &Launch<'_>, run: RunId, source: &str) -> Outcome {
    let title = format!("{}-{run}", launch.job.name);
    let total = launch
        .place
        .database()?
        .snapshot()?
        .run(run)?
        .map_or(0, |run| run.counts.total);
    if !launch.settings.is_live {
        note(launch, &format!("{title}: {} ({source})", plural(total, "task")));
    }
    let layout = launch.place.layout();
    let mut watcher = Watcher::new(&launch.job.name, &title, launch.settings, &layout, None);
    let options = options(launch.project, launch.workers)?;
    let ended = runtime.execute(run, launch.project, &options, &mut |notice| watcher.on_notice(notice));
    // The region is gone before anything else is said, an error too.
    drop(watcher);
    let ended = ended.map_err(failed)?;
    drop(runtime);
    sum_up(launch, run, Some(ended.wall), limits(&ended.limits))
}

/// Says what a run came to, in the way that was asked for.
pub(super) fn sum_up(launch: &Launch<'_>, run: RunId, wall: Option<Duration>, limits: Option<String>) -> Outcome {
    let database = launch.place.database()?;
    let snapshot = database.snapshot()?;
    let row = snapshot
        .run(run)?
        .ok_or_else(|| Failure::new(format!("{}-{run} is not in the database any more", launch.job.name)))?;
    let exit = exit_of(&row, Some(launch.job));
    let wall = wall.unwrap_or_else(|| row.wall(now()));
    let facts = Facts {
        limits,
        ..facts(&snapshot, row, wall, Some(launch.job))?
    };
    if !launch.settings.quiet {
        say(&summary::render(&facts, launch.settings.err));
    } else if exit != Exit::Done {
        say(&summary::headline(&facts, launch.settings.err));
    }
    if launch.settings.json {
        // A reader that has left does not change how the run ended.
        match json::line(&mut std::io::stdout().lock(), &json::ended(&facts.run, wall)) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
    }
    Ok(exit)
}

/// How memory was limited, in words.
fn limits(mode: &str) -> Option<String> {
    match mode {
        "v2" | "v1" => Some(format!("by cgroup {mode}")),
        "watch" => Some("by watching it".to_owned()),
        _ => None,
    }
}

/// What the summary of a run is made of.
pub(crate) fn facts(snapshot: &Snapshot<'_>, run: Run, wall: Duration, job: Option<&Job>) -> Outcome<Facts> {
    let id = run.id;
    let failed = match run.counts.failed + run.counts.rejected {
        0 => None,
        _ => {
            let filter = Filter {
                states: vec![TaskState::Failed, TaskState::Rejected],
                ..Filter::default()
            };
            snapshot.tasks(id, &filter, 1)?.pop()
        }
    };
    Ok(Facts {
        wall,
        totals: snapshot.totals(id)?,
        slowest: snapshot.slowest(id, 3)?,
        peak: snapshot.peaks(id, 1)?.pop(),
        memory: job.and_then(|job| job.resources.memory),
        limits: None,
        failed,
        results: snapshot.result_count(id)?,
        outputs: snapshot.output_total(id)?,
        run,
    })
}

pub(super) fn note(launch: &Launch<'_>, text: &str) {
    if !launch.settings.quiet {
        say(text);
    }
}
