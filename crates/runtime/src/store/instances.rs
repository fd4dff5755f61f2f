//! Instances of consumers: a row for each that was started and whose end is not known.

use std::collections::BTreeSet;

use kingtide_core::id::{InstanceId, RunId, TaskId};
use rusqlite::OptionalExtension;

use super::{Store, StoreError};

impl Store {
    /// Those of a job that an earlier runtime has started.
    pub fn instances(&self, job: &str) -> Result<Vec<InstanceId>, StoreError> {
        let mut statement = self
            .connection
            .prepare("SELECT id FROM instance WHERE job = ?1 ORDER BY id")?;
        let ids = statement.query_map([job], |row| row.get(0).map(InstanceId))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// The tasks whose messages the holder of this access key has received and not deleted.
    pub fn held(&self, access_key: &str) -> Result<BTreeSet<TaskId>, StoreError> {
        let sql = "SELECT run, seq FROM letter WHERE holder = ?1 AND run IS NOT NULL";
        let mut statement = self.connection.prepare(sql)?;
        let held = statement.query_map([access_key], |row| Ok(RunId(row.get(0)?).task(row.get(1)?)))?;
        Ok(held.collect::<Result<_, _>>()?)
    }

    /// A number that no instance ever had.
    pub fn next_instance(&self) -> Result<InstanceId, StoreError> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'instance'";
        let last: Option<i64> = self.connection.query_row(sql, [], |row| row.get(0)).optional()?;
        Ok(InstanceId(last.unwrap_or(0) + 1))
    }
}
