//! Queues as people meet them, by the real binary: without a runtime, and with one that keeps the project alive.

use std::io::{Read, Write};
use std::net::TcpStream;

use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::{Output, Running, TestProject};
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "queues"

[job.it]
command = ["./program", "{dest}"]
params = { matrix = { dest = ["BOS"] } }
retries = 0
run_idle = "50ms"

[job.poll]
command = ["./consumer"]
mode = "consumer"
"#;

fn project() -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(TOML)
        .program(
            "program",
            "#!/bin/sh\necho \"$1\" >> seen\ntest \"$1\" != LAX -o -e mended\n",
        )
        .program("consumer", "#!/bin/sh\nexec sleep 1000\n")
        .env("AWS_REGION", "eu-west-1")
}

/// With standard input.
fn piped(project: &TestProject, args: &[&str], text: &str) -> Output {
    project.write("stdin", text);
    let stdin = std::fs::File::open(project.path().join("stdin")).expect("just written");
    let output = project.command(args).stdin(stdin).output().expect("it starts");
    Output {
        code: output.status.code().unwrap_or(-1),
        signal: None,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Columns are as wide as what is in them, and ages differ.
fn shown(project: &TestProject, output: &Output) -> String {
    let text = project.redactor().redact(&output.text());
    let text = text.replace("just now", "[AGO]").replace("[DURATION] ago", "[AGO]");
    let squeezed = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    squeezed.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    output.stdout.lines().map(line).collect()
}

/// Keeps the project alive, and where it listens: queues, then pages.
fn up(project: &TestProject) -> (Running, String, String) {
    let mut up = project.spawn(&["up", "--sqs", "127.0.0.1:0", "--web", "127.0.0.1:0"]);
    let line = up.wait_for_line("kingtide is up");
    let mut urls = line
        .split([' ', ','])
        .filter(|word| word.starts_with("http://"))
        .map(str::to_owned);
    let (sqs, web) = (urls.next().expect("queues"), urls.next().expect("pages"));
    (up, sqs, web)
}

fn ends(up: Running) -> Output {
    up.signal(rustix::process::Signal::TERM);
    up.wait().expect_code(0)
}

#[test]
fn messages_wait_for_whoever_works_them_off() {
    let project = project();
    let say = |name: &str, args: &[&str]| insta::assert_snapshot!(name, shown(&project, &project.run(args)));
    say("ls of a project where nothing happened", &["queue", "ls"]);
    say("peek into nothing", &["queue", "peek", "it"]);
    say("redrive of nothing", &["queue", "redrive", "it"]);
    say("send of nothing", &["send", "it"]);
    say("send of one", &["send", "it", "dest=BOS"]);
    project.write("rows.csv", "dest,n\nLAX,1\nSFO,2\n");
    say("send of a file", &["send", "it", "rows.csv"]);
    say("send of a file and a message", &["send", "it", "rows.csv", "dest=BOS"]);
    project.write("wrong.csv", "dst\nLAX\n");
    say("send of wrong rows", &["send", "it", "wrong.csv"]);
    say("send later", &["send", "it", "dest=JFK", "--delay", "10m"]);
    say("send too late", &["send", "it", "dest=JFK", "--delay", "1h"]);
    say("send to no job", &["send", "its", "dest=JFK"]);
    let output = piped(
        &project,
        &["send", "it", "-"],
        "{\"dest\":\"YYZ\"}\n\n{\"dest\":\"YUL\"}\n",
    );
    insta::assert_snapshot!("send of standard input", shown(&project, &output));
    let output = piped(
        &project,
        &["send", "it", "-"],
        "{\"dest\":\"YYZ\"}\n{\"dst\":\"YUL\"}\nno\n",
    );
    insta::assert_snapshot!("send of wrong lines", shown(&project, &output));
    say("send to a consumer", &["send", "poll", "any=thing"]);
    say("ls", &["queue", "ls"]);
    say("peek into a job's queue", &["queue", "peek", "it"]);
    say(
        "peek into some of it",
        &["queue", "peek", "it", "--limit", "2", "--after", "1-1"],
    );
    say("peek into a consumer's", &["queue", "peek", "poll"]);
    // What waits is worked off like any other run.
    project.run(&["run", "it", "--resume", "--quiet"]).expect_code(4);
    let mut seen: Vec<String> = project.read("seen").lines().map(str::to_owned).collect();
    seen.sort();
    assert_eq!(seen, ["BOS", "LAX", "SFO", "YUL", "YYZ"]);
    say("peek into dead letters", &["queue", "peek", "it-dlq"]);
}

#[test]
fn other_queues_come_and_go() {
    let project = project();
    let say = |name: &str, args: &[&str]| insta::assert_snapshot!(name, shown(&project, &project.run(args)));
    say("create", &["queue", "create", "mine", "VisibilityTimeout=60"]);
    say(
        "create with another attribute",
        &["queue", "create", "mine", "VisibilityTimeout=61"],
    );
    say("create with a wrong name", &["queue", "create", "my queue"]);
    say(
        "send a body",
        &["queue", "send", "mine", "any text", "--attribute", "kind=test"],
    );
    project.write("body.json", "{\"a\":\n1}");
    say("send a file", &["queue", "send", "mine", "body.json"]);
    say("send its name", &["queue", "send", "mine", "body.json", "--text"]);
    let output = piped(&project, &["queue", "send", "mine", "-", "--lines"], "one\n\ntwo\r\n");
    insta::assert_snapshot!("send lines", shown(&project, &output));
    say("send what SQS forbids", &["queue", "send", "mine", "\u{1}"]);
    say("send to no queue", &["queue", "send", "mein", "text"]);
    say("peek", &["queue", "peek", "mine"]);
    say("purge", &["queue", "purge", "mine"]);
    say("purge again", &["queue", "purge", "mine"]);
    say("rm", &["queue", "rm", "mine"]);
    say("rm again", &["queue", "rm", "mine"]);
    say("rm of a job's", &["queue", "rm", "it"]);
    project
        .run(&["queue", "create", "o.fifo", "FifoQueue=true"])
        .expect_code(0);
    say(
        "send to a FIFO queue without a group",
        &["queue", "send", "o.fifo", "x"],
    );
    let fifo = ["queue", "send", "o.fifo", "x", "--group", "g", "--deduplication", "d"];
    // The same again within five minutes is the same message.
    for _ in 0..2 {
        project.run(&fifo).expect_code(0);
    }
    assert_eq!(lines(&project.run(&["queue", "peek", "o.fifo", "--json"])).len(), 1);
}

#[test]
fn dead_letters_go_back_all_or_chosen() {
    let project = project();
    for body in [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"b":2}"#, "no object"] {
        project.run(&["queue", "send", "it", body, "--quiet"]).expect_code(0);
    }
    let dead = || lines(&project.run(&["queue", "peek", "it-dlq", "--json"]).expect_code(0));
    let letters = dead();
    assert_eq!(
        letters[0]["reason"],
        "nothing fills the placeholder `{dest}`: the message has no parameter `dest`"
    );
    assert_eq!(letters[3]["reason"], "the body is not a JSON object");
    assert!(letters.iter().all(|letter| letter["source"] == "it"));
    let say = |name: &str, args: &[&str]| insta::assert_snapshot!(name, shown(&project, &project.run(args)));
    say("redrive of an unknown one", &["queue", "redrive", "it", "99"]);
    say("redrive of none of these", &["queue", "redrive", "it", "--only", "a=3"]);
    say(
        "redrive of an unknown parameter",
        &["queue", "redrive", "it", "--only", "c=3"],
    );
    assert_eq!(dead().len(), 4, "nothing was moved");
    // The job learns to do with what they are.
    project.write("kingtide.toml", TOML.replace(", \"{dest}\"", ""));
    let moved = |args: &[&str]| {
        let output = project
            .run(&[&["queue", "redrive", "it", "--json"], args].concat())
            .expect_code(0);
        lines(&output)[0]["moved"].clone()
    };
    assert_eq!(moved(&["--only", "a=1"]), 1);
    let by_message_id = letters[2]["message_id"].as_str().expect("text");
    assert_eq!(moved(&[by_message_id]), 1);
    say("redrive of all", &["queue", "redrive", "it-dlq"]);
    // What is still no object has died again.
    assert_eq!(dead().len(), 1);
    project.run(&["run", "it", "--resume", "--quiet"]).expect_code(0);
    assert_eq!(project.read("seen").lines().count(), 3);
}

#[test]
fn a_living_project_takes_what_is_sent_at_once() {
    let project = project();
    let (up, sqs, web) = up(&project);
    let say = |name: &str, output: &Output| {
        let text = shown(&project, output).replace(&sqs, "[SQS]");
        insta::assert_snapshot!(name, text);
    };
    say("env while it lives", &project.run(&["env"]).expect_code(0));
    say(
        "url while it lives",
        &project.run(&["queue", "url", "it"]).expect_code(0),
    );
    say(
        "send to who lives",
        &project.run(&["send", "it", "dest=BOS"]).expect_code(0),
    );
    project.write("rows.csv", "dest\nLAX\n");
    let sent = lines(&project.run(&["send", "it", "rows.csv", "--json"]).expect_code(0));
    let run = sent[0]["name"].as_str().expect("a run").to_owned();
    let done = || project.run(&["status", &run]).stdout.contains("failed").then_some(());
    eventually("its run has ended", PATIENCE, done);
    say(
        "peek while it lives",
        &project.run(&["queue", "peek", "it-dlq"]).expect_code(0),
    );
    project.write("mended", "");
    say(
        "redrive while it lives",
        &project.run(&["queue", "redrive", "it"]).expect_code(0),
    );
    eventually("it was tried again", PATIENCE, || {
        (project.read("seen") == "BOS\nLAX\nLAX\n").then_some(())
    });
    // The consumer receives nothing, so its message waits; a purge cancels its task.
    project.run(&["queue", "send", "poll", "hello"]).expect_code(0);
    project.run(&["queue", "purge", "poll"]).expect_code(0);
    eventually("what waited is cancelled", PATIENCE, || {
        let tasks = lines(&project.run(&["status", "poll", "--json"]))[0]["tasks"].clone();
        (tasks["cancelled"] == 1).then_some(())
    });
    let page = |path: &str| {
        let address = web.strip_prefix("http://").expect("a URL");
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert!(
        page("/healthz").ends_with("{\"status\":\"ok\"}\n"),
        "{}",
        page("/healthz")
    );
    assert!(page("/metrics").contains("\nkingtide_queue_messages{queue=\"it\",state=\"visible\"} 0\n"));
    assert!(page("/api/v1/queues/it").contains("\"queue\":\"it\""));
    ends(up);
    let url = project.run(&["queue", "url", "it"]).expect_code(0);
    assert!(url.stderr.contains("nobody listens there now"), "{}", url.text());
}

/// More than one batch, one transaction and one page.
#[test]
fn every_row_is_sent_once_with_or_without_a_runtime() {
    let rows: String = (0..2_345).map(|n| format!("{{\"dest\":\"D{n}\"}}\n")).collect();
    let sent = |project: &TestProject| {
        project.write("rows.jsonl", &rows);
        let line = lines(&project.run(&["send", "it", "rows.jsonl", "--json"]).expect_code(0)).remove(0);
        assert_eq!((&line["sent"], &line["run"]), (&2_345.into(), &1.into()), "{line}");
        let mut bodies: Vec<String> = Vec::new();
        let results = project.run(&["results", "it-1", "--format", "jsonl"]).expect_code(0);
        bodies.extend(
            lines(&results)
                .iter()
                .map(|row| row["dest"].as_str().expect("a parameter").to_owned()),
        );
        let expected: Vec<String> = (0..2_345).map(|n| format!("D{n}")).collect();
        assert_eq!(bodies, expected);
    };
    sent(&project());
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(&TOML.replace("retries = 0", "retries = 0\nmax_workers = 1"))
        .program("program", "#!/bin/sh\nexec sleep 1000\n")
        .program("consumer", "#!/bin/sh\nexec sleep 1000\n");
    let (up, ..) = up(&project);
    sent(&project);
    up.kill();
}

#[test]
fn json_is_all_that_stdout_carries() {
    let project = project();
    for args in [
        &["send", "it", "dest=BOS"][..],
        &["send", "it", "dest=BOS", "--delay", "1s"],
        &["queue", "ls"],
        &["queue", "peek", "it"],
        &["queue", "create", "mine"],
        &["queue", "send", "mine", "x"],
        &["queue", "send", "it", "x"],
        &["queue", "redrive", "it"],
        &["queue", "url", "it"],
        &["queue", "purge", "mine"],
        &["queue", "rm", "mine"],
        &["env"],
    ] {
        let output = project.run(&[args, &["--json"]].concat()).expect_code(0);
        assert!(!lines(&output).is_empty(), "{args:?} says something");
        let output = project.run(&[args, &["--quiet"]].concat());
        assert_eq!(
            output.stderr.starts_with("error: "),
            output.code != 0,
            "{args:?}: {}",
            output.text()
        );
        if output.code == 0 {
            assert_eq!(output.stderr, "", "{args:?}");
        }
    }
}

#[test]
fn where_up_listens_is_checked_before_anything() {
    let project = project();
    for (name, args) in [
        ("up for everybody", &["up", "--sqs", "0.0.0.0:9324"][..]),
        ("up with pages for everybody", &["up", "--web", "[::]:9325"]),
        ("up with a key without a secret", &["up", "--access-key", "someone"]),
        (
            "up at one place twice",
            &["up", "--sqs", "127.0.0.1:9324", "--web", "127.0.0.1:9324"],
        ),
        ("up at a port alone", &["up", "--sqs", "9324"]),
        ("up at a name", &["up", "--web", "example.com:80"]),
    ] {
        insta::assert_snapshot!(name, shown(&project, &project.run(args).expect_code(2)));
        assert!(!project.exists(".kingtide"), "{name}");
    }
    let mut command = project.command(&["up", "--access-key", "someone"]);
    command.env("KINGTIDE_SECRET_ACCESS_KEY", "short");
    let output = Running::start(command).wait().expect_code(2);
    assert!(output.stderr.contains("too short"), "{}", output.text());
    assert!(!output.text().contains("\"short\""));
}

#[test]
fn a_key_that_is_demanded_is_named_and_its_secret_is_not() {
    let project = project();
    let secret = "a-secret-of-more-than-16";
    let args = ["up", "--sqs", "127.0.0.1:0", "--no-web", "--access-key", "someone"];
    let mut command = project.command(&args);
    command.env("KINGTIDE_SECRET_ACCESS_KEY", secret);
    let mut up = Running::start(command);
    up.wait_for_line("kingtide is up");
    let env = project.run(&["env"]).expect_code(0);
    assert!(
        env.stdout.contains("export AWS_ACCESS_KEY_ID=someone\n"),
        "{}",
        env.text()
    );
    assert!(
        env.stdout
            .contains("export AWS_SECRET_ACCESS_KEY=\"$KINGTIDE_SECRET_ACCESS_KEY\"\n")
    );
    let json = lines(&project.run(&["env", "--json"]).expect_code(0)).remove(0);
    assert_eq!(json["set"]["AWS_SECRET_ACCESS_KEY"], Value::Null);
    let output = ends(up);
    let endpoints = project.run(&["env"]).expect_code(0);
    for text in [env.text(), output.text(), endpoints.text()] {
        assert!(!text.contains(secret));
    }
}

/// The small client that workers on AWS have speaks with these queues as with Amazon's: signed, with attributes, in batches.
#[test]
fn the_client_of_workers_is_understood() {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use kingtide_remote::request::credentials::Container;
    use kingtide_remote::request::sqs::{self, Letter};
    use kingtide_remote::request::transport::{Surroundings, Transport};
    use kingtide_remote::request::{Client, Kind};

    let project = project();
    let (up, queues) = kingtide_testkit::sqs::up(&project);
    let endpoint = format!("http://{}", queues.address);
    let env = move |name: &str| match name {
        "AWS_ENDPOINT_URL_SQS" => Some(endpoint.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("local".to_owned()),
        _ => None,
    };
    let transport = Transport::new(Surroundings::Container);
    let source = Container::new(transport.clone(), env.clone());
    let client = Client::new(transport, Box::new(source), "eu-west-1", env);
    let url = queues.url("poll");
    let letters: Vec<Letter> = (0..3)
        .map(|number| Letter {
            body: format!("{{\"dest\":\"{number}\"}}"),
            attributes: BTreeMap::from([("kingtide.seq".to_owned(), number.to_string())]),
            ..Letter::default()
        })
        .collect();
    assert_eq!(sqs::send(&client, &url, &letters).expect("sent"), []);
    let hidden = Duration::from_secs(60);
    let mut received = Vec::new();
    while received.len() < 3 {
        let more = sqs::receive(&client, &url, 10, hidden, Duration::from_secs(20));
        received.extend(more.expect("received"));
    }
    for message in received {
        assert_eq!(
            message.body,
            format!("{{\"dest\":\"{}\"}}", message.attributes["kingtide.seq"])
        );
        sqs::change_visibility(&client, &url, &message.receipt, hidden).expect("extended");
        sqs::delete(&client, &url, &message.receipt).expect("deleted");
    }
    let attributes = sqs::attributes(&client, &url).expect("attributes");
    assert_eq!(attributes["ApproximateNumberOfMessages"], "0");
    let none = sqs::attributes(&client, &queues.url("none")).expect_err("no such queue");
    assert_eq!(none.kind, Kind::NotFound, "{none}");
    kingtide_testkit::sqs::leave(up);
}
