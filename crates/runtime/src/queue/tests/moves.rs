//! Message move tasks.

use super::*;
use crate::sqs::operation::Move;

fn start(source: &str, destination: Option<&str>, rate: Option<i64>) -> Operation {
    Operation::StartMessageMoveTask {
        source: arn(source),
        destination: destination.map(arn),
        rate,
    }
}

#[track_caller]
fn list(house: &mut House, limit: i64) -> Vec<Move> {
    let source = arn("dead");
    let limit = Some(limit);
    match house.perform(&Operation::ListMessageMoveTasks { source, limit }) {
        Answer::Moves(moves) => moves,
        other => panic!("{other:?}"),
    }
}

/// Queues `a` and `b` whose dead letters are in `dead`, so many of each.
fn house(each: usize) -> House {
    let mut house = House::new();
    house.create("dead", &[]);
    for name in ["a", "b"] {
        house.create(
            name,
            &[("RedrivePolicy", &redrive_to("dead", 1)), ("VisibilityTimeout", "0")],
        );
        for number in 0..each {
            house.send(name, &format!("{name}{number}"));
        }
        while !house.receive(name).is_empty() {}
    }
    assert_eq!(house.counts("dead"), (each as u64 * 2, 0, 0));
    house
}

fn turn(house: &mut House) {
    house.with(|queues| queues.due(&[])).expect("done");
}

#[test]
fn dead_letters_go_back_where_they_came_from() {
    let mut house = house(2);
    let before = house
        .receive_as(Receive {
            visibility: Some(0),
            ..receive("dead")
        })
        .remove(0);
    house.pass(1000);
    house.perform(&start("dead", None, None));
    assert!(house.durable);
    assert_eq!(
        house.with(|queues| queues.next_due(&[])).expect("read"),
        Some(house.now)
    );
    turn(&mut house);
    let expected = Move {
        handle: None,
        status: "COMPLETED",
        source: arn("dead"),
        destination: None,
        rate: None,
        moved: 4,
        to_move: Some(4),
        failure: None,
        started_at: house.now.0,
    };
    assert_eq!(list(&mut house, 1), [expected]);
    assert_eq!(house.with(|queues| queues.next_due(&[])).expect("read"), None);
    assert_eq!(house.counts("dead"), (0, 0, 0));
    assert_eq!(house.counts("b"), (2, 0, 0));
    // They are new messages.
    let moved = house.receive("a").remove(0);
    assert_eq!(
        (moved.body.as_str(), moved.system["ApproximateReceiveCount"].as_str()),
        ("a0", "1")
    );
    assert_eq!(moved.system["SentTimestamp"], house.now.0.to_string());
    assert_ne!(moved.message_id, before.message_id);
    assert_eq!(moved.system.get("DeadLetterQueueSourceArn"), None);
}

#[test]
fn a_rate_is_kept_and_a_restart_goes_on() {
    let mut house = house(2);
    house.create("elsewhere", &[]);
    house.perform(&start("dead", Some("elsewhere"), Some(1)));
    turn(&mut house);
    turn(&mut house);
    assert_eq!(house.counts("elsewhere"), (1, 0, 0));
    house.desk = Desk::new(8, "us-east-1");
    let next = house.with(|queues| queues.next_due(&[])).expect("read");
    assert_eq!(next, Some(Timestamp(house.now.0 + 1000)));
    house.pass(1);
    turn(&mut house);
    let running = list(&mut house, 10).remove(0);
    assert_eq!(
        (running.status, running.moved, running.to_move),
        ("RUNNING", 2, Some(4))
    );
    // What dies meanwhile is not for this task.
    house.send("dead", "late");
    house.receive_as(Receive {
        visibility: Some(0),
        ..receive("dead")
    });
    for _ in 0..3 {
        house.pass(1);
        turn(&mut house);
    }
    assert_eq!(list(&mut house, 1)[0].status, "COMPLETED");
    assert_eq!(house.counts("elsewhere"), (4, 0, 0));
    assert_eq!(house.bodies("dead"), ["late"]);
}

#[test]
fn a_high_rate_moves_several_at_a_time() {
    let mut house = house(100);
    house.create("elsewhere", &[]);
    house.perform(&start("dead", Some("elsewhere"), Some(500)));
    let mut turns = 0;
    while let Some(at) = house.with(|queues| queues.next_due(&[])).expect("read") {
        house.now = at;
        turn(&mut house);
        turns += 1;
    }
    assert_eq!((house.now.0 - START.0, turns), (400, 5));
    assert_eq!(house.counts("elsewhere"), (200, 0, 0));
}

