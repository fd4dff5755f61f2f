//! Memory limits: by cgroup where one can be made, and by watching.

mod stage;

use kingtide_exec::wire::{End, Start};
use stage::{Runtime, Stage};

const MIB: u64 = 1024 * 1024;

/// Takes 150 MiB, and ends when that was allowed.
const HUNGRY: &str = "head -c 200M /dev/zero | tail -c 150M > /dev/null";
/// Takes 150 MiB and keeps it.
const GREEDY: &str = "{ head -c 200M /dev/zero; sleep 1000; } | tail -c 150M > /dev/null";

fn limited(runtime: &Runtime, attempt: &str, script: &str, mebibytes: u64) -> Start {
    let mut start = runtime.shell(attempt, script);
    start.memory = Some(mebibytes * MIB);
    start
}

fn check(stage: &Stage, runtime: &mut Runtime, script: &str) {
    let exited = runtime.run(limited(runtime, "1/1/1", script, 64));
    assert_eq!(exited.end, End::OutOfMemory, "{exited:?}");
    assert!(exited.usage.memory_peak >= 64 * MIB, "{exited:?}");
    stage.assert_empty();
    // A child of the program is the program.
    let exited = runtime.run(limited(runtime, "1/2/1", &format!("({script}); exit 1"), 64));
    assert_eq!(exited.end, End::OutOfMemory, "{exited:?}");
    // The same slot with a higher limit, and one that keeps within its own.
    let exited = runtime.run(limited(runtime, "1/3/1", HUNGRY, 400));
    assert_eq!(exited.end, End::Code(0), "{exited:?}");
    let exited = runtime.run(limited(runtime, "1/4/1", "exit 3", 64));
    assert_eq!(exited.end, End::Code(3), "an older kill is not this one's: {exited:?}");
    // What is limited can be stopped and leaves nothing behind, fled or not.
    let mut start = limited(
        runtime,
        "1/5/1",
        "setsid sleep 1000 & trap '' TERM; while :; do sleep 1; done",
        64,
    );
    (start.timeout_ms, start.stop_timeout_ms) = (Some(200), 100);
    runtime.run(start);
    stage.assert_empty();
}

#[test]
fn a_cgroup_limits_memory() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    if runtime.welcome.limits == "watch" {
        eprintln!("skipped: no cgroup with memory is writable here (root is, where there is one)");
        return;
    }
    check(&stage, &mut runtime, HUNGRY);
    // The group goes with the keeper.
    let keeper = runtime.keeper();
    let state = std::fs::read_to_string(stage.path(".kingtide/keeper.state")).expect("a state");
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    let group = state["keepers"][0]["group"].as_str().expect("a path").to_owned();
    assert!(std::path::Path::new(&group).exists());
    drop(runtime);
    stage::await_end(keeper, std::time::Instant::now() + stage::LONG);
    assert!(!std::path::Path::new(&group).exists());
}

#[test]
fn watching_limits_memory() {
    let stage = Stage::new();
    stage.watch_only();
    let mut runtime = stage.runtime(1);
    assert_eq!(runtime.welcome.limits, "watch");
    check(&stage, &mut runtime, GREEDY);
}
