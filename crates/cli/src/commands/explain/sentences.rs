//! What rows mean, in sentences. Pure: the same rows give the same words.

use std::time::Duration;

use kingtide_core::project::{Job, OnCrash, Tolerance};
use kingtide_core::time::Timestamp;
use kingtide_runtime::view::{Attempt, Outcome, Queue, Reason, Run, RunState, Task, TaskState, Totals};

use crate::output::text::{bytes, count, duration, plural};

mod task;

pub(super) use task::of_task;

/// What a job's file says about failing and waiting, where it can be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Policy {
    pub(super) retries: u32,
    pub(super) timeout: Option<Duration>,
    pub(super) memory: Option<u64>,
    pub(super) memory_max: Option<u64>,
    pub(super) max_workers: Option<u32>,
    pub(super) tolerate_failures: Tolerance,
    pub(super) on_crash: OnCrash,
}

impl Policy {
    pub(super) fn of(job: &Job) -> Policy {
        Policy {
            retries: job.retries,
            timeout: job.timeout,
            memory: job.resources.memory,
            memory_max: job.memory_max,
            max_workers: job.max_workers,
            tolerate_failures: job.tolerate_failures,
            on_crash: job.on_crash,
        }
    }
}

/// Who works on the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runner {
    Process(u32),
    Nobody,
    /// Workers elsewhere.
    Aws,
}

/// A run and what surrounds it.
#[derive(Clone, Debug)]
pub(super) struct OfRun {
    pub(super) run: Run,
    pub(super) queue: Queue,
    pub(super) totals: Totals,
    /// Why tasks failed, the most frequent first.
    pub(super) reasons: Vec<Reason>,
    pub(super) runtime: Runner,
    pub(super) policy: Option<Policy>,
    pub(super) now: Timestamp,
}

/// A task and its past.
#[derive(Clone, Debug)]
pub(super) struct OfTask {
    pub(super) task: Task,
    pub(super) attempts: Vec<Attempt>,
    /// Waiting tasks that go first.
    pub(super) ahead: u64,
}

pub(super) fn of_run(facts: &OfRun) -> Vec<String> {
    let run = &facts.run;
    let counts = &run.counts;
    let mut said = Vec::new();
    let reason = run.reason.as_ref().filter(|reason| *reason != run.state.text());
    let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    match run.state {
        RunState::Open => said.push(match facts.runtime {
            Runner::Aws => format!(
                "It runs on AWS; {} of {} done when that was asked last.",
                count(counts.done()),
                tasks(counts.total)
            ),
            Runner::Process(pid) => format!(
                "It is being run by process {pid}; {} of {} done.",
                count(counts.done()),
                tasks(counts.total)
            ),
            Runner::Nobody => format!(
                "Nobody is running it: the process that did has ended with {} of {} done. \
                 `kingtide run {} --resume` goes on with it.",
                count(counts.done()),
                tasks(counts.total),
                run.job
            ),
        }),
        RunState::Succeeded => said.push(format!(
            "It succeeded in {}{}.",
            duration(run.wall(facts.now)),
            if counts.failed + counts.rejected > 0 {
                ": its failures are within what the job tolerates"
            } else {
                ""
            }
        )),
        RunState::Failed => said.push(format!("It failed after {}{because}.", duration(run.wall(facts.now)))),
        RunState::Cancelled => said.push(format!(
            "It was cancelled after {}{because}.",
            duration(run.wall(facts.now))
        )),
    }
    if run.late {
        let most = run
            .deadline_at
            .map(|deadline| format!(" of {}", duration(deadline.since(run.created_at))));
        said.push(format!(
            "It was ended by its `max_duration`{}.",
            most.unwrap_or_default()
        ));
    }
    if run.state == RunState::Open && matches!(facts.runtime, Runner::Process(_)) {
        waiting_of_run(facts, &mut said);
    }
    for reason in &facts.reasons {
        let word = if reason.state == TaskState::Rejected {
            "rejected"
        } else {
            "failed"
        };
        said.push(format!(
            "{} {word}: {}; for instance `kingtide logs {} {}`.",
            capital(&plural(reason.tasks, "task")),
            reason.words,
            run.name(),
            reason.seq
        ));
    }
    past_of_run(facts, &mut said);
    said
}

fn waiting_of_run(facts: &OfRun, said: &mut Vec<String>) {
    let queue = &facts.queue;
    let active = queue.running + queue.leased;
    let counts = &facts.run.counts;
    let waiting = counts.total.saturating_sub(counts.done() + active);
    if queue.delayed > 0 {
        said.push(format!("{} for the delay before a retry.", waits(queue.delayed)));
    }
    let ready = waiting.saturating_sub(queue.delayed);
    if ready > 0 {
        said.push(match facts.policy.as_ref().and_then(|policy| policy.max_workers) {
            Some(most) if active >= u64::from(most) => {
                format!(
                    "{} because {} at once, as `max_workers` says.",
                    waits(ready),
                    runs(active)
                )
            }
            _ if active > 0 => format!("{} for room: {}.", waits(ready), runs(active)),
            _ => format!(
                "{} although nothing runs: it has just begun, is paused, or is about to end.",
                waits(ready)
            ),
        });
    }
}

fn past_of_run(facts: &OfRun, said: &mut Vec<String>) {
    let of = |outcome| facts.totals.of(outcome);
    if facts.totals.recovered > 0 {
        said.push(format!(
            "{} succeeded after a retry.",
            capital(&tasks(facts.totals.recovered))
        ));
    }
    if of(Outcome::OutOfMemory) > 0 {
        let grown = match facts.policy.as_ref().and_then(|policy| policy.memory_max) {
            Some(most) => format!("; each next attempt was given twice as much, up to {}", bytes(most)),
            None => "; `memory_max` would let the next attempt have more".to_owned(),
        };
        said.push(format!(
            "{} ran out of memory{grown}.",
            capital(&plural(of(Outcome::OutOfMemory), "attempt"))
        ));
    }
    if of(Outcome::TimedOut) > 0 {
        let limit = facts.policy.as_ref().and_then(|policy| policy.timeout);
        let limit = limit
            .map(|limit| format!(" of {}", duration(limit)))
            .unwrap_or_default();
        said.push(format!(
            "{} ran into the `timeout`{limit}.",
            capital(&plural(of(Outcome::TimedOut), "attempt"))
        ));
    }
    for (outcome, words) in [
        (Outcome::Lost, "lost with what ran them; that costs no retry"),
        (Outcome::Released, "handed back to the queue, at no cost"),
    ] {
        if of(outcome) > 0 {
            let were = if of(outcome) == 1 { "was" } else { "were" };
            said.push(format!("{} {were} {words}.", capital(&plural(of(outcome), "attempt"))));
        }
    }
    if facts.run.counts.skipped > 0 {
        let skipped = facts.run.counts.skipped;
        let fail = if skipped == 1 { "fails" } else { "fail" };
        said.push(format!(
            "{} had nothing to do, and {fail} no run.",
            capital(&tasks(skipped))
        ));
    }
}

fn tasks(number: u64) -> String {
    plural(number, "task")
}

fn waits(number: u64) -> String {
    format!(
        "{} {}",
        capital(&tasks(number)),
        if number == 1 { "waits" } else { "wait" }
    )
}

fn runs(number: u64) -> String {
    format!("{} {}", tasks(number), if number == 1 { "runs" } else { "run" })
}

fn go(number: u64) -> String {
    format!("{} {}", tasks(number), if number == 1 { "goes" } else { "go" })
}

/// Sentences begin with a capital; ours begin with numbers mostly.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
