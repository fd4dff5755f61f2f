//! The way to AWS: a project becomes one stack, and the stack a CloudFormation template. Pure: the same file gives the same bytes, wherever
//! and whenever. Nothing in it is always on; what it must not exceed is said before (`limits.rs`).
//!
//! `template.rs` is what a stack is made of, `iam.rs` the only place that writes permissions; `network.rs`, `storage.rs`, `queues.rs`,
//! `tasks.rs`, `machine.rs`, `starts.rs` and `alarms.rs` are what there is in it. `variables.rs`, `document.rs`, `rung.rs` and `start.rs` are what
//! the tasks that it starts are told. What it costs is `cost.rs` with `prices.rs`, what is another in it than before `changes.rs`. See
//! `docs/decisions/007-aws.md`.

mod alarms;
pub mod changes;
pub mod cost;
pub mod document;
pub mod fargate;
pub mod iam;
pub mod image;
pub mod limits;
mod machine;
mod network;
pub mod prices;
mod queues;
pub mod rung;
pub mod start;
mod starts;
mod storage;
mod tasks;
pub mod template;
pub mod variables;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::finding::Findings;
use crate::project::aws::Aws;
use crate::project::{Job, Project};
use template::{LogicalId, Output, Parameter, Resource, Stack, parameter};

/// What the stack is compiled from, and what parts of it refer to.
struct Site<'a> {
    project: &'a Project,
    aws: &'a Aws,
    /// `flights`, or `flights-prod` of an environment.
    name: String,
    stack: Stack,
    tags: Json,
    /// The bucket's name, and its ARN.
    bucket: Json,
    bucket_arn: Json,
    network: network::Place,
    cluster: LogicalId,
}

/// The worker's image: its one binary is copied beside the program of each task.
pub const WORKER_IMAGE: &str = "WorkerImage";
/// An image by digest or tag.
const IMAGE_PATTERN: &str = "^[a-zA-Z0-9./:@_-]{1,512}$";

/// The stack of a project, for an environment or for `[aws]` alone.
///
/// # Errors
/// Everything that AWS would refuse, each with what to do.
pub fn compile(project: &Project, environment: Option<&str>) -> Result<Stack, Findings> {
    let (aws, name) = match environment {
        None => (&project.aws, project.name.clone()),
        Some(name) => match project.environments.get(name) {
            Some(aws) => (aws, format!("{}-{name}", project.name)),
            None => return Err(limits::no_environment(project, name)),
        },
    };
    let findings = limits::check(project, aws, &name);
    if findings.has_errors() {
        return Err(findings);
    }
    let mut stack = Stack {
        description: format!("Kingtide project {name}"),
        ..Stack::default()
    };
    let tags = tags(aws, &name);
    let (bucket, bucket_arn) = storage::bucket(&mut stack, aws, &tags);
    let network = network::place(&mut stack, aws, &tags, &name);
    let cluster = stack.add(LogicalId::of("", "Cluster"), cluster(&tags));
    let mut site = Site {
        project,
        aws,
        name,
        stack,
        tags,
        bucket,
        bucket_arn,
        network,
        cluster,
    };
    site.parameter(WORKER_IMAGE, "The image that holds Kingtide's worker");
    let topics = alarms::topics(&mut site);
    for job in project.jobs.values() {
        site.job(job, &topics);
    }
    let template = site.stack.template();
    let findings = limits::check_template(&site.stack, &template);
    match findings.has_errors() {
        true => Err(findings),
        false => Ok(site.stack),
    }
}

impl Site<'_> {
    fn job(&mut self, job: &Job, topics: &BTreeMap<String, LogicalId>) {
        let queues = queues::queues(self, job);
        let tasks = tasks::tasks(self, job, &queues);
        let machine = machine::machine(self, job, &queues, &tasks);
        starts::starts(self, job, &machine);
        alarms::alarms(self, job, &queues, &machine, topics);
        self.output(
            &format!("{}QueueUrl", id(job, "").as_str()),
            "Messages for the job",
            queues.queue.reference(),
        );
        self.output(
            &format!("{}StateMachine", id(job, "").as_str()),
            "An execution is a run of the job",
            machine.reference(),
        );
    }

    fn output(&mut self, name: &str, description: &str, value: Json) {
        let output = Output {
            description: description.to_owned(),
            value,
        };
        self.stack.outputs.insert(name.to_owned(), output);
    }

    /// A parameter that names an image.
    fn parameter(&mut self, name: &str, description: &str) -> Json {
        let of = Parameter {
            description: description.to_owned(),
            pattern: Some(IMAGE_PATTERN),
            default: None,
        };
        self.stack.parameters.insert(name.to_owned(), of);
        parameter(name)
    }
}

/// What a job's resources are called.
fn id(job: &Job, kind: &str) -> LogicalId {
    LogicalId::of(&job.name, kind)
}

fn origin(job: &Job) -> String {
    format!("job.{}", job.name)
}

fn tags(aws: &Aws, name: &str) -> Json {
    let ours = [("kingtide:project".to_owned(), name.to_owned())];
    let all = ours.into_iter().chain(aws.tags.clone());
    all.map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

fn cluster(tags: &Json) -> Resource {
    let properties = json!({
        "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "ClusterSettings": [{ "Name": "containerInsights", "Value": "disabled" }],
        "Tags": tags,
    });
    Resource::new("AWS::ECS::Cluster", "project", properties)
}

#[cfg(test)]
mod tests;
