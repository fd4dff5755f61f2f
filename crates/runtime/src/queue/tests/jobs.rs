//! Queues of jobs: what is sent there is a task, whoever receives it; `consumer.rs` has what a consumer does to it.

use kingtide_core::id::{RunId, TaskId};

use super::*;

const CONSUMER: &str = "mode = \"consumer\"";

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

fn tasks(house: &House) -> Vec<(i64, i64, String, String)> {
    let sql = "SELECT run, seq, state, body FROM task JOIN message USING (run, seq) ORDER BY run, seq";
    let mut statement = house.rows.prepare(sql).expect("SQL");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.expect("read").collect::<Result<_, _>>().expect("read")
}

/// A letter as its row says.
struct Lying {
    number: i64,
    message_id: String,
    body: String,
    task: Option<TaskId>,
    reason: Option<String>,
    source: Option<String>,
}

fn peek(house: &House, queue: &str) -> Vec<Lying> {
    let sql = "SELECT letter.id, letter.message_id, coalesce(letter.body, message.body), letter.run, letter.seq, reason, source
               FROM letter LEFT JOIN message USING (run, seq)
               WHERE box = (SELECT box FROM queue WHERE name = ?1) ORDER BY letter.id";
    let mut statement = house.rows.prepare(sql).expect("SQL");
    let lying = statement.query_map([queue], |row| {
        let run: Option<i64> = row.get(3)?;
        let seq: Option<i64> = row.get(4)?;
        Ok(Lying {
            number: row.get(0)?,
            message_id: row.get(1)?,
            body: row.get(2)?,
            task: run.zip(seq).map(|(run, seq)| in_run(run, seq)),
            reason: row.get(5)?,
            source: row.get(6)?,
        })
    });
    lying.expect("read").collect::<Result<_, _>>().expect("read")
}

const BOS: &str = r#"{"dest":"BOS"}"#;
const LAX: &str = r#"{"dest": "LAX", "depth": 4}"#;

#[test]
fn in_task_mode_a_message_is_a_task_at_once() {
    let mut house = House::with_job("");
    let sent = house.send("retrain", BOS);
    house.send("retrain", LAX);
    assert!(house.durable);
    assert_eq!(house.notes(), [arrived(1, 1, true), arrived(1, 2, false)]);
    let waiting = |seq, body: &str| (1, seq, "waiting".to_owned(), body.to_owned());
    assert_eq!(tasks(&house), [waiting(1, BOS), waiting(2, LAX)]);
    assert_eq!(
        house.scalar::<String>("SELECT message_id FROM message WHERE seq = 1"),
        sent.message_id
    );
    assert_eq!(house.scalar::<i64>("SELECT total FROM run WHERE intake = 1"), 2);
    assert_eq!(house.receive("retrain"), [], "Kingtide was quicker");
    let long = Receive {
        wait: Some(5),
        ..receive("retrain")
    };
    let found = house.try_perform(&Operation::ReceiveMessage(long));
    assert!(matches!(found, Ok(Outcome::Empty { .. })), "{found:?}");
    assert_eq!(house.counts("retrain"), (2, 0, 0));
}

#[test]
fn a_run_that_is_over_or_takes_no_more_is_followed_by_another() {
    let mut house = House::with_job("");
    house.send("retrain", BOS);
    house
        .rows
        .execute_batch("UPDATE run SET state = 'succeeded' WHERE id = 1")
        .expect("written");
    house.send("retrain", BOS);
    house
        .rows
        .execute_batch("UPDATE run SET intake = 0 WHERE id = 2")
        .expect("written");
    house.send("retrain", BOS);
    let opened = [arrived(1, 1, true), arrived(2, 1, true), arrived(3, 1, true)];
    assert_eq!(house.notes(), opened);
}

#[test]
fn counts_of_a_job_in_task_mode_are_those_of_its_tasks() {
    let mut house = House::with_job("");
    for _ in 0..5 {
        house.send("retrain", BOS);
    }
    let later = START.0 + 5000;
    let sql = format!(
        "UPDATE task SET state = 'leased' WHERE seq = 1;
         UPDATE task SET visible_at = {later} WHERE seq IN (2, 3);
         UPDATE task SET state = 'succeeded' WHERE seq = 4;
         UPDATE run SET succeeded = 1;"
    );
    house.rows.execute_batch(&sql).expect("written");
    let delayed = Send {
        delay: Some(60),
        ..message(BOS)
    };
    house.send_as("retrain", delayed);
    assert_eq!(house.counts("retrain"), (1, 1, 3));
    house.pass(5);
    assert_eq!(house.counts("retrain"), (3, 1, 1));
    assert_eq!(
        house.attribute("retrain", "ApproximateNumberOfMessages").as_deref(),
        Some("3")
    );
}

