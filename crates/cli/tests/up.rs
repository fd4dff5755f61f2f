//! `kingtide up` with the real binary: what is sent to it is worked off, by tasks and by consumers, and what it has acknowledged
//! survives `kill -9`.

use std::collections::BTreeSet;
use std::time::Duration;

use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::sqs::{Sqs, leave, up};
use kingtide_testkit::{TestProject, assert_no_process_left};
use serde_json::{Value, json};

fn project(toml: &str) -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(&format!("[project]\nname = \"up\"\n{toml}"))
}

fn run(project: &TestProject) -> Value {
    let status = project.run(&["status", "--json"]).expect_code(0);
    serde_json::from_str(&status.stdout).expect("JSON")
}

/// Waits for the end of the newest run; the code says how it ended.
fn ended(project: &TestProject) -> Value {
    let watched = project.run(&["status", "--watch", "--quiet"]);
    let run = run(project);
    let code = if run["state"] == "succeeded" { 0 } else { 4 };
    watched.expect_code(code);
    run
}

#[test]
fn what_is_sent_becomes_tasks_of_a_run_that_closes_by_itself() {
    let project = project(
        "[job.work]\ncommand = [\"sh\", \"-c\", \"echo $KINGTIDE_PARAM_N >> done; test $KINGTIDE_PARAM_N != 3\"]\nenv = { N = \"{n}\" }\n\
         retries = 0\nrun_idle = \"500ms\"\n",
    );
    let (up, sqs) = up(&project);
    for n in 1..=5 {
        sqs.send("work", &json!({ "n": n }).to_string()).expect("acknowledged");
    }
    sqs.send("work", "no object").expect("acknowledged");
    sqs.send("work", "{\"m\": 1}").expect("acknowledged");
    let run = ended(&project);
    assert_eq!(run["state"], "failed", "one of five failed: {run}");
    assert_eq!(
        (
            &run["tasks"]["total"],
            &run["tasks"]["succeeded"],
            &run["tasks"]["failed"]
        ),
        (&5.into(), &4.into(), &1.into()),
        "{run}"
    );
    let mut done: Vec<String> = project.read("done").lines().map(str::to_owned).collect();
    done.sort();
    assert_eq!(done, ["1", "2", "3", "4", "5"]);
    // The one that failed and the two that could not be run are dead letters, with their reasons.
    let peek = project.run(&["queue", "peek", "work-dlq", "--json"]).expect_code(0);
    let reasons: BTreeSet<String> = peek
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter_map(|letter| letter["reason"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(reasons.len(), 3, "{}", peek.text());
    assert!(
        reasons.iter().any(|reason| reason.contains("exit code 1")),
        "{reasons:?}"
    );
    leave(up);
    assert_no_process_left(&project.path());
}

#[test]
fn a_consumer_reads_the_queue_itself_and_leaves_when_it_is_empty() {
    // A consumer in a few lines of Python, without any SDK: it is told its queue, and by whose key it asks.
    let worker = r#"
import json, os, sys, urllib.request
def ask(operation, **body):
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL_SQS"], json.dumps({"QueueUrl": sys.argv[1], **body}).encode(), {
        "X-Amz-Target": "AmazonSQS." + operation, "Content-Type": "application/x-amz-json-1.0",
        "Authorization": "AWS4-HMAC-SHA256 Credential=" + os.environ["AWS_ACCESS_KEY_ID"] + "/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"})
    return json.loads(urllib.request.urlopen(request).read() or b"{}")
while True:
    for message in ask("ReceiveMessage", WaitTimeSeconds=20).get("Messages", []):
        n = json.loads(message["Body"])["n"]
        if n == 2 and not os.path.exists("crashed"):
            open("crashed", "w").close()
            os._exit(7)
        print(f"working on {n}", flush=True)
        open("done", "a").write(f"{n}\n")
        ask("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
"#;
    let project = project(
        "[job.reader]\nmode = \"consumer\"\ncommand = [\"python3\", \"worker.py\", \"{queue_url}\"]\ncpu = 0.1\n\
         max_workers = 2\nrun_idle = \"1s\"\nparams = [{ n = 1 }, { n = 2 }, { n = 3 }, { n = 4 }]\n",
    )
    .file("worker.py", worker);
    // In the foreground: the run ends when the last message is deleted, and nobody is left.
    let output = project.run(&["run", "reader", "--json"]).expect_code(0);
    let last: Value = serde_json::from_str(output.stdout.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["tasks"]["succeeded"], 4, "{last}");
    assert_eq!(
        last["tasks"]["attempts"], 5,
        "the message of the one that crashed was received again: {last}"
    );
    let mut done: Vec<String> = project.read("done").lines().map(str::to_owned).collect();
    done.sort();
    assert_eq!(done, ["1", "2", "3", "4"]);
    let logs = project.run(&["logs", "reader", "n=1"]).expect_code(0);
    assert!(logs.stdout.contains("working on 1"), "{}", logs.text());
    assert_no_process_left(&project.path());
    // And with `up`, for what others send.
    let (up, sqs) = up(&project);
    sqs.send("reader", "{\"n\": 5}").expect("acknowledged");
    let run = ended(&project);
    assert_eq!(
        (&run["state"], &run["tasks"]["succeeded"]),
        (&"succeeded".into(), &1.into()),
        "{run}"
    );
    leave(up);
    assert_no_process_left(&project.path());
}

#[test]
fn a_cancelled_run_of_a_consumer_ends_with_whoever_holds_its_messages() {
    let worker = r#"
import json, os, sys, threading, urllib.request
request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL_SQS"], json.dumps({"QueueUrl": sys.argv[1], "WaitTimeSeconds": 20}).encode(), {
    "X-Amz-Target": "AmazonSQS.ReceiveMessage", "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=" + os.environ["AWS_ACCESS_KEY_ID"] + "/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"})
