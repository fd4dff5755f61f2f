//! `clean`: gives back what old runs occupy. Asks nothing, says what it frees, and never touches an unfinished run.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kingtide_core::id::RunId;
use kingtide_core::time::Timestamp;
use kingtide_runtime::python::{self, Prune};
use kingtide_runtime::view::Run;
use serde_json::json;

use super::run::launch;
use crate::args::Clean;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::output::json::line;
use crate::output::text::{bytes, now, plural};
use crate::project::{Place, cache_folder};
use crate::settings::Settings;

/// Runs of a job that stay when nothing else is said.
const KEEP: u64 = 10;

/// Environments nobody has used for so long go, when nothing else is said.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a run occupies.
#[derive(Debug)]
struct Room {
    run: Run,
    folders: Vec<PathBuf>,
    bytes: u64,
}

pub(crate) fn run(clean: &Clean, settings: &Settings) -> Outcome {
    let place = Place::find(settings)?;
    let runs = place.database()?.snapshot()?.runs(None, u64::MAX)?;
    // Who names an age means everything beyond it.
    let keep = clean.keep.unwrap_or(if clean.older.is_some() { 0 } else { KEEP });
    let rooms: Vec<Room> = old(&runs, keep, clean.older, now())
        .into_iter()
        .map(|run| room(&place, run))
        .collect();
    let before = database_bytes(&place);
    if !clean.dry_run && !rooms.is_empty() {
        // First, so that nothing is gone when another works on the project and this is refused.
        let runtime = launch::open(&place)?;
        for folder in rooms.iter().flat_map(|room| &room.folders) {
            remove(folder)?;
        }
        let ids: Vec<RunId> = rooms.iter().map(|room| room.run.id).collect();
        launch::forget(runtime, &ids)?;
    }
    let how = if clean.dry_run { Prune::Look } else { Prune::Remove };
    let pruned = python::prune(&cache_folder(), clean.older.unwrap_or(UNUSED), how)?;
    let rows = if clean.dry_run {
        0
    } else {
        before.saturating_sub(database_bytes(&place))
    };
    let freed: u64 = rooms.iter().map(|room| room.bytes).sum::<u64>() + rows + pruned.bytes;
    if settings.json {
        let ids: Vec<i64> = rooms.iter().map(|room| room.run.id.0).collect();
        line(
            &mut io::stdout().lock(),
            &json!({ "runs": ids, "environments": pruned.environments, "bytes": freed, "dry_run": clean.dry_run }),
        )?;
    } else if !settings.quiet {
        for room in &rooms {
            output::say(&format!("{:<24} {:>9}", room.run.name(), bytes(room.bytes)));
        }
        if pruned.environments > 0 {
            output::say(&format!(
                "{:<24} {:>9}",
                plural(pruned.environments, "environment"),
                bytes(pruned.bytes)
            ));
        }
        output::say(&told(rooms.len() as u64, pruned.environments, freed, clean.dry_run));
    }
    Ok(Exit::Done)
}

/// The last line.
fn told(runs: u64, environments: u64, freed: u64, dry_run: bool) -> String {
    let parts = [(runs, "run"), (environments, "environment")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| plural(number, noun))
        .collect();
    let freed = bytes(freed);
    match (parts.join(" and "), dry_run) {
        (what, _) if what.is_empty() => "nothing to remove".to_owned(),
        (what, true) if runs > 0 => format!("would remove {what} and free {freed}, and what the rows of runs take"),
        (what, true) => format!("would remove {what} and free {freed}"),
        (what, false) => format!("removed {what}, {freed} freed"),
    }
}

/// The runs that may go: over, not among the newest `keep` of their job, and ended longer ago than `older`.
/// `runs` come newest first.
fn old(runs: &[Run], keep: u64, older: Option<Duration>, now: Timestamp) -> Vec<&Run> {
    let mut seen: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    runs.iter()
        .filter(|run| {
            let rank = seen.entry(run.job.as_str()).or_default();
            *rank += 1;
            let is_aged = older.is_none_or(|older| run.ended_at.is_some_and(|ended| now.since(ended) > older));
            run.state.is_over() && *rank > keep && is_aged
        })
        .collect()
}

fn room(place: &Place, run: &Run) -> Room {
    let folders = vec![
        place.layout().logs(&run.job, run.id),
        place.layout().outputs(&run.job, run.id),
    ];
    Room {
        bytes: folders.iter().map(|folder| occupied(folder)).sum(),
        run: run.clone(),
        folders,
    }
}

/// Bytes on disk; what cannot be read counts nothing. Links are not followed.
fn occupied(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => metadata.blocks() * 512 + occupied(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

fn remove(folder: &Path) -> Outcome<()> {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::new(format!("failed to remove `{}`", folder.display())).because(error)),
    }
}

fn database_bytes(place: &Place) -> u64 {
    let database = place.layout().database();
    let mut journal = database.clone().into_os_string();
    journal.push("-wal");
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    length(&database) + length(Path::new(&journal))
}

#[cfg(test)]
mod tests {
    use kingtide_runtime::notice::Counts;
    use kingtide_runtime::view::RunState;

    use super::*;
    use crate::output::summary::sample;

    #[test]
    fn the_last_line_names_what_goes() {
        assert_eq!(told(0, 0, 0, true), "nothing to remove");
        assert_eq!(told(0, 1, 1536, true), "would remove 1 environment and free 1.5 KiB");
        assert_eq!(
            told(2, 1, 1536, true),
            "would remove 2 runs and 1 environment and free 1.5 KiB, and what the rows of runs take"
        );
        assert_eq!(told(2, 0, 1536, false), "removed 2 runs, 1.5 KiB freed");
    }

    #[test]
    fn the_newest_of_each_job_and_the_unfinished_stay() {
        let run = |id, job: &str, state, ended: Option<i64>| Run {
            id: RunId(id),
            job: job.to_owned(),
            ended_at: ended.map(Timestamp),
            ..sample::run(state, Counts::default())
        };
        let runs = [
            run(6, "a", RunState::Succeeded, Some(90_000)),
            run(5, "b", RunState::Failed, Some(80_000)),
            run(4, "a", RunState::Succeeded, Some(70_000)),
            run(3, "a", RunState::Open, None),
            run(2, "b", RunState::Cancelled, Some(20_000)),
            run(1, "a", RunState::Succeeded, Some(10_000)),
        ];
        let gone = |keep, older: Option<u64>| -> Vec<i64> {
            let older = older.map(Duration::from_secs);
            old(&runs, keep, older, Timestamp(100_000))
                .iter()
                .map(|run| run.id.0)
                .collect()
        };
        assert_eq!(gone(1, None), [4, 2, 1]);
        assert_eq!(gone(0, Some(50)), [2, 1]);
        assert_eq!(gone(2, Some(50)), [1]);
        assert_eq!(gone(10, None), Vec::<i64>::new());
    }
}
