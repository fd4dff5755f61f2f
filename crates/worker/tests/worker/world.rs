//! Queues, a bucket, and workers that are started, killed and waited for.

use std::collections::BTreeMap;
use std::process::Command;

use kingtide_core::cloud::{document, variables};
use kingtide_core::engine::event::TaskState;
use kingtide_core::id::RunId;
use kingtide_core::project::{Job, load};
use kingtide_remote::record::{self, Keys, RunKeys, Standing, TaskDocument};
use kingtide_testkit::s3::S3;
use kingtide_testkit::sqs::{Sqs, queues};
use kingtide_testkit::{Running, TestProject, patience};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const BUCKET: &str = "bucket";

/// Everything that a worker meets.
pub(crate) struct World {
    pub(crate) s3: S3,
    pub(crate) sqs: Sqs,
    pub(crate) job: Job,
    pub(crate) work: TempDir,
    /// Further variables of workers.
    pub(crate) env: BTreeMap<String, String>,
    _up: Running,
    _project: TestProject,
}

/// The job of these lines.
pub(crate) fn job(lines: &str) -> Job {
    let (project, findings) = load(&format!("[project]\nname = \"p\"\n[job.j]\n{lines}\n"));
    project.unwrap_or_else(|| panic!("{findings:?}")).jobs["j"].clone()
}

impl World {
    pub(crate) fn new(lines: &str) -> World {
        let (project, up, sqs) = queues(env!("CARGO_BIN_EXE_kingtide-worker"), &["work", "larger", "dead"]);
        World {
            s3: S3::start(),
            sqs,
            job: job(lines),
            work: TempDir::new().expect("a folder"),
            env: BTreeMap::new(),
            _up: up,
            _project: project,
        }
    }

    pub(crate) fn keys(&self) -> RunKeys {
        Keys::new("stack").run(RunId(12))
    }

    /// Sends a task's message, as the dispatcher does.
    pub(crate) fn send(&self, seq: i64, body: &Value) {
        let text = |value: String| json!({ "DataType": "String", "StringValue": value });
        let wish = json!({
            "QueueUrl": self.sqs.url("work"),
            "MessageBody": body.to_string(),
            "MessageAttributes": { "kingtide.run": text("12".to_owned()), "kingtide.seq": text(seq.to_string()) },
        });
        self.sqs.ask("SendMessage", &wish).expect("it is sent");
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kingtide-worker"));
        command.env_clear().current_dir(self.work.path());
        for name in ["PATH", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let told = [
            (variables::ROLE, variables::ROLE_WORKER.to_owned()),
            (variables::STACK, "stack".to_owned()),
            (variables::BUCKET, BUCKET.to_owned()),
            (variables::QUEUE_URL, self.sqs.url("work")),
            (variables::DEAD_LETTERS_URL, self.sqs.url("dead")),
            (variables::RUN, "12".to_owned()),
            (
                variables::WORK,
                self.work.path().join("work").to_string_lossy().into_owned(),
            ),
            (variables::WAIT_S, "1".to_owned()),
            (variables::JOB, document::write(&self.job)),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_ENDPOINT_URL_SQS", format!("http://{}", self.sqs.address)),
            ("AWS_ENDPOINT_URL_S3", self.s3.endpoint()),
        ];
        command.envs(told).envs(&self.env);
        command
    }

    pub(crate) fn worker(&self) -> Running {
        Running::start(self.command())
    }

    /// Starts one and waits until it leaves by itself.
    pub(crate) fn drain(&self) -> String {
        let output = self.worker().wait();
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        output.stdout
    }

    pub(crate) fn task(&self, seq: i64) -> Option<TaskDocument> {
        let key = self.keys().task(seq);
        let body = self.s3.object(BUCKET, &key)?;
        Some(record::read(&key, &body).expect("it is a task"))
    }

    /// As if nobody held it any more: its time is over.
    pub(crate) fn let_go(&self, seq: i64, mut task: TaskDocument) {
        if let Standing::Held { .. } = task.claim.standing {
            task.claim.standing = Standing::Held { until_ms: 0 };
            self.s3.put(BUCKET, &self.keys().task(seq), &record::write(&task));
        }
    }

    pub(crate) fn state(&self, seq: i64) -> Option<TaskState> {
        self.task(seq).map(|task| task.state())
    }

    /// The text of an object of the run.
    pub(crate) fn text(&self, key: &str) -> String {
        let body = self
            .s3
            .object(BUCKET, key)
            .unwrap_or_else(|| panic!("there is no `{key}`"));
        String::from_utf8(body).expect("it is text")
    }

    /// Waits until there is an object whose key begins so.
    pub(crate) fn wait_for(&self, prefix: &str) -> String {
        patience::eventually(prefix, patience::PATIENCE, || {
            self.s3.keys(BUCKET, prefix).first().cloned()
        })
    }

    /// Bodies and reasons of the dead letters.
    pub(crate) fn dead(&self) -> Vec<(String, String)> {
        let wish = json!({
            "QueueUrl": self.sqs.url("dead"), "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"], "VisibilityTimeout": 1,
        });
        let answer = self.sqs.ask("ReceiveMessage", &wish).expect("it answers");
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let letter = |message: &Value| {
            let reason = &message["MessageAttributes"]["kingtide.reason"]["StringValue"];
            (text(&message["Body"]), text(reason))
        };
        messages.iter().map(letter).collect()
    }

    /// How many messages a queue has, held ones included.
    pub(crate) fn count(&self, queue: &str) -> u64 {
        let wish = json!({ "QueueUrl": self.sqs.url(queue), "AttributeNames": ["All"] });
        let answer = self.sqs.ask("GetQueueAttributes", &wish).expect("it answers");
        let number = |name: &str| {
            answer["Attributes"][name]
                .as_str()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0)
        };
        number("ApproximateNumberOfMessages")
            + number("ApproximateNumberOfMessagesNotVisible")
            + number("ApproximateNumberOfMessagesDelayed")
    }
}
