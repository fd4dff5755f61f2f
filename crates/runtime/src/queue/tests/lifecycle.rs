//! Queues made, found, listed, tagged, purged and deleted.

use super::*;
use crate::sqs::operation::Page;

#[track_caller]
fn list(
    house: &mut House,
    prefix: Option<&str>,
    limit: Option<i64>,
    token: Option<&str>,
) -> (Vec<String>, Option<String>) {
    let operation = Operation::ListQueues {
        prefix: prefix.map(str::to_owned),
        page: Page {
            limit,
            token: token.map(str::to_owned),
        },
    };
    match house.perform(&operation) {
        Answer::Queues { names, next } => (names, next),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_queue_is_made_once_and_found_again() {
    let mut house = House::new();
    let answer = Answer::Queue("jobs".to_owned());
    assert_eq!(house.perform(&create("jobs", &[("DelaySeconds", "5")])), answer);
    assert_eq!(house.perform(&create("jobs", &[("DelaySeconds", "5")])), answer);
    assert_eq!(
        house.perform(&create("jobs", &[("VisibilityTimeout", "30")])),
        answer,
        "as is the default"
    );
    assert_eq!(house.perform(&create("jobs", &[])), answer);
    let said = "A queue already exists with the same name and a different value for attribute DelaySeconds";
    let refused = house.refuse(&create("jobs", &[("DelaySeconds", "6")]));
    assert_eq!(refused, (Code::QueueNameExists, said.to_owned()));
    let url = Operation::GetQueueUrl {
        name: "jobs".to_owned(),
    };
    assert_eq!(house.perform(&url), answer);
    let url = Operation::GetQueueUrl {
        name: "none".to_owned(),
    };
    assert_eq!(house.refuse(&url).0, Code::QueueDoesNotExist);
}

#[test]
fn names_are_what_sqs_allows() {
    let mut house = House::new();
    let eighty = "a".repeat(80);
    for name in ["a", "A-1_b", &eighty] {
        house.create(name, &[]);
    }
    for name in ["a b", "a.b", "ü", "jobs.fifo", &"a".repeat(81)] {
        assert_eq!(
            house.refuse(&create(name, &[])).0,
            Code::InvalidParameterValue,
            "{name}"
        );
    }
    assert_eq!(house.refuse(&create("", &[])).0, Code::MissingParameter);
    let fifo = [("FifoQueue", "true")];
    house.create(&format!("{}.fifo", "a".repeat(75)), &fifo);
    for name in ["jobs", ".fifo", "a.b.fifo", &format!("{}.fifo", "a".repeat(76))] {
        let (code, said) = house.refuse(&create(name, &fifo));
        assert_eq!(code, Code::InvalidParameterValue, "{name}");
        assert!(said.contains("must end with .fifo suffix"), "{said}");
    }
}

#[test]
fn a_deleted_queue_is_gone_and_its_name_rests_for_a_minute() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.send("jobs", "one");
    let gone = Operation::DeleteQueue {
        queue: "jobs".to_owned(),
    };
    house.perform(&gone);
    assert_eq!(house.refuse(&gone).0, Code::QueueDoesNotExist);
    house.pass(59);
    assert_eq!(house.refuse(&create("jobs", &[])).0, Code::QueueDeletedRecently);
    house.pass(1);
    house.create("jobs", &[]);
    assert_eq!(house.receive("jobs"), []);
    house.with(|queues| queues.due(&[])).expect("done");
    assert_eq!(house.scalar::<i64>("SELECT count(*) FROM letter"), 0);
    assert_eq!(house.scalar::<i64>("SELECT count(*) FROM box"), 1);
    assert_eq!(house.with(|queues| queues.next_due(&[])).expect("read"), None);
}

#[test]
fn a_purge_empties_once_a_minute() {
    let mut house = House::new();
    house.create("jobs", &[]);
    for number in 0..1500 {
        house.send("jobs", &number.to_string());
    }
    let received = house.receive("jobs");
    let delayed = Send {
        delay: Some(60),
        ..message("later")
    };
    house.send_as("jobs", delayed);
    let purge = Operation::PurgeQueue {
        queue: "jobs".to_owned(),
    };
    house.perform(&purge);
    assert_eq!(house.counts("jobs"), (0, 0, 0));
    assert_eq!(house.receive("jobs"), []);
    house.delete("jobs", &received[0].receipt);
    let said = "Only one PurgeQueue operation on jobs is allowed every 60 seconds.".to_owned();
    assert_eq!(house.refuse(&purge), (Code::PurgeQueueInProgress, said));
    house.pass(60);
    house.perform(&purge);
    // Cleared piece by piece, and only while there is something to clear.
    let mut turns = 0;
    while house.with(|queues| queues.next_due(&[])).expect("read").is_some() {
        house.with(|queues| queues.due(&[])).expect("done");
        turns += 1;
    }
    assert_eq!((turns, house.scalar::<i64>("SELECT count(*) FROM letter")), (3, 0));
    assert_eq!(house.counts("jobs"), (0, 0, 0));
}

#[test]
fn queues_are_listed_by_prefix_and_page() {
    let mut house = House::new();
    for name in ["b_1", "a", "bx1", "b_3", "b_2"] {
        house.create(name, &[]);
    }
    assert_eq!(list(&mut house, None, None, None).0, ["a", "b_1", "b_2", "b_3", "bx1"]);
    assert_eq!(
        list(&mut house, Some("b_"), None, None),
        (vec!["b_1".into(), "b_2".into(), "b_3".into()], None)
    );
    let (names, token) = list(&mut house, Some("b"), Some(2), None);
    assert_eq!(names, ["b_1", "b_2"]);
    let (names, token) = list(&mut house, Some("b"), Some(2), token.as_deref());
    assert_eq!((names, token), (vec!["b_3".into(), "bx1".into()], None));
    let wrong = |limit, token: Option<&str>| Operation::ListQueues {
        prefix: None,
        page: Page {
            limit,
            token: token.map(str::to_owned),
        },
    };
    for operation in [
        wrong(Some(0), None),
        wrong(Some(1001), None),
        wrong(Some(1), Some("garbage")),
    ] {
        assert_eq!(house.refuse(&operation).0, Code::InvalidParameterValue);
    }
}

#[test]
fn tags_are_hung_on_and_taken_off() {
    let mut house = House::new();
    let queue = || "jobs".to_owned();
    let tag = |pairs: &[(&str, &str)]| Operation::TagQueue {
        queue: queue(),
        tags: map(pairs),
    };
    let tags = Operation::ListQueueTags { queue: queue() };
    house.perform(&Operation::CreateQueue {
        name: queue(),
        attributes: BTreeMap::new(),
        tags: map(&[("team", "data")]),
    });
    house.perform(&tag(&[("team", "ops"), ("empty", "")]));
    assert_eq!(
        house.perform(&tags),
        Answer::Tags(map(&[("empty", ""), ("team", "ops")]))
    );
    house.perform(&Operation::UntagQueue {
        queue: queue(),
        keys: vec!["empty".into(), "unknown".into()],
    });
    assert_eq!(house.perform(&tags), Answer::Tags(map(&[("team", "ops")])));
    let long = "x".repeat(129);
    let longer = "x".repeat(257);
    for pairs in [
        [(long.as_str(), "")],
        [("", "")],
        [("a", longer.as_str())],
        [("AWS:a", "")],
        [("a#", "")],
    ] {
        assert_eq!(house.refuse(&tag(&pairs)).0, Code::InvalidParameterValue, "{pairs:?}");
    }
    assert_eq!(house.refuse(&tag(&[])).0, Code::MissingParameter);
    let names: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let fifty: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let said = "Too many tags added for queue jobs.".to_owned();
    assert_eq!(house.refuse(&tag(&fifty)), (Code::InvalidParameterValue, said));
    house.perform(&tag(&fifty[..49]));
}
