//! What rows mean, in sentences. Pure: the same rows give the same words.

use std::time::Duration;

use kingtide_core::project::{Job, OnCrash, Tolerance};
use kingtide_core::time::Timestamp;
use kingtide_runtime::view::{Attempt, Outcome, Queue, Reason, Run, RunState, Task, TaskState, Totals};

use crate::output::text::{ago, bytes, count, duration, plural};

/// After so many the infrastructure has lost a task for good.
const MOST_LOSSES: u32 = 5;

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

/// A run and what surrounds it.
#[derive(Clone, Debug)]
pub(super) struct OfRun {
    pub(super) run: Run,
    pub(super) queue: Queue,
    pub(super) totals: Totals,
    /// Why tasks failed, the most frequent first.
    pub(super) reasons: Vec<Reason>,
    /// The process that runs the project, if one lives.
    pub(super) runtime: Option<u32>,
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
            Some(pid) => format!(
                "It is being run by process {pid}; {} of {} done.",
                count(counts.done()),
                tasks(counts.total)
            ),
            None => format!(
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
    if run.state == RunState::Open && facts.runtime.is_some() {
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
        said.push(format!(
            "{} had nothing to do, and fail no run.",
            capital(&tasks(facts.run.counts.skipped))
        ));
    }
}

pub(super) fn of_task(facts: &OfRun, of: &OfTask) -> Vec<String> {
    let task = &of.task;
    let mut said = Vec::new();
    match task.state {
        TaskState::Waiting => waiting(facts, of, &mut said),
        TaskState::Leased => running(facts, of, &mut said),
        TaskState::Succeeded => {
            let wall = of.attempts.last().and_then(Attempt::wall);
            let within = wall.map(|wall| format!(" in {}", duration(wall))).unwrap_or_default();
            let tries = if task.attempt > 1 {
                format!(", in attempt {}", task.attempt)
            } else {
                String::new()
            };
            said.push(format!("It succeeded{within}{tries}."));
            if task.unpublished {
                said.push("Its output is not yet in its place; the next runtime puts it there.".to_owned());
            }
            compare(task, wall, &mut said);
        }
        TaskState::Skipped => {
            said.push(format!(
                "It was skipped: its program said there is nothing to do{}. It fails no run.",
                why(task)
            ));
        }
        TaskState::Rejected => {
            said.push(format!(
                "It was rejected by its program{}: such a task is not tried again.",
                why(task)
            ));
        }
        TaskState::Failed => failed(facts, of, &mut said),
        TaskState::Cancelled => said.push(match task.attempt {
            0 => "It was cancelled with its run before it started.".to_owned(),
            _ => "It was cancelled with its run; its program was ended.".to_owned(),
        }),
    }
    past(facts, of, &mut said);
    said
}

fn waiting(facts: &OfRun, of: &OfTask, said: &mut Vec<String>) {
    let task = &of.task;
    let active = facts.queue.running + facts.queue.leased;
    match (facts.runtime, task.visible_at) {
        (None, _) => said.push(format!(
            "It waits because nobody is running {}; `kingtide run {} --resume` goes on with it.",
            facts.run.name(),
            facts.run.job
        )),
        (Some(_), Some(at)) if at > facts.now => {
            said.push(format!(
                "It waits for the delay before its retry: {} to go.",
                duration(at.since(facts.now))
            ));
        }
        (Some(_), _) => {
            let order = match (of.ahead, task.predicted) {
                (0, _) => "It is the next to start".to_owned(),
                (ahead, 0) => format!("It waits for its turn: {} before it", go(ahead)),
                (ahead, predicted) => format!(
                    "It waits for its turn: {} before it; the longest go first, and it is expected to take {}",
                    go(ahead),
                    duration(Duration::from_millis(predicted.max(0) as u64))
                ),
            };
            let limit = match facts.policy.as_ref().and_then(|policy| policy.max_workers) {
                Some(most) if active >= u64::from(most) => ", as many as `max_workers` allows",
                _ => "",
            };
            let room = match active {
                0 => String::new(),
                active => format!(", as soon as there is room ({}{limit})", runs(active)),
            };
            said.push(format!("{order}{room}."));
        }
    }
    if let Some(memory) = task.memory {
        said.push(format!("Its next attempt is given {} of memory.", bytes(memory)));
    }
}

fn running(facts: &OfRun, of: &OfTask, said: &mut Vec<String>) {
    let task = &of.task;
    let Some(started) = task.started_at else {
        said.push(match facts.runtime {
            Some(_) => "It is about to start, or has been running for less than a moment.".to_owned(),
            None => "It was about to start when its runtime ended; the next runtime finds out how it went.".to_owned(),
        });
        return;
    };
    let age = facts.now.since(started);
    let attempt = if task.attempt > 1 {
        format!(" (attempt {})", task.attempt)
    } else {
        String::new()
    };
    said.push(match facts.runtime {
        Some(_) => format!("It has been running for {}{attempt}.", duration(age)),
        None => format!(
            "It was started {}{attempt}, and its runtime has ended since; its keeper lets it run on and keeps its result.",
            ago(age)
        ),
    });
    compare(task, Some(age), said);
    if let Some(timeout) = facts.policy.as_ref().and_then(|policy| policy.timeout) {
        let left = timeout.saturating_sub(age);
        said.push(format!(
            "Its `timeout` of {} ends it in {}.",
            duration(timeout),
            duration(left)
        ));
    }
}

/// Slow or quick against what earlier runs say.
fn compare(task: &Task, wall: Option<Duration>, said: &mut Vec<String>) {
    let (Some(wall), Ok(predicted @ 1..)) = (wall, u64::try_from(task.predicted)) else {
        return;
    };
    let predicted = Duration::from_millis(predicted);
    let times = wall.as_secs_f64() / predicted.as_secs_f64();
    // Below a second, starting up decides.
    if times >= 1.5 && wall > predicted + Duration::from_secs(1) {
        said.push(format!(
            "That is slow: {times:.1} times the {} that earlier runs took.",
            duration(predicted)
        ));
    } else if task.state == TaskState::Leased {
        said.push(format!("Earlier runs took {}.", duration(predicted)));
    }
}

fn failed(facts: &OfRun, of: &OfTask, said: &mut Vec<String>) {
    let task = &of.task;
    if task.losses >= MOST_LOSSES {
        said.push(format!(
            "It failed because {} of its attempts were lost with what ran them{}.",
            task.losses,
            why(task)
        ));
        return;
    }
    let last = of.attempts.last();
    if last.is_some_and(|last| last.outcome == Outcome::Lost) {
        let rule = match facts.policy.as_ref().map(|policy| policy.on_crash) {
            Some(OnCrash::Fail) => ": it may have run, and `on_crash = \"fail\"` forbids to run it twice",
            _ => "",
        };
        said.push(format!(
            "It failed because its attempt was lost with what ran it{rule}."
        ));
        return;
    }
    said.push(format!("It failed{}.", why(task)));
    match facts.policy.as_ref().map(|policy| policy.retries) {
        Some(0) => said.push("The job says `retries = 0`, so it was not tried again.".to_owned()),
        Some(retries) if task.failures > retries => {
            said.push(format!(
                "It had its {}, as `retries = {retries}` says.",
                plural(u64::from(task.failures), "attempt")
            ));
        }
        _ => {}
    }
    let ran_out = last.is_some_and(|last| last.outcome == Outcome::OutOfMemory);
    if ran_out {
        let most = facts
            .policy
            .as_ref()
            .and_then(|policy| policy.memory_max.or(policy.memory));
        let most = most.map(|most| format!(" of {}", bytes(most))).unwrap_or_default();
        said.push(format!(
            "It ran out of memory; raise the limit{most} or run fewer beside it."
        ));
    }
    said.push(format!(
        "Its log: `kingtide logs {} {}`. Once mended: `kingtide retry`.",
        facts.run.name(),
        task.id.seq
    ));
}

/// Attempts before the last, one sentence each, the first and the last few of many.
fn past(facts: &OfRun, of: &OfTask, said: &mut Vec<String>) {
    let is_over = of.task.state.is_over();
    let past = match (is_over, of.attempts.len()) {
        (true, length) => &of.attempts[..length.saturating_sub(1)],
        (false, _) => &of.attempts[..],
    };
    for (index, attempt) in past.iter().enumerate() {
        if index >= 3 && index + 2 < past.len() {
            if index == 3 {
                said.push(format!("… {} more …", past.len() - 5));
            }
            continue;
        }
        let wall = attempt
            .wall()
            .map(|wall| format!(" after {}", duration(wall)))
            .unwrap_or_default();
        let words = attempt
            .reason
            .as_ref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let cost = match attempt.outcome {
            Outcome::Lost | Outcome::Released => ", at no cost",
            _ => "",
        };
        let end = match attempt.outcome {
            Outcome::Succeeded => "succeeded, and its result was not kept",
            Outcome::Failed => "failed",
            Outcome::Skipped => "was skipped",
            Outcome::Released => "was handed back to the queue",
            Outcome::Rejected => "was rejected",
            Outcome::TimedOut => "ran into its timeout",
            Outcome::OutOfMemory => "ran out of memory",
            Outcome::Lost => "was lost with what ran it",
            Outcome::Stopped => "was stopped",
        };
        said.push(format!("Attempt {} {end}{wall}{words}{cost}.", attempt.id.number));
    }
    if let (Some(memory), true) = (of.task.memory, of.task.state != TaskState::Waiting) {
        let most = facts.policy.as_ref().and_then(|policy| policy.memory_max);
        let most = most
            .map(|most| format!(" (`memory_max` is {})", bytes(most)))
            .unwrap_or_default();
        said.push(format!("Its memory was raised to {}{most}.", bytes(memory)));
    }
}

fn why(task: &Task) -> String {
    task.reason
        .as_ref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default()
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
mod tests {
    use kingtide_runtime::notice::Counts;

    use super::*;
    use crate::output::summary::sample;

    const NOW: Timestamp = Timestamp(1_785_766_000_000);

    fn of(state: RunState) -> OfRun {
        let counts = Counts {
            total: 105,
            succeeded: 50,
            failed: 3,
            skipped: 2,
            attempts: 61,
            ..Counts::default()
        };
        OfRun {
            run: sample::run(state, counts),
            queue: Queue {
                running: 3,
                leased: 1,
                delayed: 2,
            },
            totals: Totals {
                outcomes: [(Outcome::OutOfMemory, 2), (Outcome::TimedOut, 1), (Outcome::Lost, 1)].into(),
                recovered: 1,
                ..Totals::default()
            },
            reasons: vec![Reason {
                state: TaskState::Failed,
                words: "exit code 1".to_owned(),
                tasks: 3,
                seq: 37,
            }],
            runtime: Some(4242),
            policy: Some(Policy {
                retries: 2,
                timeout: Some(Duration::from_secs(3600)),
                memory: Some(1 << 30),
                memory_max: Some(4 << 30),
                max_workers: Some(4),
                tolerate_failures: Tolerance::Count(0),
                on_crash: OnCrash::Retry,
            }),
            now: NOW,
        }
    }

    fn task(state: TaskState, change: impl FnOnce(&mut Task)) -> OfTask {
        let mut task = sample::task(37, state, r#"{"dest":"BOS"}"#);
        change(&mut task);
        OfTask {
            task,
            attempts: Vec::new(),
            ahead: 0,
        }
    }

    fn attempt(number: u32, outcome: Outcome, seconds: i64, reason: Option<&str>) -> Attempt {
        Attempt {
            id: kingtide_core::id::RunId(12).task(37).attempt(number),
            outcome,
            reason: reason.map(str::to_owned),
            exit_code: None,
            started_at: Some(Timestamp(0)),
            ended_at: Timestamp(seconds * 1000),
            cpu_ms: 0,
            memory_peak: 0,
            read_bytes: 0,
            written_bytes: 0,
        }
    }

    #[test]
    fn runs_in_every_state() {
        let mut text = String::new();
        for state in RunState::ALL {
            for runtime in [Some(4242), None] {
                let mut facts = of(*state);
                facts.runtime = runtime;
                facts.run.reason = (!matches!(state, RunState::Open)).then(|| "a reason".to_owned());
                text.push_str(&format!("{state}, runtime {runtime:?}\n"));
                of_run(&facts)
                    .iter()
                    .for_each(|sentence| text.push_str(&format!("  {sentence}\n")));
            }
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_run_without_its_file() {
        let mut facts = of(RunState::Open);
        facts.policy = None;
        facts.run.deadline_at = Some(Timestamp(facts.run.created_at.0 + 60_000));
        facts.run.late = true;
        insta::assert_snapshot!(of_run(&facts).join("\n"));
    }

    #[test]
    fn tasks_that_wait() {
        let facts = of(RunState::Open);
        let abandoned = OfRun {
            runtime: None,
            ..of(RunState::Open)
        };
        let idle = OfRun {
            queue: Queue::default(),
            ..of(RunState::Open)
        };
        let said = [
            of_task(&facts, &task(TaskState::Waiting, |_| ())),
            of_task(
                &facts,
                &OfTask {
                    ahead: 7,
                    ..task(TaskState::Waiting, |_| ())
                },
            ),
            of_task(
                &facts,
                &OfTask {
                    ahead: 1,
                    ..task(TaskState::Waiting, |task| task.predicted = 90_000)
                },
            ),
            of_task(&idle, &task(TaskState::Waiting, |task| task.memory = Some(2 << 30))),
            of_task(&abandoned, &task(TaskState::Waiting, |_| ())),
            of_task(
                &facts,
                &OfTask {
                    attempts: vec![
                        attempt(1, Outcome::Failed, 3, Some("exit code 1")),
                        attempt(2, Outcome::Released, 1, None),
                        attempt(3, Outcome::Lost, 9, Some("the keeper died")),
                    ],
                    ..task(TaskState::Waiting, |task| {
                        task.visible_at = Some(Timestamp(NOW.0 + 12_000))
                    })
                },
            ),
        ];
        insta::assert_snapshot!(said.map(|sentences| sentences.join("\n")).join("\n\n"));
    }

    #[test]
    fn tasks_that_run() {
        let facts = of(RunState::Open);
        let abandoned = OfRun {
            runtime: None,
            ..of(RunState::Open)
        };
        let slow = |task: &mut Task| {
            task.started_at = Some(Timestamp(NOW.0 - 300_000));
            task.predicted = 90_000;
            task.attempt = 2;
        };
        let said = [
            of_task(&facts, &task(TaskState::Leased, |_| ())),
            of_task(&facts, &task(TaskState::Leased, slow)),
            of_task(
                &facts,
                &task(TaskState::Leased, |task| {
                    slow(task);
                    task.predicted = 280_000
                }),
            ),
            of_task(&abandoned, &task(TaskState::Leased, slow)),
            of_task(&abandoned, &task(TaskState::Leased, |_| ())),
        ];
        insta::assert_snapshot!(said.map(|sentences| sentences.join("\n")).join("\n\n"));
    }

    #[test]
    fn tasks_that_are_over() {
        let facts = of(RunState::Failed);
        let fail_on_crash = {
            let mut facts = of(RunState::Failed);
            facts.policy = facts.policy.map(|policy| Policy {
                on_crash: OnCrash::Fail,
                retries: 0,
                ..policy
            });
            facts
        };
        let over = |state, attempts: Vec<Attempt>, reason: Option<&str>| {
            let number = attempts.len() as u32;
            OfTask {
                attempts,
                ..task(state, |task| {
                    task.attempt = number;
                    task.failures = number;
                    task.reason = reason.map(str::to_owned);
                })
            }
        };
        let mut slow = over(
            TaskState::Succeeded,
            vec![attempt(1, Outcome::Succeeded, 50, None)],
            None,
        );
        slow.task.predicted = 10_000;
        let mut grown = over(
            TaskState::Succeeded,
            vec![
                attempt(1, Outcome::OutOfMemory, 5, Some("out of memory (limit 1 GiB)")),
                attempt(2, Outcome::Succeeded, 50, None),
            ],
            None,
        );
        grown.task.memory = Some(2 << 30);
        grown.task.unpublished = true;
        let mut lost = over(
            TaskState::Failed,
            vec![attempt(1, Outcome::Lost, 5, None); 5],
            Some("lost 5 times"),
        );
        lost.task.losses = 5;
        let failures = |outcome, times: u32| {
            (1..=times)
                .map(|n| attempt(n, outcome, 5, Some("exit code 1")))
                .collect()
        };
        let said = [
            of_task(&facts, &slow),
            of_task(&facts, &grown),
            of_task(
                &facts,
                &over(TaskState::Skipped, failures(Outcome::Skipped, 1), Some("exit code 3")),
            ),
            of_task(
                &facts,
                &over(TaskState::Rejected, failures(Outcome::Rejected, 1), Some("exit code 5")),
            ),
            of_task(
                &facts,
                &over(TaskState::Failed, failures(Outcome::Failed, 3), Some("exit code 1")),
            ),
            of_task(
                &facts,
                &over(
                    TaskState::Failed,
                    failures(Outcome::OutOfMemory, 3),
                    Some("out of memory"),
                ),
            ),
            of_task(
                &facts,
                &over(TaskState::Failed, failures(Outcome::Failed, 12), Some("exit code 1")),
            ),
            of_task(
                &fail_on_crash,
                &over(TaskState::Failed, failures(Outcome::Failed, 1), Some("exit code 1")),
            ),
            of_task(
                &fail_on_crash,
                &over(TaskState::Failed, failures(Outcome::Lost, 1), None),
            ),
            of_task(&facts, &lost),
            of_task(&facts, &over(TaskState::Cancelled, Vec::new(), None)),
            of_task(&facts, &over(TaskState::Cancelled, failures(Outcome::Stopped, 1), None)),
        ];
        insta::assert_snapshot!(said.map(|sentences| sentences.join("\n")).join("\n\n"));
    }
}