urllib.request.urlopen(request).read()
open("holds", "a").write("x")
threading.Event().wait()
"#;
    let project = project(
        "[job.reader]\nmode = \"consumer\"\ncommand = [\"python3\", \"worker.py\", \"{queue_url}\"]\ncpu = 0.1\n\
         max_workers = 1\nparams = [{ n = 1 }, { n = 2 }, { n = 3 }]\n",
    )
    .file("worker.py", worker);
    let (up, _) = up(&project);
    project.run(&["run", "reader", "--detach"]).expect_code(0);
    eventually("one is held", PATIENCE, || project.exists("holds").then_some(()));
    project.run(&["cancel", "reader"]).expect_code(0);
    project.run(&["status", "--watch", "--quiet"]).expect_code(5);
    let run = run(&project);
    assert_eq!(
        (&run["state"], &run["tasks"]["cancelled"]),
        (&"cancelled".into(), &3.into()),
        "{run}"
    );
    let queues = project.run(&["queue", "ls", "--json"]).expect_code(0);
    let left = queues
        .stdout
        .lines()
        .any(|line| !line.contains("\"visible\":0,\"in_flight\":0"));
    assert!(!left, "{}", queues.text());
    assert_eq!(project.read("holds"), "x", "nobody received it again");
    leave(up);
    assert_no_process_left(&project.path());
}

#[test]
fn who_waits_has_what_the_loop_itself_makes_visible() {
    let project = project(
        "[job.work]\ncommand = [\"false\"]\nretries = 0\n\
         [job.reader]\nmode = \"consumer\"\ncommand = [\"sleep\", \"60\"]\nstop_timeout = \"1s\"\nparams = [{ n = 1 }]\n",
    );
    let (up, sqs) = up(&project);
    for (queue, begin, expected) in [
        ("work-dlq", vec!["send", "work", "n=1"], "{\"n\":\"1\"}"),
        ("reader", vec!["run", "reader", "--detach"], "{\"n\":1}"),
    ] {
        let waiting = std::thread::spawn({
            let sqs = sqs.clone();
            move || sqs.receive(queue, 20)
        });
        // Whether it waits already or is about to, it must have the message.
        project.run(&begin).expect_code(0);
        let received = waiting.join().expect("it ends").expect("answered");
        let bodies: Vec<&str> = received.iter().map(|(body, _)| body.as_str()).collect();
        assert_eq!(bodies, [expected], "{queue}");
        sqs.delete(queue, &received[0].1).expect("acknowledged");
    }
    leave(up);
    assert_no_process_left(&project.path());
}

