//! `kingtide up`, and who asks its queues without an SDK.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{Running, TestProject};

/// A queue's client that is small enough to be killed beside: the JSON protocol, a connection for each request.
#[derive(Clone)]
pub struct Sqs {
    /// Host and port.
    pub address: String,
}

impl Sqs {
    /// `None` when the other side went before it answered.
    pub fn ask(&self, operation: &str, body: &Value) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let body = body.to_string();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {}\r\nX-Amz-Target: AmazonSQS.{operation}\r\n\
             Content-Type: application/x-amz-json-1.0\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        if !head.starts_with("HTTP/1.1 200") {
            assert!(!head.starts_with("HTTP/1.1 4"), "{operation}: {answer}");
            return None;
        }
        match body {
            "" => Some(Value::Null),
            body => serde_json::from_str(body).ok(),
        }
    }

    /// Of a queue.
    pub fn url(&self, queue: &str) -> String {
        format!("http://{}/000000000000/{queue}", self.address)
    }

    /// `None` when it was not acknowledged.
    pub fn send(&self, queue: &str, body: &str) -> Option<()> {
        self.ask(
            "SendMessage",
            &json!({ "QueueUrl": self.url(queue), "MessageBody": body }),
        )
        .map(drop)
    }

    /// Bodies and receipts; hidden for a second.
    pub fn receive(&self, queue: &str, wait: u64) -> Option<Vec<(String, String)>> {
        let wish = json!({
            "QueueUrl": self.url(queue), "MaxNumberOfMessages": 10, "VisibilityTimeout": 1, "WaitTimeSeconds": wait,
        });
        let answer = self.ask("ReceiveMessage", &wish)?;
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        let text = |message: &Value, name: &str| message[name].as_str().expect("a text").to_owned();
        Some(
            messages
                .iter()
                .map(|message| (text(message, "Body"), text(message, "ReceiptHandle")))
                .collect(),
        )
    }

    /// `None` when it was not acknowledged.
    pub fn delete(&self, queue: &str, receipt: &str) -> Option<()> {
        self.ask(
            "DeleteMessage",
            &json!({ "QueueUrl": self.url(queue), "ReceiptHandle": receipt }),
        )
        .map(drop)
    }
}

/// `kingtide up` on free ports, once it is ready.
pub fn up(project: &TestProject) -> (Running, Sqs) {
    let mut up = project.spawn(&["up", "--sqs", "127.0.0.1:0", "--web", "127.0.0.1:0", "--json"]);
    let line = up.wait_for_line("\"up\":true");
    let told: Value = serde_json::from_str(&line).expect("the line is JSON");
    let sqs = told["sqs"].as_str().expect("the queues listen");
    let address = sqs.strip_prefix("http://").expect("a URL").to_owned();
    (up, Sqs { address })
}

/// A project for its queues alone, by the `kingtide` that is built beside another executable.
pub fn queues(executable: &str, names: &[&str]) -> (TestProject, Running, Sqs) {
    let project = TestProject::new(kingtide(executable))
        .toml("[project]\nname = \"queues\"\n[job.nobody]\ncommand = [\"true\"]\n");
    let (up, sqs) = up(&project);
    for queue in names {
        sqs.ask("CreateQueue", &json!({ "QueueName": queue }))
            .expect("it is made");
    }
    (project, up, sqs)
}

/// The binary of the command line, built beside another.
pub fn kingtide(executable: &str) -> PathBuf {
    let path = Path::new(executable).with_file_name("kingtide");
    assert!(
        path.exists(),
        "`{}` is not there: cargo build --bin kingtide",
        path.display()
    );
    path
}

/// Ends it politely.
pub fn leave(up: Running) {
    up.signal(Signal::TERM);
    up.wait().expect_code(0);
}
