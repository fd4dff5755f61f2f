//! Amazon ECS: starting tasks, and what became of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::endpoint::Service;
use super::errors::RequestError;
use super::json::{JSON_1_1, Protocol};

const ECS: Protocol = Protocol {
    service: Service::Ecs,
    target: "AmazonEC2ContainerServiceV20141113",
    content_type: JSON_1_1,
};

/// As many as one request starts.
pub const MOST_STARTED: u32 = 10;
/// As many as one request describes.
pub const MOST_DESCRIBED: usize = 100;

/// Tasks to start.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// Name or ARN.
    pub cluster: &'a str,
    /// Family with revision, or ARN.
    pub definition: &'a str,
    /// Up to ten.
    pub count: u32,
    /// A request that is tried again with the same starts nothing more. Up to 64 characters.
    pub client_token: &'a str,
    /// Up to 128 letters, digits and `-/_`, by which `list` finds them.
    pub started_by: &'a str,
    /// `FARGATE`, `FARGATE_SPOT`, or one of the stack's own.
    pub capacity_provider: &'a str,
    /// Of the task's own interface; none for tasks that have the network of their instance.
    pub subnets: &'a [String],
    /// The same.
    pub security_groups: &'a [String],
    /// Whether it gets a public address: where there is no NAT, images are pulled by it.
    pub public_address: bool,
    /// Container to variables.
    pub environment: &'a BTreeMap<String, BTreeMap<String, String>>,
    /// Names and values; AWS's cost reports show them.
    pub tags: &'a BTreeMap<String, String>,
}

/// What came of it.
#[derive(Debug, Default, Deserialize)]
pub struct Started {
    /// Those that are on their way.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// Why others are not.
    #[serde(default)]
    pub failures: Vec<Failure>,
}

/// What was not started, or is not there.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Failure {
    /// What it is about.
    #[serde(default)]
    pub arn: Option<String>,
    /// `RESOURCE:FARGATE`, `MISSING`, `Capacity is unavailable at this time`, …
    #[serde(default)]
    pub reason: Option<String>,
    /// More of it.
    #[serde(default)]
    pub detail: Option<String>,
}

impl Failure {
    /// AWS has no room now: later, or in another zone or kind of capacity.
    pub fn is_capacity(&self) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        reason.starts_with("RESOURCE:") || reason.to_ascii_lowercase().contains("capacity")
    }
}

/// A task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// By which it is known.
    pub task_arn: String,
    /// `PROVISIONING`, `PENDING`, `RUNNING`, `DEPROVISIONING`, `STOPPED`, …
    #[serde(default)]
    pub last_status: String,
    /// `RUNNING` or `STOPPED`: what is wanted.
    #[serde(default)]
    pub desired_status: String,
    /// `TaskFailedToStart`, `EssentialContainerExited`, `SpotInterruption`, `UserInitiated`, …
    #[serde(default)]
    pub stop_code: Option<String>,
    /// In words.
    #[serde(default)]
    pub stopped_reason: Option<String>,
    /// Who started it.
    #[serde(default)]
    pub started_by: Option<String>,
    /// The family with its revision, as an ARN.
    #[serde(default)]
    pub task_definition_arn: String,
    /// `FARGATE_SPOT` and so on.
    #[serde(default)]
    pub capacity_provider_name: Option<String>,
    /// Seconds since 1970; from here it is paid for.
    #[serde(default)]
    pub pull_started_at: Option<f64>,
    /// Seconds since 1970.
    #[serde(default)]
    pub created_at: Option<f64>,
    /// Seconds since 1970; until its containers run.
    #[serde(default)]
    pub started_at: Option<f64>,
    /// Seconds since 1970; until here it is paid for.
    #[serde(default)]
    pub stopped_at: Option<f64>,
    /// What runs in it.
    #[serde(default)]
    pub containers: Vec<Container>,
}

impl Task {
    /// The last part of its ARN.
    pub fn id(&self) -> &str {
        self.task_arn.rsplit('/').next().unwrap_or_default()
    }
}

/// A container of a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// As the definition names it.
    #[serde(default)]
    pub name: String,
    /// Where it has ended.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// `OutOfMemoryError: …`, `CannotPullContainerError: …`
    #[serde(default)]
    pub reason: Option<String>,
}

/// What a definition says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// By which it is known.
    #[serde(default)]
    pub task_definition_arn: String,
    /// In units: 1024 are a core.
    #[serde(default)]
    pub cpu: Option<String>,
    /// In MiB.
    #[serde(default)]
    pub memory: Option<String>,
    /// What runs.
    #[serde(default)]
    pub container_definitions: Vec<ContainerDefinition>,
    /// Where it runs.
    #[serde(default)]
    pub runtime_platform: Option<Platform>,
}

