//! An isolated Python environment for a job with `python = "requirements.txt"`, made on first use and kept in the user's
//! cache by the hash of what it is made from.
//!
//! `requirements.rs` reads what the hash covers, `interpreter.rs` finds the tools without starting them, `build.rs` runs
//! `uv` or `pip` and says what went wrong, `prune.rs` clears away what nobody uses. The caller puts [`Environment`] in
//! front of a program's `PATH`.
//!
//! In `<cache>/kingtide/python/`: `<hash>/` (a venv; not relocatable, so it is built where it stays), in it `complete`
//! (written last: without it the folder is a leftover) and `used` (its time is the last use), beside it `<hash>.lock` and
//! `<hash>.log`, and `probes/` (what an interpreter said about itself, by path, time and size of its file).

mod build;
mod error;
mod interpreter;
mod prune;
mod requirements;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

pub use error::{BuildFailure, Cause, PythonError};
pub use interpreter::{Found, look_up};
pub use prune::{Prune, Pruned, prune};

use build::Plan;
use interpreter::Tools;
use kingtide_core::hex;
use requirements::Requirements;

/// Raised when environments of an earlier version must not be used any more.
const FORMAT: &str = "kingtide-python-1";
const COMPLETE: &str = "complete";
const USED: &str = "used";

/// A Python environment that is complete and may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Where `python`, `python3` and the installed programs are; absolute.
    pub bin: PathBuf,
    /// The environment's folder; absolute.
    pub root: PathBuf,
}

impl Environment {
    /// What a program's environment needs beside `PATH`.
    pub fn variables(&self) -> [(String, String); 1] {
        [("VIRTUAL_ENV".to_owned(), self.root.to_string_lossy().into_owned())]
    }

    /// The inherited `PATH` with the environment's programs in front.
    pub fn path(&self, inherited: Option<&str>) -> String {
        match inherited.filter(|path| !path.is_empty()) {
            Some(path) => format!("{}:{path}", self.bin.display()),
            None => self.bin.display().to_string(),
        }
    }
}

/// The environment for a requirements file, built if there is none yet. `cache` is the user's cache (`~/.cache`).
///
/// Once built it costs a few system calls and starts no process. While another process builds the same environment this one
/// waits and says so. `say` gets one line at a time, without secrets.
pub fn ensure(requirements: &Path, cache: &Path, say: &mut dyn FnMut(String)) -> Result<Environment, PythonError> {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    ensure_with(requirements, cache, &search_path, say)
}

/// The same with the programs of another `PATH`.
pub(crate) fn ensure_with(
    requirements: &Path,
    cache: &Path,
    search_path: &OsStr,
    say: &mut dyn FnMut(String),
) -> Result<Environment, PythonError> {
    let shelf = Shelf::open(cache)?;
    let requirements = requirements::read(requirements)?;
    let tools = Tools::find(search_path, &requirements.folder, &shelf.probes())?;
    let place = shelf.place(&hash(&requirements, &tools));

    // Whoever only uses the environment takes a shared lock, so that `prune` cannot remove it in between.
    if let Some(_lock) = place.lock(Wait::No, Kind::Shared)?
        && place.is_complete()
    {
        return place.used();
    }
    let _lock = match place.lock(Wait::No, Kind::Exclusive)? {
        Some(lock) => lock,
        None => {
            say(format!(
                "waiting for another process that prepares the Python environment for {}",
                requirements.shown
            ));
            place
                .lock(Wait::Yes, Kind::Exclusive)?
                .expect("a lock that waits is always taken")
        }
    };
    if !place.is_complete() {
        let plan = Plan {
            requirements: &requirements,
            tools: &tools,
            root: &place.root,
            log: &place.log,
        };
        build::build(&plan, say)?;
    }
    place.used()
}

/// What tells two environments apart: everything they are made from.
fn hash(requirements: &Requirements, tools: &Tools) -> String {
    let mut hash = Sha256::new();
    for part in [FORMAT.as_bytes(), &requirements.digest, tools.identity().as_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    // Half of it is plenty, and keeps the first line of the installed scripts short.
    hex::encode(&hash.finalize()[..16])
}

/// The folder that holds all environments of a user.
struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    fn open(cache: &Path) -> Result<Shelf, PythonError> {
        let folder = std::path::absolute(cache)
            .unwrap_or_else(|_| cache.to_owned())
            .join("kingtide")
            .join("python");
        // A folder with the separator of PATH in its name can never be found through PATH.
        if folder.as_os_str().as_encoded_bytes().contains(&b':') {
            return Err(PythonError::ColonInPath { path: folder });
        }
        fs::create_dir_all(&folder).map_err(|source| PythonError::Cache {
            path: folder.clone(),
            source,
        })?;
        Ok(Shelf { folder })
    }

    fn probes(&self) -> PathBuf {
        self.folder.join("probes")
    }

    fn place(&self, hash: &str) -> Place {
        Place {
            root: self.folder.join(hash),
            lock: self.folder.join(format!("{hash}.lock")),
            log: self.folder.join(format!("{hash}.log")),
        }
    }
}

/// Where one environment lies.
struct Place {
    root: PathBuf,
    lock: PathBuf,
    log: PathBuf,
}

#[derive(Clone, Copy, PartialEq)]
enum Wait {
    Yes,
    No,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Shared,
    Exclusive,
}

impl Place {
    /// Complete, and its interpreter is still there: a venv only links to it, and it may have been uninstalled.
    fn is_complete(&self) -> bool {
        self.root.join(COMPLETE).is_file() && self.root.join("bin").join("python").exists()
    }

    fn used(&self) -> Result<Environment, PythonError> {
        let touch = || -> io::Result<()> {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.root.join(USED))?;
            file.set_modified(SystemTime::now())
        };
        touch().map_err(|source| PythonError::Cache {
            path: self.root.clone(),
            source,
        })?;
        Ok(Environment {
            bin: self.root.join("bin"),
            root: self.root.clone(),
        })
    }

    /// Held until the file is dropped. `None` when another process holds it and we were not to wait.
    fn lock(&self, wait: Wait, kind: Kind) -> Result<Option<File>, PythonError> {
        let failed = |source| PythonError::Cache {
            path: self.lock.clone(),
            source,
        };
        loop {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.lock)
                .map_err(failed)?;
            let taken = match (wait, kind) {
                (Wait::Yes, Kind::Shared) => file.lock_shared().map_err(TryLockError::Error),
                (Wait::Yes, Kind::Exclusive) => file.lock().map_err(TryLockError::Error),
                (Wait::No, Kind::Shared) => file.try_lock_shared(),
                (Wait::No, Kind::Exclusive) => file.try_lock(),
            };
            match taken {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // `prune` removes lock files; a lock on a file that is no longer there locks nothing.
            let held = file.metadata().map_err(failed)?;
            if fs::metadata(&self.lock).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
                return Ok(Some(file));
            }
        }
    }
}
