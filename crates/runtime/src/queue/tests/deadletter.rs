//! Dead letters of ordinary queues.

use super::*;
use crate::sqs::operation::Page;

#[test]
fn what_is_received_too_often_dies() {
    let mut house = House::new();
    house.create("dead", &[]);
    house.create(
        "jobs",
        &[("RedrivePolicy", &redrive_to("dead", 2)), ("VisibilityTimeout", "10")],
    );
    let sent = house.send("jobs", "poison");
    house.pass(1);
    house.send("jobs", "good");
    for _ in 0..2 {
        let received = house.receive_as(receive("jobs"));
        assert_eq!(received[0].body, "poison");
        house.perform(&visibility("jobs", &received[0].receipt, 0));
    }
    assert_eq!(house.bodies("jobs"), ["good"]);
    let dead = house.receive("dead");
    assert_eq!(
        (dead[0].body.as_str(), &dead[0].message_id),
        ("poison", &sent.message_id)
    );
    assert_eq!(dead[0].system["DeadLetterQueueSourceArn"], arn("jobs"));
    assert_eq!(dead[0].system["SentTimestamp"], START.0.to_string(), "as it was sent");
    assert_eq!(dead[0].system["ApproximateReceiveCount"], "3");
    house.delete("dead", &dead[0].receipt);
    assert_eq!(house.counts("dead"), (0, 0, 0));
}

#[test]
fn a_dead_letter_is_as_old_as_the_message() {
    let mut house = House::new();
    house.create("dead", &[("MessageRetentionPeriod", "100")]);
    house.create(
        "jobs",
        &[("RedrivePolicy", &redrive_to("dead", 1)), ("VisibilityTimeout", "0")],
    );
    house.send("jobs", "old");
    house.pass(60);
    // A younger one is there before it.
    house.send("dead", "young");
    house.receive("jobs");
    house.receive("jobs");
    assert_eq!(house.counts("dead"), (2, 0, 0));
    house.pass(40);
    assert_eq!(house.counts("dead"), (1, 0, 0));
    assert_eq!(house.bodies("dead"), ["young"]);
}

#[test]
fn in_a_fifo_queue_it_starts_anew_and_lets_its_group_go_on() {
    let mut house = House::new();
    house.create("dead.fifo", &[("FifoQueue", "true")]);
    let policy = redrive_to("dead.fifo", 1);
    house.create(
        "q.fifo",
        &[
            ("FifoQueue", "true"),
            ("RedrivePolicy", &policy),
            ("VisibilityTimeout", "5"),
        ],
    );
    let message = |body: &str| Send {
        group: Some("a".to_owned()),
        deduplication: Some(body.to_owned()),
        ..message(body)
    };
    let sent = house.send_as("q.fifo", message("a1"));
    house.send_as("q.fifo", message("a2"));
    house.receive_as(receive("q.fifo"));
    house.pass(5);
    assert_eq!(house.bodies("q.fifo"), ["a2"]);
    let dead = house.receive("dead.fifo");
    assert_eq!(dead[0].body, "a1");
    assert_eq!(dead[0].system["SentTimestamp"], house.now.0.to_string());
    assert_eq!(dead[0].system["MessageDeduplicationId"], sent.message_id);
    assert_eq!(dead[0].system["MessageGroupId"], "a");
}

#[test]
fn without_its_dead_letter_queue_a_message_stays() {
    let mut house = House::new();
    house.create("dead", &[]);
    house.create(
        "jobs",
        &[("RedrivePolicy", &redrive_to("dead", 1)), ("VisibilityTimeout", "0")],
    );
    house.perform(&Operation::DeleteQueue {
        queue: "dead".to_owned(),
    });
    house.send("jobs", "one");
    for _ in 0..3 {
        assert_eq!(house.bodies("jobs"), ["one"]);
    }
}

#[test]
fn a_dead_letter_queue_knows_its_sources() {
    let mut house = House::with_job("");
    house.create("dead", &[]);
    for name in ["a", "b", "c"] {
        house.create(name, &[("RedrivePolicy", &redrive_to("dead", 2))]);
    }
    house.create("d", &[("RedrivePolicy", &redrive_to("retrain-dlq", 2))]);
    let mut sources = |queue: &str, limit, token: Option<String>| {
        let page = Page { limit, token };
        let queue = queue.to_owned();
        match house.perform(&Operation::ListDeadLetterSourceQueues { queue, page }) {
            Answer::Queues { names, next } => (names, next),
            other => panic!("{other:?}"),
        }
    };
    let (names, token) = sources("dead", Some(2), None);
    assert_eq!(names, ["a", "b"]);
    assert_eq!(sources("dead", Some(2), token), (vec!["c".to_owned()], None));
    assert_eq!(sources("retrain-dlq", None, None).0, ["d", "retrain"]);
    assert_eq!(sources("a", None, None).0, [""; 0]);
}

#[test]
fn one_look_passes_by_many_that_die() {
    let mut house = House::new();
    house.create("dead", &[]);
    house.create("jobs", &[("VisibilityTimeout", "0")]);
    for number in 0..30 {
        house.send("jobs", &number.to_string());
    }
    house
        .rows
        .execute_batch("UPDATE letter SET receives = 1")
        .expect("written");
    house.perform(&set("jobs", &[("RedrivePolicy", &redrive_to("dead", 1))]));
    house.send("jobs", "new");
    assert_eq!(house.bodies("jobs"), ["new"]);
    assert_eq!(house.counts("dead"), (30, 0, 0));
}
