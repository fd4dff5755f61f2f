//! An emulator of AWS, in a process of its own that ends with its owner.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Ministack,
    Moto,
}

/// One that answers.
pub(crate) struct Emulator {
    child: Child,
    pub(crate) url: String,
    /// Where it keeps what it keeps.
    _folder: tempfile::TempDir,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Emulator {
    /// `None` where none is installed: `cargo xtask check` does that.
    pub(crate) fn start(kind: Kind) -> Option<Emulator> {
        let packages = installed()?;
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let mut command = Command::new("python3");
        match kind {
            Kind::Ministack => command.args(["-m", "ministack"]),
            Kind::Moto => command
                .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
                .arg(port.to_string()),
        };
        command
            .env("PYTHONPATH", packages)
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            // What would not end by itself is over soon.
            .env("SFN_WAIT_SCALE", "0")
            // A listener of its own, on a port that everybody knows.
            .env("IOT_MTLS_ENABLED", "0")
            .env_remove("AWS_ENDPOINT_URL")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("python3 starts");
        let mut emulator = Emulator {
            child,
            url: format!("http://127.0.0.1:{port}"),
            _folder: folder,
        };
        let deadline = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = emulator.child.try_wait().expect("a child");
            assert!(ended.is_none(), "{kind:?} ended: {ended:?}");
            assert!(Instant::now() < deadline, "{kind:?} does not listen");
            // It tells nobody when it is ready.
            thread::sleep(Duration::from_millis(100));
        }
        Some(emulator)
    }
}

impl Emulator {
    /// Logical ids of the template that the emulator has not made, though it says that the stack is complete. What it has it lists.
    pub(crate) fn skipped(&self, stack: &str, template: &Json) -> Vec<String> {
        let form = format!("Action=ListStackResources&Version=2010-05-15&StackName={stack}");
        let answer = self.call(
            "cloudformation",
            "Content-Type: application/x-www-form-urlencoded",
            &form,
        );
        let made = |id: &str| answer.contains(&format!("<LogicalResourceId>{id}</LogicalResourceId>"));
        let resources = template["Resources"].as_object().expect("resources");
        let skipped = resources.iter().filter(|(id, _)| !made(id));
        skipped
            .map(|(id, resource)| format!("{id} {}", resource["Type"].as_str().unwrap_or_default()))
            .collect()
    }

    /// What a task of ECS has said, as its log driver hands it over.
    pub(crate) fn say(&self, group: &str, stream: &str, lines: &[(i64, &str)]) {
        let ask = |operation: &str, body: Json| {
            let headers =
                format!("Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Logs_20140328.{operation}");
            self.call("logs", &headers, &body.to_string());
        };
        ask(
            "CreateLogStream",
            json!({ "logGroupName": group, "logStreamName": stream }),
        );
        let events: Vec<Json> = lines
            .iter()
            .map(|(at_ms, text)| json!({ "timestamp": at_ms, "message": text }))
            .collect();
        ask(
            "PutLogEvents",
            json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events }),
        );
    }

    /// A request that nothing here makes; whoever it is signed by does not matter to an emulator.
    fn call(&self, service: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("it listens");
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {service}.eu-west-1.amazonaws.com\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\
             {headers}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

/// The folder of Python packages, for `PYTHONPATH`.
fn installed() -> Option<PathBuf> {
    let folder = std::env::var_os("KINGTIDE_TEST_CLIENTS").map(PathBuf::from);
    let found = folder
        .map(|folder| folder.join("emulators"))
        .filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("skipped: KINGTIDE_TEST_CLIENTS names no folder with emulators; `cargo xtask check` installs them");
    }
    found
}

/// One that nobody has now; the emulators cannot be handed a socket.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
