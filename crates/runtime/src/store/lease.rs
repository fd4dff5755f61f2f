//! Who may write: one row with an epoch. A runtime that was stopped and wakes up late finds its epoch gone, and nothing of
//! what it does is committed.

use std::time::Duration;

use kingtide_core::time::Timestamp;
use rusqlite::{ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::{Store, StoreError};

/// For tests: another `timeout` of the lease, in milliseconds. All processes of a project must agree on it.
const TIMEOUT_VARIABLE: &str = "KINGTIDE_LEASE_MS";

/// How long a lease lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    /// A live holder that has not renewed for so long is taken for stopped.
    timeout: Duration,
}

impl Term {
    pub(super) fn from_environment() -> Term {
        let milliseconds = std::env::var(TIMEOUT_VARIABLE).ok().and_then(|text| text.parse().ok());
        Term {
            timeout: milliseconds.map_or(Duration::from_secs(15), Duration::from_millis),
        }
    }

    /// How often the holder renews: a few times within the timeout, so that a slow disk costs no lease.
    fn renewal(self) -> Duration {
        self.timeout * 4 / 15
    }
}

/// The process that holds the lease, as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// Clock ticks after boot: a number taken by another process later has another.
    pub process_start: u64,
    pub boot: String,
}

/// Why the lease could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("another Kingtide (process {pid}) is working on this project")]
    Busy { pid: u32 },
    #[error("cannot take the lease of the project")]
    Store(#[source] StoreError),
}

impl Store {
    /// Takes the lease, unless a holder lives and has renewed lately or still answers: one that has nothing to do does not
    /// renew. `alive` says whether a holder is still the process it was, `answers` whether it does; each is asked at most once.
    pub fn take_lease(
        &mut self,
        now: Timestamp,
        us: &Holder,
        alive: impl FnOnce(&Holder) -> bool,
        answers: impl FnOnce() -> bool,
    ) -> Result<(), LeaseError> {
        let failed = |error: rusqlite::Error| LeaseError::Store(error.into());
        let holder = self.holder();
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| match (error.sqlite_error_code(), holder) {
                // It was stopped in the middle of a transaction: its lock goes only with it.
                (Some(ErrorCode::DatabaseBusy), Some(pid)) => LeaseError::Busy { pid },
                _ => failed(error),
            })?;
        let query = "SELECT epoch, pid, process_start, boot, renewed_at FROM lease";
        let held = tx.query_row(query, [], |row| {
            let holder = Holder {
                pid: row.get(1)?,
                process_start: row.get::<_, i64>(2)? as u64,
                boot: row.get(3)?,
            };
            Ok((row.get::<_, i64>(0)?, holder, Timestamp(row.get(4)?)))
        });
        let held = held.optional().map_err(failed)?;
        let epoch = match held {
            None => 1,
            Some((epoch, holder, renewed_at)) => {
                let timeout = self.term.timeout;
                let fresh = now.since(renewed_at) < timeout && renewed_at <= now + timeout;
                if holder != *us && holder.pid != 0 && alive(&holder) && (fresh || answers()) {
                    return Err(LeaseError::Busy { pid: holder.pid });
                }
                epoch + 1
            }
        };
        tx.execute(
            "INSERT INTO lease (id, epoch, pid, process_start, boot, renewed_at) VALUES (1, ?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET epoch = ?1, pid = ?2, process_start = ?3, boot = ?4, renewed_at = ?5",
            params![epoch, us.pid, us.process_start as i64, us.boot, now.0],
        )
        .map_err(failed)?;
        tx.commit().map_err(failed)?;
        if let Some(log) = &self.log {
            log.flush()
                .map_err(|error| LeaseError::Store(StoreError::Flush(error)))?;
        }
        self.epoch = epoch;
        Ok(())
    }

    /// The process that holds the lease, if one does, for messages.
    fn holder(&self) -> Option<u32> {
        let query = "SELECT pid FROM lease WHERE pid != 0";
        self.connection.query_row(query, [], |row| row.get(0)).ok()
    }

    /// Gives the lease back: the next runtime need not wait. Refused in silence when another holds it by now.
    pub fn give_lease_back(&mut self) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE lease SET pid = 0, renewed_at = 0 WHERE epoch = ?1",
            [self.epoch],
        )?;
        Ok(())
    }

    /// A living holder of a stale lease that does not answer for so long is taken for stopped.
    pub(crate) fn patience(&self) -> Duration {
        self.term.timeout / 10
    }

    /// How often the lease is to be renewed.
    pub(crate) fn renewal(&self) -> Duration {
        self.term.renewal()
    }

    /// The number of this runtime's lease; what it does elsewhere carries it.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The keeper that the leases were handed to.
    pub fn known_keeper(&self) -> Result<Option<String>, StoreError> {
        let keeper = self
            .connection
            .query_row("SELECT keeper FROM lease", [], |row| row.get(0))
            .optional()?;
        Ok(keeper.flatten())
    }
}
