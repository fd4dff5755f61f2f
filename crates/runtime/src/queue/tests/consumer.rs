//! Queues of consumers: a task follows what happens to its letter.

use kingtide_core::id::{RunId, TaskId};

use super::*;

const CONSUMER: &str = "mode = \"consumer\"";
const BOS: &str = r#"{"dest":"BOS"}"#;

fn in_run(run: i64, seq: i64) -> TaskId {
    RunId(run).task(seq)
}

fn arrived(run: i64, seq: i64, opened: bool) -> Note {
    Note::Arrived {
        job: "retrain".to_owned(),
        task: in_run(run, seq),
        opened,
    }
}

#[test]
fn in_consumer_mode_the_task_follows_its_letter() {
    let mut house = House::with_job(CONSUMER);
    let sent = house.send("retrain", "any text will do");
    house.send("retrain", BOS);
    assert_eq!(house.notes(), [arrived(1, 1, true), arrived(1, 2, false)]);
    assert_eq!(house.counts("retrain"), (2, 0, 0));
    assert_eq!(house.scalar::<i64>("SELECT count(*) FROM letter WHERE body IS NULL"), 2);
    house.caller.access_key = Some("KEY1".to_owned());
    let received = house.receive("retrain");
    assert_eq!(received[0].body, "any text will do");
    assert_eq!(received[0].message_id, sent.message_id);
    let note = |seq| Note::Received {
        job: "retrain".to_owned(),
        task: in_run(1, seq),
        holder: Some("KEY1".to_owned()),
        receives: 1,
    };
    assert_eq!(house.notes(), [note(1), note(2)]);
    assert_eq!(
        house.scalar::<i64>("SELECT count(*) FROM letter WHERE holder = 'KEY1'"),
        2
    );
    house.delete("retrain", &received[0].receipt);
    let job = || "retrain".to_owned();
    let deleted = Note::Deleted {
        job: job(),
        task: in_run(1, 1),
    };
    assert_eq!(house.notes(), [deleted]);
    house.perform(&visibility("retrain", &received[1].receipt, 0));
    let returned = |why: &str| Note::Returned {
        job: job(),
        task: in_run(1, 2),
        why: why.to_owned(),
    };
    assert_eq!(house.notes(), [returned("its consumer gave it back")]);
    assert_eq!(
        house.scalar::<i64>("SELECT count(*) FROM letter WHERE holder = 'KEY1'"),
        0
    );
}

#[test]
fn a_consumers_message_that_expires_returns_and_dies_after_its_retries() {
    let mut house = House::with_job(&format!("{CONSUMER}\nretries = 1\nheartbeat = false"));
    house.send("retrain", BOS);
    assert_eq!(
        house.attribute("retrain", "RedrivePolicy"),
        Some(format!(
            r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":2}}"#,
            arn("retrain-dlq")
        ))
    );
    house.receive("retrain");
    house.pass(30);
    house.notes.clear();
    house.receive("retrain");
    let notes = house.notes();
    assert!(
        matches!(&notes[..], [Note::Returned { why, .. }, Note::Received { receives: 2, .. }]
            if why == "its visibility timeout expired"),
        "{notes:?}"
    );
    house.pass(30);
    assert_eq!(house.receive("retrain"), []);
    let reason = "received 2 times and not deleted".to_owned();
    let buried = Note::Buried {
        job: "retrain".to_owned(),
        task: in_run(1, 1),
        reason: reason.clone(),
    };
    assert_eq!(house.notes().last(), Some(&buried));
    assert_eq!(
        house.scalar::<String>("SELECT reason FROM letter WHERE run = 1 AND seq = 1"),
        reason
    );
    assert_eq!(house.bodies("retrain-dlq"), [BOS]);
    // It is buried already, whoever says so again.
    house
        .with(|queues| queues.bury("retrain", in_run(1, 1), "again"))
        .expect("buried");
    assert_eq!(house.counts("retrain-dlq"), (0, 1, 0));
}

#[test]
fn a_living_instance_keeps_what_it_holds_and_a_dead_one_does_not() {
    let mut house = House::with_job(CONSUMER);
    house.send("retrain", BOS);
    house.desk.admit_holder("KEY1");
    house.caller.access_key = Some("KEY1".to_owned());
    let receipt = house.receive("retrain")[0].receipt.clone();
    for _ in 0..50 {
        house.pass(1000);
        assert_eq!(house.receive("retrain"), []);
        assert_eq!(house.counts("retrain"), (0, 1, 0));
    }
    house.notes.clear();
    house.with(|queues| queues.release_holder("KEY1")).expect("released");
    let notes = house.notes();
    assert!(
        matches!(&notes[..], [Note::Returned { why, .. }] if why == "its consumer ended"),
        "{notes:?}"
    );
    assert_eq!(house.counts("retrain"), (1, 0, 0));
    house.delete("retrain", &receipt);
}

#[test]
fn a_consumer_that_minds_the_time_itself_is_left_to_it() {
    let mut house = House::with_job(CONSUMER);
    house.send("retrain", BOS);
    house.desk.admit_holder("KEY1");
    house.caller.access_key = Some("KEY1".to_owned());
    let receipt = house.receive("retrain")[0].receipt.clone();
    house.perform(&visibility("retrain", &receipt, 10));
    house.pass(10);
    assert_eq!(house.counts("retrain"), (1, 0, 0));
}

#[test]
fn a_run_of_a_consumer_is_posted_to_its_queue_and_withdrawn() {
    let mut house = House::with_job(CONSUMER);
    let sql = "INSERT INTO run (job, state, source, created_at, total) VALUES ('retrain', 'open', 'params', 0, 3);
               INSERT INTO message (run, seq, body) VALUES (1, 1, 'a'), (1, 2, 'b'), (1, 3, 'c');
               INSERT INTO task (run, seq, state, key, predicted)
               VALUES (1, 1, 'waiting', 0, 5), (1, 2, 'waiting', 0, 9), (1, 3, 'succeeded', 0, 0);";
    house.rows.execute_batch(sql).expect("written");
    assert_eq!(
        house.with(|queues| queues.post("retrain", RunId(1))).expect("posted"),
        2
    );
    assert_eq!(
        house.with(|queues| queues.post("retrain", RunId(1))).expect("posted"),
        0
    );
    let received = house.receive("retrain");
    let bodies: Vec<&str> = received.iter().map(|received| received.body.as_str()).collect();
    assert_eq!(bodies, ["b", "a"], "the longest first");
    assert_eq!(received[0].message_id.len(), 36);
    house
        .with(|queues| queues.withdraw("retrain", RunId(1)))
        .expect("withdrawn");
    assert_eq!(house.counts("retrain"), (0, 0, 0));
}
