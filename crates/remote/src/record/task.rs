//! `tasks/<seq>`: whose a task's attempt is, and every attempt; and `tasks.jsonl`, where all of them are once the run is over.

use kingtide_core::drain;
use kingtide_core::engine::event::{self, Ledger, Outcome, TaskState};
use kingtide_core::id::TaskId;
use kingtide_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::format::{maybe_word, word};
use super::keys::End;

/// A task: written only over what was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDocument {
    pub claim: Claim,
    /// From the first on; the last may not have ended.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// No attempt followed because its run was cancelled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// The words of `drain::Entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub attempt: u32,
    #[serde(default)]
    pub failures: u32,
    #[serde(default)]
    pub losses: u32,
    /// Bytes, when grown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    pub standing: Standing,
}

/// How the last attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Held { until_ms: i64 },
    Ended,
    Over,
}

/// An attempt, from when it was claimed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub number: u32,
    #[serde(default)]
    pub place: Place,
    pub claimed_ms: i64,
    /// When its program was started; `None` of one that was lost or handed back before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// `None` while it runs.
    #[serde(default, with = "maybe_word", skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default)]
    pub usage: Usage,
    /// Bytes of `logs/<seq>.<attempt>.log`; `None` where it said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<u64>,
    /// Whether there is a `results/<seq>.<attempt>`.
    #[serde(default)]
    pub result: bool,
    /// What is in `outputs/<seq>.<attempt>/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// The last lines of its log, where it did not succeed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
}

/// Where an attempt ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The ARN of the task of ECS.
    pub task: String,
    pub zone: String,
    /// The stream of CloudWatch Logs.
    pub stream: String,
    /// Drawn by the worker when it begins: two never have the same, wherever they are.
    pub worker: String,
}

/// What an attempt's process tree used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub cpu_ms: u64,
    pub memory_peak: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// What is in an output, its manifest not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub files: u64,
    pub bytes: u64,
}

/// A line of `tasks.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskLine {
    pub seq: i64,
    #[serde(with = "word")]
    pub state: TaskState,
    /// As it was sent.
    pub message: Value,
    /// What its program wrote, where that is short enough to be of use to whoever reads them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    #[serde(default)]
    pub failures: u32,
    #[serde(default)]
    pub losses: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    #[serde(default)]
    pub attempts: Vec<Attempt>,
}

/// What a task is that is over with an attempt that ended so.
pub fn state_of(outcome: Outcome) -> TaskState {
    match outcome {
        Outcome::Succeeded => TaskState::Succeeded,
        Outcome::Skipped => TaskState::Skipped,
        Outcome::Rejected => TaskState::Rejected,
        Outcome::Stopped | Outcome::Released => TaskState::Cancelled,
        Outcome::Failed | Outcome::TimedOut | Outcome::OutOfMemory | Outcome::Lost => TaskState::Failed,
    }
}

impl TaskDocument {
    /// As core knows it.
    pub fn entry(&self) -> drain::Entry {
        self.claim.into()
    }

    /// How the task stands.
    pub fn state(&self) -> TaskState {
        match self.claim.standing {
            Standing::Held { .. } => TaskState::Leased,
            Standing::Ended => TaskState::Waiting,
            Standing::Over if self.cancelled => TaskState::Cancelled,
            Standing::Over => {
                let last = self.attempts.last().and_then(|attempt| attempt.outcome);
                last.map_or(TaskState::Failed, state_of)
            }
        }
    }

    /// What its key among the ends says; `None` while it is not over.
    pub fn end(&self, seq: i64) -> Option<End> {
        if self.claim.standing != Standing::Over {
            return None;
        }
        let last = self.attempts.last();
        let took = last.and_then(|last| Some(last.ended_ms? - last.started_ms?));
        Some(End {
            seq,
            attempt: self.claim.attempt,
            outcome: match self.cancelled {
                true => Outcome::Stopped,
                false => last.and_then(|last| last.outcome).unwrap_or(Outcome::Lost),
            },
            took_ms: took.and_then(|took| u64::try_from(took).ok()).unwrap_or(0),
        })
    }

    /// Claimed for its next attempt: `entry` is what core made of `read`. An attempt that never ended is lost.
    pub fn claimed(read: Option<&TaskDocument>, entry: drain::Entry, place: &Place, now: Timestamp) -> TaskDocument {
        let mut attempts = attempts(read, now);
        attempts.push(Attempt {
            number: entry.attempt,
            place: place.clone(),
            claimed_ms: now.0,
            started_ms: None,
            ended_ms: None,
            outcome: None,
            reason: None,
            exit_code: None,
            usage: Usage::default(),
            log: None,
            result: false,
            output: None,
            tail: String::new(),
        });
        TaskDocument {
            claim: entry.into(),
            attempts,
            cancelled: false,
        }
    }

    /// No attempt follows: its run was cancelled. `None` where somebody is at the last one, or nothing would follow anyway.
    pub fn abandoned(read: Option<&TaskDocument>, now: Timestamp) -> Option<TaskDocument> {
        let entry = drain::Entry::abandoned(read.map(TaskDocument::entry), now)?;
        Some(TaskDocument {
            claim: entry.into(),
            attempts: attempts(read, now),
            cancelled: true,
        })
    }

    /// With what core made of its claim.
    pub fn with(mut self, entry: drain::Entry) -> TaskDocument {
        self.claim = entry.into();
        self
    }
}

