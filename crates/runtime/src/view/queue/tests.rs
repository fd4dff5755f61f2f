//! What is seen of queues is what the queues themselves would say, at every moment.

use std::collections::BTreeMap;

use kingtide_core::id::RunId;
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;
use rusqlite::Connection;

use super::*;
use crate::layout::Layout;
use crate::queue::{Desk, Queues};
use crate::sqs::operation::{Answer, Caller, Operation, Receive, Send};
use crate::view::{Database, Letter, LetterPlace, LetterState, sample};

struct House {
    folder: tempfile::TempDir,
    rows: Connection,
    desk: Desk,
    jobs: BTreeMap<String, Job>,
    now: Timestamp,
}

impl House {
    fn new() -> House {
        let folder = sample::project();
        let rows = Connection::open(Layout::new(folder.path()).database()).expect("a writer");
        let text = "[project]\nname = \"p\"\n[job.score]\ncommand = [\"true\", \"{n}\"]\n\
                    [job.poll]\ncommand = [\"true\"]\nmode = \"consumer\"\n";
        let (project, findings) = kingtide_core::project::load(text);
        let mut house = House {
            folder,
            rows,
            desk: Desk::new(7, "us-east-1"),
            jobs: project.unwrap_or_else(|| panic!("{findings:?}")).jobs,
            now: Timestamp(300_000),
        };
        house.with(|queues| queues.ensure_job_queues().expect("made"));
        house
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Queues<'_>) -> T) -> T {
        self.desk.begin();
        let mut queues = Queues::open(&self.rows, &mut self.desk, self.now, &self.jobs);
        let done = act(&mut queues);
        self.desk.committed();
        done
    }

    #[track_caller]
    fn perform(&mut self, operation: Operation) -> Answer {
        let outcome = self.with(|queues| queues.perform(&Caller::default(), &operation));
        match outcome.expect("the store works") {
            Ok(crate::queue::Outcome::Answer(answer)) => answer,
            other => panic!("{operation:?}: {other:?}"),
        }
    }

    fn send(&mut self, queue: &str, body: &str, delay: i64) {
        self.perform(Operation::SendMessage {
            queue: queue.to_owned(),
            message: Send {
                body: body.to_owned(),
                delay: Some(delay),
                ..Send::default()
            },
        });
    }

    fn receive(&mut self, queue: &str, visibility: i64) {
        self.perform(Operation::ReceiveMessage(Receive {
            queue: queue.to_owned(),
            max: Some(1),
            visibility: Some(visibility),
            ..Receive::default()
        }));
    }

    fn create(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.perform(Operation::CreateQueue {
            name: name.to_owned(),
            attributes: attributes.collect(),
            tags: BTreeMap::new(),
        });
    }

    /// As the queues would count, and as it is seen.
    fn counts(&mut self, queue: &str) -> (QueueCounts, QueueCounts) {
        let seen = self.queue(queue).counts;
        self.rows.execute_batch("SAVEPOINT look").expect("SQL");
        let counted = self.with(|queues| queues.counts(queue)).expect("the store works");
        self.rows.execute_batch("ROLLBACK TO look; RELEASE look").expect("SQL");
        (counted.expect("there is one"), seen)
    }

