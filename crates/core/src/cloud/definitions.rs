//! Task definitions: a job's worker in the user's own image, which a binary is copied beside; a consumer with its sidecar; a dispatcher.

use serde_json::{Map, Value as Json, json};

use super::fargate::Size;
use super::ladder::Host;
use super::template::{LogicalId, Resource, sub};
use super::{Site, WORKER_IMAGE, document, image, origin, variables};
use crate::contract;
use crate::message::Message;
use crate::project::aws::Architecture;
use crate::project::{Job, Resources};

/// Where the worker's binary is put, beside the program's own image; a volume, read-only to the program.
const FOLDER: &str = "/kingtide";
const WORKER: &str = "/kingtide/worker";
/// What any user may write to; a volume as well, so that an image may be read-only.
const WORK: &str = "/kingtide-work";
/// The longest that Fargate gives a program between TERM and KILL.
pub(super) const STOP_TIMEOUT_S: u32 = 120;
/// What every task on Fargate has; more is paid for.
const DISK_GIB: u64 = 20;
/// The smallest that Fargate has.
const DISPATCHER: Size = Size {
    cpu: 256,
    memory_mib: 512,
};
/// Of a consumer's sidecar, on the task's own loopback.
const PORT: u16 = 9324;

/// What a definition is made of.
pub(super) struct Parts<'a> {
    pub(super) logs: &'a LogicalId,
    pub(super) role: &'a LogicalId,
    pub(super) execution_role: &'a LogicalId,
}

/// A rung's queue, its size and where it runs.
pub(super) struct Level<'a> {
    pub(super) queue: &'a LogicalId,
    pub(super) next: Option<&'a LogicalId>,
    pub(super) dead: &'a LogicalId,
    pub(super) resources: Resources,
    pub(super) size: Size,
    pub(super) host: Host,
}

/// Gigabytes of disk beyond those that come with a task.
pub(super) fn extra_gib(job: &Job) -> u32 {
    let gib = job.cloud.disk.map_or(0, |bytes| bytes.div_ceil(1 << 30));
    gib.saturating_sub(DISK_GIB) as u32
}

/// The user's image as it is; the worker's binary comes in by a volume, and runs the program.
pub(super) fn worker(site: &Site<'_>, job: &Job, level: &Level<'_>, parts: &Parts<'_>) -> Resource {
    let install = json!({
        "Name": variables::CONTAINER_INSTALL,
        "Image": super::parameter(WORKER_IMAGE),
        "Essential": false,
        "Command": ["install", WORKER, WORK],
        "ReadonlyRootFilesystem": true,
        "MountPoints": [mount("binary", FOLDER, false), mount("work", WORK, false)],
        "LogConfiguration": logs(parts.logs, "install"),
    });
    let mut variables = common(site, job, level, variables::ROLE_WORKER);
    variables.push((variables::WORK, json!(WORK)));
    variables.push((variables::LOG_LIMIT, json!(site.project.local.log_limit.to_string())));
    if let Some(bytes) = level.resources.memory {
        variables.push((variables::MEMORY, json!(bytes.to_string())));
    }
    if let Some(next) = level.next {
        variables.push((variables::NEXT_QUEUE_URL, next.reference()));
    }
    for (variable, parameter) in image::starts(job) {
        variables.push((variable, super::parameter(&parameter)));
    }
    let mut container = program(site, job, level, parts, &variables);
    container.insert("EntryPoint".to_owned(), json!([WORKER]));
    container.insert("Command".to_owned(), json!([variables::ROLE_WORKER]));
    container.insert(
        "DependsOn".to_owned(),
        json!([{ "ContainerName": variables::CONTAINER_INSTALL, "Condition": "SUCCESS" }]),
    );
    container.insert(
        "MountPoints".to_owned(),
        json!([mount("binary", FOLDER, true), mount("work", WORK, false)]),
    );
    let mut properties = task(site, level.size, level.host, parts);
    disk(job, level.host, &mut properties);
    properties["Volumes"] = json!([{ "Name": "binary" }, { "Name": "work" }]);
    properties["ContainerDefinitions"] = json!([install, container]);
    Resource::new("AWS::ECS::TaskDefinition", &origin(job), properties)
}

