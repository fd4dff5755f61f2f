//! Sending: sizes, characters, attributes, delays, batches.

use super::*;
use crate::sqs::operation::{Attribute, AttributeValue, Entry};

fn text(data_type: &str, value: &str) -> Attribute {
    Attribute {
        data_type: data_type.to_owned(),
        value: AttributeValue::Text(value.to_owned()),
    }
}

fn send_to(queue: &str, message: Send) -> Operation {
    Operation::SendMessage {
        queue: queue.to_owned(),
        message,
    }
}

fn with_attribute(name: &str, attribute: Attribute) -> Operation {
    let message = Send {
        attributes: BTreeMap::from([(name.to_owned(), attribute)]),
        ..message("x")
    };
    send_to("jobs", message)
}

fn batch(messages: Vec<(&str, Send)>) -> Operation {
    let entry = |(id, of): (&str, Send)| Entry { id: id.to_owned(), of };
    Operation::SendMessageBatch {
        queue: "jobs".to_owned(),
        entries: messages.into_iter().map(entry).collect(),
    }
}

#[test]
fn attributes_travel_with_the_message() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.caller.access_key = Some("AKIA1".to_owned());
    let attributes = BTreeMap::from([
        ("Colour".to_owned(), text("String", "grün")),
        ("n".to_owned(), text("Number.int", "-1.5e3")),
        (
            "b".to_owned(),
            Attribute {
                data_type: "Binary.png".to_owned(),
                value: AttributeValue::Binary(vec![0, 255, 16]),
            },
        ),
    ]);
    let trace = BTreeMap::from([("AWSTraceHeader".to_owned(), text("String", "Root=1"))]);
    house.send_as(
        "jobs",
        Send {
            attributes: attributes.clone(),
            system_attributes: trace,
            group: Some("tenant-1".to_owned()),
            ..message("x")
        },
    );
    let received = house.receive("jobs").remove(0);
    assert_eq!(received.attributes, attributes);
    assert_eq!(received.system["AWSTraceHeader"], "Root=1");
    assert_eq!(received.system["MessageGroupId"], "tenant-1", "fair queues have groups");
    assert_eq!(received.system["SenderId"], "AKIA1");
    assert_eq!(received.system.get("SequenceNumber"), None);
    let bare = Receive {
        visibility: Some(0),
        queue: "jobs".to_owned(),
        ..Receive::default()
    };
    house.pass(30);
    let received = house.receive_as(bare).remove(0);
    assert!(
        received.attributes.is_empty() && received.system.is_empty(),
        "nobody asked"
    );
}

#[test]
fn a_message_is_not_empty_not_too_large_and_can_be_written_as_xml() {
    let mut house = House::new();
    house.create("jobs", &[("MaximumMessageSize", "1024")]);
    let body = |text: &str| send_to("jobs", message(text));
    let said = "The request must contain the parameter MessageBody.".to_owned();
    assert_eq!(house.refuse(&body("")), (Code::MissingParameter, said));
    house.perform(&body(&"ü".repeat(512)));
    let said = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.".to_owned();
    assert_eq!(
        house.refuse(&body(&"ü".repeat(513))),
        (Code::InvalidParameterValue, said)
    );
    // Names, types and values count.
    let with = |bytes: usize| Send {
        attributes: BTreeMap::from([("ab".to_owned(), text("String", "x"))]),
        ..message(&"x".repeat(bytes))
    };
    house.perform(&send_to("jobs", with(1024 - 9)));
    assert_eq!(
        house.refuse(&send_to("jobs", with(1024 - 8))).0,
        Code::InvalidParameterValue
    );
    for good in ["\t\n\r", "\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}"] {
        house.perform(&body(good));
    }
    for bad in ["\0", "a\u{1}", "\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        assert_eq!(house.refuse(&body(bad)).0, Code::InvalidMessageContents, "{bad:?}");
    }
    house.create("large", &[]);
    house.perform(&send_to("large", message(&"x".repeat(1024 * 1024))));
    assert_eq!(
        house.refuse(&send_to("large", message(&"x".repeat(1024 * 1024 + 1)))).0,
        Code::InvalidParameterValue
    );
}