/// What runs in a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerDefinition {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its image.
    #[serde(default)]
    pub image: String,
}

/// What processors an image is for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Platform {
    /// `X86_64` or `ARM64`.
    #[serde(default)]
    pub cpu_architecture: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DefinitionAnswer {
    task_definition: Definition,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListAnswer {
    #[serde(default)]
    task_arns: Vec<String>,
    #[serde(default)]
    next_token: Option<String>,
}

/// Starts tasks; fewer than wished where `failures` says why.
///
/// # Errors
/// When none was started, and none could be.
pub fn run(client: &Client, start: &Start<'_>) -> Result<Started, RequestError> {
    let named = |(name, value): (&String, &String)| json!({ "name": name, "value": value });
    let containers = start.environment.iter().map(|(container, variables)| {
        json!({ "name": container, "environment": variables.iter().map(named).collect::<Vec<Value>>() })
    });
    let tags = start.tags.iter();
    let address = if start.public_address { "ENABLED" } else { "DISABLED" };
    let mut body = json!({
        "cluster": start.cluster,
        "taskDefinition": start.definition,
        "count": start.count.clamp(1, MOST_STARTED),
        "clientToken": start.client_token,
        "startedBy": start.started_by,
        "capacityProviderStrategy": [{ "capacityProvider": start.capacity_provider, "weight": 1 }],
        "overrides": { "containerOverrides": containers.collect::<Vec<_>>() },
        "tags": tags.map(|(key, value)| json!({ "key": key, "value": value })).collect::<Vec<Value>>(),
    });
    if !start.subnets.is_empty() {
        body["networkConfiguration"] = json!({
            "awsvpcConfiguration": {
                "subnets": start.subnets, "securityGroups": start.security_groups, "assignPublicIp": address,
            },
        });
    }
    ECS.ask(client, "ecs:RunTask", &body)
}

/// What became of tasks, in hundreds; those that AWS has forgotten (an hour after their end) are failures with the reason `MISSING`.
///
/// # Errors
/// Of any kind.
pub fn describe(client: &Client, cluster: &str, arns: &[String]) -> Result<Started, RequestError> {
    let mut all = Started::default();
    for arns in arns.chunks(MOST_DESCRIBED) {
        let body = json!({ "cluster": cluster, "tasks": arns });
        let some: Started = ECS.ask(client, "ecs:DescribeTasks", &body)?;
        all.tasks.extend(some.tasks);
        all.failures.extend(some.failures);
    }
    Ok(all)
}

/// What tasks are looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// As they were started.
    pub started_by: Option<&'a str>,
    /// All revisions of a definition; AWS takes none beside `started_by`.
    pub family: Option<&'a str>,
    /// Those that are over, as long as AWS knows them; else those that run or are to run.
    pub stopped: bool,
}

/// The ARNs of tasks.
///
/// # Errors
/// Of any kind.
pub fn list(client: &Client, cluster: &str, wanted: Wanted<'_>) -> Result<Vec<String>, RequestError> {
    let mut arns = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut body = json!({
            "cluster": cluster,
            "desiredStatus": if wanted.stopped { "STOPPED" } else { "RUNNING" },
        });
        let pairs = [
            ("startedBy", wanted.started_by),
            ("family", wanted.family),
            ("nextToken", token.as_deref()),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let answer: ListAnswer = ECS.ask(client, "ecs:ListTasks", &body)?;
        arns.extend(answer.task_arns);
        token = answer.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(arns);
        }
    }
}

/// Tells a task to stop: TERM, and KILL after its stop timeout.
///
/// # Errors
/// Of any kind; `Invalid` where AWS no longer knows it.
pub fn stop(client: &Client, cluster: &str, task: &str, reason: &str) -> Result<(), RequestError> {
    let body = json!({ "cluster": cluster, "task": task, "reason": reason });
    let _: Value = ECS.ask(client, "ecs:StopTask", &body)?;
    Ok(())
}

/// What a definition says.
///
/// # Errors
/// Of any kind; `Invalid` where there is none.
pub fn definition(client: &Client, definition: &str) -> Result<Definition, RequestError> {
    let body = json!({ "taskDefinition": definition });
    let answer: DefinitionAnswer = ECS.ask(client, "ecs:DescribeTaskDefinition", &body)?;
    Ok(answer.task_definition)
}