/// Those so far; one that never ended is lost.
fn attempts(read: Option<&TaskDocument>, now: Timestamp) -> Vec<Attempt> {
    let mut attempts = read.map(|read| read.attempts.clone()).unwrap_or_default();
    if let Some(open) = attempts.last_mut().filter(|attempt| attempt.outcome.is_none()) {
        open.outcome = Some(Outcome::Lost);
        open.reason = Some("its worker was lost".to_owned());
        open.ended_ms = Some(now.0);
    }
    attempts
}

impl Attempt {
    /// As a row of the store; `None` while it has not ended.
    pub fn row(&self, task: TaskId) -> Option<event::AttemptRow> {
        Some(event::AttemptRow {
            instance: None,
            attempt: task.attempt(self.number),
            outcome: self.outcome?,
            reason: self.reason.clone(),
            exit_code: self.exit_code,
            started_at: self.started_ms.map(Timestamp),
            ended_at: Timestamp(self.ended_ms?),
            usage: self.usage.into(),
        })
    }
}

impl TaskLine {
    /// Of a task and its message.
    pub fn new(seq: i64, message: Value, document: &TaskDocument) -> TaskLine {
        TaskLine {
            seq,
            state: document.state(),
            message,
            result: None,
            failures: document.claim.failures,
            losses: document.claim.losses,
            memory: document.claim.memory,
            attempts: document.attempts.clone(),
        }
    }

    pub fn ledger(&self) -> Ledger {
        Ledger {
            failures: self.failures,
            losses: self.losses,
            memory: self.memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{DocumentError, read, write};
    use super::*;

    const HOLD: Duration = Duration::from_secs(180);

    fn claimed(read: Option<&TaskDocument>, now: i64) -> TaskDocument {
        let (entry, _) = drain::Entry::claim(read.map(TaskDocument::entry), Timestamp(now), HOLD, None);
        let place = Place {
            task: "arn:aws:ecs:eu-west-1:1:task/c/7".to_owned(),
            ..Place::default()
        };
        TaskDocument::claimed(read, entry.expect("it is free"), &place, Timestamp(now))
    }

    #[test]
    fn a_task_is_read_as_it_was_written() {
        let first = claimed(None, 1000);
        let second = claimed(Some(&first), 1000 + 180_000);
        assert_eq!(second.state(), TaskState::Leased);
        assert_eq!(second.claim.losses, 1);
        assert_eq!(second.attempts[0].outcome, Some(Outcome::Lost));
        let row = second.attempts[0]
            .row(kingtide_core::id::RunId(1).task(7))
            .expect("it is over");
        assert_eq!((row.started_at, row.ended_at), (None, Timestamp(181_000)));
        let bytes = write(&second);
        assert_eq!(read::<TaskDocument>("tasks/7", &bytes).expect("it is one"), second);
        insta::assert_snapshot!(String::from_utf8_lossy(&bytes), @r#"{"format":1,"claim":{"attempt":2,"failures":0,"losses":1,"standing":{"held":{"until_ms":361000}}},"attempts":[{"number":1,"place":{"task":"arn:aws:ecs:eu-west-1:1:task/c/7","zone":"","stream":"","worker":""},"claimed_ms":1000,"ended_ms":181000,"outcome":"lost","reason":"its worker was lost","usage":{"cpu_ms":0,"memory_peak":0,"read_bytes":0,"written_bytes":0},"result":false},{"number":2,"place":{"task":"arn:aws:ecs:eu-west-1:1:task/c/7","zone":"","stream":"","worker":""},"claimed_ms":181000,"usage":{"cpu_ms":0,"memory_peak":0,"read_bytes":0,"written_bytes":0},"result":false}]}"#);
    }

    #[test]
    fn what_is_abandoned_is_cancelled_whatever_its_last_attempt_was() {
        let first = claimed(None, 0);
        assert_eq!(TaskDocument::abandoned(Some(&first), Timestamp(1000)), None);
        let over = TaskDocument::abandoned(Some(&first), Timestamp(180_000)).expect("nobody is at it");
        assert_eq!(
            (over.state(), over.attempts[0].outcome),
            (TaskState::Cancelled, Some(Outcome::Lost))
        );
        let never = TaskDocument::abandoned(None, Timestamp(0)).expect("nobody is at it");
        assert_eq!((never.state(), never.claim.attempt), (TaskState::Cancelled, 0));
    }

    #[test]
    fn an_earlier_version_passes_over_what_it_does_not_know_and_refuses_what_it_would_misread() {
        let more = r#"{"format":1,"claim":{"attempt":1,"standing":"over","colour":"red"},"more":{}}"#;
        let document: TaskDocument = read("tasks/7", more.as_bytes()).expect("it is one");
        assert_eq!(document.entry().standing, drain::Standing::Over);
        assert_eq!(document.attempts, []);
        let later = r#"{"format":2,"claim":"elsewhere"}"#;
        let error = read::<TaskDocument>("tasks/7", later.as_bytes()).expect_err("it is later");
        assert!(matches!(error, DocumentError::Later { format: 2, .. }), "{error}");
        let error = read::<TaskDocument>("tasks/7", b"{}").expect_err("it is none");
        assert_eq!(error.to_string(), "`tasks/7` is not what Kingtide has written");
    }
}