/// The user's program asks the sidecar for messages, which asks the queue, and knows what is held. Whichever of them ends, ends the task.
pub(super) fn consumer(site: &Site<'_>, job: &Job, level: &Level<'_>, parts: &Parts<'_>) -> Resource {
    let endpoint = format!("http://127.0.0.1:{PORT}");
    let mut message = Message(Map::new());
    // What CloudFormation fills: a placeholder of the file becomes one of its own.
    message
        .0
        .insert("queue_url".to_owned(), format!("${{{}}}", level.queue.as_str()).into());
    message.0.insert(
        "queue_name".to_owned(),
        format!("${{{}.QueueName}}", level.queue.as_str()).into(),
    );
    let filled = |template: &crate::template::Template| {
        let source = template.fill(&message).unwrap_or_else(|name| format!("{{{name}}}"));
        filled_by_stack(&source, level.queue)
    };
    let is_theirs = |name: &str| job.env.contains_key(name) || job.secrets.iter().any(|secret| secret.name == name);
    let ours = [
        ("QUEUE_NAME", level.queue.get("QueueName")),
        ("QUEUE_URL", level.queue.reference()),
        ("AWS_ENDPOINT_URL_SQS", json!(endpoint)),
        ("AWS_REGION", json!({ "Ref": "AWS::Region" })),
        ("AWS_DEFAULT_REGION", json!({ "Ref": "AWS::Region" })),
    ];
    let ours = ours.into_iter().filter(|(name, _)| !is_theirs(name));
    let cores = json!(contract::cores(job).to_string());
    let threads = contract::THREAD_VARIABLES.iter().map(|name| (*name, cores.clone()));
    let threads = threads.chain([("PYTHONUNBUFFERED", json!("1"))]);
    let mut variables: Vec<(&str, Json)> = threads.filter(|(name, _)| !is_theirs(name)).collect();
    variables.extend(ours);
    variables.extend(job.env.iter().map(|(name, value)| (name.as_str(), filled(value))));
    variables.push(("KINGTIDE_JOB", json!(job.name)));
    variables.push(("KINGTIDE_CPUS", cores.clone()));
    let mut container = program(site, job, level, parts, &variables);
    if let Some(entrypoint) = job.container().and_then(|container| container.entrypoint.clone()) {
        container.insert("EntryPoint".to_owned(), json!(entrypoint));
    }
    if !job.command.is_empty() {
        let command: Vec<Json> = job.command.iter().map(filled).collect();
        container.insert("Command".to_owned(), json!(command));
    }
    container.insert(
        "DependsOn".to_owned(),
        json!([{ "ContainerName": variables::CONTAINER_SIDECAR, "Condition": "START" }]),
    );
    let mut told = common(site, job, level, variables::ROLE_SIDECAR);
    told.push((variables::PORT, json!(PORT.to_string())));
    let sidecar = json!({
        "Name": variables::CONTAINER_SIDECAR,
        "Image": super::parameter(WORKER_IMAGE),
        "Essential": true,
        "Command": [variables::ROLE_SIDECAR],
        "Environment": environment(&told),
        "ReadonlyRootFilesystem": true,
        "StopTimeout": STOP_TIMEOUT_S,
        "LogConfiguration": logs(parts.logs, "sidecar"),
    });
    let mut properties = task(site, level.size, level.host, parts);
    disk(job, level.host, &mut properties);
    properties["ContainerDefinitions"] = json!([sidecar, container]);
    Resource::new("AWS::ECS::TaskDefinition", &origin(job), properties)
}

/// A small task that directs a run.
pub(super) fn dispatcher(site: &Site<'_>, job: &Job, parts: &Parts<'_>, told: &[(&str, Json)]) -> Resource {
    let container = json!({
        "Name": variables::CONTAINER_DISPATCHER,
        "Image": super::parameter(WORKER_IMAGE),
        "Essential": true,
        "Command": [variables::ROLE_DISPATCHER],
        "Environment": environment(told),
        "ReadonlyRootFilesystem": true,
        "StopTimeout": STOP_TIMEOUT_S,
        "LogConfiguration": logs(parts.logs, "dispatcher"),
    });
    let mut properties = task(site, DISPATCHER, Host::Fargate, parts);
    properties["ContainerDefinitions"] = json!([container]);
    Resource::new("AWS::ECS::TaskDefinition", &origin(job), properties)
}

