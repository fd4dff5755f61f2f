//! Runs that other tests print too.

use std::collections::BTreeMap;

use kingtide_core::id::RunId;
use kingtide_core::project::{Backoff, Job, Mode, OnCrash, Program, Resources, Tolerance};
use kingtide_core::template::Template;
use kingtide_core::time::Timestamp;
use kingtide_runtime::notice::Counts;
use kingtide_runtime::view::TaskState;

use super::*;

pub(crate) fn message(body: &str) -> Message {
    Message::parse(body).expect("an object")
}

pub(crate) fn run(state: RunState, counts: Counts) -> Run {
    Run {
        id: RunId(12),
        job: "retrain".to_owned(),
        state,
        reason: None,
        late: false,
        source: "destinations.csv".to_owned(),
        retry_of: None,
        created_at: Timestamp(1_785_765_900_000),
        deadline_at: None,
        due_at: None,
        done_at: None,
        chance: None,
        confidence: None,
        ended_at: state.is_over().then_some(Timestamp(1_785_766_051_234)),
        counts,
    }
}

pub(crate) fn task(seq: i64, state: TaskState, body: &str) -> Task {
    Task {
        id: RunId(12).task(seq),
        state,
        message: message(body),
        key: 1,
        predicted: 0,
        takes: None,
        visible_at: None,
        attempt: 0,
        failures: 0,
        losses: 0,
        memory: None,
        started_at: None,
        ended_at: None,
        reason: None,
        unpublished: false,
    }
}

pub(crate) fn job() -> Job {
    Job {
        name: "retrain".to_owned(),
        program: Program::Process,
        command: vec![
            Template::parse("train").expect("a template"),
            Template::parse("{dest}").expect("a template"),
        ],
        workdir: None,
        env: BTreeMap::new(),
        secrets: Vec::new(),
        python: None,
        params: None,
        resources: Resources {
            cpu_milli: 1000,
            memory: None,
            gpus: 0,
        },
        memory_max: None,
        timeout: None,
        max_duration: None,
        deadline: None,
        confidence: 0.9,
        expected: None,
        cloud: Default::default(),
        stop_timeout: Duration::from_secs(10),
        retries: 2,
        backoff: Backoff::default(),
        on_exit: BTreeMap::new(),
        mode: Mode::Task,
        heartbeat: true,
        max_workers: None,
        run_idle: Duration::from_secs(60),
        tolerate_failures: Tolerance::Percent(5.0),
        on_crash: OnCrash::Retry,
    }
}

pub(crate) fn succeeded() -> Facts {
    let counts = Counts {
        total: 105,
        succeeded: 103,
        skipped: 2,
        attempts: 105,
        ..Counts::default()
    };
    let slow = |seq, body, seconds| Slow {
        attempt: RunId(12).task(seq).attempt(1),
        message: message(body),
        wall: Duration::from_secs(seconds),
    };
    Facts {
        run: run(RunState::Succeeded, counts),
        wall: Duration::from_secs(151),
        totals: Totals {
            outcomes: BTreeMap::from([(Outcome::Succeeded, 103), (Outcome::Skipped, 2)]),
            ..Totals::default()
        },
        slowest: vec![
            slow(4, r#"{"dest":"ATL"}"#, 12),
            slow(9, r#"{"dest":"ORD"}"#, 11),
            slow(1, r#"{"dest":"BOS"}"#, 9),
        ],
        peak: Some(Peak {
            attempt: RunId(12).task(4).attempt(1),
            message: message(r#"{"dest":"ATL"}"#),
            memory: 412 << 20,
        }),
        memory: Some(2 << 30),
        limits: Some("by cgroup v2".to_owned()),
        failed: None,
        results: 103,
        outputs: OutputTotal {
            outputs: 103,
            files: 103,
            bytes: 12 << 20,
        },
    }
}

pub(crate) fn failed() -> Facts {
    let counts = Counts {
        total: 105,
        succeeded: 98,
        skipped: 2,
        failed: 4,
        rejected: 1,
        attempts: 113,
        ..Counts::default()
    };
    let mut run = run(RunState::Failed, counts);
    run.reason = Some("5 of 105 tasks failed, 1 is tolerated".to_owned());
    Facts {
        run,
        totals: Totals {
            outcomes: BTreeMap::from([
                (Outcome::Succeeded, 98),
                (Outcome::Failed, 9),
                (Outcome::TimedOut, 2),
                (Outcome::Lost, 2),
            ]),
            recovered: 3,
            ..Totals::default()
        },
        failed: Some(task(37, TaskState::Failed, r#"{"dest":"BOS"}"#)),
        outputs: OutputTotal::default(),
        ..succeeded()
    }
}
