//! Published outputs.

use kingtide_core::id::{RunId, TaskId};
use kingtide_core::message::Message;
use rusqlite::params;

use super::{ReadError, Snapshot, reading};

/// The folder that a task left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub task: TaskId,
    pub message: Message,
    pub files: u64,
    pub bytes: u64,
}

/// All outputs of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputTotal {
    pub outputs: u64,
    pub files: u64,
    pub bytes: u64,
}

impl Snapshot<'_> {
    /// At most `limit` outputs of a run whose messages come after row `after`; 0 is before the first.
    pub fn outputs(&self, run: RunId, after: i64, limit: usize) -> Result<Vec<Output>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.transaction.prepare_cached(
                "SELECT o.seq, m.body, o.files, o.bytes FROM output o \
                 JOIN message m ON m.run = o.run AND m.seq = o.seq \
                 WHERE o.run = ?1 AND o.seq > ?2 ORDER BY o.seq LIMIT ?3",
            )?;
            statement
                .query_map(params![run.0, after, limit as i64], |row| {
                    Ok(Output {
                        task: run.task(row.get(0)?),
                        message: Message::of_body(row.get_ref(1)?.as_str()?),
                        files: row.get(2)?,
                        bytes: row.get(3)?,
                    })
                })?
                .collect()
        };
        read().map_err(reading("the outputs"))
    }

    pub fn output_total(&self, run: RunId) -> Result<OutputTotal, ReadError> {
        self.transaction
            .query_row(
                "SELECT count(*), coalesce(sum(files), 0), coalesce(sum(bytes), 0) FROM output WHERE run = ?1",
                [run.0],
                |row| {
                    Ok(OutputTotal {
                        outputs: row.get(0)?,
                        files: row.get(1)?,
                        bytes: row.get(2)?,
                    })
                },
            )
            .map_err(reading("the outputs"))
    }

    /// How many results the programs of a run wrote.
    pub fn result_count(&self, run: RunId) -> Result<u64, ReadError> {
        self.transaction
            .query_row("SELECT count(*) FROM result WHERE run = ?1", [run.0], |row| row.get(0))
            .map_err(reading("the results"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Database, sample};
    use super::*;

    #[test]
    fn outputs_come_in_pages() {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let page = snapshot.outputs(RunId(1), 0, 1).expect("reads");
        assert_eq!(
            (page.len(), page[0].task.seq, page[0].message.label()),
            (1, 1, "dest=BOS depth=4".to_owned())
        );
        assert_eq!(snapshot.outputs(RunId(1), 1, 10).expect("reads").len(), 1);
        let total = OutputTotal {
            outputs: 2,
            files: 3,
            bytes: 3000,
        };
        assert_eq!(snapshot.output_total(RunId(1)).expect("reads"), total);
        assert_eq!(snapshot.result_count(RunId(1)).expect("reads"), 2);
    }
}
