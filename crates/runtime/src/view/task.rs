//! Tasks: found by their parameters and states, and how the queue stands.

use kingtide_core::id::{RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::plan::lognormal::LogNormal;
use kingtide_core::plan::model::VAGUE;
use kingtide_core::time::Timestamp;
use rusqlite::{Row, params, params_from_iter};

use super::state::Word;
use super::{Page, ReadError, Snapshot, TaskState, reading};

/// One message being worked off.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: TaskId,
    pub state: TaskState,
    pub message: Message,
    /// Under which durations of the same parameters are remembered.
    pub key: i64,
    /// Its place in the order: milliseconds that it takes at most four times of five, more where it takes more of the machine than
    /// others; 0 when nobody knows.
    pub predicted: i64,
    /// How long it takes, where anybody knows.
    pub takes: Option<LogNormal>,
    /// Waiting until then.
    pub visible_at: Option<Timestamp>,
    /// Attempts so far, the leased one included.
    pub attempt: u32,
    /// Attempts that count against `retries`.
    pub failures: u32,
    /// Attempts lost by the infrastructure.
    pub losses: u32,
    /// Bytes, when grown after an out-of-memory kill.
    pub memory: Option<u64>,
    /// Of the running attempt, known when it outlives 50 ms.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Of the state or of the last failure, in words.
    pub reason: Option<String>,
    /// Whether a success waits for its output to be put in its place.
    pub unpublished: bool,
}

/// Which tasks are meant. An empty filter means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Parameters with the text of their values; all must match.
    pub params: Vec<(String, String)>,
    /// Any of these; empty means any at all.
    pub states: Vec<TaskState>,
}

impl Filter {
    /// Whether the parameters of a message are those asked for.
    pub fn matches(&self, message: &Message) -> bool {
        self.params
            .iter()
            .all(|(name, value)| message.text(name).as_deref() == Some(value))
    }
}

/// How many tasks of a run stand where, besides those that are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Leased and known to run.
    pub running: u64,
    /// Leased, and not known to run yet.
    pub leased: u64,
    /// Waiting for the delay before a retry.
    pub delayed: u64,
}

const SELECT: &str = "SELECT t.run, t.seq, t.state, m.body, t.key, t.predicted, t.visible_at, t.attempt, t.failures, \
                      t.losses, t.memory, t.started_at, t.ended_at, t.reason, t.unpublished, t.mu, t.sigma, \
                      (SELECT common FROM run WHERE run.id = t.run) AS common \
                      FROM task t JOIN message m ON m.run = t.run AND m.seq = t.seq";

/// Few of many: their index is as large as they are.
const ACTIVE: &str = "SELECT count(*) FROM task INDEXED BY task_active \
                      WHERE run = ?1 AND (state = 'leased' OR unpublished IS NOT NULL)";

