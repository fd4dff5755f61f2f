//! Clearing away environments that nobody has used for a while.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::build::remove;
use super::{Kind, PythonError, Shelf, USED, Wait};

/// Whether to do it, or to say what it would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    Look,
    Remove,
}

/// What was cleared away, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub environments: u64,
    /// Of disk space; files shared with `uv`'s cache count, though their space may stay taken.
    pub bytes: u64,
}

/// Removes the environments, finished or not, that no `ensure` has asked for in `older_than`. One that is being built stays, and so
/// does one in use.
pub fn prune(cache: &Path, older_than: Duration, how: Prune) -> Result<Pruned, PythonError> {
    let shelf = Shelf::open(cache)?;
    let failed = |source| PythonError::Cache {
        path: shelf.folder.clone(),
        source,
    };
    let mut pruned = Pruned::default();
    for entry in fs::read_dir(&shelf.folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "probes" || !entry.file_type().map_err(failed)?.is_dir() {
            continue;
        }
        let place = shelf.place(&name);
        let Some(_lock) = place.lock(Wait::No, Kind::Exclusive)? else {
            continue;
        };
        // Looked at under the lock: whoever took it before has touched it.
        let used = fs::metadata(place.root.join(USED))
            .or_else(|_| fs::metadata(&place.root))
            .and_then(|file| file.modified());
        let age = used.map(|used| SystemTime::now().duration_since(used).unwrap_or_default());
        if !matches!(age, Ok(age) if age >= older_than) {
            continue;
        }
        let bytes = occupied(&place.root).unwrap_or(0);
        pruned.environments += 1;
        pruned.bytes += bytes;
        if how == Prune::Look {
            continue;
        }
        let cannot_remove = |source| PythonError::Cache {
            path: place.root.clone(),
            source,
        };
        remove(&place.root).map_err(cannot_remove)?;
        for file in [&place.log, &place.lock] {
            // The lock's file last, while we hold it; see `Place::lock` for whoever waits for it.
            let _ = fs::remove_file(file);
        }
    }
    Ok(pruned)
}

fn occupied(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            bytes += occupied(&entry.path())?;
        }
    }
    Ok(bytes)
}
