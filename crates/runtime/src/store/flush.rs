//! How what is committed becomes durable: by a flush of the write-ahead log. SQLite would flush at every commit
//! (`synchronous=FULL`); with `NORMAL` it leaves that to us (<https://www.sqlite.org/pragma.html#pragma_synchronous>), so that a
//! commit that a loss of power may undo costs none. The order of what is on the disk is SQLite's business either way.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The log of a database that is open. Its file is there for as long as that, and the same.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// SQLite's locks are on other files: to close this one releases none of them.
    file: OnceCell<File>,
}

impl Log {
    pub(super) fn of(database: &Path) -> Log {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Log {
            path: path.into(),
            file: OnceCell::new(),
        }
    }

    /// All that was committed is durable when it returns.
    pub(super) fn flush(&self) -> io::Result<()> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = File::open(&self.path)?;
                // It may be new: its name must be durable too.
                if let Some(folder) = self.path.parent() {
                    File::open(folder)?.sync_all()?;
                }
                self.file.get_or_init(|| file)
            }
        };
        file.sync_data()
    }
}