#[test]
fn a_delayed_message_becomes_a_task_when_it_is_due() {
    let mut house = House::with_job("");
    let delayed = Send {
        delay: Some(60),
        ..message(BOS)
    };
    let sent = house.send_as("retrain", delayed);
    assert_eq!(house.notes(), []);
    assert_eq!(house.counts("retrain"), (0, 0, 1));
    let next = house.with(|queues| queues.next_due(&[])).expect("read");
    assert_eq!(next, Some(Timestamp(START.0 + 60_000)));
    house.pass(60);
    house.with(|queues| queues.due(&[])).expect("done");
    assert_eq!(house.notes(), [arrived(1, 1, true)]);
    assert_eq!(house.counts("retrain"), (1, 0, 0));
    assert_eq!(
        house.scalar::<String>("SELECT message_id FROM message"),
        sent.message_id
    );
    assert_eq!(house.with(|queues| queues.next_due(&[])).expect("read"), None);
}

#[test]
fn what_the_job_cannot_run_goes_to_the_dead_letters_with_a_reason() {
    let mut house = House::with_job("");
    for body in ["hello", "[1]", r#"{"destination":"BOS"}"#, r#"{"dest":"BOS","run":1}"#] {
        house.send("retrain", body);
    }
    let delayed = Send {
        delay: Some(1),
        ..message("later")
    };
    house.send_as("retrain", delayed);
    house.pass(1);
    house.with(|queues| queues.due(&[])).expect("done");
    assert_eq!(house.notes(), []);
    assert_eq!(tasks(&house), []);
    assert_eq!(house.counts("retrain-dlq"), (5, 0, 0));
    let reasons: Vec<String> = peek(&house, "retrain-dlq")
        .into_iter()
        .filter_map(|dead| dead.reason)
        .collect();
    assert_eq!(
        reasons,
        [
            "the body is not a JSON object",
            "the body is not a JSON object",
            "nothing fills the placeholder `{dest}`: the message has no parameter `dest`",
            "`run` is a name of Kingtide's own: the message has a parameter called so",
            "the body is not a JSON object",
        ]
    );
    let dead = house.receive("retrain-dlq");
    assert_eq!(dead[0].body, "hello");
    assert_eq!(dead[0].system["DeadLetterQueueSourceArn"], arn("retrain"));
}

#[test]
fn what_is_known_of_durations_orders_what_is_sent() {
    let mut house = House::with_job("");
    let key = kingtide_core::message::Message::parse(BOS).expect("an object").key();
    let sql = "INSERT INTO observation (job, run, key, milliseconds) VALUES ('retrain', 1, ?1, 1000), ('retrain', 1, 1, 30000)";
    house.rows.execute(sql, [key]).expect("written");
    house.send("retrain", BOS);
    house.send("retrain", LAX);
    let seconds = |seq: i64| {
        house
            .scalar::<f64>(&format!("SELECT mu FROM task WHERE seq = {seq}"))
            .exp()
    };
    assert!((0.9..2.0).contains(&seconds(1)), "{}", seconds(1));
    assert!((3.0..9.0).contains(&seconds(2)), "nobody saw it: {}", seconds(2));
    assert_eq!(
        house.scalar::<i64>("SELECT seq FROM task ORDER BY predicted DESC LIMIT 1"),
        2
    );
}

#[test]
fn a_task_that_failed_lies_among_the_dead_letters_once() {
    let mut house = House::with_job("");
    let sent = house.send("retrain", BOS);
    for _ in 0..2 {
        house
            .with(|queues| queues.bury("retrain", in_run(1, 1), "exit code 1"))
            .expect("buried");
    }
    let dead = peek(&house, "retrain-dlq");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].message_id, sent.message_id);
    assert_eq!(
        (dead[0].body.as_str(), dead[0].reason.as_deref()),
        (BOS, Some("exit code 1"))
    );
    assert_eq!(
        (dead[0].task, dead[0].source.as_deref()),
        (Some(in_run(1, 1)), Some("retrain"))
    );
    assert_eq!(house.bodies("retrain-dlq"), [BOS]);
}

