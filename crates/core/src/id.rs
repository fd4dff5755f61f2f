//! Identifiers. A run is numbered within its project, a task within its run, an attempt within its task; the numbers
//! are what people type and what the tables are keyed by.

use std::fmt;
use std::str::FromStr;

/// The number of a run within its project, from 1. People see it as `retrain-12`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

/// One message of a run; `seq` is the row of the parameters, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    pub run: RunId,
    pub seq: i64,
}

/// One execution of a task; `number` counts from 1 and never comes twice, whatever ended the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    pub task: TaskId,
    pub number: u32,
}

/// An instance of a consumer: a program of a job that reads its queue itself. Numbered within the project, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub i64);

impl InstanceId {
    /// Its name to what runs attempts: those of run 0, which no run has.
    pub fn attempt(self) -> AttemptId {
        RunId(0).task(self.0).attempt(1)
    }
}

impl AttemptId {
    /// The instance that goes by this name, if it is one.
    pub fn instance(self) -> Option<InstanceId> {
        (self.task.run == RunId(0)).then_some(InstanceId(self.task.seq))
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl RunId {
    pub fn task(self, seq: i64) -> TaskId {
        TaskId { run: self, seq }
    }
}

impl TaskId {
    pub fn attempt(self, number: u32) -> AttemptId {
        AttemptId { task: self, number }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.seq)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.task, self.number)
    }
}

/// Says that a text is not `run/task/attempt`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an attempt (expected run/task/attempt)")]
pub struct ParseAttemptIdError(String);

impl FromStr for AttemptId {
    type Err = ParseAttemptIdError;
    fn from_str(text: &str) -> Result<AttemptId, ParseAttemptIdError> {
        let wrong = || ParseAttemptIdError(text.to_owned());
        let mut parts = text.split('/');
        let mut next = || parts.next().and_then(|part| part.parse::<i64>().ok()).ok_or_else(wrong);
        let (run, seq, number) = (next()?, next()?, next()?);
        let number = u32::try_from(number).map_err(|_| wrong())?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(RunId(run).task(seq).attempt(number))
    }
}
