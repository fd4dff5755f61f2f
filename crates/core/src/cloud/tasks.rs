//! What runs: a task definition for a job's workers, one for its dispatcher, their roles and their logs.

use serde_json::{Map, Value as Json, json};

use super::iam::{Role, Statement, pass_to_tasks};
use super::queues::Queues;
use super::template::{LogicalId, Resource, sub};
use super::{Site, WORKER_IMAGE, fargate, id, image, origin};
use crate::project::Job;
use crate::project::aws::Architecture;

/// A job's task definitions.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    pub(super) dispatcher: LogicalId,
    pub(super) dispatcher_role: LogicalId,
    pub(super) execution_role: LogicalId,
}

/// Where the worker's binary is put, beside the program's own image.
const VOLUME: &str = "kingtide";
const WORKER: &str = "/kingtide/worker";
/// The longest that Fargate gives a program between TERM and KILL.
const STOP_TIMEOUT_S: u32 = 120;
/// Without one of its own, what a release of `awslogs` needs.
const DISPATCHER: fargate::Size = fargate::Size {
    cpu: 256,
    memory_mib: 512,
};

pub(super) fn tasks(site: &mut Site<'_>, job: &Job, queues: &Queues) -> Tasks {
    let from = origin(job);
    let logs = json!({
        "LogGroupName": format!("/kingtide/{}/{}", site.name, job.name),
        "RetentionInDays": site.aws.log_retention.as_secs() / (24 * 3600),
        "Tags": site.tags,
    });
    let logs = site
        .stack
        .add(id(job, "Logs"), Resource::new("AWS::Logs::LogGroup", &from, logs));
    // What is built is pushed before, and handed over by its digest.
    if let Some(name) = image::parameter_of(job) {
        site.parameter(&name, &format!("The image that is built for the job {}", job.name));
    }
    let execution_role = execution_role(site, job, &logs);
    let worker_role = worker_role(site, job, queues);
    let parts = Parts {
        logs: &logs,
        worker_role: &worker_role,
        execution_role: &execution_role,
    };
    let definition = definition(site, job, queues, &parts);
    let worker = site.stack.add(id(job, "Worker"), definition);
    let dispatcher_role = dispatcher_role(site, job, queues, &worker, &[&worker_role, &execution_role]);
    let environment = environment(&[
        ("KINGTIDE_ROLE", json!("dispatcher")),
        ("KINGTIDE_BUCKET", site.bucket.clone()),
        ("KINGTIDE_QUEUE_URL", queues.queue.reference()),
        ("KINGTIDE_CLUSTER", site.cluster.reference()),
        ("KINGTIDE_WORKER", worker.reference()),
        ("KINGTIDE_SUBNETS", json!({ "Fn::Join": [",", site.network.subnets] })),
        (
            "KINGTIDE_SECURITY_GROUPS",
            json!({ "Fn::Join": [",", site.network.groups] }),
        ),
        ("KINGTIDE_PUBLIC_IP", json!(site.network.has_public_ip.to_string())),
        ("KINGTIDE_JOB", json!(description(job))),
    ]);
    let container = json!({
        "Name": "dispatcher",
        "Image": super::parameter(WORKER_IMAGE),
        "Essential": true,
        "Environment": environment,
        "ReadonlyRootFilesystem": true,
        "StopTimeout": STOP_TIMEOUT_S,
        "LogConfiguration": log_configuration(&logs, "dispatcher"),
    });
    let mut properties = task(site, DISPATCHER, &dispatcher_role, &execution_role);
    properties["ContainerDefinitions"] = json!([container]);
    let dispatcher = site.stack.add(
        id(job, "Dispatcher"),
        Resource::new("AWS::ECS::TaskDefinition", &from, properties),
    );
    Tasks {
        dispatcher,
        dispatcher_role,
        execution_role,
    }
}

/// What both have in common.
fn task(site: &Site<'_>, size: fargate::Size, role: &LogicalId, execution_role: &LogicalId) -> Json {
    let architecture = match site.aws.architecture {
        Architecture::X86_64 => "X86_64",
        Architecture::Arm64 => "ARM64",
    };
    json!({
        "RequiresCompatibilities": ["FARGATE"],
        "NetworkMode": "awsvpc",
        "RuntimePlatform": { "CpuArchitecture": architecture, "OperatingSystemFamily": "LINUX" },
        "Cpu": size.cpu.to_string(),
        "Memory": size.memory_mib.to_string(),
        "TaskRoleArn": role.arn(),
        "ExecutionRoleArn": execution_role.arn(),
        "Tags": site.tags,
    })
}

/// What a worker's definition is made of.
struct Parts<'a> {
    logs: &'a LogicalId,
    worker_role: &'a LogicalId,
    execution_role: &'a LogicalId,
}

