//! What a dispatcher was told by its environment. The names are `kingtide_core::cloud::variables`.

use std::time::Duration;

use kingtide_core::cloud::rung::Rung;
use kingtide_core::cloud::start::Start;
use kingtide_core::cloud::{document, variables};
use kingtide_core::project::{Deadline, Job};
use kingtide_core::time::Timestamp;
use kingtide_remote::record::Keys;

/// What it was told.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) stack: String,
    pub(crate) keys: Keys,
    pub(crate) bucket: String,
    pub(crate) job: Job,
    /// The name of the execution of the state machine.
    pub(crate) execution: String,
    pub(crate) started: Timestamp,
    pub(crate) start: Start,
    pub(crate) cluster: String,
    pub(crate) rungs: Vec<Rung>,
    pub(crate) subnets: Vec<String>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) has_public_ip: bool,
    pub(crate) spot: bool,
    pub(crate) max_workers: Option<u32>,
    /// The whole key of the job's own messages.
    pub(crate) params: Option<String>,
    /// Somebody wants to hear of what it has to warn of.
    pub(crate) warns: bool,
}

/// What it was told is not enough, or not to be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrdersError {
    #[error("the variable `{0}` is not set: this binary is started by a state machine that `kingtide deploy` has made")]
    Missing(&'static str),
    #[error("the variable `{name}` is `{value}`, which is not what it should be")]
    Wrong { name: &'static str, value: String },
    #[error("the variable `{}` holds no job", variables::JOB)]
    Job(#[source] document::DocumentError),
}

impl Orders {
    pub(crate) fn of_environment() -> Result<Orders, OrdersError> {
        let value = |name: &'static str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let needed = |name| value(name).ok_or(OrdersError::Missing(name));
        fn read<T>(name: &'static str, value: String, read: impl Fn(&str) -> Option<T>) -> Result<T, OrdersError> {
            read(&value).ok_or(OrdersError::Wrong { name, value })
        }
        let list = |name| value(name).map_or_else(Vec::new, |list| list.split(',').map(str::to_owned).collect());
        let is_true = |name| value(name).is_some_and(|value| value == "true");
        let mut job = document::read(&needed(variables::JOB)?).map_err(OrdersError::Job)?;
        if let Some(linger) = value(variables::LINGER_S) {
            let seconds = read(variables::LINGER_S, linger, |text| text.parse().ok())?;
            job.run_idle = job.run_idle.max(Duration::from_secs(seconds));
        }
        let stack = needed(variables::STACK)?;
        let most =
            value(variables::MAX_WORKERS).map(|most| read(variables::MAX_WORKERS, most, |text| text.parse().ok()));
        Ok(Orders {
            keys: Keys::new(&stack),
            bucket: needed(variables::BUCKET)?,
            job,
            execution: needed(variables::EXECUTION)?,
            started: read(variables::STARTED, needed(variables::STARTED)?, Deadline::moment)?,
            start: read(variables::INPUT, needed(variables::INPUT)?, Start::parse)?,
            cluster: needed(variables::CLUSTER)?,
            rungs: read(variables::RUNGS, needed(variables::RUNGS)?, |text| {
                Rung::parse(text).filter(|rungs| !rungs.is_empty())
            })?,
            subnets: list(variables::SUBNETS),
            security_groups: list(variables::SECURITY_GROUPS),
            has_public_ip: is_true(variables::PUBLIC_IP),
            spot: is_true(variables::SPOT),
            warns: is_true(variables::WARNS),
            max_workers: most.transpose()?,
            params: value(variables::PARAMS).map(|key| format!("{stack}/{key}")),
            stack,
        })
    }
}
