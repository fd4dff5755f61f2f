//! FIFO queues: order, groups, deduplication, receives asked again.

use super::*;

fn to_group(group: &str, body: &str, dedup: &str) -> Send {
    Send {
        group: Some(group.to_owned()),
        deduplication: Some(dedup.to_owned()),
        ..message(body)
    }
}

fn house(attributes: &[(&str, &str)]) -> House {
    let mut house = House::new();
    let attributes: Vec<(&str, &str)> = [("FifoQueue", "true")]
        .into_iter()
        .chain(attributes.iter().copied())
        .collect();
    house.create("q.fifo", &attributes);
    house
}

fn fill(house: &mut House, messages: &[(&str, &str)]) {
    for (group, body) in messages {
        house.send_as("q.fifo", to_group(group, body, body));
    }
}

#[track_caller]
fn receive_some(house: &mut House, max: i64) -> Vec<Received> {
    house.receive_as(Receive {
        max: Some(max),
        ..receive("q.fifo")
    })
}

fn bodies(received: &[Received]) -> Vec<&str> {
    received.iter().map(|received| received.body.as_str()).collect()
}

#[test]
fn a_group_is_blocked_while_one_of_it_is_in_flight() {
    let mut house = house(&[]);
    fill(
        &mut house,
        &[("a", "a1"), ("b", "b1"), ("a", "a2"), ("a", "a3"), ("b", "b2")],
    );
    let first = receive_some(&mut house, 2);
    assert_eq!(bodies(&first), ["a1", "a2"], "as many of a group as there are");
    let second = receive_some(&mut house, 10);
    assert_eq!(bodies(&second), ["b1", "b2"]);
    assert_eq!(bodies(&receive_some(&mut house, 10)), [""; 0]);
    house.delete("q.fifo", &first[0].receipt);
    assert_eq!(bodies(&receive_some(&mut house, 10)), [""; 0], "a2 is still in flight");
    // What comes back comes first.
    house.perform(&visibility("q.fifo", &first[1].receipt, 0));
    let third = receive_some(&mut house, 10);
    assert_eq!(bodies(&third), ["a2", "a3"]);
    for received in third.iter().chain(&second) {
        house.delete("q.fifo", &received.receipt);
    }
    assert_eq!(house.counts("q.fifo"), (0, 0, 0));
    assert_eq!(house.scalar::<i64>("SELECT count(*) FROM lane"), 0);
}

#[test]
fn expired_messages_come_again_in_their_order() {
    let mut house = house(&[]);
    fill(&mut house, &[("a", "a1"), ("a", "a2"), ("a", "a3")]);
    let first = receive_some(&mut house, 2);
    house.pass(30);
    let expired = house.refuse(&delete("q.fifo", &first[0].receipt));
    let said = format!(
        "Value {} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
        first[0].receipt
    );
    assert_eq!(expired, (Code::InvalidParameterValue, said));
    assert_eq!(
        house.refuse(&visibility("q.fifo", &first[0].receipt, 10)).0,
        Code::InvalidParameterValue
    );
    let again = receive_some(&mut house, 10);
    assert_eq!(bodies(&again), ["a1", "a2", "a3"]);
    assert_eq!(
        house.refuse(&delete("q.fifo", &first[0].receipt)).0,
        Code::InvalidParameterValue
    );
    house.delete("q.fifo", &again[0].receipt);
    // It is gone: saying so again is no mistake.
    house.delete("q.fifo", &again[0].receipt);
}

#[test]
fn the_same_within_five_minutes_is_sent_once() {
    let mut house = house(&[]);
    let one = house.send_as("q.fifo", to_group("a", "x", "id"));
    let received = receive_some(&mut house, 1);
    house.delete("q.fifo", &received[0].receipt);
    house.pass(299);
    assert_eq!(
        house.send_as("q.fifo", to_group("b", "other", "id")),
        one,
        "even after its deletion"
    );
    assert_eq!(house.counts("q.fifo"), (0, 0, 0));
    house.pass(1);
    let two = house.send_as("q.fifo", to_group("a", "x", "id"));
    assert_ne!(one.message_id, two.message_id);
    let sequence = |sent: &Sent| sent.sequence.clone().expect("FIFO queues number their messages");
    assert!(sequence(&one) < sequence(&two));
    assert_eq!(sequence(&one).len(), 20);
    let received = receive_some(&mut house, 1);
    assert_eq!(received[0].system["SequenceNumber"], sequence(&two));
    assert_eq!(received[0].system["MessageDeduplicationId"], "id");
    assert_eq!(received[0].system["MessageGroupId"], "a");
}

