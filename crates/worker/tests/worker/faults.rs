//! What happens to workers: killed, told to leave, handed the same message, refused by the bucket.

use std::fs;
use std::time::Duration;

use kingtide_core::engine::event::{Outcome, TaskState};
use kingtide_testkit::patience;
use kingtide_testkit::s3::Harm;
use rustix::process::Signal;
use serde_json::json;

use crate::world::{BUCKET, World};

#[test]
fn a_notice_hands_the_message_back_at_once_and_costs_no_retry() {
    let world = World::new("command = [\"sleep\", \"600\"]\nretries = 0");
    world.send(1, &json!({}));
    let worker = world.worker();
    world.wait_for(&world.keys().begins());
    worker.signal(Signal::TERM);
    worker.wait().expect_code(0);
    let task = world.task(1).expect("it is there");
    assert_eq!(
        (task.state(), task.attempts[0].outcome),
        (TaskState::Waiting, Some(Outcome::Stopped))
    );
    assert_eq!((task.claim.failures, task.claim.losses), (0, 0));
    let messages = world.sqs.receive("work", 1).expect("it answers");
    assert_eq!(messages.len(), 1, "it is there to be received");
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    let world = World::new(
        "command = [\"sh\", \"-c\", \"setsid sleep 600 & echo $! > pid; setsid sh -c 'sleep 600 & sleep 600' &\"]",
    );
    world.send(1, &json!({}));
    world.drain();
    assert_eq!(world.state(1), Some(TaskState::Succeeded));
    let pid = fs::read_to_string(world.work.path().join("pid")).expect("it is written");
    assert!(
        !fs::exists(format!("/proc/{}", pid.trim())).expect("it can be asked"),
        "it lives on"
    );
}

#[test]
fn a_killed_worker_loses_its_attempt_and_no_retry() {
    let world = World::new("command = [\"sh\", \"-c\", \"test $KINGTIDE_ATTEMPT = 2 || sleep 600\"]\nretries = 0");
    world.send(1, &json!({}));
    let worker = world.worker();
    world.wait_for(&world.keys().begins());
    worker.signal(Signal::KILL);
    worker.wait();
    // As if its hold were over: nobody waits three minutes for that here.
    let task = world.task(1).expect("it is there");
    world.let_go(1, task);
    world.send(1, &json!({}));
    world.drain();
    let task = world.task(1).expect("it is there");
    assert_eq!(task.state(), TaskState::Succeeded);
    let outcomes: Vec<_> = task.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::Lost), Some(Outcome::Succeeded)]);
    assert_eq!((task.claim.failures, task.claim.losses), (0, 1));
}

#[test]
fn two_with_the_same_message_run_it_once() {
    let world = World::new("command = [\"sh\", \"-c\", \"echo x >> begun; sleep 0.3\"]");
    for _ in 0..6 {
        world.send(1, &json!({}));
    }
    let workers: Vec<_> = (0..3).map(|_| world.worker()).collect();
    for worker in workers {
        worker.wait().expect_code(0);
    }
    assert_eq!(
        fs::read_to_string(world.work.path().join("begun")).expect("it has begun"),
        "x\n"
    );
    assert_eq!(
        world.task(1).map(|task| (task.state(), task.attempts.len())),
        Some((TaskState::Succeeded, 1))
    );
}

#[test]
fn a_bucket_that_is_not_itself_is_waited_for() {
    let world = World::new("command = [\"sh\", \"-c\", \"echo {{}} > $KINGTIDE_RESULT; echo x > $KINGTIDE_OUTPUT/x\"]");
    world.s3.fault("PUT bucket/stack/runs/12/tasks/", 1, Harm::Unsaid);
    world.s3.fault("GET bucket/stack/runs/12/tasks/", 1, Harm::Half);
    world
        .s3
        .fault("PUT bucket/stack/runs/12/outputs/", 2, Harm::Refused(503, "SlowDown"));
    world.s3.fault("PUT bucket/stack/runs/12/results/", 1, Harm::Cut);
    world.s3.fault(
        "PUT bucket/stack/runs/12/ends/",
        1,
        Harm::Slow(Duration::from_millis(300)),
    );
    for seq in 1..4 {
        world.send(seq, &json!({}));
    }
    world.drain();
    for seq in 1..4 {
        let task = world.task(seq).expect("it is there");
        assert_eq!(
            (task.state(), task.attempts.len()),
            (TaskState::Succeeded, 1),
            "{task:?}"
        );
    }
    // A conflict of two writes is neither: it is looked at again.
    world.s3.fault(
        "PUT bucket/stack/runs/12/tasks/",
        2,
        Harm::Refused(409, "ConditionalRequestConflict"),
    );
    world.send(4, &json!({}));
    world.drain();
    assert_eq!(world.state(4), Some(TaskState::Succeeded));
}

#[test]
fn who_may_not_write_says_so_and_ends() {
    let world = World::new("command = [\"true\"]");
    world.s3.fault(
        "PUT bucket/stack/runs/12/tasks/",
        100,
        Harm::Refused(403, "AccessDenied"),
    );
    world.send(1, &json!({}));
    let output = world.worker().wait().expect_code(1);
    assert!(
        output.stdout.contains("error: s3:PutObject failed: AccessDenied"),
        "{}",
        output.stdout
    );
}

#[test]
fn an_attempt_that_another_has_taken_over_is_ended() {
    let world = World::new("command = [\"sleep\", \"600\"]");
    world.send(1, &json!({}));
    let worker = world.worker();
    world.wait_for(&world.keys().begins());
    // Somebody else has claimed it since; the next word of this worker comes too late. It comes within a minute, which nobody waits for here, so it
    // is told to leave instead, and has nothing to write.
    let mut task = world.task(1).expect("it is there");
    task.claim.attempt = 2;
    world
        .s3
        .put(BUCKET, &world.keys().task(1), &kingtide_remote::record::write(&task));
    worker.signal(Signal::TERM);
    let output = worker.wait().expect_code(0);
    assert!(
        output.stdout.contains("another worker has the task by now"),
        "{}",
        output.stdout
    );
    assert_eq!(world.task(1), Some(task), "it is left alone");
}

#[test]
fn whatever_is_killed_each_message_ends_once() {
    const MESSAGES: i64 = 30;
    let world = World::new("command = [\"sh\", \"-c\", \"echo {n} >> begun; sleep 0.05\"]\nretries = 5");
    for n in 1..=MESSAGES {
        world.send(n, &json!({ "n": n }));
    }
    let mut random = fastrand::Rng::with_seed(7);
    let ends = || world.s3.keys(BUCKET, &world.keys().ends()).len() as i64;
    while ends() < MESSAGES {
        let worker = world.worker();
        let before = ends();
        let least = before + random.i64(0..4);
        patience::eventually("the worker gets on", patience::PATIENCE, || {
            (ends() > least
                || ends() == MESSAGES
                || world.s3.keys(BUCKET, &world.keys().begins()).len() as i64 > least + 3)
                .then_some(())
        });
        worker.signal(Signal::KILL);
        worker.wait();
        // As if holds were over: by the queue, and in the bucket.
        for n in 1..=MESSAGES {
            match world.task(n) {
                Some(task) if task.state().is_over() => continue,
                Some(task) => world.let_go(n, task),
                None => {}
            }
            world.send(n, &json!({ "n": n }));
        }
    }
    world.drain();
    for n in 1..=MESSAGES {
        assert_eq!(world.state(n), Some(TaskState::Succeeded), "{n}");
    }
    assert_eq!(ends(), MESSAGES);
}
