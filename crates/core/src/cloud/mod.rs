//! The way to AWS: a project becomes one stack, and the stack a CloudFormation template. Pure: the same file gives the same bytes, wherever
//! and whenever. Nothing in it is always on; what it must not exceed is said before (`limits.rs`).
//!
//! `template.rs` is what a stack is made of, `iam.rs` the only place that writes permissions; `network.rs`, `storage.rs`, `queues.rs`,
//! `tasks.rs` (what runs: `definitions.rs`, `roles.rs`, `ladder.rs`, `instances.rs`, `service.rs`), `machine.rs`, `starts.rs` (`schedule.rs`,
//! `doorbell.rs`) and `alarms.rs` are what there is in it. `variables.rs`, `document.rs`, `rung.rs` and `start.rs` are what the tasks that it
//! starts are told. What it costs is `cost.rs` with `prices.rs`, what is another in it than before `changes.rs`. See
//! `docs/decisions/007-aws.md`.

mod alarms;
pub mod changes;
pub mod cost;
mod definitions;
pub mod document;
mod doorbell;
pub mod fargate;
pub mod iam;
mod idle;
pub mod image;
mod instances;
pub mod ladder;
pub mod limits;
mod machine;
mod network;
pub mod prices;
mod queues;
mod roles;
pub mod rung;
mod schedule;
mod service;
pub mod start;
mod starts;
mod storage;
mod tasks;
pub mod template;
pub mod variables;
mod webhooks;

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
    stack: Stack,
    tags: Json,
    storage: storage::Place,
    network: network::Place,
    cluster: LogicalId,
    /// Providers of instances that jobs have asked for.
    capacity: Vec<LogicalId>,
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
    let (aws, name) = place(project, environment)?;
    let findings = limits::check(project, aws, &name);
    if findings.has_errors() {
        return Err(findings);
    }
    let (mut stack, storage, tags) = begin(project, aws, &name);
    let network = network::place(&mut stack, project, aws, &tags);
    let cluster = stack.add(LogicalId::of("", "Cluster"), cluster(&tags));
    let mut site = Site {
        project,
        aws,
        stack,
        tags,
        storage,
        network,
        cluster,
        capacity: Vec::new(),
    };
    let worker = Parameter {
        description: "The image that holds Kingtide's worker".to_owned(),
        pattern: Some(IMAGE_PATTERN),
        default: None,
        is_secret: false,
        written: None,
    };
    site.stack.parameters.insert(WORKER_IMAGE.to_owned(), worker);
    let topics = alarms::topics(&mut site);
    for job in project.jobs.values() {
        site.job(job, &topics);
    }
    site.associate();
    let template = site.stack.template();
    let mut all = findings;
    all.0.extend(limits::check_template(&site.stack, &template).0);
    if all.has_errors() {
        return Err(all);
    }
    site.stack.warnings = all;
    Ok(site.stack)
}

/// What has to be there before anything can be handed over: the bucket and the repository, as they are in the whole stack. A first deployment
/// makes these alone, and the same stack then grows.
///
/// # Errors
/// When there is no such environment.
pub fn base(project: &Project, environment: Option<&str>) -> Result<Stack, Findings> {
    let (aws, name) = place(project, environment)?;
    Ok(begin(project, aws, &name).0)
}

/// What the stack of a project is called: letters, digits and `-`, a letter first.
pub fn stack_name(project: &Project, environment: Option<&str>) -> String {
    let name = match environment {
        None => project.name.clone(),
        Some(environment) => format!("{}-{environment}", project.name),
    };
    let name = name.replace('_', "-");
    match name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => name,
        false => format!("kingtide-{name}"),
    }
}

fn place<'a>(project: &'a Project, environment: Option<&str>) -> Result<(&'a Aws, String), Findings> {
    let aws = match environment {
        None => &project.aws,
        Some(name) => project
            .environments
            .get(name)
            .ok_or_else(|| limits::no_environment(project, name))?,
    };
    Ok((aws, stack_name(project, environment)))
}

