//! A model of ECS that is asked as the real one is (JSON 1.1 over HTTP: `RunTask`, `ListTasks`, `DescribeTasks`, `StopTask`) and whose tasks are real
//! processes: a container of a compiled task definition is what its test starts for it. What else is asked of it is refused.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use crate::http::{self, Answer, Connection};

/// How a task of a definition is started, with the variables of its overrides.
type Start = Box<dyn Fn(&str, &BTreeMap<String, String>) -> Command + Send + Sync>;

/// A server; it ends with the test's process.
#[derive(Clone)]
pub struct Ecs {
    /// Host and port.
    pub address: String,
    shared: Arc<Mutex<Shared>>,
    start: Arc<Start>,
}

#[derive(Default)]
struct Shared {
    tasks: BTreeMap<String, Task>,
    /// Which tasks a token has brought.
    tokens: BTreeMap<String, Vec<String>>,
    events: Vec<Json>,
}

struct Task {
    definition: String,
    started_by: String,
    provider: String,
    pid: u32,
    started_s: f64,
    /// When, by what code, and the exit code.
    stopped: Option<(f64, String, Option<i32>)>,
    told: bool,
}

impl Ecs {
    /// On a free port of this machine.
    pub fn start(start: impl Fn(&str, &BTreeMap<String, String>) -> Command + Send + Sync + 'static) -> Ecs {
        let mut server = Ecs {
            address: String::new(),
            shared: Arc::default(),
            start: Arc::new(Box::new(start)),
        };
        let serving = server.clone();
        server.address = http::listen(move |stream| serving.serve(stream));
        server
    }

    /// For `AWS_ENDPOINT_URL_ECS`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts a task; its ARN.
    pub fn run(&self, definition: &str, told: &BTreeMap<String, String>, started_by: &str, provider: &str) -> String {
        let child = (self.start)(definition, told).spawn().expect("it can be started");
        let mut shared = self.lock();
        let arn = format!(
            "arn:aws:ecs:eu-west-1:123456789012:task/cluster/{}",
            shared.tasks.len() + 1
        );
        let task = Task {
            definition: definition.to_owned(),
            started_by: started_by.to_owned(),
            provider: provider.to_owned(),
            pid: child.id(),
            started_s: seconds(),
            stopped: None,
            told: false,
        };
        shared.tasks.insert(arn.clone(), task);
        drop(shared);
        let (server, of_child) = (self.clone(), arn.clone());
        thread::spawn(move || server.attend(&of_child, child));
        arn
    }

    /// Its exit code once it has stopped; `None` within that where a signal ended it.
    pub fn stopped(&self, arn: &str) -> Option<Option<i32>> {
        let shared = self.lock();
        shared.tasks.get(arn)?.stopped.as_ref().map(|(_, _, code)| *code)
    }

    /// Tasks of a definition that have not stopped.
    pub fn alive(&self, definition: &str) -> Vec<String> {
        let shared = self.lock();
        let alive = shared.tasks.iter().filter(|(_, task)| task.stopped.is_none());
        let alive = alive.filter(|(_, task)| task.definition == definition);
        alive.map(|(arn, _)| arn.clone()).collect()
    }

    /// How many were ever started of a definition.
    pub fn count(&self, definition: &str) -> usize {
        let shared = self.lock();
        shared
            .tasks
            .values()
            .filter(|task| task.definition == definition)
            .count()
    }

    /// What EventBridge was told, which answers in the same place: the entries of `PutEvents`.
    pub fn events(&self) -> Vec<Json> {
        self.lock().events.clone()
    }

    /// Sends a signal to a task that has not stopped.
    pub fn signal(&self, arn: &str, signal: Signal) {
        let shared = self.lock();
        let task = shared.tasks.get(arn).filter(|task| task.stopped.is_none());
        let pid = task.and_then(|task| Pid::from_raw(i32::try_from(task.pid).ok()?));
        if let Some(pid) = pid {
            // It may have ended by itself just now.
            let _ = kill_process(pid, signal);
        }
    }