#[test]
fn a_dead_letter_put_back_is_a_task_again_under_its_old_name() {
    let mut house = House::with_job("");
    let sent = house.send("retrain", BOS);
    house.send("retrain", LAX);
    for seq in 1..=2 {
        house
            .with(|queues| queues.bury("retrain", in_run(1, seq), "exit code 1"))
            .expect("buried");
    }
    house.notes.clear();
    let letters = vec![peek(&house, "retrain-dlq")[0].number, 4711];
    let put = house.perform(&Operation::PutBack {
        queue: "retrain-dlq".to_owned(),
        letters,
    });
    assert_eq!(put, Answer::PutBack { moved: 1, stayed: 0 });
    assert_eq!(house.notes(), [arrived(1, 3, false)]);
    assert_eq!(
        house.scalar::<String>("SELECT message_id FROM message WHERE seq = 3"),
        sent.message_id
    );
    assert_eq!(house.scalar::<String>("SELECT body FROM message WHERE seq = 3"), BOS);
    assert_eq!(house.counts("retrain-dlq"), (1, 0, 0));
    let source = arn("retrain-dlq");
    house.perform(&Operation::StartMessageMoveTask {
        source,
        destination: None,
        rate: None,
    });
    house.with(|queues| queues.due(&[])).expect("done");
    assert_eq!(house.notes(), [arrived(1, 4, false)]);
    assert_eq!(house.counts("retrain-dlq"), (0, 0, 0));
}

#[test]
fn a_purge_tells_what_was_in_the_queue() {
    let purge = Operation::PurgeQueue {
        queue: "retrain".to_owned(),
    };
    let mut house = House::with_job(CONSUMER);
    house.send("retrain", BOS);
    house.notes.clear();
    house.perform(&purge);
    let job = || "retrain".to_owned();
    let discarded = Note::Discarded {
        job: job(),
        task: in_run(1, 1),
    };
    assert_eq!(house.notes(), [discarded]);
    assert_eq!(house.counts("retrain"), (0, 0, 0));

    let mut house = House::with_job("");
    let delayed = Send {
        delay: Some(60),
        ..message(BOS)
    };
    house.send_as("retrain", delayed);
    house.perform(&purge);
    assert_eq!(house.notes(), [Note::Purged { job: job() }]);
    assert_eq!(house.counts("retrain"), (0, 0, 0));
}

#[test]
fn a_job_takes_over_an_ordinary_queue_and_leaves_one() {
    let mut house = House::new();
    house.create("retrain", &[]);
    house.send("retrain", BOS);
    house.receive("retrain");
    house.send("retrain", LAX);
    house.set_job(CONSUMER);
    assert_eq!(house.notes(), [arrived(1, 1, true), arrived(1, 2, false)]);
    assert_eq!(house.counts("retrain"), (1, 1, 0));
    house.pass(30);
    // In task mode the engine leases the tasks, and nobody else.
    house.set_job("");
    assert_eq!(house.counts("retrain"), (2, 0, 0));
    assert_eq!(house.scalar::<i64>("SELECT count(*) FROM letter"), 0);
    house.jobs.clear();
    house.with(|queues| queues.ensure_job_queues()).expect("made");
    house.send("retrain", "hello");
    assert_eq!(house.bodies("retrain"), ["hello"]);
    assert_eq!(house.attribute("retrain", "RedrivePolicy"), None);
}

#[test]
fn what_is_in_an_ordinary_queue_becomes_tasks_of_a_job_in_task_mode() {
    let mut house = House::new();
    house.create("retrain", &[]);
    house.send("retrain", BOS);
    house.send("retrain", "no object");
    house.set_job("");
    assert_eq!(house.with(|queues| queues.next_due(&[])).expect("read"), Some(START));
    house.with(|queues| queues.due(&[])).expect("done");
    assert_eq!(house.notes(), [arrived(1, 1, true)]);
    assert_eq!(house.counts("retrain-dlq"), (1, 0, 0));
}

#[test]
fn a_jobs_queue_takes_attributes_and_cannot_be_lost() {
    let mut house = House::with_job(CONSUMER);
    house.create("retrain", &[("VisibilityTimeout", "600")]);
    assert_eq!(house.attribute("retrain", "VisibilityTimeout").as_deref(), Some("600"));
    house.send("retrain", BOS);
    house.perform(&Operation::DeleteQueue {
        queue: "retrain".to_owned(),
    });
    assert_eq!(house.counts("retrain"), (0, 0, 0));
    assert_eq!(house.attribute("retrain", "VisibilityTimeout").as_deref(), Some("30"));
    // The messages of a job wait as long as it takes.
    house.send("retrain", BOS);
    house.pass(100 * 86_400);
    assert_eq!(house.counts("retrain"), (1, 0, 0));
}
