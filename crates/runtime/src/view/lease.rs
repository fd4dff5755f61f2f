//! The runtime that may write, and whether it lives.

use kingtide_core::time::Timestamp;
use rusqlite::OptionalExtension;

use super::{ReadError, Snapshot, reading};
use crate::process;
use crate::store::Holder;

/// Who holds the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub epoch: i64,
    pub pid: u32,
    /// Clock ticks after boot: with the pid and the boot, the identity of a process.
    pub process_start: u64,
    pub boot: String,
    pub renewed_at: Timestamp,
}

impl Lease {
    /// Whether the process that took it is still there. A number that went to another process does not count.
    pub fn is_held(&self) -> bool {
        process::is_alive(&Holder {
            pid: self.pid,
            process_start: self.process_start,
            boot: self.boot.clone(),
        })
    }
}

impl Snapshot<'_> {
    pub fn lease(&self) -> Result<Option<Lease>, ReadError> {
        self.transaction
            .query_row(
                "SELECT epoch, pid, process_start, boot, renewed_at FROM lease",
                [],
                |row| {
                    Ok(Lease {
                        epoch: row.get(0)?,
                        pid: row.get(1)?,
                        process_start: row.get(2)?,
                        boot: row.get(3)?,
                        renewed_at: Timestamp(row.get(4)?),
                    })
                },
            )
            .optional()
            .map_err(reading("the lease"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Database, sample};
    use super::*;

    #[test]
    fn a_dead_runtime_holds_nothing() {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let lease = database
            .snapshot()
            .expect("a snapshot")
            .lease()
            .expect("reads")
            .expect("was taken");
        assert_eq!(lease.epoch, 3);
        assert!(!lease.is_held());
        let ours = process::ours();
        let held = Lease {
            pid: ours.pid,
            process_start: ours.process_start,
            boot: ours.boot,
            ..lease
        };
        assert!(held.is_held());
    }
}