fn begin(project: &Project, aws: &Aws, name: &str) -> (Stack, storage::Place, Json) {
    let mut stack = Stack {
        name: name.to_owned(),
        description: format!("Kingtide project {name}"),
        ..Stack::default()
    };
    let tags = tags(aws, name);
    let storage = storage::place(&mut stack, project, aws, &tags);
    let outputs = [
        ("Bucket", "Records of runs, results and outputs", storage.bucket.clone()),
        (
            "Repository",
            "Images of jobs and of the worker",
            storage.repository.get("RepositoryUri"),
        ),
    ];
    for (name, description, value) in outputs {
        let output = Output {
            description: description.to_owned(),
            value,
        };
        stack.outputs.insert(name.to_owned(), output);
    }
    (stack, storage, tags)
}

impl Site<'_> {
    fn job(&mut self, job: &Job, topics: &BTreeMap<String, LogicalId>) {
        let queues = queues::queues(self, job, ladder::ladder(job).len());
        let tasks = tasks::tasks(self, job, &queues);
        let machine = tasks
            .dispatcher
            .as_ref()
            .map(|dispatcher| machine::machine(self, job, &queues, &tasks, dispatcher));
        let mut starts = starts::Starts::default();
        if let Some(machine) = &machine {
            starts = starts::starts(self, job, machine, queues.first());
            self.output(
                job,
                "StateMachine",
                "An execution is a run of the job",
                machine.reference(),
            );
        }
        if job.cloud.service {
            service::service(self, job, &queues, &tasks);
        }
        alarms::alarms(self, job, &queues, machine.as_ref(), &starts, topics);
        self.output(job, "QueueUrl", "Messages for the job", queues.first().reference());
        self.output(job, "QueueArn", "The same, by its ARN", queues.first().arn());
        self.output(job, "DeadLettersUrl", "What failed for good", queues.dead.reference());
    }

    fn output(&mut self, job: &Job, kind: &str, description: &str, value: Json) {
        let output = Output {
            description: format!("{description} ({})", job.name),
            value,
        };
        let name = id(job, kind).as_str().to_owned();
        self.stack.outputs.insert(name, output);
    }

    /// The stack's name, wherever it is embedded: what every key in the bucket begins with.
    fn stack_name(&self) -> Json {
        json!({ "Ref": "AWS::StackName" })
    }

    /// A key below the stack's name.
    fn key(&self, key: &str) -> Json {
        template::sub(&format!("${{AWS::StackName}}/{key}"))
    }

    /// The ARNs of objects.
    fn objects(&self, keys: &[&str]) -> Vec<Json> {
        let object = |key: &&str| {
            let arn = &self.storage.bucket_arn;
            json!({ "Fn::Join": ["", [arn, "/", self.stack_name(), format!("/{key}")]] })
        };
        keys.iter().map(object).collect()
    }

    /// Instances are the cluster's own, so that those of Fargate are associated beside them.
    fn associate(&mut self) {
        if self.capacity.is_empty() {
            return;
        }
        let cluster = LogicalId::of("", "Cluster");
        if let Some(resource) = self.stack.resources.get_mut(&cluster)
            && let Some(properties) = resource.properties.as_object_mut()
        {
            properties.remove("CapacityProviders");
        }
        let fargate = FARGATE_PROVIDERS.map(|name| json!(name));
        let ours = self.capacity.iter().map(LogicalId::reference);
        let properties = json!({
            "Cluster": cluster.reference(),
            "CapacityProviders": fargate.into_iter().chain(ours).collect::<Vec<_>>(),
            "DefaultCapacityProviderStrategy": [],
        });
        self.stack.add(
            LogicalId::of("", "ClusterCapacity"),
            Resource::new("AWS::ECS::ClusterCapacityProviderAssociations", "project", properties),
        );
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

const FARGATE_PROVIDERS: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

fn cluster(tags: &Json) -> Resource {
    let properties = json!({
        "CapacityProviders": FARGATE_PROVIDERS,
        "ClusterSettings": [{ "Name": "containerInsights", "Value": "disabled" }],
        "Tags": tags,
    });
    Resource::new("AWS::ECS::Cluster", "project", properties)
}

#[cfg(test)]
mod tests;
