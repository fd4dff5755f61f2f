//! The store: one SQLite file, one writer. What is committed survives a power loss (`flush.rs`), but for what may be lost.
//!
//! `lease.rs` says who may write, `changes.rs` writes what the engine decided, `queue.rs` answers what it asks,
//! `runs.rs` makes and opens runs, `lore.rs` learns from them, `intake.rs` adds what others send (`crate::queue`), `fetched.rs` what was fetched of runs
//! elsewhere. Readers (`view/`) open the file on their own and never block the writer.

mod changes;
mod fetched;
mod flush;
mod instances;
pub(crate) mod intake;
mod lease;
pub(crate) mod lore;
mod queue;
mod runs;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use changes::Batch;
pub use fetched::{FetchedRun, FetchedTask};
pub use lease::{Holder, LeaseError};
pub use lore::Lore;
pub use queue::Offer;
pub use runs::NewRun;

/// `KTID` in ASCII: says whose database this is (PRAGMA application_id).
pub const APPLICATION_ID: i32 = 0x4B54_4944;
/// The schema that this version writes (PRAGMA user_version).
pub const SCHEMA_VERSION: i32 = 3;

/// What takes an empty database to version 1, that to version 2, and so on.
pub(crate) const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
];

/// How long a writer waits for another to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The only writer of a project's database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    epoch: i64,
    term: lease::Term,
    /// `None` where the file system bears no write-ahead log: there SQLite flushes by itself.
    log: Option<flush::Log>,
    shelf: RefCell<lore::Shelf>,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("`{0}` is not a Kingtide database; move it away, and Kingtide will make its own")]
    Foreign(PathBuf),
    #[error(
        "`{path}` was written by a newer Kingtide (schema {found}, this one knows up to {SCHEMA_VERSION}); use that version"
    )]
    Newer { path: PathBuf, found: i32 },
    #[error(
        "`{path}` is damaged; nothing was changed. Copy it away and delete it to start afresh: outputs and logs stay"
    )]
    Damaged { path: PathBuf, source: rusqlite::Error },
    #[error("cannot open `{path}`")]
    Failed { path: PathBuf, source: rusqlite::Error },
    #[error("cannot make the folder `{path}`")]
    Folder { path: PathBuf, source: std::io::Error },
}

/// Why something could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another runtime has taken over; this one must stop at once and touch nothing.
    #[error("another Kingtide has taken over this project (epoch {found}, ours was {ours})")]
    Fenced { ours: i64, found: i64 },
    /// Nothing was written; the same may be written again when there is room.
    #[error("the disk is full")]
    DiskFull,
    #[error("the database failed")]
    Failed(#[source] rusqlite::Error),
    /// What was committed may or may not be durable.
    #[error("the database could not be flushed to the disk")]
    Flush(#[source] std::io::Error),
    #[error("the database holds `{0}`, which this version does not know")]
    Unknown(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull,
            // A full disk also shows as a failed write of the shared-memory file.
            Some(ErrorCode::SystemIoFailure) if is_shm_full(&error) => StoreError::DiskFull,
            _ => StoreError::Failed(error),
        }
    }
}

fn is_shm_full(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE};
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SQLITE_IOERR_SHMSIZE | SQLITE_IOERR_WRITE))
}

impl Store {
    /// Opens or makes the database in `folder`, without taking the lease.
    ///
    /// # Errors
    /// When the file is another program's, newer, damaged or cannot be reached. It is then left as it is.
    pub fn open(folder: &Path) -> Result<Store, OpenError> {
        std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let path = folder.join("kingtide.db");
        let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::Foreign(path.clone()),
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged {
                path: path.clone(),
                source,
            },
            _ => OpenError::Failed {
                path: path.clone(),
                source,
            },
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(128);
        // Or a statement whose table has a partial index is prepared anew whenever another value is bound to it.
        let is_stable = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
        is_stable.map_err(failed)?;
        let mut store = Store {
            connection,
            path: path.clone(),
            epoch: 0,
            term: lease::Term::from_environment(),
            log: None,
            shelf: RefCell::default(),
        };
        store.identify()?;
        if store.migrate().map_err(failed)? {
            let normal = store.connection.pragma_update(None, "synchronous", "NORMAL");
            normal.map_err(failed)?;
            store.log = Some(flush::Log::of(&path));
        }
        Ok(store)
    }

    /// Refuses what is not ours before anything is written to it.
    fn identify(&self) -> Result<(), OpenError> {
        let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::Foreign(self.path.clone()),
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged {
                path: self.path.clone(),
                source,
            },
            _ => OpenError::Failed {
                path: self.path.clone(),
                source,
            },
        };
        let pragma = |name: &str| {
            self.connection
                .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
        };
        let application = pragma("application_id").map_err(failed)?;
        let version = pragma("user_version").map_err(failed)?;
        let tables: i64 = self
            .connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(failed)?;
        let empty = application == 0 && version == 0 && tables == 0;
        if application != APPLICATION_ID && !empty {
            return Err(OpenError::Foreign(self.path.clone()));
        }
        if version > SCHEMA_VERSION {
            return Err(OpenError::Newer {
                path: self.path.clone(),
                found: version,
            });
        }
        Ok(())
    }

    /// Whether it has a write-ahead log; then it is of this version.
    fn migrate(&self) -> Result<bool, rusqlite::Error> {
        let connection = &self.connection;
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        let has_log = mode == "wal";
        connection.pragma_update(None, "synchronous", "FULL")?;
        // A large run is loaded in one transaction: the log may grow, and shrinks again afterwards.
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        // Pages: the log is brought into the database in one piece of 16 MiB, which costs two flushes.
        connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == SCHEMA_VERSION {
            return Ok(has_log);
        }
        // Two may start at once: the second finds the work done.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for (number, migration) in (1..).zip(MIGRATIONS).skip(version as usize) {
            connection.execute_batch(migration)?;
            connection.pragma_update(None, "user_version", number)?;
        }
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.execute_batch("COMMIT")?;
        Ok(has_log)
    }
}
