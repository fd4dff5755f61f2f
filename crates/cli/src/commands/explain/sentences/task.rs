//! What is said of one task: how it stands, and what it has been through.

use std::time::Duration;

use kingtide_core::engine::retry::MAX_LOSSES;
use kingtide_core::project::OnCrash;
use kingtide_runtime::view::{Attempt, Outcome, Task, TaskState};

use super::{OfRun, OfTask, Runner, go, runs};
use crate::output::text::{ago, bytes, duration, plural};

pub(in crate::commands::explain) fn of_task(facts: &OfRun, of: &OfTask) -> Vec<String> {
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
        (Runner::Nobody, _) => said.push(format!(
            "It waits because nobody is running {}; `kingtide run {} --resume` goes on with it.",
            facts.run.name(),
            facts.run.job
        )),
        (Runner::Process(_) | Runner::Aws, Some(at)) if at > facts.now => {
            said.push(format!(
                "It waits for the delay before its retry: {} to go.",
                duration(at.since(facts.now))
            ));
        }
        (Runner::Process(_) | Runner::Aws, _) => {
            let order = match (of.ahead, &task.takes) {
                (0, _) => "It is the next to start".to_owned(),
                (ahead, None) => format!("It waits for its turn: {} before it", go(ahead)),
                (ahead, Some(takes)) => format!(
                    "It waits for its turn: {} before it; the longest go first, and it is expected to take {}",
                    go(ahead),
                    duration(takes.median())
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
            Runner::Process(_) | Runner::Aws => {
                "It is about to start, or has been running for less than a moment.".to_owned()
            }
            Runner::Nobody => {
                "It was about to start when its runtime ended; the next runtime finds out how it went.".to_owned()
            }
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
        Runner::Process(_) | Runner::Aws => format!("It has been running for {}{attempt}.", duration(age)),
        Runner::Nobody => format!(
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
    let Some((wall, takes)) = wall.zip(task.takes) else {
        return;
    };
    let (median, limit) = (takes.median(), takes.quantile(0.95));
    // Below a second, starting up decides.
    if wall > limit && wall > median + Duration::from_secs(1) {
        let times = wall.as_secs_f64() / median.as_secs_f64();
        said.push(format!(
            "That is slow: {times:.1} times the {} that its kind takes, and longer than 19 of 20 of it.",
            duration(median)
        ));
    } else if task.state == TaskState::Leased {
        said.push(format!(
            "Its kind takes {}, and 19 times of 20 at most {}.",
            duration(median),
            duration(limit)
        ));
    }
}

fn failed(facts: &OfRun, of: &OfTask, said: &mut Vec<String>) {
    let task = &of.task;
    if task.losses >= MAX_LOSSES {
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
