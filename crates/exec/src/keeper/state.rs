//! What a keeper leaves for the next one: `.kingtide/keeper.state` tells the highest epoch that was ever obeyed, and the
//! keepers that have not left in an orderly way, whose processes are to be swept; `.kingtide/keeper.reports` holds the
//! ends of attempts that nobody has acknowledged. Only the holder of `keeper.lock` touches either.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::wire::{Attempt, Exited};

const STATE: &str = "keeper.state";
const REPORTS: &str = "keeper.reports";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) epoch: i64,
    /// Those whose processes may still live.
    pub(crate) keepers: Vec<KeeperRecord>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeeperRecord {
    /// What its processes carry in their mark.
    pub(crate) id: String,
    /// Its cgroup, should it have made it.
    pub(crate) group: Option<PathBuf>,
}

impl State {
    /// An unreadable state is an empty one: it is a memory aid, the store's lease is what counts.
    pub(crate) fn read(kingtide_dir: &Path) -> State {
        read(&kingtide_dir.join(STATE)).unwrap_or_default()
    }

    /// Not flushed to disk: what it tells of does not survive a power failure either.
    pub(crate) fn write(&self, kingtide_dir: &Path) -> io::Result<()> {
        write(kingtide_dir, STATE, self, false)
    }
}

/// What nobody has acknowledged.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reports {
    pub(crate) ended: Vec<Exited>,
    pub(crate) withdrawn: Vec<Attempt>,
}

impl Reports {
    pub(crate) fn read(kingtide_dir: &Path) -> Reports {
        read(&kingtide_dir.join(REPORTS)).unwrap_or_default()
    }

    /// Flushed to disk; without reports the file is removed.
    pub(crate) fn write(&self, kingtide_dir: &Path) -> io::Result<()> {
        if self.ended.is_empty() && self.withdrawn.is_empty() {
            return match std::fs::remove_file(kingtide_dir.join(REPORTS)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        write(kingtide_dir, REPORTS, self, true)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The old content or the new one, whenever it is interrupted.
fn write(folder: &Path, name: &str, content: &impl Serialize, flush: bool) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(content)?)?;
    if flush {
        file.sync_all()?;
    }
    std::fs::rename(temporary, folder.join(name))?;
    if flush {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
