//! A job with rules drawn from the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use kingtide_core::project::{Backoff, ExitAction, Job, Mode, OnCrash, Program, Resources, Tolerance};
use kingtide_core::template::Template;

pub(super) fn drawn(random: &mut fastrand::Rng) -> Job {
    let on_crash = if random.u32(0..4) == 0 {
        OnCrash::Fail
    } else {
        OnCrash::Retry
    };
    let on_exit = [(3, ExitAction::Skip), (4, ExitAction::Release), (5, ExitAction::Reject)];
    Job {
        name: "sim".to_owned(),
        program: Program::Process,
        command: vec![Template::literal("true")],
        workdir: None,
        env: BTreeMap::new(),
        secrets: Vec::new(),
        python: None,
        params: None,
        resources: Resources {
            cpu_milli: 1000,
            memory: random.bool().then_some(1 << 30),
            gpus: u32::from(random.u32(0..5) == 0),
        },
        memory_max: random.bool().then_some(3 << 30),
        timeout: None,
        max_duration: None,
        deadline: None,
        confidence: 0.9,
        expected: None,
        cloud: Default::default(),
        stop_timeout: Duration::from_secs(1),
        retries: random.u32(0..3),
        backoff: Backoff::default(),
        on_exit: BTreeMap::from(on_exit),
        mode: Mode::Task,
        heartbeat: true,
        max_workers: None,
        run_idle: Duration::from_secs(60),
        tolerate_failures: Tolerance::Count(0),
        on_crash,
    }
}
