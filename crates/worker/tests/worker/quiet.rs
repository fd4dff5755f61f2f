//! What a worker does where nothing goes wrong but the program.

use kingtide_core::engine::event::{Outcome, TaskState};
use kingtide_core::id::RunId;
use serde_json::{Value, json};

use crate::world::{BUCKET, World};

#[test]
fn a_message_becomes_a_task_with_everything_in_its_place() {
    let mut world = World::new(
        "command = [\"sh\", \"-c\", \"echo for {dest}, $TOKEN; echo '{\\\"mae\\\":1}' > $KINGTIDE_RESULT; mkdir $KINGTIDE_OUTPUT/a; echo model > $KINGTIDE_OUTPUT/a/b\"]\nsecrets = [\"TOKEN\"]"
            .replace("{\\\"mae\\\":1}", "{{\\\"mae\\\":1}}")
            .as_str(),
    );
    world.env.insert("TOKEN".to_owned(), "s3cr3t-t0k3n".to_owned());
    world.send(7, &json!({ "dest": "BOS" }));
    let said = world.drain();
    let keys = world.keys();
    let attempt = RunId(12).task(7).attempt(1);
    assert_eq!(world.text(&keys.result(attempt)), r#"{"mae":1}"#);
    assert_eq!(world.text(&format!("{}a/b", keys.output(attempt))), "model\n");
    let manifest: Value =
        serde_json::from_str(&world.text(&format!("{}manifest.json", keys.output(attempt)))).expect("JSON");
    assert_eq!(
        (&manifest["format"], &manifest["files"]),
        (&json!("kingtide-output-1"), &json!(1))
    );
    let log = world.text(&keys.log(attempt));
    assert!(log.ends_with(" for BOS, ***\n"), "{log}");
    assert!(said.contains(&log), "the lines are seen while it runs: {said}");
    assert!(!said.contains("s3cr3t"), "{said}");
    let task = world.task(7).expect("it is there");
    assert_eq!(task.state(), TaskState::Succeeded);
    let [attempt] = &task.attempts[..] else {
        panic!("{task:?}")
    };
    assert_eq!(
        (attempt.outcome, attempt.exit_code, attempt.result),
        (Some(Outcome::Succeeded), Some(0), true)
    );
    assert_eq!(attempt.output.map(|output| (output.files, output.bytes)), Some((1, 6)));
    assert_eq!(attempt.log, Some(log.len() as u64));
    assert!(attempt.started_ms.is_some() && attempt.usage.memory_peak > 0);
    let begins = world.s3.keys(BUCKET, &keys.begins());
    let ends = world.s3.keys(BUCKET, &keys.ends());
    assert!(
        keys.parse_begin(&begins[0]).is_some_and(|begin| begin.seq == 7),
        "{begins:?}"
    );
    let end = keys.parse_end(&ends[0]).expect("it is one");
    assert_eq!((end.seq, end.attempt, end.outcome), (7, 1, Outcome::Succeeded));
    assert_eq!((world.count("work"), world.dead()), (0, Vec::new()));
    let left: Vec<_> = std::fs::read_dir(world.work.path().join("work"))
        .expect("it is there")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn exit_codes_mean_what_the_job_says() {
    let world = World::new(
        "command = [\"sh\", \"-c\", \"exit {code}\"]\nretries = 1\nbackoff = { first = \"0s\" }\non_exit = { 3 = \"skip\", 5 = \"reject\" }",
    );
    for (seq, code) in [(1, 0), (2, 3), (3, 5), (4, 1)] {
        world.send(seq, &json!({ "code": code }));
    }
    world.drain();
    let states = [1, 2, 3, 4].map(|seq| world.state(seq));
    use TaskState::*;
    assert_eq!(states, [Some(Succeeded), Some(Skipped), Some(Rejected), Some(Failed)]);
    assert_eq!(world.task(4).map(|task| task.attempts.len()), Some(2));
    let mut dead = world.dead();
    dead.sort();
    let letter = |body: &str, why: &str| (body.to_owned(), why.to_owned());
    assert_eq!(
        dead,
        [
            letter(r#"{"code":1}"#, "exit code 1"),
            letter(r#"{"code":5}"#, "exit code 5")
        ]
    );
    assert_eq!(world.count("work"), 0);
}

#[test]
fn what_others_send_becomes_a_task_of_the_run_once() {
    let world = World::new(
        "command = [\"sh\", \"-c\", \"echo {{}} > $KINGTIDE_RESULT; exit {code}\"]\nretries = 1\nbackoff = { first = \"0s\" }",
    );
    let run = json!({
        "format": 1, "run": 12, "job": "j", "execution": "e", "opened_ms": 0, "by": "cli", "total": 100,
    });
    world
        .s3
        .put(BUCKET, &world.keys().document(), run.to_string().as_bytes());
    world.sqs.send("work", r#"{"code":0}"#).expect("it is sent");
    world.sqs.send("work", r#"{"code":1}"#).expect("it is sent");
    world.sqs.send("work", "no JSON").expect("it is sent");
    world.drain();
    let keys = world.keys();
    let arrivals = world.s3.keys(BUCKET, &keys.arrivals());
    let seqs: Vec<i64> = arrivals
        .iter()
        .map(|key| keys.parse_arrival(key).expect("one").seq)
        .collect();
    assert_eq!(seqs.len(), 3, "{arrivals:?}");
    assert!(seqs.iter().all(|seq| *seq > 100));
    assert_eq!(world.s3.keys(BUCKET, &keys.ends()).len(), 3);
    let mut dead = world.dead();
    dead.sort();
    let letter = |body: &str, why: &str| (body.to_owned(), why.to_owned());
    let expected = [
        letter("no JSON", "its message is no JSON object"),
        letter(r#"{"code":1}"#, "exit code 1"),
    ];
    assert_eq!(dead, expected);
}

#[test]
fn a_long_message_comes_as_a_file() {
    let world =
        World::new("command = [\"sh\", \"-c\", \"wc -c < $KINGTIDE_MESSAGE_FILE; test -z \\\"$KINGTIDE_MESSAGE\\\"\"]");
    let long = json!({ "text": "x".repeat(200_000) });
    world.send(1, &long);
    world.drain();
    assert_eq!(world.state(1), Some(TaskState::Succeeded));
    let log = world.text(&world.keys().log(RunId(12).task(1).attempt(1)));
    assert!(log.trim_end().ends_with(&long.to_string().len().to_string()), "{log}");
}

#[test]
fn what_a_program_leaves_and_cannot_be_taken_is_its_failure() {
    let world = World::new("command = [\"sh\", \"-c\", \"echo nonsense > $KINGTIDE_RESULT\"]\nretries = 0");
    world.send(1, &json!({}));
    world.drain();
    assert_eq!(world.state(1), Some(TaskState::Failed));
    let dead = world.dead();
    assert!(dead[0].1.starts_with("the result file is not JSON at 1:"), "{dead:?}");
}

#[test]
fn what_outgrows_its_memory_is_sent_on() {
    let mut world = World::new(
        "command = [\"sh\", \"-c\", \"head -c 200000000 /dev/zero | tail -c 200000000 | cat > /dev/null; sleep 1\"]\nmemory = \"64MiB\"\nmemory_max = \"256MiB\"",
    );
    world
        .env
        .insert("KINGTIDE_NEXT_QUEUE_URL".to_owned(), world.sqs.url("larger"));
    world.send(1, &json!({}));
    world.drain();
    let task = world.task(1).expect("it is there");
    assert_eq!(task.attempts[0].outcome, Some(Outcome::OutOfMemory));
    assert_eq!((task.state(), task.claim.memory), (TaskState::Waiting, Some(128 << 20)));
    assert_eq!((world.count("work"), world.count("larger")), (0, 1));
}

#[test]
fn a_cancelled_run_begins_nothing_more() {
    let world = World::new("command = [\"touch\", \"begun\"]");
    world.s3.put(BUCKET, &world.keys().cancel(), b"{}");
    world.send(1, &json!({}));
    world.drain();
    assert_eq!(world.state(1), Some(TaskState::Cancelled));
    let ends = world.s3.keys(BUCKET, &world.keys().ends());
    assert_eq!(
        world.keys().parse_end(&ends[0]).map(|end| end.outcome),
        Some(Outcome::Stopped)
    );
    assert_eq!((world.count("work"), world.dead()), (0, Vec::new()));
    assert!(!world.work.path().join("begun").exists());
}
