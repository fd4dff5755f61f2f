//! A whole run: the real dispatcher starts real workers by way of a model of ECS whose tasks are processes of this machine.

use std::process::{Command, Stdio};
use std::sync::Arc;

use kingtide_core::cloud::rung::Rung;
use kingtide_core::cloud::variables;
use kingtide_core::engine::event::TaskState;
use kingtide_core::id::RunId;
use kingtide_remote::record::{self, Keys, RunDocument, RunOutcome, TaskLine};
use kingtide_testkit::Running;
use kingtide_testkit::ecs::Ecs;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{BUCKET, World};

const DEFINITION: &str = "definition";

/// A cluster whose tasks are workers of this world.
fn cluster(world: &Arc<World>) -> Ecs {
    // The threads of the cluster outlive the test, and must not keep the queues.
    let world = Arc::downgrade(world);
    Ecs::start(move |_, overrides| {
        let mut command = world.upgrade().expect("the test goes on").command();
        command.envs(overrides).stdout(Stdio::null()).stderr(Stdio::null());
        command
    })
}

fn dispatcher(world: &World, endpoint: &str) -> Command {
    let mut command = world.command();
    let rung = Rung {
        definition: DEFINITION.to_owned(),
        queue_url: world.sqs.url("work"),
        cpu: 1024,
        memory_mib: 2048,
        extra_gib: 0,
        gpus: 0,
        capacity: None,
    };
    command.arg(variables::ROLE_DISPATCHER).envs([
        (variables::CLUSTER, "cluster"),
        (variables::EXECUTION, "weekly-1"),
        (variables::STARTED, "2026-11-24T22:00:00Z"),
        (variables::INPUT, r#"{"by":"schedule","event":"schedule-j-2026-11-24"}"#),
        (variables::RUNGS, &Value::Array(vec![rung.json()]).to_string()),
        (variables::SUBNETS, "subnet-1,subnet-2"),
        (variables::SECURITY_GROUPS, "sg-1"),
        (variables::PARAMS, "params/1.jsonl"),
        ("AWS_ENDPOINT_URL", endpoint),
    ]);
    command
}

#[test]
fn a_run_is_opened_worked_off_and_written_down_also_when_its_dispatcher_is_lost() {
    let world = World::new(
        "command = [\"sh\", \"-c\", \"sleep 0.2; exit {code}\"]\nretries = 0\nmax_workers = 2\ntolerate_failures = 1",
    );
    let messages: String = (0..6)
        .map(|n| format!("{{\"n\":{n},\"code\":{}}}\n", i32::from(n == 4)))
        .collect();
    world.s3.put(BUCKET, "stack/params/1.jsonl", messages.as_bytes());
    let world = Arc::new(world);
    let ecs = cluster(&world);
    let endpoint = ecs.endpoint();
    let keys = Keys::new("stack").run(RunId(1));
    let first = Running::start(dispatcher(&world, &endpoint));
    world.wait_for(&keys.begins());
    first.signal(Signal::KILL);
    first.wait();
    // Step Functions starts another.
    let output = Running::start(dispatcher(&world, &endpoint)).wait_within(std::time::Duration::from_secs(120));
    let output = output.expect_code(0);
    let run: RunDocument = record::read("run.json", world.text(&keys.document()).as_bytes()).expect("a run");
    assert_eq!((run.total, run.execution.as_str()), (6, "weekly-1"));
    let outcome: RunOutcome = record::read("outcome.json", world.text(&keys.outcome()).as_bytes()).expect("an outcome");
    let counts = outcome.counts;
    assert_eq!(
        (counts.total, counts.succeeded, counts.failed),
        (6, 5, 1),
        "{}",
        output.stdout
    );
    assert_eq!(outcome.state.text(), "succeeded", "one failure is borne");
    let told: Value = serde_json::from_str(&world.text("stack/outcomes/weekly-1.json")).expect("JSON");
    assert_eq!(told["state"], "succeeded");
    let lines = world.text(&keys.lines());
    let lines: Vec<TaskLine> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line"))
        .collect();
    assert_eq!(
        lines.iter().map(|line| line.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(lines[4].state, TaskState::Failed);
    assert!(lines.iter().all(|line| line.attempts.len() == 1), "nothing ran twice");
    assert_eq!(lines[2].message, json!({ "n": 2, "code": 0 }));
    assert_eq!(
        world.s3.keys(BUCKET, "stack/numbers/").len(),
        1,
        "both opened the same run"
    );
    assert_eq!(
        ecs.count(DEFINITION),
        2,
        "the second dispatcher has started nobody again"
    );
    // The same event again, with another execution: it is taken.
    let mut again = dispatcher(&world, &endpoint);
    again.env(variables::EXECUTION, "weekly-2");
    Running::start(again).wait().expect_code(0);
    let told: Value = serde_json::from_str(&world.text("stack/outcomes/weekly-2.json")).expect("JSON");
    assert!(
        told["reason"].as_str().is_some_and(|why| why.contains("weekly-1")),
        "{told}"
    );
    assert_eq!(world.s3.keys(BUCKET, "stack/numbers/").len(), 1);
}

#[test]
fn who_wants_to_hear_of_a_run_that_will_be_late_is_told_by_an_event() {
    let world = World::new("command = [\"true\"]\ndeadline = \"1s\"\nexpected = \"10s\"\nmax_workers = 1");
    world.s3.put(BUCKET, "stack/params/1.jsonl", b"{}\n");
    let world = Arc::new(world);
    let ecs = cluster(&world);
    let mut command = dispatcher(&world, &ecs.endpoint());
    command.env(variables::WARNS, "true");
    let running = Running::start(command);
    running.wait_within(std::time::Duration::from_secs(120)).expect_code(0);
    let told = ecs.events();
    let late = told.iter().find(|entry| entry["DetailType"] == variables::EVENT_LATE);
    let detail = late.and_then(|entry| entry["Detail"].as_str()).expect("it was told");
    let detail: Value = serde_json::from_str(detail).expect("JSON");
    assert_eq!((&detail["stack"], &detail["run"]), (&json!("stack"), &json!("j-1")));
    assert!(
        detail["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("the deadline is met")),
        "{detail}"
    );
}
