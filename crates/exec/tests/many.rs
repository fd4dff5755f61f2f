//! Thousands of short attempts: all ends are told once, and nothing adds up in the keeper.

mod stage;

use std::collections::BTreeSet;

use kingtide_exec::processes::Table;
use kingtide_exec::wire::{End, Report, Request};
use stage::{Runtime, Stage};

const SLOTS: u32 = 4;

#[test]
fn two_thousand_attempts_leave_nothing_behind() {
    run(2_000);
}

#[test]
#[ignore = "takes half a minute"]
fn twenty_thousand_attempts_leave_nothing_behind() {
    run(20_000);
}

fn run(count: usize) {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    work_off(&mut runtime, 0, count / 4);
    let before = Held::by(&runtime);
    work_off(&mut runtime, count / 4, count);
    let after = Held::by(&runtime);
    assert!(after.descriptors <= before.descriptors + 2, "{before:?} {after:?}");
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(after.resident_kib <= before.resident_kib + 1024, "{before:?} {after:?}");
    let table = Table::read().expect("/proc");
    assert_eq!(table.children(runtime.keeper()).count(), 0);
}

/// As a runtime does it: some hundreds ahead, and more when those are done.
fn work_off(runtime: &mut Runtime, from: usize, to: usize) {
    for start in (from..to).step_by(500) {
        batch(runtime, start, (start + 500).min(to));
    }
}

fn batch(runtime: &mut Runtime, from: usize, to: usize) {
    let requests: Vec<Request> = (from..to)
        .map(|number| {
            // Some with a log, some that have fled: those must not disturb the others.
            let mut start = match number % 500 {
                7 => runtime.shell(&format!("1/{number}/1"), "setsid sleep 1000 & exit 0"),
                8 => runtime.shell(&format!("1/{number}/1"), "echo x"),
                _ => runtime.order(&format!("1/{number}/1"), &["true"]),
            };
            start.limit = SLOTS;
            Request::Start(Box::new(start))
        })
        .collect();
    runtime.say(&requests);
    let mut told = BTreeSet::new();
    while told.len() < to - from {
        let exited = runtime.hear(|report| match report {
            Report::Exited(exited) => Some((**exited).clone()),
            _ => None,
        });
        assert_eq!(exited.end, End::Code(0), "{exited:?}");
        runtime.acknowledge(&exited.attempt);
        assert!(told.insert(exited.attempt), "told twice");
    }
}

/// What the keeper has in hand.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    resident_kib: u64,
}

impl Held {
    fn by(runtime: &Runtime) -> Held {
        let proc = std::path::PathBuf::from(format!("/proc/{}", runtime.keeper()));
        let count = |name: &str| std::fs::read_dir(proc.join(name)).expect("a keeper that lives").count();
        let status = std::fs::read_to_string(proc.join("status")).expect("a keeper that lives");
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
        let resident_kib = resident.expect("a size").trim().parse().expect("a number");
        Held {
            descriptors: count("fd"),
            threads: count("task"),
            resident_kib,
        }
    }
}
