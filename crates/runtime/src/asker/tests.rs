//! Without a runtime: what an operation leaves in the rows is what the next runtime goes on from.

use std::collections::BTreeMap;

use kingtide_core::id::RunId;
use kingtide_core::time::Timestamp;

use super::*;
use crate::sqs::operation::{Entry, Receive, Send};
use crate::view::{Database, LetterPlace, MessageQueue, QueueCounts, RunState, TaskState};

const TOML: &str = "[project]\nname = \"p\"\n[job.train]\ncommand = [\"true\", \"{n}\"]\n\
                    [job.poll]\ncommand = [\"true\"]\nmode = \"consumer\"\n";

struct House {
    folder: tempfile::TempDir,
    project: Project,
}

impl House {
    fn new() -> House {
        let (project, findings) = kingtide_core::project::load(TOML);
        House {
            folder: tempfile::tempdir().expect("a folder"),
            project: project.unwrap_or_else(|| panic!("{findings:?}")),
        }
    }

    #[track_caller]
    fn ask(&self, operations: Vec<Operation>) -> Vec<Answer> {
        let mut asker = Asker::new(self.folder.path().to_owned(), &self.project);
        let answers = asker.ask(operations).expect("performed");
        assert!(!asker.is_live());
        answers.into_iter().map(|answer| answer.expect("no fault")).collect()
    }

    fn send(&self, queue: &str, bodies: &[&str]) {
        let send = |body: &&str| Operation::SendMessage {
            queue: queue.to_owned(),
            message: message(body),
        };
        self.ask(bodies.iter().map(send).collect());
    }

    fn purge(&self, queue: &str) {
        self.ask(vec![Operation::PurgeQueue {
            queue: queue.to_owned(),
        }]);
    }

