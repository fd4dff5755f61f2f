//! The keys of the bucket, made and read in one place. S3 lists them in the order of their bytes, so numbers that are listed have leading
//! zeros; the numbers of runs count down, so that the newest is the first.

use kingtide_core::engine::event::{Named, Outcome};
use kingtide_core::id::{AttemptId, RunId, TaskId};
use kingtide_core::time::Timestamp;

/// So many digits has the number of a run, and the number of a task.
const DIGITS: usize = 10;
const LAST_RUN: i64 = 9_999_999_999;

/// The keys of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    stack: String,
}

/// The keys of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunKeys {
    run: RunId,
    /// `<stack>/runs/<n>/`
    prefix: String,
}

/// An attempt has begun: what its key tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    pub seq: i64,
    pub attempt: u32,
    pub at: Timestamp,
}

/// A task is over: what its key tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub seq: i64,
    /// The last one.
    pub attempt: u32,
    /// That attempt's.
    pub outcome: Outcome,
    /// How long that attempt took, in milliseconds.
    pub took_ms: u64,
}

impl Keys {
    pub fn new(stack: &str) -> Keys {
        Keys {
            stack: stack.to_owned(),
        }
    }

    /// Where all numbers of runs are; the newest is listed first.
    pub fn numbers(&self) -> String {
        format!("{}/numbers/", self.stack)
    }

    pub fn number(&self, run: RunId) -> String {
        format!("{}/numbers/{:0DIGITS$}", self.stack, LAST_RUN - run.0)
    }

    /// The run whose number a key is.
    pub fn parse_number(&self, key: &str) -> Option<RunId> {
        let number = padded(key.strip_prefix(&self.numbers())?)?;
        Some(RunId(LAST_RUN - number)).filter(|run| run.0 > 0)
    }

    /// Which execution took an event that may be delivered twice.
    pub fn start(&self, event: &str) -> String {
        format!("{}/starts/{event}", self.stack)
    }

    /// Of a run.
    pub fn run(&self, run: RunId) -> RunKeys {
        RunKeys {
            run,
            prefix: format!("{}/runs/{run}/", self.stack),
        }
    }
}

