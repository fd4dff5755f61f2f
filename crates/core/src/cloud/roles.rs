//! Who of a job may do what: exactly the calls and the keys of `docs/decisions/008-run-on-aws.md`.

use serde_json::{Value as Json, json};

use super::iam::{Role, Statement, pass_to_tasks};
use super::queues::Queues;
use super::template::{LogicalId, sub};
use super::{Site, id, origin, variables};
use crate::project::{Job, Secret};

/// What a worker writes of a run.
const WRITTEN_BY_WORKERS: [&str; 7] = [
    "runs/*/tasks/*",
    "runs/*/results/*",
    "runs/*/outputs/*",
    "runs/*/logs/*",
    "runs/*/begins/*",
    "runs/*/ends/*",
    "runs/*/arrivals/*",
];
/// What a dispatcher writes.
const WRITTEN_BY_DISPATCHERS: [&str; 10] = [
    "numbers/*",
    "starts/*",
    "outcomes/*",
    "runs/*/run.json",
    "runs/*/messages.jsonl",
    "runs/*/progress.json",
    // What nobody will work on any more is abandoned by its claim, as a worker ends it.
    "runs/*/tasks/*",
    "runs/*/ends/*",
    "runs/*/tasks.jsonl",
    "runs/*/outcome.json",
];
const READ_BY_DISPATCHERS: [&str; 4] = ["numbers/*", "starts/*", "runs/*", "params/*"];