/// The user's image as it is; the worker's binary comes in by a volume.
fn definition(site: &Site<'_>, job: &Job, queues: &Queues, parts: &Parts<'_>) -> Resource {
    let size = fargate::size(&job.resources).expect("`limits.rs` has looked at it");
    let mount =
        |read_only: bool| json!([{ "SourceVolume": VOLUME, "ContainerPath": "/kingtide", "ReadOnly": read_only }]);
    let binary = json!({
        "Name": "kingtide",
        "Image": super::parameter(WORKER_IMAGE),
        "Essential": false,
        "Command": ["install", WORKER],
        "MountPoints": mount(false),
        "LogConfiguration": log_configuration(parts.logs, "install"),
    });
    let mut container = Map::from_iter([
        ("Name".to_owned(), json!("job")),
        ("Image".to_owned(), image::reference(job)),
        ("Essential".to_owned(), json!(true)),
        ("EntryPoint".to_owned(), json!([WORKER])),
        (
            "DependsOn".to_owned(),
            json!([{ "ContainerName": "kingtide", "Condition": "SUCCESS" }]),
        ),
        ("MountPoints".to_owned(), mount(true)),
        ("StopTimeout".to_owned(), json!(STOP_TIMEOUT_S)),
        ("LogConfiguration".to_owned(), log_configuration(parts.logs, "job")),
        (
            "Environment".to_owned(),
            environment(&[
                ("KINGTIDE_ROLE", json!("worker")),
                ("KINGTIDE_BUCKET", site.bucket.clone()),
                ("KINGTIDE_QUEUE_URL", queues.queue.reference()),
                ("KINGTIDE_JOB", json!(description(job))),
            ]),
        ),
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
    let mut properties = task(site, size, parts.worker_role, parts.execution_role);
    properties["Volumes"] = json!([{ "Name": VOLUME }]);
    properties["ContainerDefinitions"] = json!([binary, container]);
    Resource::new("AWS::ECS::TaskDefinition", &origin(job), properties)
}

/// Pulls images, writes logs, reads secrets: before anything of the user's runs.
fn execution_role(site: &mut Site<'_>, job: &Job, logs: &LogicalId) -> LogicalId {
    let repositories = super::template::sub("arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/*");
    let mut statements = vec![
        Statement::allow(&["logs:CreateLogStream", "logs:PutLogEvents"], [logs.arn()]),
        Statement::allow(
            &[
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ],
            [repositories],
        ),
        Statement::allow_any(
            &["ecr:GetAuthorizationToken"],
            "ecr:GetAuthorizationToken knows no resources (Service Authorization Reference)",
        ),
    ];
    let named = |service: &str| -> Vec<Json> {
        let of = |secret: &crate::project::Secret| site.aws.secrets.get(&secret.name);
        let arns = job.secrets.iter().filter_map(of);
        arns.filter(|arn| arn.contains(service)).map(|arn| json!(arn)).collect()
    };
    for (service, action) in [
        (":secretsmanager:", "secretsmanager:GetSecretValue"),
        (":ssm:", "ssm:GetParameters"),
    ] {
        let arns = named(service);
        if !arns.is_empty() {
            statements.push(Statement::allow(&[action], arns));
        }
    }
    add_role(site, job, "ExecutionRole", "ecs-tasks.amazonaws.com", statements)
}

/// Receives, works, writes what came of it; nothing else.
fn worker_role(site: &mut Site<'_>, job: &Job, queues: &Queues) -> LogicalId {
    let statements = vec![
        Statement::allow(
            &[
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:ChangeMessageVisibility",
                "sqs:GetQueueAttributes",
            ],
            [queues.queue.arn()],
        ),
        Statement::allow(&["sqs:SendMessage"], [queues.dead.arn()]),
        Statement::allow(&["s3:GetObject", "s3:PutObject"], [objects(site, job)]),
    ];
    add_role(site, job, "WorkerRole", "ecs-tasks.amazonaws.com", statements)
}

/// Sends the messages, starts workers and looks after them.
fn dispatcher_role(
    site: &mut Site<'_>,
    job: &Job,
    queues: &Queues,
    worker: &LogicalId,
    passed: &[&LogicalId],
) -> LogicalId {
    let in_cluster = json!({ "ArnEquals": { "ecs:cluster": site.cluster.arn() } });
    let tasks = sub(&format!(
        "arn:${{AWS::Partition}}:ecs:${{AWS::Region}}:${{AWS::AccountId}}:task/${{{}}}/*",
        site.cluster.as_str()
    ));
    let statements = vec![
        Statement::allow(&["sqs:SendMessage", "sqs:GetQueueAttributes"], [queues.queue.arn()]),
        Statement::allow(&["ecs:RunTask"], [worker.reference()]).when(in_cluster.clone()),
        Statement::allow(&["ecs:DescribeTasks", "ecs:StopTask"], [tasks]).when(in_cluster.clone()),
        Statement::allow_any(
            &["ecs:ListTasks"],
            "ecs:ListTasks knows container instances only; the condition keeps it to the cluster (Service Authorization Reference)",
        )
        .when(in_cluster),
        pass_to_tasks(passed),
        Statement::allow(&["s3:GetObject", "s3:PutObject"], [objects(site, job)]),
        Statement::allow(&["s3:ListBucket"], [site.bucket_arn.clone()])
            .when(json!({ "StringLike": { "s3:prefix": [format!("{}/{}/*", site.name, job.name)] } })),
        Statement::allow_any(
            &["servicequotas:GetServiceQuota"],
            "the quota of Fargate is an account's, and knows no resources (Service Authorization Reference)",
        ),
    ];
    add_role(site, job, "DispatcherRole", "ecs-tasks.amazonaws.com", statements)
}

/// A job's own in the bucket.
fn objects(site: &Site<'_>, job: &Job) -> Json {
    json!({ "Fn::Join": ["", [site.bucket_arn, format!("/{}/{}/*", site.name, job.name)]] })
}

pub(super) fn add_role(
    site: &mut Site<'_>,
    job: &Job,
    kind: &str,
    service: &'static str,
    statements: Vec<Statement>,
) -> LogicalId {
    let role = Role {
        service,
        statements,
        boundary: site.aws.permissions_boundary.clone(),
    };
    let resource = role.resource(&origin(job), &site.tags);
    site.stack.add(id(job, kind), resource)
}

fn log_configuration(logs: &LogicalId, prefix: &str) -> Json {
    json!({
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": logs.reference(),
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

/// What the worker has to know of a job, as JSON. Values of secrets are never part of it.
pub(super) fn description(job: &Job) -> String {
    super::document::write(job)
}