/// The container of the user's image.
fn program(
    site: &Site<'_>,
    job: &Job,
    level: &Level<'_>,
    parts: &Parts<'_>,
    variables: &[(&str, Json)],
) -> Map<String, Json> {
    let mut container = Map::from_iter([
        ("Name".to_owned(), json!(variables::CONTAINER_JOB)),
        ("Image".to_owned(), super::parameter(&image::parameter_of(job))),
        ("Essential".to_owned(), json!(true)),
        ("StopTimeout".to_owned(), json!(STOP_TIMEOUT_S)),
        ("LogConfiguration".to_owned(), logs(parts.logs, "job")),
        ("Environment".to_owned(), environment(variables)),
    ]);
    let secrets: Vec<Json> = job
        .secrets
        .iter()
        .filter_map(|secret| {
            let arn = site.aws.secrets.get(&secret.name)?;
            Some(json!({ "Name": secret.name, "ValueFrom": arn }))
        })
        .collect();
    if !secrets.is_empty() {
        container.insert("Secrets".to_owned(), json!(secrets));
    }
    if let Some(user) = job.container().and_then(|container| container.user.clone()) {
        container.insert("User".to_owned(), json!(user));
    }
    if let (Some(_), Some(workdir)) = (job.container(), &job.workdir) {
        container.insert("WorkingDirectory".to_owned(), json!(workdir));
    }
    if level.resources.gpus > 0 {
        let gpus = json!([{ "Type": "GPU", "Value": level.resources.gpus.to_string() }]);
        container.insert("ResourceRequirements".to_owned(), gpus);
    }
    let shm_mib = job.container().and_then(|container| container.shm_size);
    if let (Host::Instances, Some(bytes)) = (level.host, shm_mib) {
        let mib = bytes.div_ceil(1 << 20);
        container.insert("LinuxParameters".to_owned(), json!({ "SharedMemorySize": mib }));
    }
    container
}

/// What every worker and sidecar is told.
fn common(site: &Site<'_>, job: &Job, level: &Level<'_>, role: &str) -> Vec<(&'static str, Json)> {
    let mut told = vec![
        (variables::ROLE, json!(role)),
        (variables::STACK, site.stack_name()),
        (variables::BUCKET, site.storage.bucket.clone()),
        (variables::QUEUE_URL, level.queue.reference()),
        (variables::DEAD_LETTERS_URL, level.dead.reference()),
        (variables::JOB, json!(document::write(job))),
    ];
    if job.cloud.service {
        told.push((variables::SERVICE, json!("true")));
    }
    told
}

/// What all have in common. A task on instances has the network of its instance, whose address reaches out where it has none of its own.
fn task(site: &Site<'_>, size: Size, host: Host, parts: &Parts<'_>) -> Json {
    let architecture = match site.aws.architecture {
        Architecture::X86_64 => "X86_64",
        Architecture::Arm64 => "ARM64",
    };
    let (compatible, network) = match host {
        Host::Fargate => ("FARGATE", "awsvpc"),
        Host::Instances => ("MANAGED_INSTANCES", "host"),
    };
    json!({
        "RequiresCompatibilities": [compatible],
        "NetworkMode": network,
        "RuntimePlatform": { "CpuArchitecture": architecture, "OperatingSystemFamily": "LINUX" },
        "Cpu": size.cpu.to_string(),
        "Memory": size.memory_mib.to_string(),
        "TaskRoleArn": parts.role.arn(),
        "ExecutionRoleArn": parts.execution_role.arn(),
        "Tags": site.tags,
    })
}

fn disk(job: &Job, host: Host, properties: &mut Json) {
    if host == Host::Fargate && extra_gib(job) > 0 {
        properties["EphemeralStorage"] = json!({ "SizeInGiB": DISK_GIB + u64::from(extra_gib(job)) });
    }
}

/// A text in which references stand where the queue is named; any other `${` is the text's own.
fn filled_by_stack(text: &str, queue: &LogicalId) -> Json {
    let ours = [
        format!("${{{}}}", queue.as_str()),
        format!("${{{}.QueueName}}", queue.as_str()),
    ];
    if !ours.iter().any(|place| text.contains(place.as_str())) {
        return json!(text);
    }
    let mut escaped = text.replace("${", "${!");
    for place in &ours {
        escaped = escaped.replace(&place.replace("${", "${!"), place);
    }
    sub(&escaped)
}

fn mount(volume: &str, path: &str, is_read_only: bool) -> Json {
    json!({ "SourceVolume": volume, "ContainerPath": path, "ReadOnly": is_read_only })
}

fn logs(group: &LogicalId, prefix: &str) -> Json {
    json!({
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": group.reference(),
            "awslogs-region": { "Ref": "AWS::Region" },
            "awslogs-stream-prefix": prefix,
            "mode": "non-blocking",
        },
    })
}

fn environment(pairs: &[(&str, Json)]) -> Json {
    pairs
        .iter()
        .map(|(name, value)| json!({ "Name": name, "Value": value }))
        .collect()
}
