//! A run on AWS from end to end: the compiled state machine is executed, its dispatcher and workers are the real binary, started by a model of ECS from the
//! compiled task definitions, with our own queues and an S3 in memory. A worker gets a notice in mid-run, and a dispatcher is killed.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use kingtide_core::cloud;
use kingtide_core::id::RunId;
use kingtide_core::project::load;
use kingtide_core::time::Timestamp;
use kingtide_remote::record::{self, Keys, TaskDocument};
use kingtide_testkit::ecs::{Ecs, resolve};
use kingtide_testkit::s3::S3;
use kingtide_testkit::sqs::queues;
use kingtide_testkit::states::{Answer, Call, Ending, Execution, Machine, Service};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

const FILE: &str = r#"
[project]
name = "p"
[aws]
region = "eu-west-1"
[job.square]
command = ["sh", "-c", "sleep 2; echo '{{\"n\": {n}}}' > \"$KINGTIDE_RESULT\""]
params = { matrix = { n = [1, 2, 3, 4, 5, 6] } }
max_workers = 2
"#;
const BUCKET: &str = "bucket";
const PATIENCE: Duration = Duration::from_secs(240);
const TASKS: i64 = 6;

fn definition(id: &str) -> String {
    format!("arn:aws:ecs:eu-west-1:123456789012:task-definition/{id}:1")
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since.expect("after 1970").as_millis() as i64)
}

/// The variables of a definition's container that does the work.
fn environment(template: &Json, id: &str, name: &dyn Fn(&str) -> String) -> BTreeMap<String, String> {
    let containers = resolve(&template["Resources"][id]["Properties"]["ContainerDefinitions"], name);
    let containers = containers.as_array().expect("containers").clone();
    let main = containers
        .iter()
        .find(|container| container["Essential"] == true)
        .expect("one is");
    let pairs = main["Environment"].as_array().expect("variables").iter();
    let text = |value: &Json| value.as_str().expect("a text").to_owned();
    pairs.map(|pair| (text(&pair["Name"]), text(&pair["Value"]))).collect()
}

