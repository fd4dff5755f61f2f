//! The runtime that may write, and whether it lives.

use kingtide_core::time::Timestamp;
use rusqlite::OptionalExtension;

use super::{ReadError, Snapshot, reading};

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
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        boot.trim() == self.boot && process_start(self.pid) == Some(self.process_start)
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

/// Field 22 of `/proc/PID/stat`; the name before it may have spaces and parentheses. A zombie is no process any more.
fn process_start(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Database, sample};
    use super::*;

    #[test]
    fn a_lease_is_held_by_a_process_and_not_by_its_number() {
        let pid = std::process::id();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .expect("linux")
            .trim()
            .to_owned();
        let process_start = process_start(pid).expect("this process");
        let ours = Lease {
            epoch: 1,
            pid,
            process_start,
            boot,
            renewed_at: Timestamp(0),
        };
        assert!(ours.is_held());
        assert!(
            !Lease {
                process_start: process_start + 1,
                ..ours.clone()
            }
            .is_held()
        );
        assert!(
            !Lease {
                boot: "another".to_owned(),
                ..ours
            }
            .is_held()
        );
    }

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
    }
}