#[test]
fn names_types_and_values_of_attributes_are_checked() {
    let mut house = House::new();
    house.create("jobs", &[]);
    for name in ["a", "A-1_b.c", &"n".repeat(255)] {
        house.perform(&with_attribute(name, text("String", "x")));
    }
    for name in [
        "",
        "a b",
        "ü",
        ".a",
        "a.",
        "a..b",
        "AWS.x",
        "amazon.x",
        &"n".repeat(256),
    ] {
        let refused = house.refuse(&with_attribute(name, text("String", "x")));
        assert_eq!(refused.0, Code::InvalidParameterValue, "{name}");
    }
    let long = format!("String.{}", "x".repeat(249));
    for (data_type, value, said) in [
        (
            "",
            "x",
            "The message (user) attribute 'a' must contain a non-empty message attribute type.",
        ),
        ("Text", "x", "The type of message (user) attribute 'a' is invalid."),
        ("string", "x", "The type of message (user) attribute 'a' is invalid."),
        (
            &long,
            "x",
            "Message (user) attribute type must be shorter than 256 bytes.",
        ),
        (
            "String",
            "",
            "Message (user) attribute 'a' must contain a non-empty value of type 'String'.",
        ),
        ("String", "\0", "Invalid characters found."),
        (
            "Number",
            "world",
            "Can't cast the value of message (user) attribute 'a' to a number.",
        ),
        (
            "Number",
            "NaN",
            "Can't cast the value of message (user) attribute 'a' to a number.",
        ),
        (
            "Number",
            "1e127",
            "Can't cast the value of message (user) attribute 'a' to a number.",
        ),
        (
            "Binary",
            "x",
            "The message (user) attribute 'a' with type 'Binary' must use field 'Binary'.",
        ),
    ] {
        let (code, message) = house.refuse(&with_attribute("a", text(data_type, value)));
        assert_eq!(code, Code::InvalidParameterValue, "{data_type} {value}");
        assert!(message.starts_with(said), "{message}");
    }
    let missing = Attribute {
        data_type: "String".to_owned(),
        value: AttributeValue::Missing,
    };
    assert_eq!(
        house.refuse(&with_attribute("a", missing)).0,
        Code::InvalidParameterValue
    );
    assert_eq!(
        house.refuse(&with_attribute("a", text("StringList", "x"))).0,
        Code::UnsupportedOperation
    );
    let eleven = (0..11)
        .map(|number| (format!("a{number}"), text("String", "x")))
        .collect();
    let many = Send {
        attributes: eleven,
        ..message("x")
    };
    let said = "Number of message attributes [11] exceeds the allowed maximum [10].".to_owned();
    assert_eq!(
        house.refuse(&send_to("jobs", many)),
        (Code::InvalidParameterValue, said)
    );
    let system = Send {
        system_attributes: BTreeMap::from([("Hello".to_owned(), text("String", "x"))]),
        ..message("x")
    };
    assert_eq!(house.refuse(&send_to("jobs", system)).0, Code::InvalidParameterValue);
}

#[test]
fn a_delay_hides_from_the_start() {
    let mut house = House::new();
    house.create("jobs", &[("DelaySeconds", "10")]);
    let delayed = |delay| Send {
        delay: Some(delay),
        ..message(&delay.to_string())
    };
    house.send("jobs", "queue's");
    house.send_as("jobs", delayed(0));
    house.send_as("jobs", delayed(900));
    assert_eq!(house.counts("jobs"), (1, 0, 2));
    assert_eq!(house.bodies("jobs"), ["0"]);
    // Of a standard queue the new delay is for new messages only.
    house.perform(&set("jobs", &[("DelaySeconds", "0")]));
    house.pass(9);
    assert_eq!(house.receive("jobs"), []);
    house.pass(1);
    assert_eq!(house.bodies("jobs"), ["queue's"]);
    house.pass(890);
    assert!(house.bodies("jobs").contains(&"900".to_owned()));
    for wrong in [-1, 901] {
        let said = format!(
            "Value {wrong} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
        );
        assert_eq!(
            house.refuse(&send_to("jobs", delayed(wrong))),
            (Code::InvalidParameterValue, said)
        );
    }
}

#[test]
fn only_fifo_queues_deduplicate() {
    let mut house = House::new();
    house.create("jobs", &[]);
    let dedup = Send {
        deduplication: Some("a".to_owned()),
        ..message("x")
    };
    assert_eq!(house.refuse(&send_to("jobs", dedup)).0, Code::InvalidParameterValue);
    let group = Send {
        group: Some("a b".to_owned()),
        ..message("x")
    };
    assert_eq!(house.refuse(&send_to("jobs", group)).0, Code::InvalidParameterValue);
}

