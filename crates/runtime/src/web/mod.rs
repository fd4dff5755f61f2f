//! What is served for reading: JSON below `/api/v1/`, figures at `/metrics` in the text format of Prometheus, `/healthz`. A path, a
//! query and the database give an answer; `service.rs` puts that behind a listener.
//!
//! `runs.rs`, `queues.rs` and `usage.rs` answer their paths, `metrics.rs` the figures; `query.rs` reads what was asked. Nothing
//! here writes, and every answer is bounded: lists come in pages.

mod efforts;
mod figures;
mod metrics;
mod process;
mod query;
mod queues;
mod runs;
mod service;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::BTreeMap;

use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use serde_json::{Value, json};

use self::efforts::Efforts;
use self::query::Query;
pub(crate) use self::service::Pages;
use crate::layout::Layout;
use crate::sqs::percent;
use crate::view::{Database, ReadError, Snapshot};

/// What is known of a project beside its database.
#[derive(Debug)]
pub(crate) struct Site {
    name: String,
    jobs: BTreeMap<String, Job>,
    layout: Layout,
    efforts: Efforts,
}

/// An answer, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Of HTTP.
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// Why a path is not answered with what was asked.
#[derive(Debug)]
enum Objection {
    /// There is no such thing.
    Unknown(String),
    /// The query is not understood.
    Unsound(String),
    Read(ReadError),
}

impl From<ReadError> for Objection {
    fn from(error: ReadError) -> Objection {
        Objection::Read(error)
    }
}

/// What is asked of a project at one moment.
struct Look<'a> {
    site: &'a Site,
    snapshot: &'a Snapshot<'a>,
    now: Timestamp,
}

const JSON: &str = "application/json";
/// The version of the text format that Prometheus has spoken since 2014.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Every path, for whoever looks around.
const PATHS: [&str; 10] = [
    "/healthz",
    "/metrics",
    "/api/v1/runs",
    "/api/v1/runs/RUN",
    "/api/v1/runs/RUN/tasks",
    "/api/v1/runs/RUN/tasks/SEQ",
    "/api/v1/queues",
    "/api/v1/queues/NAME",
    "/api/v1/queues/NAME/letters",
    "/api/v1/usage",
];

impl Site {
    pub(crate) fn new(name: &str, jobs: &BTreeMap<String, Job>, layout: &Layout) -> Site {
        Site {
            name: name.to_owned(),
            jobs: jobs.clone(),
            layout: layout.clone(),
            efforts: Efforts::default(),
        }
    }

    /// Answers a path, as it stands in the request, and what follows its `?`.
    pub(crate) fn respond(&self, path: &str, query: Option<&str>, database: &Database, now: Timestamp) -> Reply {
        match self.answer(path, query.unwrap_or_default(), database, now) {
            Ok(reply) => reply,
            Err(Objection::Unknown(what)) => Reply::error(404, &what),
            Err(Objection::Unsound(what)) => Reply::error(400, &what),
            Err(Objection::Read(error)) => Reply::error(503, &kingtide_exec::collect::chain(&error)),
        }
    }

    fn answer(&self, path: &str, query: &str, database: &Database, now: Timestamp) -> Result<Reply, Objection> {
        let mut query = Query::read(query)?;
        let segments = segments(path)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let snapshot = database.snapshot()?;
        let look = Look {
            site: self,
            snapshot: &snapshot,
            now,
        };
        let value = match segments[..] {
            [] | ["api"] | ["api", "v1"] => json!({ "project": self.name, "paths": PATHS }),
            ["healthz"] => {
                query.finish()?;
                // Whoever gets here has read the database.
                snapshot.lease()?;
                json!({ "status": "ok" })
            }
            ["metrics"] => {
                query.finish()?;
                return Ok(Reply {
                    status: 200,
                    content_type: METRICS,
                    body: metrics::text(&look)?,
                });
            }
            ["api", "v1", "runs"] => runs::list(&look, &mut query)?,
            ["api", "v1", "runs", run] => runs::one(&look, run)?,
            ["api", "v1", "runs", run, "tasks"] => runs::tasks(&look, run, &mut query)?,
            ["api", "v1", "runs", run, "tasks", seq] => runs::task(&look, run, seq)?,
            ["api", "v1", "queues"] => queues::list(&look, &mut query)?,
            ["api", "v1", "queues", name] => queues::one(&look, name)?,
            ["api", "v1", "queues", name, "letters"] => queues::letters(&look, name, &mut query)?,
            ["api", "v1", "usage"] => usage::list(&look, &mut query)?,
            _ => {
                return Err(Objection::Unknown(
                    "there is nothing at this path; `/` lists all there are".to_owned(),
                ));
            }
        };
        query.finish()?;
        Ok(Reply::json(200, &value))
    }
}

impl Reply {
    fn json(status: u16, value: &Value) -> Reply {
        Reply {
            status,
            content_type: JSON,
            body: format!("{value}\n"),
        }
    }

    pub(crate) fn error(status: u16, what: &str) -> Reply {
        Reply::json(status, &json!({ "error": what }))
    }
}

/// The parts of a path between its slashes; one at the end says nothing.
fn segments(path: &str) -> Result<Vec<String>, Objection> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let decoded = parts.map(|part| String::from_utf8(percent::decode(part.as_bytes(), false).into_owned()));
    let decoded: Result<Vec<String>, _> = decoded.collect();
    decoded.map_err(|_| Objection::Unsound("the path is not UTF-8".to_owned()))
}