    fn queue(&self, name: &str) -> MessageQueue {
        let database = Database::open(self.folder.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let queue = snapshot.message_queue(name, &self.jobs, self.now).expect("read");
        queue.expect("there is one")
    }

    fn letters(&self, queue: &str, after: Option<LetterPlace>, limit: usize) -> (Vec<Letter>, Option<LetterPlace>) {
        let database = Database::open(self.folder.path()).expect("opens");
        let snapshot = database.snapshot().expect("a snapshot");
        let page = snapshot
            .letters(queue, &self.jobs, self.now, after, limit)
            .expect("read");
        let page = page.expect("there is one");
        (page.rows, page.next)
    }
}

fn counts(visible: u64, in_flight: u64, delayed: u64) -> QueueCounts {
    QueueCounts {
        visible,
        in_flight,
        delayed,
    }
}

#[test]
fn counts_are_those_of_the_next_look_whatever_has_fallen_due() {
    let mut house = House::new();
    house.create("free", &[("MessageRetentionPeriod", "60")]);
    let mut random = fastrand::Rng::with_seed(4);
    for step in 0..400 {
        house.now = house.now + std::time::Duration::from_millis(random.u64(0..4_000));
        match random.u32(0..10) {
            0..5 => house.send("free", &format!("{step}"), random.i64(0..20)),
            5..8 => house.receive("free", random.i64(0..40)),
            _ => house.send("poll", &format!("{step}"), random.i64(0..20)),
        }
        if random.bool() {
            house.receive("poll", random.i64(0..40));
        }
        // Without a look of the queues themselves, so that the rows lag behind.
        let after = house.now + std::time::Duration::from_secs(random.u64(0..70));
        let now = std::mem::replace(&mut house.now, after);
        for queue in ["free", "poll", "score"] {
            let (counted, seen) = house.counts(queue);
            assert_eq!(seen, counted, "{queue} at step {step}");
        }
        house.now = now;
    }
}

#[test]
fn what_a_living_instance_holds_stays_in_flight() {
    let mut house = House::new();
    house.send("poll", "x", 0);
    let key = crate::keys::access_key(kingtide_core::id::InstanceId(3));
    house.desk.admit_holder(&key);
    house
        .rows
        .execute("INSERT INTO instance VALUES (3, 'poll', 1)", [])
        .expect("written");
    let operation = Operation::ReceiveMessage(Receive {
        queue: "poll".to_owned(),
        ..Receive::default()
    });
    let caller = Caller { access_key: Some(key) };
    let received = house.with(|queues| queues.perform(&caller, &operation));
    assert!(received.expect("the store works").is_ok());
    house.now = Timestamp(house.now.0 + 3_600_000);
    assert_eq!(house.counts("poll"), (counts(0, 1, 0), counts(0, 1, 0)));
    assert_eq!(house.letters("poll", None, 10).0[0].state, LetterState::InFlight);
    house.rows.execute("DELETE FROM instance", []).expect("written");
    assert_eq!(house.queue("poll").counts, counts(1, 0, 0));
}

#[test]
fn a_jobs_tasks_are_its_queues_messages() {
    let mut house = House::new();
    // Of the sample: two leased, three waiting, one until 230 s, which is over.
    assert_eq!(house.counts("score"), (counts(4, 2, 0), counts(4, 2, 0)));
    house.send("score", r#"{"n":7}"#, 0);
    house.send("score", r#"{"n":8}"#, 60);
    house.send("score", "no object", 0);
    assert_eq!(house.queue("score").counts, counts(5, 2, 1));
    let queue = house.queue("score");
    assert_eq!((queue.role, queue.job.as_deref()), (Role::Job, Some("score")));
    assert_eq!(queue.dead_letters.as_deref(), Some("score-dlq"));
    assert_eq!(queue.oldest, Some(Timestamp(200_000)), "as old as its run");

    let (letters, next) = house.letters("score", None, 3);
    let shown = |letters: &[Letter]| -> Vec<(String, String, &'static str)> {
        let shown = |letter: &Letter| (letter.place.to_string(), letter.body.clone(), letter.state.word());
        letters.iter().map(shown).collect()
    };
    assert_eq!(
        shown(&letters),
        [
            ("1".to_owned(), r#"{"n":8}"#.to_owned(), "delayed"),
            ("2-1".to_owned(), r#"{"n":1}"#.to_owned(), "in_flight"),
            ("2-2".to_owned(), r#"{"n":2}"#.to_owned(), "in_flight"),
        ]
    );
    let (rest, end) = house.letters("score", next, 100);
    assert_eq!((rest.len(), end), (5, None));
    assert_eq!(rest[4].sent_at, house.now, "it was sent alone");
    assert_eq!(rest[4].task, Some(RunId(3).task(1)));

    let dead = &house.letters("score-dlq", None, 10).0[0];
    assert_eq!(dead.body, "no object");
    assert_eq!(
        (dead.reason.as_deref(), dead.source.as_deref()),
        (Some("the body is not a JSON object"), Some("score"))
    );
}

#[test]
fn pages_join_without_a_seam_and_what_is_too_old_is_not_there() {
    let mut house = House::new();
    house.create("free", &[("MessageRetentionPeriod", "60")]);
    house.send("free", "old", 0);
    house.now = Timestamp(house.now.0 + 61_000);
    let big = "x".repeat(1024 * 1024);
    for number in 0..7 {
        house.send(
            "free",
            if number % 2 == 0 { &big } else { "small" },
            i64::from(number == 3) * 10,
        );
    }
    let mut places = Vec::new();
    let mut after = None;
    loop {
        let (letters, next) = house.letters("free", after, 3);
        let bytes: usize = letters.iter().map(|letter| letter.body.len()).sum();
        assert!(bytes <= crate::view::PAGE_BYTES && letters.len() <= 3);
        places.extend(letters.iter().map(|letter| letter.place));
        if next.is_none() {
            break;
        }
        after = next;
    }
    let expected: Vec<LetterPlace> = (2..=8).map(LetterPlace::Letter).collect();
    assert_eq!(places, expected);
    assert_eq!(house.queue("free").oldest, Some(house.now));
}

#[test]
fn queues_are_listed_with_those_that_nobody_needed_yet() {
    let mut house = House::new();
    house.create("another", &[]);
    let later = "[project]\nname = \"p\"\n[job.score]\ncommand = [\"true\"]\n[job.new]\ncommand = [\"true\"]\n";
    house.jobs = kingtide_core::project::load(later).0.expect("sound").jobs;
    let database = Database::open(house.folder.path()).expect("opens");
    let snapshot = database.snapshot().expect("a snapshot");
    let names = |after: &str, limit| -> Vec<(String, &'static str)> {
        let queues = snapshot.queues(&house.jobs, house.now, after, limit).expect("read");
        queues
            .into_iter()
            .map(|queue| (queue.name, queue.role.text()))
            .collect()
    };
    let expected = [
        ("another", "free"),
        ("new", "job"),
        ("new-dlq", "dead"),
        ("poll", "free"),
        ("poll-dlq", "free"),
        ("score", "job"),
        ("score-dlq", "dead"),
    ]
    .map(|(name, role)| (name.to_owned(), role));
    assert_eq!(names("", 100), expected);
    for limit in 1..4 {
        let mut all = Vec::new();
        loop {
            let after = all.last().map_or(String::new(), |(name, _): &(String, _)| name.clone());
            let page = names(&after, limit);
            let is_last = page.len() < limit;
            all.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(all, expected, "in pages of {limit}");
    }
    assert_eq!(house.queue("new").created_at, None);
    let unknown = snapshot.message_queue("nobody", &house.jobs, house.now);
    assert!(unknown.expect("read").is_none());
}

#[test]
fn what_was_sent_is_found_again() {
    let mut house = House::new();
    let operation = Operation::SendMessage {
        queue: "score".to_owned(),
        message: Send {
            body: r#"{"n":7}"#.to_owned(),
            ..Send::default()
        },
    };
    let Answer::Sent(sent) = house.perform(operation) else {
        panic!("it is sent")
    };
    house.send("score", r#"{"n":8}"#, 0);
    let database = Database::open(house.folder.path()).expect("opens");
    let snapshot = database.snapshot().expect("a snapshot");
    let task = snapshot.task_of_message("score", &sent.message_id).expect("read");
    assert_eq!(task, Some(RunId(3).task(1)));
    assert_eq!(snapshot.task_of_message("score", "nothing").expect("read"), None);
}