    fn queue(&self, name: &str) -> MessageQueue {
        let database = Database::open(self.folder.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let queue = snapshot.message_queue(name, &self.project.jobs, now());
        queue.expect("read").expect("there is one")
    }

    fn run(&self, run: i64) -> (RunState, u64, u64) {
        let database = Database::open(self.folder.path()).expect("opens");
        let run = database.snapshot().expect("a snapshot").run(RunId(run));
        let run = run.expect("read").expect("there is one");
        (run.state, run.counts.total, run.counts.cancelled)
    }

    fn states(&self, run: i64) -> Vec<TaskState> {
        let database = Database::open(self.folder.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let tasks = snapshot.tasks(RunId(run), &crate::view::Filter::default(), 100);
        tasks.expect("read").iter().map(|task| task.state).collect()
    }
}

fn now() -> Timestamp {
    crate::runtime::now()
}

fn message(body: &str) -> Send {
    Send {
        body: body.to_owned(),
        ..Send::default()
    }
}

fn visible(visible: u64) -> QueueCounts {
    QueueCounts {
        visible,
        ..QueueCounts::default()
    }
}

#[test]
fn what_is_sent_waits_in_an_open_run() {
    let house = House::new();
    house.send("train", &[r#"{"n":1}"#, r#"{"n":2}"#, r#"{"m":3}"#]);
    house.send("train", &[r#"{"n":4}"#]);
    assert_eq!(house.run(1), (RunState::Open, 3, 0));
    assert_eq!(house.queue("train").counts, visible(3));
    assert_eq!(house.queue("train-dlq").counts, visible(1));
}

#[test]
fn a_purge_ends_what_waits_and_later_sends_open_another_run() {
    let house = House::new();
    house.send("train", &[r#"{"n":1}"#, r#"{"n":2}"#]);
    house.purge("train");
    assert_eq!(house.queue("train").counts, visible(0));
    assert_eq!(house.run(1), (RunState::Cancelled, 2, 2));
    assert_eq!(house.states(1), [TaskState::Cancelled; 2]);
    house.send("train", &[r#"{"n":3}"#]);
    assert_eq!(house.run(2), (RunState::Open, 1, 0));
}

#[test]
fn a_consumers_messages_that_are_purged_do_not_come_back() {
    let house = House::new();
    house.send("poll", &["a", "b"]);
    house.purge("poll");
    assert_eq!(house.states(1), [TaskState::Cancelled; 2]);
    assert_eq!((house.run(1).1, house.run(1).2), (2, 2));
    assert_eq!(house.queue("poll").counts, visible(0));
}

#[test]
fn a_consumers_message_is_received_and_deleted_by_the_same_rules() {
    let house = House::new();
    house.send("poll", &["a"]);
    let receive = Operation::ReceiveMessage(Receive {
        queue: "poll".to_owned(),
        ..Receive::default()
    });
    let [Answer::Received(received)] = &house.ask(vec![receive])[..] else {
        panic!("one answer")
    };
    assert_eq!(house.states(1), [TaskState::Leased]);
    house.ask(vec![Operation::DeleteMessage {
        queue: "poll".to_owned(),
        receipt: received[0].receipt.clone(),
    }]);
    assert_eq!(house.states(1), [TaskState::Succeeded]);
}

#[test]
fn a_receive_does_not_wait_where_nobody_would_wake_it() {
    let house = House::new();
    let receive = Operation::ReceiveMessage(Receive {
        queue: "poll".to_owned(),
        wait: Some(20),
        ..Receive::default()
    });
    assert_eq!(house.ask(vec![receive]), [Answer::Received(Vec::new())]);
}

#[test]
fn chosen_dead_letters_become_tasks_again() {
    let house = House::new();
    house.send("train", &[r#"{"m":1}"#, r#"{"m":2}"#]);
    let database = Database::open(house.folder.path()).expect("opens");
    let snapshot = database.snapshot().expect("a snapshot");
    let page = snapshot.letters("train-dlq", &house.project.jobs, now(), None, 10);
    let dead = page.expect("read").expect("there is one").rows;
    let LetterPlace::Letter(number) = dead[1].place else {
        panic!("a letter")
    };
    let put = Operation::PutBack {
        queue: "train-dlq".to_owned(),
        letters: vec![number],
    };
    // It still lacks its parameter, and dies again.
    assert_eq!(house.ask(vec![put]), [Answer::PutBack { moved: 1, stayed: 0 }]);
    assert_eq!(house.queue("train-dlq").counts, visible(2));
}

#[test]
fn each_operation_succeeds_or_fails_on_its_own() {
    let house = House::new();
    let send = |queue: &str| Operation::SendMessageBatch {
        queue: queue.to_owned(),
        entries: vec![Entry {
            id: "1".to_owned(),
            of: message("x"),
        }],
    };
    let mut asker = Asker::new(house.folder.path().to_owned(), &house.project);
    let create = Operation::CreateQueue {
        name: "free".to_owned(),
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
    };
    let answers = asker
        .ask(vec![send("nowhere"), create, send("free")])
        .expect("performed");
    assert_eq!(
        answers.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [false, true, true]
    );
    drop(asker);
    // The lease was given back.
    Runtime::open(house.folder.path()).expect("free to take");
}

#[test]
fn operations_travel_as_they_are() {
    let mut attributes = BTreeMap::new();
    let binary = crate::sqs::operation::Attribute {
        data_type: "Binary".to_owned(),
        value: crate::sqs::operation::AttributeValue::Binary(vec![0, 255]),
    };
    attributes.insert("b".to_owned(), binary);
    let operation = Operation::SendMessage {
        queue: "free".to_owned(),
        message: Send {
            attributes,
            delay: Some(5),
            group: Some("g".to_owned()),
            ..message("\u{1}\"ü")
        },
    };
    let text = serde_json::to_string(&operation).expect("JSON");
    assert_eq!(serde_json::from_str::<Operation>(&text).expect("JSON"), operation);
    let fault: Result<Answer, Fault> = Err(Fault::new(crate::sqs::fault::Code::OverLimit, "too many"));
    let text = serde_json::to_string(&fault).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Result<Answer, Fault>>(&text).expect("JSON"),
        fault
    );
}