#[test]
fn deduplication_may_be_by_content_and_by_group() {
    let content = |group: &str, body: &str| Send {
        group: Some(group.to_owned()),
        ..message(body)
    };
    let operation = |message| Operation::SendMessage {
        queue: "q.fifo".to_owned(),
        message,
    };
    let mut bare = house(&[]);
    let refused = bare.refuse(&operation(content("a", "x")));
    assert_eq!(refused.0, Code::InvalidParameterValue);
    assert!(
        refused
            .1
            .starts_with("The queue should either have ContentBasedDeduplication enabled")
    );
    let refused = bare.refuse(&operation(message("x")));
    let said = "The request must contain the parameter MessageGroupId.".to_owned();
    assert_eq!(refused, (Code::MissingParameter, said));

    let mut by_content = house(&[("ContentBasedDeduplication", "true")]);
    let one = by_content.send_as("q.fifo", content("a", "x"));
    assert_eq!(by_content.send_as("q.fifo", content("b", "x")), one);
    assert_ne!(by_content.send_as("q.fifo", content("a", "y")), one);
    let received = receive_some(&mut by_content, 1);
    let sha256_of_x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    assert_eq!(received[0].system["MessageDeduplicationId"], sha256_of_x);

    let scope = [
        ("ContentBasedDeduplication", "true"),
        ("DeduplicationScope", "messageGroup"),
    ];
    let mut by_group = house(&scope);
    let one = by_group.send_as("q.fifo", content("a", "x"));
    assert_ne!(by_group.send_as("q.fifo", content("b", "x")), one);
    assert_eq!(by_group.send_as("q.fifo", content("a", "x")), one);
}

#[test]
fn ids_are_of_visible_characters() {
    let mut house = house(&[]);
    let long = "x".repeat(129);
    for wrong in ["", "a b", "ü", &long] {
        let by_group = Operation::SendMessage {
            queue: "q.fifo".to_owned(),
            message: to_group(wrong, "x", "id"),
        };
        assert_eq!(house.refuse(&by_group).0, Code::InvalidParameterValue);
        let by_id = Operation::SendMessage {
            queue: "q.fifo".to_owned(),
            message: to_group("a", "x", wrong),
        };
        let refused = house.refuse(&by_id);
        let said = format!(
            "Value {wrong} for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId can only include \
             alphanumeric and punctuation characters. 1 to 128 in length."
        );
        assert_eq!(refused, (Code::InvalidParameterValue, said));
    }
    house.send_as("q.fifo", to_group("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "x", "aZ09"));
}

#[test]
fn the_delay_is_the_queues_and_counts_for_all() {
    let mut house = house(&[("DelaySeconds", "100")]);
    fill(&mut house, &[("a", "a1")]);
    house.pass(10);
    fill(&mut house, &[("a", "a2")]);
    let own = Operation::SendMessage {
        queue: "q.fifo".to_owned(),
        message: Send {
            delay: Some(2),
            ..to_group("a", "x", "x")
        },
    };
    let said = "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for \
                this queue type.";
    assert_eq!(house.refuse(&own), (Code::InvalidParameterValue, said.to_owned()));
    assert_eq!(house.counts("q.fifo"), (0, 0, 2));
    house.perform(&set("q.fifo", &[("DelaySeconds", "15")]));
    house.pass(5);
    let received = receive_some(&mut house, 10);
    assert_eq!(bodies(&received), ["a1"], "what was sent before is delayed anew");
    house.pass(10);
    assert_eq!(bodies(&receive_some(&mut house, 10)), [""; 0], "a1 is in flight");
    house.delete("q.fifo", &received[0].receipt);
    assert_eq!(bodies(&receive_some(&mut house, 10)), ["a2"]);
}

#[test]
fn a_receive_may_be_asked_again() {
    let mut house = house(&[]);
    fill(&mut house, &[("a", "a1"), ("b", "b1"), ("b", "b2")]);
    let attempt = |max| Receive {
        attempt: Some("try-1".to_owned()),
        max: Some(max),
        ..receive("q.fifo")
    };
    let first = house.receive_as(attempt(2));
    assert_eq!(bodies(&first), ["a1", "b1"]);
    house.pass(20);
    let again = house.receive_as(attempt(2));
    assert_eq!(again, first, "with the same receipts");
    house.pass(20);
    assert_eq!(house.counts("q.fifo"), (1, 2, 0), "and hidden anew");
    // Whoever has touched one of them is past asking again.
    house.delete("q.fifo", &first[1].receipt);
    assert_eq!(bodies(&house.receive_as(attempt(10))), ["b2"]);
    house.pass(301);
    let late = house.receive_as(attempt(10));
    assert_eq!(bodies(&late), ["a1", "b2"]);
    assert_eq!(late[0].system["ApproximateReceiveCount"], "2");
    let long = "x".repeat(129);
    let wrong = Receive {
        attempt: Some(long),
        ..receive("q.fifo")
    };
    assert_eq!(
        house.refuse(&Operation::ReceiveMessage(wrong)).0,
        Code::InvalidParameterValue
    );
    house.create("standard", &[]);
    let wrong = Receive {
        attempt: Some("try".to_owned()),
        ..receive("standard")
    };
    assert_eq!(
        house.refuse(&Operation::ReceiveMessage(wrong)).0,
        Code::InvalidParameterValue
    );
}

#[test]
fn too_many_in_flight_are_no_error_here() {
    let mut house = house(&[]);
    fill(&mut house, &[("a", "a1")]);
    house
        .rows
        .execute_batch("UPDATE box SET in_flight = 120000")
        .expect("written");
    assert_eq!(receive_some(&mut house, 1), []);
}

#[test]
fn a_purge_forgets_groups_but_not_what_was_sent() {
    let mut house = house(&[]);
    fill(&mut house, &[("a", "a1"), ("a", "a2")]);
    receive_some(&mut house, 1);
    house.perform(&Operation::PurgeQueue {
        queue: "q.fifo".to_owned(),
    });
    fill(&mut house, &[("a", "a1"), ("a", "a3")]);
    assert_eq!(bodies(&receive_some(&mut house, 10)), ["a3"]);
}