impl Snapshot<'_> {
    /// Those of a run that the filter lets through, in the order of their messages, at most `limit`.
    pub fn tasks(&self, run: RunId, filter: &Filter, limit: usize) -> Result<Vec<Task>, ReadError> {
        let read = || -> rusqlite::Result<Vec<Task>> {
            let mut query = format!("{SELECT} WHERE t.run = ?");
            let mut values = vec![rusqlite::types::Value::Integer(run.0)];
            if !filter.states.is_empty() {
                let places = vec!["?"; filter.states.len()].join(", ");
                query.push_str(&format!(" AND t.state IN ({places})"));
                values.extend(filter.states.iter().map(|state| state.text().to_owned().into()));
            }
            // Parsing a million bodies to find one takes seconds; most are ruled out by their bytes alone.
            for (_, value) in &filter.params {
                let quoted = serde_json::Value::String(value.clone()).to_string();
                query.push_str(" AND (instr(m.body, ?) OR instr(m.body, ?))");
                values.extend([value.clone().into(), quoted[1..quoted.len() - 1].to_owned().into()]);
            }
            query.push_str(" ORDER BY t.seq");
            let mut statement = self.transaction.prepare(&query)?;
            let mut tasks = Vec::new();
            let mut rows = statement.query(params_from_iter(values))?;
            while tasks.len() < limit {
                let Some(row) = rows.next()? else { break };
                let task = row_to_task(row)?;
                if filter.matches(&task.message) {
                    tasks.push(task);
                }
            }
            Ok(tasks)
        };
        read().map_err(reading("the tasks"))
    }

    /// Tasks of a run after row `after`, in one of these states, or in any when none is named: at most `limit`, and 4 MiB of
    /// messages.
    pub fn task_page(
        &self,
        run: RunId,
        states: &[TaskState],
        after: i64,
        limit: usize,
    ) -> Result<Page<Task, i64>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut query = format!("{SELECT} WHERE t.run = ? AND t.seq > ?");
            let mut values: Vec<rusqlite::types::Value> = vec![run.0.into(), after.into()];
            if !states.is_empty() {
                query.push_str(&format!(" AND t.state IN ({})", vec!["?"; states.len()].join(", ")));
                values.extend(states.iter().map(|state| state.text().to_owned().into()));
            }
            query.push_str(" ORDER BY t.seq");
            let mut statement = self.transaction.prepare_cached(&query)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut page = Page::new(limit);
            while let Some(row) = rows.next()? {
                let bytes = row.get_ref("body")?.as_str()?.len();
                let task = row_to_task(row)?;
                if !page.add(bytes, task.id.seq, task) {
                    break;
                }
            }
            Ok(page)
        };
        read().map_err(reading("the tasks"))
    }

    pub fn task(&self, id: TaskId) -> Result<Option<Task>, ReadError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self
                .transaction
                .prepare(&format!("{SELECT} WHERE t.run = ?1 AND t.seq = ?2"))?;
            let mut rows = statement.query_map(params![id.run.0, id.seq], row_to_task)?;
            rows.next().transpose()
        };
        read().map_err(reading("a task"))
    }

    /// What is known to run, the oldest first.
    pub fn running(&self, run: RunId, limit: usize) -> Result<Vec<Task>, ReadError> {
        let query = format!(
            "{SELECT} WHERE t.run = ?1 AND t.state = 'leased' AND t.started_at NOT NULL ORDER BY t.started_at LIMIT ?2"
        );
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.transaction.prepare(&query)?;
            statement
                .query_map(params![run.0, limit as i64], row_to_task)?
                .collect()
        };
        read().map_err(reading("the running tasks"))
    }

    /// The latest of the tasks in one of these states, by the time of their end or start.
    pub fn latest(&self, run: RunId, states: &[TaskState]) -> Result<Option<Task>, ReadError> {
        let places = vec!["?"; states.len()].join(", ");
        let query = format!(
            "{SELECT} WHERE t.run = ? AND t.state IN ({places}) AND t.attempt > 0 \
             ORDER BY coalesce(t.ended_at, t.started_at, 0) DESC, t.seq DESC LIMIT 1"
        );
        let read = || -> rusqlite::Result<_> {
            let mut values = vec![rusqlite::types::Value::Integer(run.0)];
            values.extend(states.iter().map(|state| state.text().to_owned().into()));
            let mut statement = self.transaction.prepare(&query)?;
            let mut rows = statement.query_map(params_from_iter(values), row_to_task)?;
            rows.next().transpose()
        };
        read().map_err(reading("the latest task"))
    }

    pub fn queue(&self, run: RunId) -> Result<Queue, ReadError> {
        let count = |query: &str| self.transaction.query_row(query, [run.0], |row| row.get::<_, u64>(0));
        let read = || -> rusqlite::Result<_> {
            Ok(Queue {
                running: count(&format!("{ACTIVE} AND state = 'leased' AND started_at NOT NULL"))?,
                leased: count(&format!("{ACTIVE} AND state = 'leased' AND started_at IS NULL"))?,
                delayed: count(
                    "SELECT count(*) FROM task INDEXED BY task_delayed \
                     WHERE run = ?1 AND state = 'waiting' AND visible_at IS NOT NULL",
                )?,
            })
        };
        read().map_err(reading("the queue"))
    }

    /// How many waiting tasks of its run go before it: those predicted longer, then those of earlier rows.
    pub fn ahead(&self, task: &Task) -> Result<u64, ReadError> {
        self.transaction
            .query_row(
                "SELECT count(*) FROM task WHERE run = ?1 AND state = 'waiting' AND visible_at IS NULL \
                 AND (predicted > ?2 OR (predicted = ?2 AND seq < ?3))",
                params![task.id.run.0, task.predicted, task.id.seq],
                |row| row.get(0),
            )
            .map_err(reading("the order"))
    }
}

