//! What runs of a job: workers of every rung, the dispatcher that starts them, their roles and their logs.

use serde_json::{Value as Json, json};

use super::definitions::{self, Level, Parts};
use super::instances;
use super::ladder::{self, Host};
use super::queues::{Queues, grown};
use super::roles;
use super::template::{LogicalId, Resource, sub};
use super::{Site, id, image, origin, variables};
use crate::project::aws::Doorbell;
use crate::project::{Job, Mode};

/// A job's definitions and roles.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    /// The smallest rung's first.
    pub(super) workers: Vec<LogicalId>,
    pub(super) worker_role: LogicalId,
    pub(super) execution_role: LogicalId,
    /// What starts them; a service has none.
    pub(super) dispatcher: Option<Dispatcher>,
}

#[derive(Clone, Debug)]
pub(super) struct Dispatcher {
    pub(super) definition: LogicalId,
    pub(super) role: LogicalId,
}

/// An alarm's metric is of the last minute, and it is looked at once a minute: after this it has seen that nothing waits.
const LINGER_S: u32 = 180;

pub(super) fn tasks(site: &mut Site<'_>, job: &Job, queues: &Queues) -> Tasks {
    let log_group = json!({
        "LogGroupName": sub(&format!("/kingtide/${{AWS::StackName}}/{}", job.name)),
        "RetentionInDays": site.aws.log_retention.as_secs() / (24 * 3600),
        "Tags": site.tags,
    });
    let log_group = Resource::new("AWS::Logs::LogGroup", &origin(job), log_group)
        .noted("idle", "0.03 USD a month for each GB of logs that are kept");
    let logs = site.stack.add(id(job, "Logs"), log_group);
    image::parameters(site, job);
    let execution_role = roles::execution_role(site, job, &logs);
    let worker_role = roles::worker_role(site, job, queues);
    let host = ladder::host(job).expect("`limits.rs` has looked at it");
    let capacity = match host {
        Host::Fargate => None,
        Host::Instances => Some(instances::capacity(site, job)),
    };
    let mut workers = Vec::new();
    let mut rungs = Vec::new();
    for (number, resources) in ladder::ladder(job).into_iter().enumerate() {
        let queue = &queues.rungs[number];
        let level = Level {
            queue,
            next: queues.rungs.get(number + 1),
            dead: &queues.dead,
            resources,
            size: ladder::size(&resources, host),
            host,
        };
        let parts = Parts {
            logs: &logs,
            role: &worker_role,
            execution_role: &execution_role,
        };
        let definition = match job.mode {
            Mode::Task => definitions::worker(site, job, &level, &parts),
            Mode::Consumer => definitions::consumer(site, job, &level, &parts),
        };
        let definition = site.stack.add(id(job, &grown("Worker", number)), definition);
        rungs.push(rung(job, &definition, &level, capacity.as_ref()));
        workers.push(definition);
    }
    let mut tasks = Tasks {
        workers,
        worker_role,
        execution_role,
        dispatcher: None,
    };
    if !job.cloud.service {
        tasks.dispatcher = Some(dispatcher(site, job, queues, &tasks, &logs, &rungs));
    }
    tasks
}

fn dispatcher(
    site: &mut Site<'_>,
    job: &Job,
    queues: &Queues,
    tasks: &Tasks,
    logs: &LogicalId,
    rungs: &[String],
) -> Dispatcher {
    let passed = [&tasks.worker_role, &tasks.execution_role];
    let role = roles::dispatcher_role(site, job, queues, &tasks.workers, &passed);
    let params = image::params_parameter(site, job);
    let list = |values: &[Json]| json!({ "Fn::Join": [",", values] });
    let mut told = vec![
        (variables::ROLE, json!(variables::ROLE_DISPATCHER)),
        (variables::STACK, site.stack_name()),
        (variables::BUCKET, site.storage.bucket.clone()),
        (variables::JOB, json!(super::document::write(job))),
        (variables::QUEUE_URL, queues.first().reference()),
        (variables::DEAD_LETTERS_URL, queues.dead.reference()),
        (variables::CLUSTER, site.cluster.arn()),
        (variables::RUNGS, sub(&format!("[{}]", rungs.join(",")))),
        (variables::SUBNETS, list(&site.network.subnets)),
        (variables::SECURITY_GROUPS, list(&site.network.groups)),
        (variables::PUBLIC_IP, json!(site.network.has_public_ip.to_string())),
        (variables::SPOT, json!(site.aws.spot.to_string())),
        (variables::PARAMS, params),
    ];
    if let Some(most) = [job.max_workers, site.aws.max_workers].into_iter().flatten().min() {
        told.push((variables::MAX_WORKERS, json!(most.to_string())));
    }
    if job.cloud.doorbell == Some(Doorbell::Alarm) {
        told.push((variables::LINGER_S, json!(LINGER_S.to_string())));
    }
    if !job.cloud.alarms.is_empty() {
        told.push((variables::WARNS, json!("true")));
    }
    let parts = Parts {
        logs,
        role: &role,
        execution_role: &tasks.execution_role,
    };
    let definition = definitions::dispatcher(site, job, &parts, &told);
    let definition = site.stack.add(id(job, "Dispatcher"), definition);
    Dispatcher { definition, role }
}

/// A rung as the dispatcher reads it (`rung.rs`), with places that CloudFormation fills.
fn rung(job: &Job, definition: &LogicalId, level: &Level<'_>, capacity: Option<&LogicalId>) -> String {
    let place = |id: &LogicalId| format!("${{{}}}", id.as_str());
    let rung = super::rung::Rung {
        definition: place(definition),
        queue_url: place(level.queue),
        cpu: level.size.cpu,
        memory_mib: level.size.memory_mib,
        extra_gib: definitions::extra_gib(job),
        gpus: level.resources.gpus,
        capacity: capacity.map(place),
    };
    rung.json().to_string()
}
