//! What tasks have put out, downloaded into a folder: `<run>/<seq>/…`. A task's folder appears whole or not at all, and one that is there is not
//! fetched again.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use kingtide_core::engine::event::TaskState;
use kingtide_core::id::{AttemptId, RunId};
use kingtide_remote::record::{self, TaskDocument, TaskLine};
use kingtide_remote::request::s3;
use kingtide_remote::wire::FailureKind;

use super::text;
use crate::failure::{Failure, Outcome, file};
use crate::site::Site;

pub(super) fn fetch(site: &Site<'_>, bucket: &str, run: RunId, folder: &Path) -> Outcome {
    let of_run = folder.join(run.to_string());
    for attempt in published(site, bucket, run)? {
        let name = attempt.task.seq.to_string();
        let whole = of_run.join(&name);
        if whole.is_dir() {
            continue;
        }
        let partial = of_run.join(format!(".{name}.partial"));
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(&partial, &error)),
            _ => {}
        }
        fs::create_dir_all(&partial).map_err(|error| file(&partial, &error))?;
        let prefix = site.keys().run(run).output(attempt);
        for object in s3::list(site.client, bucket, &prefix, "")? {
            let Some(inside) = object.key.strip_prefix(&prefix).filter(|name| !name.is_empty()) else {
                continue;
            };
            let path = partial.join(inner(inside)?);
            let parent = path.parent().unwrap_or(&partial);
            fs::create_dir_all(parent).map_err(|error| file(parent, &error))?;
            let mut into = File::create(&path).map_err(|error| file(&path, &error))?;
            s3::get_file(site.client, bucket, &object.key, &mut into)?;
        }
        fs::rename(&partial, &whole).map_err(|error| file(&whole, &error))?;
    }
    Ok(())
}

/// The attempts whose outputs count: the last of tasks that have succeeded.
fn published(site: &Site<'_>, bucket: &str, run: RunId) -> Outcome<Vec<AttemptId>> {
    let keys = site.keys().run(run);
    let mut lines: Vec<TaskLine> = Vec::new();
    if let Some(all) = text(site, bucket, &keys.lines())? {
        for line in all.lines().filter(|line| !line.trim().is_empty()) {
            lines.push(record::read(&keys.lines(), line.as_bytes())?);
        }
    } else {
        for object in s3::list(site.client, bucket, &keys.tasks(), "")? {
            let (Some(task), Some(body)) = (keys.parse_task(&object.key), text(site, bucket, &object.key)?) else {
                continue;
            };
            let document: TaskDocument = record::read(&object.key, body.as_bytes())?;
            lines.push(TaskLine::new(task.seq, serde_json::Value::Null, &document));
        }
    }
    let succeeded = lines.iter().filter(|line| line.state == TaskState::Succeeded);
    let published = succeeded.filter_map(|line| {
        let last = line.attempts.last()?;
        last.output.map(|_| run.task(line.seq).attempt(last.number))
    });
    Ok(published.collect())
}

/// A path that stays inside: the bucket's keys may be anything.
fn inner(name: &str) -> Outcome<PathBuf> {
    let path = Path::new(name);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    match is_plain && !name.ends_with('/') {
        true => Ok(path.to_owned()),
        false => Err(Failure::new(
            FailureKind::Refused,
            format!("`{name}` in the bucket is no name for a file here"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        assert_eq!(inner("a/b.txt").expect("a path"), Path::new("a/b.txt"));
        for name in ["../a", "/etc/passwd", "a/../../b", "a/"] {
            assert!(inner(name).is_err(), "{name}");
        }
    }
}
