//! Machines for jobs that Fargate has none for: GPUs, or more cores and memory than its largest size. ECS starts an instance when a task wants
//! one and ends it when none is left on it, so that nothing is paid for in between
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ManagedInstances.html>).

use serde_json::{Value as Json, json};

use super::iam::{Role, Statement};
use super::template::{LogicalId, Resource, sub};
use super::{Site, id, ladder, origin};
use crate::project::Job;

/// Seconds after which an instance that does nothing is ended.
const IDLE_S: u32 = 60;
/// What the system of an instance takes of its memory.
const SYSTEM_MIB: u64 = 1024;
const DISK_GIB: u64 = 80;

/// The job's capacity provider.
pub(super) fn capacity(site: &mut Site<'_>, job: &Job) -> LogicalId {
    let instance_role = role(
        site,
        job,
        "InstanceRole",
        "ec2.amazonaws.com",
        Vec::new(),
        "AmazonECSInstanceRolePolicyForManagedInstances",
    );
    let profile = json!({ "Roles": [instance_role.reference()] });
    let profile = site.stack.add(
        id(job, "InstanceProfile"),
        Resource::new("AWS::IAM::InstanceProfile", &origin(job), profile),
    );
    // AWS's own policy hands over roles of one name only, and this one's is made by CloudFormation.
    let pass = Statement::allow(&["iam:PassRole"], [instance_role.arn()])
        .when(json!({ "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } }));
    let infrastructure = role(
        site,
        job,
        "InfrastructureRole",
        "ecs.amazonaws.com",
        vec![pass],
        "AmazonECSInfrastructureRolePolicyForManagedInstances",
    );
    let properties = json!({
        "ClusterName": site.cluster.reference(),
        "ManagedInstancesProvider": {
            "InfrastructureRoleArn": infrastructure.arn(),
            "InfrastructureOptimization": { "ScaleInAfter": IDLE_S },
            "PropagateTags": "CAPACITY_PROVIDER",
            "InstanceLaunchTemplate": {
                "Ec2InstanceProfileArn": profile.arn(),
                "CapacityOptionType": if site.aws.spot { "SPOT" } else { "ON_DEMAND" },
                "InstanceRequirements": requirements(job),
                "Monitoring": "BASIC",
                "NetworkConfiguration": { "Subnets": site.network.subnets, "SecurityGroups": site.network.groups },
                "StorageConfiguration": { "StorageSizeGiB": storage_gib(job) },
            },
        },
        "Tags": site.tags,
    });
    let resource = Resource::new("AWS::ECS::CapacityProvider", &origin(job), properties).noted(
        "idle",
        "nothing: an instance lives as long as tasks are on it, and a minute more",
    );
    let provider = site.stack.add(id(job, "Capacity"), resource);
    site.capacity.push(provider.clone());
    provider
}

/// What an instance has to have: all that the largest rung asks for.
fn requirements(job: &Job) -> Json {
    let largest = ladder::ladder(job).into_iter().next_back().unwrap_or(job.resources);
    let memory_mib = super::fargate::needed_mib(&largest) + SYSTEM_MIB;
    let mut requirements = json!({
        "VCpuCount": { "Min": largest.cpu_milli.div_ceil(1000).max(1) },
        "MemoryMiB": { "Min": memory_mib },
        "InstanceGenerations": ["current"],
        "BareMetal": "excluded",
    });
    if largest.gpus > 0 {
        requirements["AcceleratorTypes"] = json!(["gpu"]);
        requirements["AcceleratorManufacturers"] = json!(["nvidia"]);
        requirements["AcceleratorCount"] = json!({ "Min": largest.gpus });
    }
    requirements
}

fn storage_gib(job: &Job) -> u64 {
    let asked = job.cloud.disk.map_or(0, |bytes| bytes.div_ceil(1 << 30));
    DISK_GIB.max(asked + DISK_GIB / 2)
}

fn role(
    site: &mut Site<'_>,
    job: &Job,
    kind: &str,
    service: &'static str,
    statements: Vec<Statement>,
    managed: &str,
) -> LogicalId {
    let role = Role {
        service,
        statements,
        policies: vec![sub(&format!("arn:${{AWS::Partition}}:iam::aws:policy/{managed}"))],
        boundary: site.aws.permissions_boundary.clone(),
    };
    let resource = role.resource(&origin(job), &site.tags);
    site.stack.add(id(job, kind), resource)
}