#[test]
fn each_of_a_batch_succeeds_or_fails_on_its_own() {
    let mut house = House::new();
    house.create("jobs", &[]);
    let late = Send {
        delay: Some(901),
        ..message("late")
    };
    let answer = house.perform(&batch(vec![
        ("a", message("one")),
        ("b", message("")),
        ("c", late),
        ("d", message("two")),
    ]));
    let Answer::SentBatch(entries) = answer else {
        panic!("{answer:?}")
    };
    let told: Vec<(&str, Option<Code>)> = entries
        .iter()
        .map(|entry| (entry.id.as_str(), entry.of.as_ref().err().map(|fault| fault.code)))
        .collect();
    let expected = [
        ("a", None),
        ("b", Some(Code::MissingParameter)),
        ("c", Some(Code::InvalidParameterValue)),
        ("d", None),
    ];
    assert_eq!(told, expected);
    let received = house.receive("jobs");
    assert_eq!(
        received
            .iter()
            .map(|received| received.body.as_str())
            .collect::<Vec<_>>(),
        ["one", "two"]
    );
    let entries = |handles: Vec<String>| {
        let entry = |(id, of): (usize, String)| Entry { id: id.to_string(), of };
        Operation::DeleteMessageBatch {
            queue: "jobs".to_owned(),
            entries: handles.into_iter().enumerate().map(entry).collect(),
        }
    };
    let answer = house.perform(&entries(vec![received[0].receipt.clone(), "garbage".to_owned()]));
    let Answer::DoneBatch(told) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(told[0].of, Ok(()));
    assert_eq!(
        told[1].of.as_ref().err().map(|fault| fault.code),
        Some(Code::ReceiptHandleIsInvalid)
    );
    let receipt = received[1].receipt.clone();
    let answer = house.perform(&Operation::ChangeMessageVisibilityBatch {
        queue: "jobs".to_owned(),
        entries: vec![
            Entry {
                id: "a".to_owned(),
                of: (receipt.clone(), Some(0)),
            },
            Entry {
                id: "b".to_owned(),
                of: (receipt, None),
            },
        ],
    });
    let Answer::DoneBatch(told) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(told[0].of, Ok(()));
    assert_eq!(
        told[1].of.as_ref().err().map(|fault| fault.code),
        Some(Code::MissingParameter)
    );
    assert_eq!(house.counts("jobs"), (1, 0, 0));
}

#[test]
fn a_batch_as_a_whole_is_refused() {
    let mut house = House::new();
    house.create("jobs", &[]);
    let named = |ids: &[&str]| batch(ids.iter().map(|id| (*id, message("x"))).collect());
    let eleven: Vec<String> = (0..11).map(|number| number.to_string()).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    let half = "x".repeat(512 * 1024);
    let long = "x".repeat(81);
    let large = || vec![("a", message(&half)), ("b", message(&half)), ("c", message("x"))];
    for (operation, code, said) in [
        (
            named(&[]),
            Code::EmptyBatchRequest,
            "There should be at least one SendMessageBatchRequestEntry in the request.",
        ),
        (
            named(&eleven),
            Code::TooManyEntriesInBatchRequest,
            "Maximum number of entries per request are 10. You have sent 11.",
        ),
        (
            named(&["a", "b", "a"]),
            Code::BatchEntryIdsNotDistinct,
            "Id a repeated.",
        ),
        (
            named(&["a:b"]),
            Code::InvalidBatchEntryId,
            "A batch entry id can only contain",
        ),
        (
            named(&[""]),
            Code::InvalidBatchEntryId,
            "A batch entry id can only contain",
        ),
        (
            named(&[&long]),
            Code::InvalidBatchEntryId,
            "A batch entry id can only contain",
        ),
        (
            batch(large()),
            Code::BatchRequestTooLong,
            "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.",
        ),
    ] {
        let refused = house.refuse(&operation);
        assert_eq!(refused.0, code);
        assert!(refused.1.starts_with(said), "{}", refused.1);
    }
    assert_eq!(house.counts("jobs"), (0, 0, 0));
    house.perform(&batch(large()[..2].to_vec()));
}
