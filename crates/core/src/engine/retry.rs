//! What follows an attempt: judged by the job's rules and what the task has been through.

use std::time::Duration;

use super::event::{End, Ledger, Outcome, Stop};
use super::task::Input;
use crate::contract;
use crate::project::{Backoff, Job, OnCrash};

/// Losses after which a task is not tried again: infrastructure losses are free, but not endless.
pub const MAX_LOSSES: u32 = 5;

/// What an attempt's end means for its task.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub input: Input,
    pub outcome: Outcome,
    /// In words; `None` for a success.
    pub reason: Option<String>,
    pub exit_code: Option<i32>,
    pub ledger: Ledger,
    /// Before the task may be tried again.
    pub delay: Duration,
}

/// Judges an end. `jitter` is a draw from [0, 1).
pub fn judge(job: &Job, ledger: Ledger, attempt: u32, end: &End, leaves: bool, jitter: f64) -> Verdict {
    let reason = reason(end, ledger.memory.or(job.resources.memory));
    let plain = |input, outcome| Verdict {
        input,
        outcome,
        reason: reason.clone(),
        exit_code: if let End::Code(code) = end { Some(*code) } else { None },
        ledger,
        delay: Duration::ZERO,
    };
    match end {
        End::Code(code) => match contract::verdict(job, *code) {
            contract::Verdict::Success => plain(Input::Succeeded { leaves }, Outcome::Succeeded),
            contract::Verdict::Skip => plain(Input::Skipped, Outcome::Skipped),
            contract::Verdict::Reject => plain(Input::Rejected, Outcome::Rejected),
            contract::Verdict::Release => {
                let releases = attempt.saturating_sub(ledger.failures + ledger.losses).max(1);
                let delay = delay(&job.backoff, releases, jitter);
                Verdict {
                    delay,
                    ..plain(Input::Released, Outcome::Released)
                }
            }
            contract::Verdict::Failure => failure(job, plain(Input::Failed { again: false }, Outcome::Failed), jitter),
        },
        End::Signal(_) => failure(job, plain(Input::Failed { again: false }, Outcome::Failed), jitter),
        End::TimedOut => failure(job, plain(Input::Failed { again: false }, Outcome::TimedOut), jitter),
        End::OutOfMemory => out_of_memory(job, plain(Input::Failed { again: false }, Outcome::OutOfMemory), jitter),
        // A command that cannot be started now could not be started a second later either.
        End::NotStarted(_) => plain(Input::Failed { again: false }, Outcome::Failed),
        End::Stopped(Stop::Cancel) => plain(Input::Cancelled, Outcome::Stopped),
        End::Stopped(Stop::Release | Stop::Fence) => plain(Input::Released, Outcome::Stopped),
        End::DiskFull => Verdict {
            delay: Duration::from_secs(5),
            ..plain(Input::Released, Outcome::Released)
        },
    }
}

/// What a result or an output that cannot be accepted means: a failure of the program.
pub fn judge_invalid(job: &Job, ledger: Ledger, why: &str, jitter: f64) -> Verdict {
    let verdict = Verdict {
        input: Input::Failed { again: false },
        outcome: Outcome::Failed,
        reason: Some(why.to_owned()),
        exit_code: Some(0),
        ledger,
        delay: Duration::ZERO,
    };
    failure(job, verdict, jitter)
}

/// What a loss means: it costs no retry, unless the job wants each attempt at most once.
pub fn judge_loss(job: &Job, ledger: Ledger) -> Verdict {
    let ledger = Ledger {
        losses: ledger.losses + 1,
        ..ledger
    };
    let (again, reason) = match job.on_crash {
        OnCrash::Fail => (
            false,
            "lost with its keeper; `on_crash = \"fail\"` forbids another attempt".to_owned(),
        ),
        OnCrash::Retry if ledger.losses >= MAX_LOSSES => (false, format!("lost {} times", ledger.losses)),
        OnCrash::Retry => (true, "lost with its keeper".to_owned()),
    };
    Verdict {
        input: Input::Failed { again },
        outcome: Outcome::Lost,
        reason: Some(reason),
        exit_code: None,
        ledger,
        delay: Duration::ZERO,
    }
}

fn failure(job: &Job, verdict: Verdict, jitter: f64) -> Verdict {
    let ledger = Ledger {
        failures: verdict.ledger.failures + 1,
        ..verdict.ledger
    };
    let again = ledger.failures <= job.retries;
    let delay = if again {
        delay(&job.backoff, ledger.failures, jitter)
    } else {
        Duration::ZERO
    };
    Verdict {
        input: Input::Failed { again },
        ledger,
        delay,
        ..verdict
    }
}

/// A kill for want of memory is followed by an attempt with twice as much, at no cost, until `memory_max` is reached.
fn out_of_memory(job: &Job, verdict: Verdict, jitter: f64) -> Verdict {
    let memory = verdict.ledger.memory.or(job.resources.memory);
    match (memory, job.memory_max) {
        (Some(memory), Some(max)) if memory < max => {
            let grown = memory.saturating_mul(2).min(max);
            let ledger = Ledger {
                memory: Some(grown),
                ..verdict.ledger
            };
            Verdict {
                input: Input::Failed { again: true },
                ledger,
                ..verdict
            }
        }
        _ => failure(job, verdict, jitter),
    }
}

/// The delay before retry `n` (from 1), `jitter` drawn from [0, 1).
pub fn delay(backoff: &Backoff, n: u32, jitter: f64) -> Duration {
    let exponent = i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = (backoff.first.as_secs_f64() * backoff.factor.powi(exponent)).min(backoff.max.as_secs_f64());
    let spread = 1.0 + backoff.jitter * (2.0 * jitter - 1.0);
    Duration::try_from_secs_f64((seconds * spread).max(0.0)).unwrap_or(backoff.max)
}

pub(super) fn reason(end: &End, limit: Option<u64>) -> Option<String> {
    match end {
        End::Code(0) => None,
        End::Code(code) => Some(format!("exit code {code}")),
        End::Signal(signal) => Some(format!("killed by {}", signal_name(*signal))),
        End::OutOfMemory => Some(match limit {
            Some(limit) => format!("out of memory (limit {})", bytesize::ByteSize(limit).display().iec()),
            None => "out of memory".to_owned(),
        }),
        End::TimedOut => Some("timed out".to_owned()),
        End::Stopped(Stop::Cancel) => Some("cancelled".to_owned()),
        End::Stopped(Stop::Release) => Some("stopped and put back".to_owned()),
        End::Stopped(Stop::Fence) => Some("stopped: another attempt is the current one".to_owned()),
        End::NotStarted(why) => Some(why.clone()),
        End::DiskFull => Some("the disk was full".to_owned()),
    }
}

/// The name of a Linux signal; signal(7).
pub fn signal_name(signal: i32) -> String {
    const NAMES: [(i32, &str); 14] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (24, "SIGXCPU"),
        (31, "SIGSYS"),
    ];
    let known = NAMES.iter().find(|(number, _)| *number == signal);
    known.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_maximum_and_jitter_spreads_it() {
        let backoff = Backoff {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(10),
            jitter: 0.5,
        };
        assert_eq!(delay(&backoff, 1, 0.5), Duration::from_secs(1));
        assert_eq!(delay(&backoff, 3, 0.5), Duration::from_secs(4));
        assert_eq!(delay(&backoff, 99, 0.5), Duration::from_secs(10));
        assert_eq!(delay(&backoff, u32::MAX, 0.0), Duration::from_secs(5));
        assert_eq!(delay(&backoff, 2, 0.0), Duration::from_secs(1));
    }
}
