//! Receiving, deleting and visibility on standard queues.

use super::*;

#[test]
fn what_is_sent_is_received_once_until_its_visibility_ends() {
    let mut house = House::new();
    house.create("jobs", &[]);
    let sent = house.send("jobs", "one");
    assert!(house.durable, "an acknowledged send is on disk");
    let first = house.receive("jobs");
    assert!(!house.durable, "a receive need not be");
    assert_eq!((first.len(), first[0].body.as_str()), (1, "one"));
    assert_eq!(first[0].message_id, sent.message_id);
    assert_eq!(house.receive("jobs"), []);
    house.pass(29);
    assert_eq!(house.receive("jobs"), []);
    assert_eq!(house.counts("jobs"), (0, 1, 0));
    house.pass(1);
    assert_eq!(house.counts("jobs"), (1, 0, 0));
    let second = house.receive("jobs");
    assert_eq!(second[0].system["ApproximateReceiveCount"], "2");
    assert_eq!(
        second[0].system["ApproximateFirstReceiveTimestamp"],
        START.0.to_string()
    );
    assert_eq!(second[0].system["SentTimestamp"], START.0.to_string());
    assert_ne!(first[0].receipt, second[0].receipt);
    // The older receipt still deletes, and so does either of them once more.
    house.delete("jobs", &first[0].receipt);
    house.delete("jobs", &second[0].receipt);
    house.pass(100);
    assert_eq!(house.receive("jobs"), []);
    assert_eq!(house.counts("jobs"), (0, 0, 0));
}

#[test]
fn messages_come_in_the_order_they_were_sent_at_most_ten() {
    let mut house = House::new();
    house.create("jobs", &[]);
    for number in 0..12 {
        house.send("jobs", &number.to_string());
    }
    let one = house.receive_as(receive("jobs"));
    assert_eq!(one.len(), 1, "one where no number was given");
    assert_eq!(
        house.bodies("jobs"),
        ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]
    );
    assert_eq!(house.bodies("jobs"), ["11"]);
}

#[test]
fn an_empty_queue_waits_as_long_as_it_is_told() {
    let mut house = House::new();
    house.create("jobs", &[("ReceiveMessageWaitTimeSeconds", "3")]);
    let waits = |wait| {
        Operation::ReceiveMessage(Receive {
            wait,
            ..receive("jobs")
        })
    };
    let until = |seconds: i64| Outcome::Empty {
        queue: "jobs".to_owned(),
        until: Timestamp(START.0 + seconds * 1000),
    };
    assert_eq!(house.try_perform(&waits(Some(20))), Ok(until(20)));
    assert_eq!(house.try_perform(&waits(None)), Ok(until(3)));
    assert_eq!(
        house.try_perform(&waits(Some(0))),
        Ok(Outcome::Answer(Answer::Received(Vec::new())))
    );
}

#[test]
fn whoever_waits_is_told_when_to_look() {
    let mut house = House::new();
    house.create("jobs", &[]);
    let waited_for = ["jobs".to_owned()];
    assert_eq!(house.with(|queues| queues.next_due(&waited_for)).expect("read"), None);
    house.send("jobs", "one");
    assert_eq!(
        house.notes,
        [Note::Visible {
            queue: "jobs".to_owned()
        }]
    );
    house.notes.clear();
    house.receive("jobs");
    let next = house.with(|queues| queues.next_due(&waited_for)).expect("read");
    assert_eq!(next, Some(Timestamp(START.0 + 30_000)));
    assert_eq!(
        house.with(|queues| queues.next_due(&[])).expect("read"),
        None,
        "nobody waits"
    );
    house.pass(30);
    house.with(|queues| queues.due(&waited_for)).expect("done");
    assert_eq!(
        house.notes,
        [Note::Visible {
            queue: "jobs".to_owned()
        }]
    );
    assert_eq!(house.with(|queues| queues.next_due(&waited_for)).expect("read"), None);
}

#[test]
fn a_receive_may_hide_for_another_time_or_not_at_all() {
    let mut house = House::new();
    house.create("jobs", &[("VisibilityTimeout", "60")]);
    house.send("jobs", "one");
    let hide = |seconds| Receive {
        visibility: Some(seconds),
        ..receive("jobs")
    };
    let seen = house.receive_as(hide(0));
    assert_eq!(house.counts("jobs"), (1, 0, 0));
    assert_eq!(house.receive_as(hide(5)).len(), 1);
    house.pass(5);
    assert_eq!(house.receive("jobs").len(), 1);
    house.pass(59);
    assert_eq!(house.receive("jobs"), []);
    house.delete("jobs", &seen[0].receipt);
    assert_eq!(house.counts("jobs"), (0, 0, 0));
}