impl RunKeys {
    /// Everything of the run is below it.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn document(&self) -> String {
        self.of("run.json")
    }

    pub fn messages(&self) -> String {
        self.of("messages.jsonl")
    }

    /// What whoever opened the run foresees of its tasks.
    pub fn predictions(&self) -> String {
        self.of("predictions.json")
    }

    pub fn tasks(&self) -> String {
        self.of("tasks/")
    }

    pub fn task(&self, seq: i64) -> String {
        self.of(&format!("tasks/{seq:0DIGITS$}"))
    }

    /// The task whose document a key is.
    pub fn parse_task(&self, key: &str) -> Option<TaskId> {
        let seq = padded(key.strip_prefix(&self.tasks())?)?;
        Some(self.run.task(seq))
    }

    pub fn result(&self, attempt: AttemptId) -> String {
        self.of(&format!("results/{}", attempt_name(attempt)))
    }

    /// Where the output of an attempt is, its manifest with it.
    pub fn output(&self, attempt: AttemptId) -> String {
        self.of(&format!("outputs/{}/", attempt_name(attempt)))
    }

    pub fn log(&self, attempt: AttemptId) -> String {
        self.of(&format!("logs/{}.log", attempt_name(attempt)))
    }

    pub fn begins(&self) -> String {
        self.of("begins/")
    }

    pub fn begin(&self, begin: &Begin) -> String {
        let Begin { seq, attempt, at } = begin;
        self.of(&format!("begins/{seq:0DIGITS$}.{attempt}.{}", at.0))
    }

    /// What has begun, as a key says.
    pub fn parse_begin(&self, key: &str) -> Option<Begin> {
        let mut parts = key.strip_prefix(&self.begins())?.split('.');
        let begin = Begin {
            seq: padded(parts.next()?)?,
            attempt: parts.next()?.parse().ok()?,
            at: Timestamp(parts.next()?.parse().ok()?),
        };
        parts.next().is_none().then_some(begin)
    }

    pub fn ends(&self) -> String {
        self.of("ends/")
    }

    pub fn end(&self, end: &End) -> String {
        let End {
            seq,
            attempt,
            outcome,
            took_ms,
        } = end;
        self.of(&format!("ends/{seq:0DIGITS$}.{attempt}.{outcome}.{took_ms}"))
    }

    /// What is over, as a key says.
    pub fn parse_end(&self, key: &str) -> Option<End> {
        let mut parts = key.strip_prefix(&self.ends())?.split('.');
        let end = End {
            seq: padded(parts.next()?)?,
            attempt: parts.next()?.parse().ok()?,
            outcome: Outcome::named(parts.next()?)?,
            took_ms: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(end)
    }

    pub fn arrivals(&self) -> String {
        self.of("arrivals/")
    }

    pub fn arrival(&self, seq: i64) -> String {
        self.of(&format!("arrivals/{seq:0DIGITS$}"))
    }

    /// The task that somebody else's message has become.
    pub fn parse_arrival(&self, key: &str) -> Option<TaskId> {
        let seq = padded(key.strip_prefix(&self.arrivals())?)?;
        Some(self.run.task(seq))
    }

    pub fn cancel(&self) -> String {
        self.of("cancel")
    }

    pub fn progress(&self) -> String {
        self.of("progress.json")
    }

    /// All tasks in one object, once the run is over.
    pub fn lines(&self) -> String {
        self.of("tasks.jsonl")
    }

    pub fn outcome(&self) -> String {
        self.of("outcome.json")
    }

    fn of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn attempt_name(attempt: AttemptId) -> String {
    format!("{:0DIGITS$}.{}", attempt.task.seq, attempt.number)
}

/// A number with its leading zeros, and nothing else.
fn padded(text: &str) -> Option<i64> {
    let is_number = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_and_nothing_else() {
        let keys = Keys::new("flights-prod");
        let run = keys.run(RunId(12));
        assert_eq!(keys.number(RunId(12)), "flights-prod/numbers/9999999987");
        assert_eq!(keys.parse_number(&keys.number(RunId(12))), Some(RunId(12)));
        assert_eq!(keys.parse_number("flights-prod/numbers/12"), None);
        assert!(
            keys.number(RunId(12)) < keys.number(RunId(9)),
            "the newest is the first"
        );
        assert_eq!(run.document(), "flights-prod/runs/12/run.json");
        let attempt = RunId(12).task(37).attempt(2);
        assert_eq!(run.result(attempt), "flights-prod/runs/12/results/0000000037.2");
        assert_eq!(run.output(attempt), "flights-prod/runs/12/outputs/0000000037.2/");
        assert_eq!(run.log(attempt), "flights-prod/runs/12/logs/0000000037.2.log");
        assert_eq!(run.parse_task(&run.task(37)), Some(RunId(12).task(37)));
        assert_eq!(run.parse_task(&keys.run(RunId(13)).task(37)), None, "another run's");
        assert_eq!(run.parse_arrival(&run.arrival(101)), Some(RunId(12).task(101)));
        let begin = Begin {
            seq: 37,
            attempt: 2,
            at: Timestamp(1_800_000_000_000),
        };
        assert_eq!(run.parse_begin(&run.begin(&begin)), Some(begin));
        let end = End {
            seq: 37,
            attempt: 2,
            outcome: Outcome::OutOfMemory,
            took_ms: 61_000,
        };
        assert_eq!(
            run.end(&end),
            "flights-prod/runs/12/ends/0000000037.2.out_of_memory.61000"
        );
        assert_eq!(run.parse_end(&run.end(&end)), Some(end));
        for broken in [
            "0000000037.2.late.61000",
            "37.2.failed.1",
            "0000000037.2.failed.1.1",
            "",
        ] {
            assert_eq!(run.parse_end(&format!("{}{broken}", run.ends())), None, "{broken}");
        }
    }
}
