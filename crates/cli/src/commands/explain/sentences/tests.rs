//! What is said of each state.

use kingtide_core::engine::state::Named;
use kingtide_core::plan::lognormal::LogNormal;
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
        runtime: Runner::Process(4242),
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
            facts.runtime = runtime.map_or(Runner::Nobody, Runner::Process);
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
        runtime: Runner::Nobody,
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
                ..task(TaskState::Waiting, |task| task.takes = Some(about(90_000)))
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

/// It takes about so many milliseconds.
fn about(milliseconds: u64) -> LogNormal {
    LogNormal::around(std::time::Duration::from_millis(milliseconds), 0.2)
}

#[test]
fn tasks_that_run() {
    let facts = of(RunState::Open);
    let abandoned = OfRun {
        runtime: Runner::Nobody,
        ..of(RunState::Open)
    };
    let slow = |task: &mut Task| {
        task.started_at = Some(Timestamp(NOW.0 - 300_000));
        task.takes = Some(about(90_000));
        task.attempt = 2;
    };
    let said = [
        of_task(&facts, &task(TaskState::Leased, |_| ())),
        of_task(&facts, &task(TaskState::Leased, slow)),
        of_task(
            &facts,
            &task(TaskState::Leased, |task| {
                slow(task);
                task.takes = Some(about(280_000))
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
    slow.task.takes = Some(about(10_000));
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