fn row_to_task(row: &Row<'_>) -> rusqlite::Result<Task> {
    let body: String = row.get("body")?;
    Ok(Task {
        id: RunId(row.get("run")?).task(row.get("seq")?),
        state: row.get::<_, Word<_>>("state")?.0,
        message: Message::of_body(&body),
        key: row.get("key")?,
        predicted: row.get("predicted")?,
        takes: takes(row)?,
        visible_at: row.get::<_, Option<i64>>("visible_at")?.map(Timestamp),
        attempt: row.get("attempt")?,
        failures: row.get("failures")?,
        losses: row.get("losses")?,
        memory: row.get("memory")?,
        started_at: row.get::<_, Option<i64>>("started_at")?.map(Timestamp),
        ended_at: row.get::<_, Option<i64>>("ended_at")?.map(Timestamp),
        reason: row.get("reason")?,
        unpublished: row.get::<_, Option<String>>("unpublished")?.is_some(),
    })
}

/// By what was known when it was queued; nothing where that was nothing.
fn takes(row: &Row<'_>) -> rusqlite::Result<Option<LogNormal>> {
    let (mu, sigma, common): (Option<f64>, Option<f64>, Option<f64>) =
        (row.get("mu")?, row.get("sigma")?, row.get("common")?);
    let known = mu.zip(sigma).zip(common.filter(|common| *common < VAGUE));
    Ok(known.map(|((mu, sigma), common)| LogNormal {
        mu,
        sigma: sigma.hypot(common),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{Database, sample};
    use super::*;

    fn found(filter: &Filter, limit: usize) -> Vec<i64> {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        snapshot
            .tasks(RunId(1), filter, limit)
            .expect("reads")
            .iter()
            .map(|task| task.id.seq)
            .collect()
    }

    fn by_params(pairs: &[(&str, &str)]) -> Filter {
        let params = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Filter {
            params,
            states: Vec::new(),
        }
    }

    #[test]
    fn tasks_are_found_by_the_text_of_their_parameters() {
        assert_eq!(found(&Filter::default(), 100), [1, 2, 3, 4, 5, 6]);
        assert_eq!(found(&Filter::default(), 2), [1, 2]);
        assert_eq!(found(&by_params(&[("dest", "BOS")]), 100), [1]);
        assert_eq!(found(&by_params(&[("depth", "4")]), 100), [1, 2, 3, 4, 5]);
        assert_eq!(found(&by_params(&[("dest", "BO")]), 100), Vec::<i64>::new());
        assert_eq!(found(&by_params(&[("dest", "say \"hi\"\n")]), 100), [6]);
        assert_eq!(found(&by_params(&[("depth", r#"{"a":[1]}"#)]), 100), [6]);
    }

    #[test]
    fn tasks_are_found_by_their_states() {
        let filter = Filter {
            states: vec![TaskState::Failed, TaskState::Skipped],
            ..Filter::default()
        };
        assert_eq!(found(&filter, 100), [2, 3]);
    }

    #[test]
    fn the_queue_and_its_order() {
        let project = sample::project();
        let database = Database::open(project.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let queue = snapshot.queue(RunId(2)).expect("reads");
        assert_eq!(
            queue,
            Queue {
                running: 1,
                leased: 1,
                delayed: 1
            }
        );
        let ahead = |seq| {
            let task = snapshot.task(RunId(2).task(seq)).expect("reads").expect("is there");
            snapshot.ahead(&task).expect("reads")
        };
        assert_eq!((ahead(4), ahead(5), ahead(6)), (1, 0, 2));
        let latest = snapshot
            .latest(RunId(1), &[TaskState::Failed, TaskState::Succeeded])
            .expect("reads");
        assert_eq!(latest.map(|task| task.id.seq), Some(2));
        assert_eq!(snapshot.running(RunId(2), 8).expect("reads")[0].id.seq, 1);
    }
}
