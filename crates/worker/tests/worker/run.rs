//! A whole run: the real dispatcher starts real workers by way of an ECS that is a few lines long: its tasks are processes of this machine.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use kingtide_core::cloud::rung::Rung;
use kingtide_core::cloud::variables;
use kingtide_core::engine::event::TaskState;
use kingtide_core::id::RunId;
use kingtide_remote::record::{self, Keys, RunDocument, RunOutcome, TaskLine};
use kingtide_testkit::Running;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{BUCKET, World};

/// A cluster: tasks by their ARNs, and how many launches there were by their tokens.
#[derive(Clone, Default)]
struct Ecs {
    tasks: Arc<Mutex<BTreeMap<String, Child>>>,
    tokens: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    /// What EventBridge was told, which answers in the same place.
    told: Arc<Mutex<Vec<Value>>>,
}

impl Ecs {
    /// Its endpoint.
    fn start(&self, worker: impl Fn() -> Command + Send + Sync + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (ecs, worker) = (self.clone(), Arc::new(worker));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                ecs.serve(stream, &*worker);
            }
        });
        format!("http://{address}")
    }

    fn serve(&self, stream: TcpStream, worker: &dyn Fn() -> Command) {
        let mut reader = BufReader::new(stream);
        let (mut target, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "x-amz-target" => target = value.to_owned(),
                "content-length" => length = value.parse().expect("a length"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the body");
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) = match target.rsplit('.').next() {
            Some("RunTask") => (200, self.run(&body, worker)),
            Some("ListTasks") => (200, self.list(&body)),
            Some("DescribeTasks") => (200, self.describe(&body)),
            Some("PutEvents") => {
                let mut told = self.told.lock().expect("nobody panics");
                told.extend(body["Entries"].as_array().cloned().unwrap_or_default());
                (200, json!({ "FailedEntryCount": 0 }))
            }
            _ => (400, json!({ "__type": "AccessDeniedException", "message": "not here" })),
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} So\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            answer.len()
        );
        let stream = reader.get_mut();
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(answer.as_bytes()));
    }

    fn run(&self, body: &Value, worker: &dyn Fn() -> Command) -> Value {
        let token = body["clientToken"].as_str().expect("a token").to_owned();
        let mut tokens = self.tokens.lock().expect("nobody panics");
        let arns = tokens.entry(token.clone()).or_insert_with(|| {
            let variables = body["overrides"]["containerOverrides"][0]["environment"]
                .as_array()
                .cloned();
            let count = body["count"].as_u64().expect("a count");
            let start = |number: u64| {
                let mut command = worker();
                for variable in variables.iter().flatten() {
                    let text = |name: &str| variable[name].as_str().expect("a text");
                    command.env(text("name"), text("value"));
                }
                let child = command
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("it starts");
                let arn = format!("arn:aws:ecs:eu-west-1:1:task/c/{token}-{number}");
                self.tasks.lock().expect("nobody panics").insert(arn.clone(), child);
                arn
            };
            (0..count).map(start).collect()
        });
        json!({ "tasks": arns.iter().map(|arn| self.task(arn)).collect::<Vec<_>>(), "failures": [] })
    }

    fn task(&self, arn: &str) -> Value {
        let mut tasks = self.tasks.lock().expect("nobody panics");
        let child = tasks.get_mut(arn).expect("it was started");
        let ended = child.try_wait().expect("it can be asked");
        let base = json!({
            "taskArn": arn, "desiredStatus": "RUNNING", "taskDefinitionArn": "definition", "capacityProviderName": "FARGATE",
            "pullStartedAt": 1.0, "containers": [{ "name": "job", "exitCode": ended.map(|status| status.code()) }],
        });
        let mut task = base;
        task["lastStatus"] = json!(if ended.is_some() { "STOPPED" } else { "RUNNING" });
        if ended.is_some() {
            task["stoppedAt"] = json!(60.0);
            task["stopCode"] = json!("EssentialContainerExited");
        }
        task
    }

    fn list(&self, body: &Value) -> Value {
        let stopped = body["desiredStatus"] == "STOPPED";
        let arns: Vec<String> = self.tasks.lock().expect("nobody panics").keys().cloned().collect();
        let is_stopped = |arn: &String| self.task(arn)["lastStatus"] == "STOPPED";
        json!({ "taskArns": arns.iter().filter(|arn| is_stopped(arn) == stopped).collect::<Vec<_>>() })
    }

    fn describe(&self, body: &Value) -> Value {
        let arns = body["tasks"].as_array().expect("a list").iter();
        let tasks: Vec<Value> = arns.map(|arn| self.task(arn.as_str().expect("a text"))).collect();
        json!({ "tasks": tasks, "failures": [] })
    }
}