/// What one client knows when the other side was killed.
#[derive(Default)]
struct Load {
    sent: Vec<String>,
    deleted: Vec<String>,
    /// What it asked to be deleted in the moment of the kill: it may have happened.
    unknown: Option<String>,
    last: u64,
}

/// Clients at once, so that commits are of several calls.
const CLIENTS: u64 = 4;

/// Sends, and now and then receives and deletes, until nobody answers. Numbers are its own.
fn load(sqs: &Sqs, first: u64) -> std::thread::JoinHandle<Load> {
    let sqs = sqs.clone();
    std::thread::spawn(move || {
        let mut load = Load::default();
        for number in (first..).step_by(CLIENTS as usize) {
            load.last = number;
            // What is sent in the moment of the kill may or may not have happened.
            if sqs.send("q", &number.to_string()).is_none() {
                return load;
            }
            load.sent.push(number.to_string());
            if number % 3 != 0 {
                continue;
            }
            let Some(received) = sqs.receive("q", 0) else {
                return load;
            };
            for (body, receipt) in received {
                if sqs.delete("q", &receipt).is_none() {
                    load.unknown = Some(body);
                    return load;
                }
                load.deleted.push(body);
            }
        }
        load
    })
}

#[test]
fn heavy_what_was_acknowledged_survives_a_hundred_kills() {
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64);
    let seed = std::env::var("KINGTIDE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(seed);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let project = project("[job.j]\ncommand = [\"true\"]\n");
    let (mut sent, mut deleted, mut unknowns, mut number) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), 0);
    let mut first = true;
    for _ in 0..100 {
        let (up, sqs) = up(&project);
        if std::mem::take(&mut first) {
            sqs.ask("CreateQueue", &json!({ "QueueName": "q" })).expect("made");
        }
        let load: Vec<_> = (1..=CLIENTS).map(|client| load(&sqs, number + client)).collect();
        // A moment of the load, drawn from the seed; no event is waited for.
        std::thread::sleep(Duration::from_millis(random.u64(1..60)));
        up.kill();
        for load in load {
            let Load {
                sent: more,
                deleted: gone,
                unknown,
                last,
            } = load.join().expect("the load ends");
            sent.extend(more);
            deleted.extend(gone);
            unknowns.extend(unknown);
            number = number.max(last);
        }
        // Deleted or not: nobody was told.
        sent.retain(|body| !unknowns.contains(body));
    }
    let (up, sqs) = up(&project);
    let mut left = BTreeSet::new();
    loop {
        let received = sqs.receive("q", 2).expect("answered");
        if received.is_empty() {
            break;
        }
        for (body, receipt) in received {
            sqs.delete("q", &receipt).expect("deleted");
            left.insert(body);
        }
    }
    let lost: Vec<&String> = sent
        .iter()
        .filter(|body| !deleted.contains(*body) && !left.contains(*body))
        .collect();
    assert!(lost.is_empty(), "seed {seed}: sent, acknowledged and gone: {lost:?}");
    let risen: Vec<&String> = deleted.intersection(&left).collect();
    assert!(
        risen.is_empty(),
        "seed {seed}: deleted, acknowledged and back: {risen:?}"
    );
    assert!(
        sent.len() > 200 && deleted.len() > 50,
        "{} sent, {} deleted",
        sent.len(),
        deleted.len()
    );
    leave(up);
    assert_no_process_left(&project.path());
}

/// How often threads of a process have gone to sleep since they began: each time, something had woken them.
fn switches(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    let of_one = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    tasks.filter_map(of_one).sum()
}

#[test]
fn an_idle_up_sleeps() {
    let project = project("[job.j]\ncommand = [\"true\"]\n");
    let (up, sqs) = up(&project);
    sqs.ask("CreateQueue", &json!({ "QueueName": "q" })).expect("made");
    sqs.send("q", "x").expect("acknowledged");
    for (_, receipt) in sqs.receive("q", 0).expect("answered") {
        sqs.delete("q", &receipt).expect("acknowledged");
    }
    // What that has set off comes to rest: nothing is awaited but that nothing happens for some seconds.
    eventually("it sleeps", Duration::from_secs(60), || {
        let before = switches(up.pid());
        // That is what is measured.
        std::thread::sleep(Duration::from_secs(5));
        (switches(up.pid()) == before).then_some(())
    });
    assert!(switches(up.pid()) > 0, "they are counted");
    leave(up);
}
