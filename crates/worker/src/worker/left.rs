//! What an attempt has left, into the bucket: its log whatever it came to, result and output of a success. An output's manifest goes last, as on
//! one machine; and nothing of it counts before the task is over with this attempt.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kingtide_core::id::AttemptId;
use kingtide_exec::collect::{Left, MANIFEST, chain};
use kingtide_remote::request::{Client, Kind, RequestError, s3};

use super::pause;
use crate::settings::Settings;
use crate::voice::say;

/// For so long a service may be away that has done its own retries.
const PATIENCE: Duration = Duration::from_secs(600);
const AGAIN: Duration = Duration::from_secs(5);

/// What is in the bucket now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    /// Bytes of the log.
    pub(crate) log: Option<u64>,
}

/// It could not be kept; why, in words.
#[derive(Debug)]
pub(crate) struct Unsaved(pub(crate) String);

/// What a program has left in its folder: the file of a result, and an output with something in it. The keeper looks in the same way.
pub(crate) fn find(folder: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let (result, output) = (folder.join("result.json"), folder.join("output"));
    let is_file = result.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let has_entries = fs::read_dir(&output).is_ok_and(|mut entries| entries.next().is_some());
    (is_file.then_some(result), has_entries.then_some(output))
}

/// Puts all of it there.
pub(crate) fn save(
    client: &Client,
    settings: &Settings,
    attempt: AttemptId,
    folder: &Path,
    left: &Left,
) -> Result<Saved, Unsaved> {
    let keys = settings.keys.run(attempt.task.run);
    let bucket = &settings.bucket;
    let mut saved = Saved::default();
    if let Some(log) = whole_log(folder).map_err(|error| Unsaved(format!("the log cannot be read: {error}")))? {
        let head = insist(|| s3::put_file(client, bucket, &keys.log(attempt), &log, s3::Condition::Always))?;
        saved.log = Some(head.size);
    }
    if let Some(result) = &left.result {
        let key = keys.result(attempt);
        insist(|| s3::put(client, bucket, &key, result.as_bytes(), s3::Condition::Always))?;
    }
    if left.summary.is_some() {
        let output = folder.join("output");
        let mut names = Vec::new();
        files(&output, "", &mut names).map_err(|error| Unsaved(format!("the output cannot be read: {error}")))?;
        names.retain(|name| name != MANIFEST);
        names.push(MANIFEST.to_owned());
        for name in names {
            let path = output.join(&name);
            let file =
                File::open(&path).map_err(|error| Unsaved(format!("the output `{name}` cannot be read: {error}")))?;
            let key = format!("{}{name}", keys.output(attempt));
            insist(|| s3::put_file(client, bucket, &key, &file, s3::Condition::Always))?;
        }
    }
    Ok(saved)
}

/// The two files of a log as one, the earlier first.
fn whole_log(folder: &Path) -> io::Result<Option<File>> {
    let (log, earlier) = (folder.join("log"), folder.join("log.1"));
    if earlier.is_file() {
        let mut whole = OpenOptions::new().append(true).open(&earlier)?;
        if log.is_file() {
            io::copy(&mut File::open(&log)?, &mut whole)?;
        }
        return File::open(&earlier).map(Some);
    }
    match File::open(&log) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Names of all files below a folder. Links stand in the manifest, and have no object.
fn files(folder: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files(&entry.path(), &format!("{name}/"), names)?;
        } else if kind.is_file() {
            names.push(name);
        }
    }
    Ok(())
}

/// Until it is done, or waiting does not help.
pub(crate) fn insist<T>(mut ask: impl FnMut() -> Result<T, RequestError>) -> Result<T, Unsaved> {
    let began = Instant::now();
    let mut was_told = false;
    loop {
        let error = match ask() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let may_pass = matches!(error.kind, Kind::Throttled | Kind::Unavailable);
        if !may_pass || began.elapsed() > PATIENCE {
            return Err(Unsaved(chain(&error)));
        }
        if !std::mem::replace(&mut was_told, true) {
            say(&format!("waiting: {}", chain(&error)));
        }
        pause(AGAIN);
    }
}