#[test]
fn a_run_is_directed_to_its_end_whoever_is_lost() {
    let (project, findings) = load(FILE);
    let project = project.unwrap_or_else(|| panic!("{findings:?}"));
    let stack = cloud::compile(&project, None).unwrap_or_else(|findings| panic!("{findings:?}"));
    let template = stack.template();
    let worker = env!("CARGO_BIN_EXE_kingtide-worker");
    let (_queues, _up, sqs) = queues(worker, &["SquareQueue", "SquareDeadLetters"]);
    let s3 = S3::start();
    let lines: Vec<String> = (1..=TASKS).map(|n| json!({ "n": n }).to_string()).collect();
    s3.put(BUCKET, "stack/params", lines.join("\n").as_bytes());
    let names = sqs.clone();
    let name = move |of: &str| match of {
        "AWS::StackName" => "stack".to_owned(),
        "Bucket" => BUCKET.to_owned(),
        "SquareParams" => "params".to_owned(),
        "SquareQueue" | "SquareDeadLetters" => names.url(of),
        "SquareWorker" | "SquareDispatcher" => definition(of),
        "Cluster.Arn" => "arn:aws:ecs:eu-west-1:123456789012:cluster/c".to_owned(),
        other => other.to_owned(),
    };
    let work = TempDir::new().expect("a folder");
    let told: BTreeMap<String, BTreeMap<String, String>> = ["SquareWorker", "SquareDispatcher"]
        .into_iter()
        .map(|id| (definition(id), environment(&template, id, &name)))
        .collect();
    let endpoints = (format!("http://{}", sqs.address), s3.endpoint());
    let folder = work.path().to_owned();
    // Where ECS listens is known only once it does.
    let address = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let of_start = address.clone();
    let ecs = Ecs::start(move |definition, overrides| {
        let mut command = Command::new(worker);
        command.env_clear().current_dir(&folder).stdin(Stdio::null());
        for name in ["PATH", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        let ecs = of_start.lock().expect("nobody panics with it").clone();
        command.envs(&told[definition]).envs(overrides).envs([
            ("KINGTIDE_WORK", folder.join("work").to_string_lossy().into_owned()),
            ("KINGTIDE_WAIT_S", "1".to_owned()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_ENDPOINT_URL", ecs),
            ("AWS_ENDPOINT_URL_SQS", endpoints.0.clone()),
            ("AWS_ENDPOINT_URL_S3", endpoints.1.clone()),
        ]);
        command
    });
    *address.lock().expect("nobody panics with it") = ecs.endpoint();
    let machine = Machine::resolved(&template, "SquareMachine", &|value| {
        resolve(value, &name).as_str().expect("a text").to_owned()
    });
    let machine = machine.unwrap_or_else(|why| panic!("{why}"));
    let input = json!({ "by": "schedule", "event": "monday" });
    let (mut execution, mut call) = Execution::start(machine, "e-1", input, now(), 1);
    let began = Instant::now();
    let keys = Keys::new("stack").run(RunId(1));
    let (mut has_noticed, mut has_killed) = (false, false);
    let mut awaited: Option<String> = None;
    while execution.ending().is_none() {
        assert!(
            began.elapsed() < PATIENCE,
            "it does not end: {:?}",
            s3.keys(BUCKET, "stack/")
        );
        if let Some(Call { service, arguments }) = call.take() {
            let text = |value: &Json| value.as_str().expect("a text").to_owned();
            match service {
                Service::RunTask => {
                    let pairs = arguments["Overrides"]["ContainerOverrides"][0]["Environment"]
                        .as_array()
                        .cloned();
                    let pairs = pairs.expect("variables");
                    let told = pairs.iter().map(|pair| (text(&pair["Name"]), text(&pair["Value"])));
                    let told: BTreeMap<String, String> = told.collect();
                    awaited = Some(ecs.run(&text(&arguments["TaskDefinition"]), &told, "states", "FARGATE"));
                }
                Service::GetObject => {
                    let body = s3.object(&text(&arguments["Bucket"]), &text(&arguments["Key"]));
                    let answer = match body {
                        Some(body) => Answer::Done(json!({ "Body": String::from_utf8_lossy(&body) })),
                        None => failed("S3.NoSuchKeyException"),
                    };
                    call = execution.answer(now(), answer);
                }
            }
        }
        if let Some(code) = awaited.as_ref().and_then(|arn| ecs.stopped(arn)) {
            awaited = None;
            let answer = match code {
                Some(0) => Answer::Done(json!({ "LastStatus": "STOPPED" })),
                _ => failed("States.TaskFailed"),
            };
            call = execution.answer(now(), answer);
        } else if call.is_none() {
            call = execution.tick(now());
        }
        let has_begun = !s3.keys(BUCKET, &keys.begins()).is_empty();
        if has_begun && !has_killed {
            has_killed = true;
            for arn in ecs.alive(&definition("SquareDispatcher")) {
                ecs.signal(&arn, rustix::process::Signal::KILL);
            }
        }
        if has_begun && !has_noticed {
            has_noticed = true;
            let workers = ecs.alive(&definition("SquareWorker"));
            ecs.signal(&workers[0], rustix::process::Signal::TERM);
        }
        // Nothing here tells when a task stops or the clock has gone on.
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        matches!(execution.ending(), Some(Ending::Succeeded(_))),
        "{:?}",
        execution.ending()
    );
    assert!(has_killed && ecs.count(&definition("SquareDispatcher")) == 2);
    assert_eq!(
        ecs.alive(&definition("SquareWorker")),
        Vec::<String>::new(),
        "nobody is left"
    );
    for seq in 1..=TASKS {
        let key = keys.task(seq);
        let body = s3.object(BUCKET, &key).unwrap_or_else(|| panic!("there is no `{key}`"));
        let task: TaskDocument = record::read(&key, &body).expect("a task");
        let successes = task
            .attempts
            .iter()
            .filter(|attempt| attempt.outcome == Some(kingtide_core::engine::event::Outcome::Succeeded));
        assert_eq!(successes.count(), 1, "{task:?}");
    }
    assert_eq!(s3.keys(BUCKET, &keys.ends()).len(), TASKS as usize);
}

fn failed(error: &str) -> Answer {
    Answer::Failed {
        error: error.to_owned(),
        cause: "{}".to_owned(),
    }
}