/// Pulls images, writes logs, reads secrets: before anything of the user's runs.
pub(super) fn execution_role(site: &mut Site<'_>, job: &Job, logs: &LogicalId) -> LogicalId {
    let mut repositories = vec![site.storage.repository.arn()];
    repositories.extend(job.container().and_then(|container| match &container.image {
        crate::project::ImageSource::Named(name) => foreign_repository(name),
        crate::project::ImageSource::Built(_) => None,
    }));
    let mut statements = vec![
        Statement::allow(&["logs:CreateLogStream", "logs:PutLogEvents"], [logs.arn()]),
        Statement::allow(
            &[
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ],
            repositories,
        ),
        Statement::allow_any(
            &["ecr:GetAuthorizationToken"],
            "ecr:GetAuthorizationToken knows no resources (Service Authorization Reference)",
        ),
    ];
    let named = |service: &str| -> Vec<Json> {
        let of = |secret: &Secret| site.aws.secrets.get(&secret.name);
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

/// The ARN of a repository of ECR that an image is named by: `123456789012.dkr.ecr.eu-west-1.amazonaws.com/train:7`.
fn foreign_repository(image: &str) -> Option<Json> {
    let (host, rest) = image.split_once('/')?;
    let mut parts = host.split('.');
    let (account, dkr, ecr, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_ecr = dkr == "dkr" && ecr == "ecr" && account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
    let name = rest.split(['@', ':']).next()?;
    is_ecr.then(|| {
        sub(&format!(
            "arn:${{AWS::Partition}}:ecr:{region}:{account}:repository/{name}"
        ))
    })
}

/// Receives, works, writes what came of it; nothing else but what the user's own policies let its program do.
pub(super) fn worker_role(site: &mut Site<'_>, job: &Job, queues: &Queues) -> LogicalId {
    let receive = [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
    ];
    let larger = queues.rungs.iter().skip(1).map(LogicalId::arn);
    let mut statements = vec![
        Statement::allow(&receive, queues.arns()),
        Statement::allow(&["sqs:SendMessage"], [queues.dead.arn()].into_iter().chain(larger)),
        Statement::allow(&["s3:GetObject"], site.objects(&["runs/*"])),
        Statement::allow(&["s3:PutObject"], site.objects(&WRITTEN_BY_WORKERS)),
        Statement::allow(
            &["s3:AbortMultipartUpload"],
            site.objects(&["runs/*/outputs/*", "runs/*/logs/*"]),
        ),
        list(site, &["runs/*"]),
    ];
    if job.cloud.service {
        // Nobody opens its run but its workers.
        let opens = ["numbers/*", "runs/*/run.json"];
        statements.push(Statement::allow(&["s3:GetObject"], site.objects(&["numbers/*"])));
        statements.push(Statement::allow(&["s3:PutObject"], site.objects(&opens)));
        statements.push(list(site, &["numbers/*"]));
        statements.push(Statement::allow(
            &["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"],
            [running(site)],
        ));
    }
    let role = Role {
        service: "ecs-tasks.amazonaws.com",
        statements,
        policies: job.cloud.policies.iter().map(|arn| json!(arn)).collect(),
        boundary: site.aws.permissions_boundary.clone(),
    };
    let resource = role.resource(&origin(job), &site.tags);
    site.stack.add(id(job, "WorkerRole"), resource)
}

/// Opens the run, sends its messages, starts workers and looks after them.
pub(super) fn dispatcher_role(
    site: &mut Site<'_>,
    job: &Job,
    queues: &Queues,
    definitions: &[LogicalId],
    passed: &[&LogicalId],
) -> LogicalId {
    let in_cluster = in_cluster(site);
    let tasks = running(site);
    let mut statements = vec![
        Statement::allow(&["sqs:SendMessage", "sqs:GetQueueAttributes"], queues.arns()),
        Statement::allow(&["ecs:RunTask"], definitions.iter().map(LogicalId::reference)).when(in_cluster.clone()),
        tag_started(site),
        Statement::allow(&["ecs:DescribeTasks", "ecs:StopTask"], [tasks]).when(in_cluster.clone()),
        Statement::allow_any(
            &["ecs:ListTasks"],
            "ecs:ListTasks knows container instances only; the condition keeps it to the cluster (Service Authorization Reference)",
        )
        .when(in_cluster),
        pass_to_tasks(passed),
        Statement::allow(&["s3:GetObject"], site.objects(&READ_BY_DISPATCHERS)),
        Statement::allow(&["s3:PutObject"], site.objects(&WRITTEN_BY_DISPATCHERS)),
        list(site, &["numbers/*", "starts/*", "runs/*"]),
        Statement::allow_any(
            &["servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota"],
            "the quota of Fargate is an account's, and knows no resources (Service Authorization Reference)",
        ),
    ];
    if !job.cloud.alarms.is_empty() {
        let bus = sub("arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default");
        let only_ours = json!({ "StringEquals": { "events:source": variables::EVENT_SOURCE } });
        statements.push(Statement::allow(&["events:PutEvents"], [bus]).when(only_ours));
    }
    add_role(site, job, "DispatcherRole", "ecs-tasks.amazonaws.com", statements)
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
        policies: Vec::new(),
        boundary: site.aws.permissions_boundary.clone(),
    };
    let resource = role.resource(&origin(job), &site.tags);
    site.stack.add(id(job, kind), resource)
}

/// The names below some prefixes. Without this right S3 answers "forbidden" where an object is not there; and who asks for an object names no
/// prefix, hence `IfExists`.
pub(super) fn list(site: &Site<'_>, prefixes: &[&str]) -> Statement {
    let prefixes: Vec<Json> = prefixes.iter().map(|prefix| site.key(prefix)).collect();
    Statement::allow(&["s3:ListBucket"], [site.storage.bucket_arn.clone()])
        .when(json!({ "StringLikeIfExists": { "s3:prefix": prefixes } }))
}

pub(super) fn in_cluster(site: &Site<'_>) -> Json {
    json!({ "ArnEquals": { "ecs:cluster": site.cluster.arn() } })
}

/// Tasks of the cluster.
pub(super) fn running(site: &Site<'_>) -> Json {
    sub(&format!(
        "arn:${{AWS::Partition}}:ecs:${{AWS::Region}}:${{AWS::AccountId}}:task/${{{}}}/*",
        site.cluster.as_str()
    ))
}

/// Tasks have the tags of their definitions, so that what they cost is found.
pub(super) fn tag_started(site: &Site<'_>) -> Statement {
    Statement::allow(&["ecs:TagResource"], [running(site)])
        .when(json!({ "StringEquals": { "ecs:CreateAction": "RunTask" } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_other_repositories_are_pulled_from_there_alone() {
        let of = |image| foreign_repository(image).map(|arn| arn["Fn::Sub"].clone());
        assert_eq!(
            of("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/train:7"),
            Some(json!(
                "arn:${AWS::Partition}:ecr:eu-west-1:123456789012:repository/team/train"
            ))
        );
        assert_eq!((of("registry.example.com/train:7"), of("busybox")), (None, None));
    }
}
