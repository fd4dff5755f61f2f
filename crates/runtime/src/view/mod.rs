//! What other processes may see of a project's database: typed rows, read-only, while a runtime writes.
//!
//! A [`Database`] is opened read-only; a [`Snapshot`] is one read transaction, so that everything a command prints is of
//! the same moment. WAL readers never hold the writer up. Nothing here changes anything: verbs that do go through the
//! live runtime or take its lease.

mod attempt;
mod effort;
mod figures;
pub mod json;
mod lease;
mod letter;
mod lore;
mod output;
mod page;
mod queue;
mod result;
mod run;
mod state;
mod task;

#[cfg(test)]
pub(crate) mod sample;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};

use crate::layout::Layout;
use crate::store::{self, APPLICATION_ID, SCHEMA_VERSION, Store};

pub use attempt::Attempt;
pub use effort::{Effort, JobTally, WALL_BOUNDS_S};
pub use figures::{Peak, Reason, Slow, Totals};
pub use lease::Lease;
pub use letter::{Letter, LetterPlace, LetterState};
pub use lore::{Foreseen, Record, Sighting};
pub use output::{Output, OutputTotal};
pub use page::{PAGE_BYTES, Page};
pub use queue::{MessageQueue, QueueCounts, Role as QueueRole};
pub use result::{ResultRow, ResultRows};
pub use run::Run;
pub use state::{Outcome, RunState, TaskState};
pub use task::{Filter, Queue, Task};

/// A project's database, opened for reading.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
}

/// Why a project's database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("nothing has run here yet")]
    Missing,
    #[error("`{}` is not a database of Kingtide", path.display())]
    Foreign { path: PathBuf },
    #[error(
        "`{}` was written by a newer Kingtide (schema {found}, this one reads {SCHEMA_VERSION})", path.display()
    )]
    Newer { path: PathBuf, found: i32 },
    #[error("failed to bring the database up to date")]
    Outdated(#[source] Box<store::OpenError>),
    #[error("failed to read `{}`", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

/// A query that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {what} from the database")]
pub struct ReadError {
    what: &'static str,
    #[source]
    source: rusqlite::Error,
}

impl OpenError {
    /// What to do about it: one sentence.
    pub fn help(&self) -> &'static str {
        match self {
            OpenError::Missing => "start a job with `kingtide run JOB`",
            OpenError::Foreign { .. } => {
                "move the file away and run again; Kingtide never overwrites what it did not write"
            }
            OpenError::Newer { .. } => "use the newer `kingtide`, or move the folder `.kingtide` away to start afresh",
            OpenError::Outdated(_) | OpenError::Unreadable { .. } => {
                "check the disk and the file's permissions; if it is damaged, move the folder `.kingtide` away and run again"
            }
        }
    }
}

impl Database {
    /// Opens the database of the project in `folder`. Creates nothing.
    pub fn open(folder: &Path) -> Result<Database, OpenError> {
        Database::at(&Layout::new(folder).database())
    }

    /// Opens a database that lies elsewhere: that of fetched runs, for instance.
    pub fn at(path: &Path) -> Result<Database, OpenError> {
        Database::open_file(path)
    }

    fn open_file(path: &Path) -> Result<Database, OpenError> {
        match std::fs::metadata(path) {
            // A runtime that has only just created the file has not written its first page yet.
            Ok(metadata) if metadata.is_file() && metadata.len() == 0 => return Err(OpenError::Missing),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(OpenError::Missing),
            // SQLite says what is wrong with the others.
            Err(_) => {}
        }
        let refuse = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::Foreign { path: path.to_owned() },
            // A runtime was killed while it made the file, before it was a WAL database; the next one takes that back.
            _ if is_half_made(&source) => OpenError::Missing,
            _ => OpenError::Unreadable {
                path: path.to_owned(),
                source,
            },
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(refuse)?;
        // Readers wait only while a crashed writer's journal is recovered.
        connection.busy_timeout(Duration::from_secs(5)).map_err(refuse)?;
        let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
        let application = number("PRAGMA application_id").map_err(refuse)?;
        let version = number("PRAGMA user_version").map_err(refuse)?;
        let tables = number("SELECT count(*) FROM sqlite_schema").map_err(refuse)?;
        match (application, version) {
            (0, 0) if tables == 0 => Err(OpenError::Missing),
            (APPLICATION_ID, SCHEMA_VERSION) => Ok(Database { connection }),
            // Made by an older Kingtide: whoever opens it first brings it up to date.
            (APPLICATION_ID, found) if (1..SCHEMA_VERSION).contains(&found) => {
                drop(connection);
                let folder = path.parent().expect("a file has a folder");
                Store::open(folder).map_err(|source| OpenError::Outdated(Box::new(source)))?;
                Database::open_file(path)
            }
            (APPLICATION_ID, found) if found > SCHEMA_VERSION => Err(OpenError::Newer {
                path: path.to_owned(),
                found,
            }),
            _ => Err(OpenError::Foreign { path: path.to_owned() }),
        }
    }

    /// A view of one moment; what is committed after it is not seen through it.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, ReadError> {
        let transaction = self.connection.unchecked_transaction().map_err(reading("its state"))?;
        Ok(Snapshot { transaction })
    }
}

/// The database as it was at one moment.
#[derive(Debug)]
pub struct Snapshot<'a> {
    transaction: Transaction<'a>,
}

fn is_half_made(error: &rusqlite::Error) -> bool {
    error.sqlite_error().map(|error| error.extended_code) == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

fn reading(what: &'static str) -> impl FnOnce(rusqlite::Error) -> ReadError {
    move |source| ReadError { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_database_is_nothing_yet() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(Database::open(folder.path()), Err(OpenError::Missing)));
        std::fs::create_dir(folder.path().join(".kingtide")).expect("a folder");
        std::fs::write(Layout::new(folder.path()).database(), "").expect("a file");
        assert!(matches!(Database::open(folder.path()), Err(OpenError::Missing)));
    }

    #[test]
    fn a_foreign_or_newer_database_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kingtide.db");
        std::fs::write(
            &path,
            "this is a letter to grandmother, and no database at all\n".repeat(20),
        )
        .expect("a file");
        assert!(matches!(Database::open_file(&path), Err(OpenError::Foreign { .. })));
        std::fs::remove_file(&path).expect("removed");
        let other = Connection::open(&path).expect("a database");
        other
            .execute_batch("CREATE TABLE photo (id INTEGER PRIMARY KEY)")
            .expect("a table");
        assert!(matches!(Database::open_file(&path), Err(OpenError::Foreign { .. })));
        other
            .execute_batch(&format!(
                "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 99"
            ))
            .expect("set");
        assert!(matches!(
            Database::open_file(&path),
            Err(OpenError::Newer { found: 99, .. })
        ));
    }

    #[test]
    fn a_snapshot_is_of_one_moment_and_the_writer_goes_on() {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let before = database.snapshot().expect("a snapshot");
        assert_eq!(before.runs(None, 100).expect("reads").len(), 2);
        let writer = Connection::open(Layout::new(project.path()).database()).expect("a writer");
        writer
            .execute("DELETE FROM run", [])
            .expect("readers never hold the writer up");
        assert_eq!(before.runs(None, 100).expect("reads").len(), 2);
        drop(before);
        assert_eq!(
            database
                .snapshot()
                .expect("a snapshot")
                .runs(None, 100)
                .expect("reads")
                .len(),
            0
        );
    }
}