#[test]
fn what_is_no_number_for_a_receive_is_refused() {
    let mut house = House::new();
    house.create("jobs", &[]);
    let cases = [
        (
            Receive {
                max: Some(11),
                ..receive("jobs")
            },
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            Receive {
                wait: Some(21),
                ..receive("jobs")
            },
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
        (
            Receive {
                visibility: Some(-1),
                ..receive("jobs")
            },
            "Value -1 for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200, if provided.",
        ),
    ];
    for (receive, said) in cases {
        let refused = house.refuse(&Operation::ReceiveMessage(receive));
        assert_eq!(refused, (Code::InvalidParameterValue, said.to_owned()));
    }
    let refused = house.refuse(&Operation::ReceiveMessage(receive("none")));
    let said = "The specified queue does not exist.".to_owned();
    assert_eq!(refused, (Code::QueueDoesNotExist, said));
}

#[test]
fn visibility_changes_from_now_on_up_to_twelve_hours_after_the_receive() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.send("jobs", "one");
    let receipt = house.receive("jobs")[0].receipt.clone();
    house.pass(20);
    house.perform(&visibility("jobs", &receipt, 30));
    assert!(house.durable);
    house.pass(29);
    assert_eq!(house.receive("jobs"), []);
    house.perform(&visibility("jobs", &receipt, 0));
    let receipt = house.receive("jobs")[0].receipt.clone();
    house.perform(&visibility("jobs", &receipt, 43_200));
    house.pass(1);
    let refused = house.refuse(&visibility("jobs", &receipt, 43_200));
    let said = "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is \
                beyond the limit [43200 seconds]";
    assert_eq!(refused, (Code::InvalidParameterValue, said.to_owned()));
    house.perform(&visibility("jobs", &receipt, 43_199));
    let refused = house.refuse(&visibility("jobs", &receipt, 43_201));
    let said = "Value 43201 for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between \
                0 and 43200.";
    assert_eq!(refused, (Code::InvalidParameterValue, said.to_owned()));
}

#[test]
fn only_the_last_receipt_changes_visibility() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.send("jobs", "one");
    let old = house.receive("jobs")[0].receipt.clone();
    house.pass(30);
    // It is visible again, and stays so.
    house.perform(&visibility("jobs", &old, 10));
    assert_eq!(house.counts("jobs"), (1, 0, 0));
    let new = house.receive("jobs")[0].receipt.clone();
    let refused = house.refuse(&visibility("jobs", &old, 10));
    assert!(
        refused
            .1
            .ends_with("Message does not exist or is not available for visibility timeout change.")
    );
    house.delete("jobs", &new);
    assert_eq!(
        house.refuse(&visibility("jobs", &new, 10)).0,
        Code::InvalidParameterValue
    );
}

#[test]
fn a_receipt_that_was_not_given_is_refused() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.create("other", &[]);
    house.send("jobs", "one");
    let receipt = house.receive("jobs")[0].receipt.clone();
    let mut forged = receipt.clone();
    forged.replace_range(15..16, if &receipt[15..16] == "1" { "2" } else { "1" });
    for garbage in ["x", "ü", &receipt[1..], &receipt.to_uppercase(), &forged] {
        let said = format!("The input receipt handle \"{garbage}\" is not a valid receipt handle.");
        let expected = (Code::ReceiptHandleIsInvalid, said);
        assert_eq!(house.refuse(&delete("jobs", garbage)), expected);
        assert_eq!(house.refuse(&visibility("jobs", garbage, 1)), expected);
    }
    assert_eq!(house.refuse(&delete("other", &receipt)).0, Code::ReceiptHandleIsInvalid);
    assert_eq!(house.refuse(&delete("jobs", "")).0, Code::MissingParameter);
    assert_eq!(house.counts("jobs"), (0, 1, 0));
}

#[test]
fn too_many_in_flight_are_an_error_of_short_polls_only() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.send("jobs", "one");
    house
        .rows
        .execute_batch("UPDATE box SET in_flight = 120000")
        .expect("written");
    assert_eq!(
        house.refuse(&Operation::ReceiveMessage(receive("jobs"))).0,
        Code::OverLimit
    );
    let long = Receive {
        wait: Some(1),
        ..receive("jobs")
    };
    let found = house.try_perform(&Operation::ReceiveMessage(long));
    assert!(matches!(found, Ok(Outcome::Empty { .. })), "{found:?}");
}

#[test]
fn messages_outlive_their_retention_by_nothing() {
    let mut house = House::new();
    house.create("jobs", &[("MessageRetentionPeriod", "60")]);
    house.send("jobs", "one");
    house.send("jobs", "two");
    house.pass(30);
    house.send("jobs", "three");
    assert_eq!(house.receive_as(receive("jobs"))[0].body, "one");
    house.pass(30);
    // What is in flight stays so; whoever has it may delete it, and nobody receives it again.
    assert_eq!(house.counts("jobs"), (1, 0, 0));
    assert_eq!(house.bodies("jobs"), ["three"]);
    house.pass(31);
    assert_eq!(house.receive("jobs"), []);
    assert_eq!(house.scalar::<i64>("SELECT count(*) FROM letter"), 0);
}

#[test]
fn queues_that_nobody_looks_at_are_swept() {
    let mut house = House::new();
    house.create("jobs", &[("MessageRetentionPeriod", "60")]);
    house.with(|queues| queues.due(&[])).expect("done");
    house.send("jobs", "one");
    house.pass(61);
    house.with(|queues| queues.due(&[])).expect("done");
    assert_eq!(
        house.scalar::<i64>("SELECT count(*) FROM letter"),
        1,
        "not at every turn"
    );
    house.pass(3600);
    house.with(|queues| queues.due(&[])).expect("done");
    assert_eq!(house.scalar::<i64>("SELECT count(*) FROM letter"), 0);
}

#[test]
fn what_was_not_committed_is_forgotten() {
    let mut house = House::new();
    house.create("jobs", &[]);
    let tx = house.rows.unchecked_transaction().expect("begins");
    house.desk.begin();
    let mut queues = Queues::open(&tx, &mut house.desk, START, &house.jobs);
    let caller = Caller::default();
    let changed = queues
        .perform(&caller, &set("jobs", &[("VisibilityTimeout", "7")]))
        .expect("the store works");
    assert!(changed.is_ok());
    tx.rollback().expect("rolled back");
    assert_eq!(house.attribute("jobs", "VisibilityTimeout").as_deref(), Some("30"));
}