#[test]
fn a_task_may_be_cancelled_while_it_runs() {
    let mut house = house(2);
    let Answer::MoveStarted { handle } = house.perform(&start("dead", None, Some(1))) else {
        panic!("not started")
    };
    let said =
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time.";
    assert_eq!(
        house.refuse(&start("dead", None, None)),
        (Code::InvalidParameterValue, said.to_owned())
    );
    turn(&mut house);
    assert_eq!(list(&mut house, 1)[0].handle.as_ref(), Some(&handle));
    let cancel = |handle: &str| Operation::CancelMessageMoveTask {
        handle: handle.to_owned(),
    };
    assert_eq!(house.perform(&cancel(&handle)), Answer::MoveCancelled { moved: 1 });
    house.pass(10);
    turn(&mut house);
    let cancelled = list(&mut house, 1).remove(0);
    assert_eq!(
        (cancelled.status, cancelled.moved, cancelled.handle),
        ("CANCELLED", 1, None)
    );
    assert_eq!(house.refuse(&cancel(&handle)).0, Code::InvalidParameterValue);
    let said = "Value for parameter TaskHandle is invalid.".to_owned();
    assert_eq!(house.refuse(&cancel("garbage")), (Code::InvalidParameterValue, said));
    let unknown = format!("{}|{}", "0".repeat(36), arn("dead"));
    let said = "Task does not exist.".to_owned();
    assert_eq!(house.refuse(&cancel(&unknown)), (Code::ResourceNotFoundException, said));
    let elsewhere = format!("{}|{}", "0".repeat(36), arn("none"));
    assert_eq!(house.refuse(&cancel(&elsewhere)).0, Code::ResourceNotFoundException);
    house.perform(&start("dead", None, None));
    turn(&mut house);
    let statuses: Vec<&str> = list(&mut house, 10).iter().map(|task| task.status).collect();
    assert_eq!(statuses, ["COMPLETED", "CANCELLED"], "the latest first");
}

#[test]
fn what_cannot_go_anywhere_fails_the_task() {
    let mut house = house(1);
    house.send("dead", "sent here");
    house.perform(&start("dead", None, None));
    turn(&mut house);
    let failed = list(&mut house, 1).remove(0);
    let failure = Some("CouldNotDetermineMessageSource".to_owned());
    assert_eq!((failed.status, failed.moved, failed.failure), ("FAILED", 2, failure));
    assert_eq!(house.counts("dead"), (1, 0, 0));
    house.create("elsewhere", &[]);
    house.perform(&start("dead", Some("elsewhere"), Some(1)));
    house.perform(&Operation::DeleteQueue {
        queue: "elsewhere".to_owned(),
    });
    turn(&mut house);
    let failure = Some("AWS.SimpleQueueService.NonExistentQueue".to_owned());
    assert_eq!(list(&mut house, 1)[0].failure, failure);
}

#[test]
fn what_cannot_be_started_is_refused() {
    let mut house = house(1);
    house.create("q.fifo", &[("FifoQueue", "true")]);
    let said = "Source queue must be configured as a Dead Letter Queue.".to_owned();
    assert_eq!(
        house.refuse(&start("a", None, None)),
        (Code::InvalidParameterValue, said)
    );
    let said = "The resource that you specified for the SourceArn parameter doesn't exist.".to_owned();
    assert_eq!(
        house.refuse(&start("none", None, None)),
        (Code::ResourceNotFoundException, said)
    );
    let said = "The resource that you specified for the DestinationArn parameter doesn't exist.".to_owned();
    assert_eq!(
        house.refuse(&start("dead", Some("none"), None)),
        (Code::ResourceNotFoundException, said)
    );
    for operation in [
        start("dead", None, Some(0)),
        start("dead", None, Some(501)),
        start("dead", Some("dead"), None),
        start("dead", Some("q.fifo"), None),
        Operation::StartMessageMoveTask {
            source: "dead".to_owned(),
            destination: None,
            rate: None,
        },
        Operation::ListMessageMoveTasks {
            source: arn("dead"),
            limit: Some(11),
        },
    ] {
        assert_eq!(house.refuse(&operation).0, Code::InvalidParameterValue, "{operation:?}");
    }
}
