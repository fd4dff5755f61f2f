//! Runs: opened, watched, cancelled, fetched. What their workers would write is written by the test.

use std::io::Write as _;

use kingtide_core::id::RunId;
use kingtide_remote::record::{self, Cancel, Keys, Predictions, RunDocument};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::wire::{Ask, Event, FailureKind, Fetch, Start};
use serde_json::json;

use crate::conversation::Conversation;
use crate::emulator::{Emulator, Kind};
use crate::services::client;
use crate::stacks::{example, made, stack};

fn started(events: &[Event]) -> (i64, String) {
    match events {
        [Event::Started(started)] => (started.run, started.execution.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_is_opened_watched_and_fetched() {
    let Some(emulator) = Emulator::start(Kind::Ministack) else {
        return;
    };
    let mut aws = Conversation::with(&emulator.url, "flights");
    let made = made(&example("flight-delays"));
    let deployed = aws.ask(Ask::Deploy(made.deploy()));
    let bucket = stack(&deployed).outputs["Bucket"].clone();
    let client = client(&emulator.url);

    // Two are opened: each has its number, its documents and its execution.
    let mut messages = tempfile::NamedTempFile::new().expect("a file");
    writeln!(messages, "{{\"dest\":\"ATL\"}}\n{{\"dest\":\"BOS\"}}").expect("written");
    let start = Ask::Start(Start {
        job: "retrain".to_owned(),
        messages: messages.path().display().to_string(),
        count: 2,
        deadline: Some(1_800_000_000_000),
        workers: Some(2),
        max_cost: None,
        predictions: vec![(600_f64.ln(), 0.4), (2400_f64.ln(), 0.4)],
        by: "anna".to_owned(),
    });
    let (first, execution) = started(&aws.ask(start.clone()));
    let (second, _) = started(&aws.ask(start));
    assert_eq!((first, second), (1, 2));
    assert!(execution.ends_with(":retrain-1"), "{execution}");
    let keys = Keys::new("flights").run(RunId(2));
    let body = |key: &str| s3::get(&client, &bucket, key).expect("an object").body;
    let document: RunDocument = record::read("run.json", &body(&keys.document())).expect("a document");
    assert_eq!(
        (document.total, document.deadline_ms, document.workers),
        (2, Some(1_800_000_000_000), Some(2))
    );
    assert_eq!(document.inputs.get("who"), Some(&json!("anna")));
    let predictions: Predictions = record::read("p", &body(&keys.predictions())).expect("a document");
    // Here in seconds, there in milliseconds.
    let (mu, sigma) = predictions.predictions[1];
    assert!((mu.exp() - 2400e3).abs() < 1.0 && sigma == 0.4, "{predictions:?}");

    // It is cancelled once, by whoever was first.
    let cancel = |run, by: &str| Ask::Cancel { run, by: by.to_owned() };
    aws.ask(cancel(2, "anna"));
    aws.ask(cancel(2, "ben"));
    let word: Cancel = record::read("cancel", &body(&keys.cancel())).expect("a document");
    assert_eq!(word.by, "anna");
    let none = aws.try_ask(cancel(7, "anna")).expect_err("no such run");
    assert_eq!(
        (none.kind, none.message.as_str()),
        (FailureKind::NotFound, "the stack `flights` has no run 7")
    );

    // What a dispatcher and a worker would write.
    let put = |key: &str, body: &str| {
        s3::put(&client, &bucket, key, body.as_bytes(), Condition::Always).expect("written");
    };
    let ended = json!({
        "format": 1, "seq": 1, "state": "succeeded", "message": { "dest": "ATL" }, "attempts": [{
            "number": 1, "claimed_ms": 1, "started_ms": 2, "ended_ms": 3, "outcome": "succeeded", "log": 40, "result": true,
            "output": { "files": 2, "bytes": 7 },
        }],
    });
    put(&keys.lines(), &format!("{ended}\n"));
    let attempt = RunId(2).task(1).attempt(1);
    put(&keys.result(attempt), "{\"rmse\":0.5}");
    put(&format!("{}model.bin", keys.output(attempt)), "model");
    put(&format!("{}deep/er/a.txt", keys.output(attempt)), "hi");
    put(&keys.log(attempt), "1970-01-01T00:00:00.002Z trained\n");
    put(&keys.progress(), "{\"format\":1,\"at_ms\":3}");
    put(&keys.outcome(), "{\"format\":1,\"state\":\"succeeded\"}");

    let seen = aws.ask(Ask::Watch { run: 2 });
    assert!(
        matches!(&seen[..], [Event::Progress { .. }, Event::Outcome { document }] if document["state"] == "succeeded"),
        "{seen:?}"
    );
    let log = aws.ask(Ask::Log {
        run: 2,
        seq: 1,
        attempt: 1,
        follow: true,
    });
    assert!(
        matches!(&log[..], [Event::Line { at_ms: 2, text }] if text == "trained"),
        "{log:?}"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let fetched = aws.ask(Ask::Fetch(Fetch {
        newest: 20,
        results: true,
        outputs: Some(folder.path().display().to_string()),
        ..Fetch::default()
    }));
    let keys: Vec<&str> = fetched
        .iter()
        .map(|event| match event {
            Event::Document(document) => document.key.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    insta::assert_snapshot!(keys.join("\n"));
    let read = |name: &str| std::fs::read_to_string(folder.path().join("2/1").join(name)).expect("fetched");
    assert_eq!(
        (read("model.bin"), read("deep/er/a.txt")),
        ("model".to_owned(), "hi".to_owned())
    );

    // Nothing of what is known is told again.
    let nothing = aws.ask(Ask::Fetch(Fetch {
        newest: 20,
        known: vec![1, 2],
        ..Fetch::default()
    }));
    assert_eq!(nothing, []);
}

#[test]
fn what_an_attempt_says_is_told_while_it_runs() {
    let Some(emulator) = Emulator::start(Kind::Ministack) else {
        return;
    };
    let mut aws = Conversation::with(&emulator.url, "flights");
    let deployed = aws.ask(Ask::Deploy(made(&example("flight-delays")).deploy()));
    let bucket = stack(&deployed).outputs["Bucket"].clone();
    let client = client(&emulator.url);
    let mut messages = tempfile::NamedTempFile::new().expect("a file");
    writeln!(messages, "{{\"dest\":\"ATL\"}}").expect("written");
    let (run, _) = started(&aws.ask(Ask::Start(Start {
        job: "retrain".to_owned(),
        messages: messages.path().display().to_string(),
        count: 1,
        deadline: None,
        workers: None,
        max_cost: None,
        predictions: Vec::new(),
        by: "anna".to_owned(),
    })));
    let log = Ask::Log {
        run,
        seq: 1,
        attempt: 2,
        follow: false,
    };
    let none = aws.try_ask(log.clone()).expect_err("not begun");
    assert_eq!(none.kind, FailureKind::NotFound, "{none:?}");

    // Its worker has worked off something else before, and says more after the first attempt was over.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("later");
    let now = i64::try_from(now.as_millis()).expect("a moment");
    let place = json!({ "task": "t", "zone": "z", "stream": "job/job/t" });
    let task = json!({
        "format": 1, "claim": { "attempt": 2, "standing": { "held": { "until_ms": now } } }, "attempts": [
            { "number": 1, "place": place, "claimed_ms": now - 5000, "started_ms": now - 5000, "ended_ms": now - 3000, "outcome": "failed" },
            { "number": 2, "place": place, "claimed_ms": now - 2000, "started_ms": now - 2000 },
        ],
    });
    let keys = Keys::new("flights").run(RunId(run));
    s3::put(
        &client,
        &bucket,
        &keys.task(1),
        task.to_string().as_bytes(),
        Condition::Always,
    )
    .expect("written");
    let lines = [(now - 4000, "first"), (now - 1000, "second"), (now - 900, "third")];
    emulator.say("/kingtide/flights/retrain", "job/job/t", &lines);
    let said: Vec<String> = aws
        .ask(log)
        .iter()
        .map(|event| match event {
            Event::Line { text, .. } => text.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(said, ["second", "third"]);
}

#[test]
fn messages_of_others_reach_the_jobs_queue() {
    let Some(emulator) = Emulator::start(Kind::Ministack) else {
        return;
    };
    let mut aws = Conversation::with(&emulator.url, "flights");
    let made = made(&example("flight-delays"));
    aws.ask(Ask::Deploy(made.deploy()));
    let messages = (0..23).map(|number| json!({ "dest": number })).collect();
    let sent = aws.ask(Ask::Send {
        job: "retrain".to_owned(),
        messages,
    });
    assert_eq!(sent, [Event::Sent { messages: 23 }]);
    let contents = aws.ask(Ask::Contents);
    let Some(Event::Contents(contents)) = contents.first() else {
        panic!("{contents:?}");
    };
    assert_eq!(contents.messages.values().sum::<u64>(), 23, "{contents:?}");
    let other = Ask::Send {
        job: "other".to_owned(),
        messages: vec![json!({})],
    };
    let none = aws.try_ask(other).expect_err("no such job");
    assert_eq!(none.kind, FailureKind::NotFound, "{none:?}");
}