fn dispatcher(world: &World, endpoint: &str) -> Command {
    let mut command = world.command();
    let rung = Rung {
        definition: "definition".to_owned(),
        queue_url: world.sqs.url("work"),
        cpu: 1024,
        memory_mib: 2048,
        extra_gib: 0,
        gpus: 0,
        capacity: None,
    };
    command.arg(variables::ROLE_DISPATCHER).envs([
        (variables::CLUSTER, "cluster"),
        (variables::EXECUTION, "weekly-1"),
        (variables::STARTED, "2026-11-24T22:00:00Z"),
        (variables::INPUT, r#"{"by":"schedule","event":"schedule-j-2026-11-24"}"#),
        (variables::RUNGS, &Value::Array(vec![rung.json()]).to_string()),
        (variables::SUBNETS, "subnet-1,subnet-2"),
        (variables::SECURITY_GROUPS, "sg-1"),
        (variables::PARAMS, "params/1.jsonl"),
        ("AWS_ENDPOINT_URL", endpoint),
    ]);
    command
}

#[test]
fn a_run_is_opened_worked_off_and_written_down_also_when_its_dispatcher_is_lost() {
    let world = World::new(
        "command = [\"sh\", \"-c\", \"sleep 0.2; exit {code}\"]\nretries = 0\nmax_workers = 2\ntolerate_failures = 1",
    );
    let messages: String = (0..6)
        .map(|n| format!("{{\"n\":{n},\"code\":{}}}\n", i32::from(n == 4)))
        .collect();
    world.s3.put(BUCKET, "stack/params/1.jsonl", messages.as_bytes());
    let ecs = Ecs::default();
    let world = Arc::new(world);
    // The thread of the cluster outlives the test, and must not keep the queues.
    let of_ecs = Arc::downgrade(&world);
    let endpoint = ecs.start(move || of_ecs.upgrade().expect("the test goes on").command());
    let keys = Keys::new("stack").run(RunId(1));
    let first = Running::start(dispatcher(&world, &endpoint));
    world.wait_for(&keys.begins());
    first.signal(Signal::KILL);
    first.wait();
    // Step Functions starts another.
    let output = Running::start(dispatcher(&world, &endpoint)).wait_within(std::time::Duration::from_secs(120));
    let output = output.expect_code(0);
    let run: RunDocument = record::read("run.json", world.text(&keys.document()).as_bytes()).expect("a run");
    assert_eq!((run.total, run.execution.as_str()), (6, "weekly-1"));
    let outcome: RunOutcome = record::read("outcome.json", world.text(&keys.outcome()).as_bytes()).expect("an outcome");
    let counts = outcome.counts;
    assert_eq!(
        (counts.total, counts.succeeded, counts.failed),
        (6, 5, 1),
        "{}",
        output.stdout
    );
    assert_eq!(outcome.state.text(), "succeeded", "one failure is borne");
    let told: Value = serde_json::from_str(&world.text("stack/outcomes/weekly-1.json")).expect("JSON");
    assert_eq!(told["state"], "succeeded");
    let lines = world.text(&keys.lines());
    let lines: Vec<TaskLine> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line"))
        .collect();
    assert_eq!(
        lines.iter().map(|line| line.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(lines[4].state, TaskState::Failed);
    assert!(lines.iter().all(|line| line.attempts.len() == 1), "nothing ran twice");
    assert_eq!(lines[2].message, json!({ "n": 2, "code": 0 }));
    assert_eq!(
        world.s3.keys(BUCKET, "stack/numbers/").len(),
        1,
        "both opened the same run"
    );
    let started: usize = ecs.tokens.lock().expect("nobody panics").values().map(Vec::len).sum();
    assert_eq!(started, 2, "the second dispatcher has started nobody again");
    // The same event again, with another execution: it is taken.
    let mut again = dispatcher(&world, &endpoint);
    again.env(variables::EXECUTION, "weekly-2");
    Running::start(again).wait().expect_code(0);
    let told: Value = serde_json::from_str(&world.text("stack/outcomes/weekly-2.json")).expect("JSON");
    assert!(
        told["reason"].as_str().is_some_and(|why| why.contains("weekly-1")),
        "{told}"
    );
    assert_eq!(world.s3.keys(BUCKET, "stack/numbers/").len(), 1);
}

#[test]
fn who_wants_to_hear_of_a_run_that_will_be_late_is_told_by_an_event() {
    let world = World::new("command = [\"true\"]\ndeadline = \"1s\"\nexpected = \"10s\"\nmax_workers = 1");
    world.s3.put(BUCKET, "stack/params/1.jsonl", b"{}\n");
    let ecs = Ecs::default();
    let world = Arc::new(world);
    let of_ecs = Arc::downgrade(&world);
    let endpoint = ecs.start(move || of_ecs.upgrade().expect("the test goes on").command());
    let mut command = dispatcher(&world, &endpoint);
    command.env(variables::WARNS, "true");
    let running = Running::start(command);
    running.wait_within(std::time::Duration::from_secs(120)).expect_code(0);
    let told = ecs.told.lock().expect("nobody panics");
    let late = told.iter().find(|entry| entry["DetailType"] == variables::EVENT_LATE);
    let detail = late.and_then(|entry| entry["Detail"].as_str()).expect("it was told");
    let detail: Value = serde_json::from_str(detail).expect("JSON");
    assert_eq!((&detail["stack"], &detail["run"]), (&json!("stack"), &json!("j-1")));
    assert!(
        detail["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("the deadline is met")),
        "{detail}"
    );
}