    fn attend(&self, arn: &str, mut child: Child) {
        let status = child.wait().expect("a child of ours");
        if let Some(task) = self.lock().tasks.get_mut(arn) {
            let code = match (task.told, status.code()) {
                (true, _) => "UserInitiated",
                (false, Some(_)) => "EssentialContainerExited",
                (false, None) => "InfrastructureHealth",
            };
            task.stopped = Some((seconds(), code.to_owned(), status.code()));
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut connection = Connection::new(stream);
        while let Some(request) = connection.read() {
            let target = request.headers.get("x-amz-target").cloned().unwrap_or_default();
            let body = serde_json::from_slice(&request.body).unwrap_or(Json::Null);
            let answer = match target.rsplit('.').next() {
                Some("RunTask") => Answer::ok(self.run_task(&body).to_string().into_bytes()),
                Some("ListTasks") => Answer::ok(self.list(&body).to_string().into_bytes()),
                Some("DescribeTasks") => Answer::ok(self.describe(&body).to_string().into_bytes()),
                Some("StopTask") => {
                    self.stop(body["task"].as_str().unwrap_or_default());
                    Answer::ok(b"{}".to_vec())
                }
                Some("PutEvents") => {
                    let entries = body["Entries"].as_array().cloned().unwrap_or_default();
                    self.lock().events.extend(entries);
                    Answer::ok(br#"{"FailedEntryCount":0}"#.to_vec())
                }
                _ => Answer {
                    status: 400,
                    headers: Vec::new(),
                    body: json!({ "__type": "InvalidAction", "message": target })
                        .to_string()
                        .into_bytes(),
                },
            };
            if !connection.write(&request, &answer) {
                return;
            }
        }
    }

    fn run_task(&self, body: &Json) -> Json {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let token = text(&body["clientToken"]);
        let known = self.lock().tokens.get(&token).cloned();
        let arns = known.unwrap_or_else(|| {
            let mut told = BTreeMap::new();
            for container in body["overrides"]["containerOverrides"].as_array().into_iter().flatten() {
                for pair in container["environment"].as_array().into_iter().flatten() {
                    told.insert(text(&pair["name"]), text(&pair["value"]));
                }
            }
            let count = body["count"].as_u64().unwrap_or(1);
            let (definition, by) = (text(&body["taskDefinition"]), text(&body["startedBy"]));
            let provider = text(&body["capacityProviderStrategy"][0]["capacityProvider"]);
            let arns: Vec<String> = (0..count)
                .map(|_| self.run(&definition, &told, &by, &provider))
                .collect();
            self.lock().tokens.insert(token, arns.clone());
            arns
        });
        self.describe(&json!({ "tasks": arns }))
    }

    fn list(&self, body: &Json) -> Json {
        let wants_stopped = body["desiredStatus"] == "STOPPED";
        let shared = self.lock();
        let listed = shared.tasks.iter().filter(|(_, task)| {
            let is_theirs = body["startedBy"].as_str().is_none_or(|by| by == task.started_by);
            is_theirs && task.stopped.is_some() == wants_stopped
        });
        json!({ "taskArns": listed.map(|(arn, _)| arn).collect::<Vec<_>>() })
    }

    fn describe(&self, body: &Json) -> Json {
        let shared = self.lock();
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for arn in body["tasks"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            match shared.tasks.get(arn) {
                Some(task) => tasks.push(task.json(arn)),
                None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
            }
        }
        json!({ "tasks": tasks, "failures": failures })
    }

    fn stop(&self, arn: &str) {
        if let Some(task) = self.lock().tasks.get_mut(arn) {
            task.told = true;
        }
        self.signal(arn, Signal::TERM);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    fn json(&self, arn: &str) -> Json {
        let mut json = json!({
            "taskArn": arn,
            "taskDefinitionArn": self.definition,
            "startedBy": self.started_by,
            "capacityProviderName": self.provider,
            "lastStatus": "RUNNING",
            "desiredStatus": "RUNNING",
            "pullStartedAt": self.started_s,
            "startedAt": self.started_s,
            "containers": [{ "name": "job" }],
        });
        if let Some((at, code, exit_code)) = &self.stopped {
            json["lastStatus"] = json!("STOPPED");
            json["desiredStatus"] = json!("STOPPED");
            json["stoppedAt"] = json!(at);
            json["stopCode"] = json!(code);
            json["stoppedReason"] = json!("Essential container in task exited");
            if let Some(exit_code) = exit_code {
                json["containers"][0]["exitCode"] = json!(exit_code);
            }
        }
        json
    }
}

fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs_f64()
}

/// A value of a template with what CloudFormation would put in for each name: `Ref`, `Fn::GetAtt`, `Fn::Sub` and `Fn::Join`.
///
/// # Panics
/// On any other function.
pub fn resolve(value: &Json, name: &dyn Fn(&str) -> String) -> Json {
    let Some(fields) = value.as_object() else {
        return match value {
            Json::Array(items) => items.iter().map(|item| resolve(item, name)).collect(),
            other => other.clone(),
        };
    };
    let function = fields
        .iter()
        .next()
        .filter(|(key, _)| *key == "Ref" || key.starts_with("Fn::"));
    let Some((function, argument)) = function else {
        let resolved = fields.iter().map(|(key, value)| (key.clone(), resolve(value, name)));
        return Json::Object(resolved.collect());
    };
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    match function.as_str() {
        "Ref" => json!(name(&text(argument))),
        "Fn::GetAtt" => json!(name(&format!("{}.{}", text(&argument[0]), text(&argument[1])))),
        "Fn::Join" => {
            let parts = resolve(&argument[1], name);
            let parts: Vec<String> = parts.as_array().into_iter().flatten().map(text).collect();
            json!(parts.join(&text(&argument[0])))
        }
        "Fn::Sub" => {
            let source = text(argument);
            let mut parts = source.split("${");
            let mut all = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (of, rest) = part.split_once('}').expect("a place ends");
                all.push_str(&name(of));
                all.push_str(rest);
            }
            json!(all)
        }
        other => panic!("`{other}` is not understood"),
    }
}
