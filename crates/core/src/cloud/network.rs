//! Where tasks are: a VPC that exists, or two public subnets of one that costs nothing. No NAT gateway: tasks reach out by addresses of their
//! own, and nothing reaches in. By option they reach AWS by endpoints and nothing else; those are paid for by the hour.

use serde_json::{Value as Json, json};

use super::ladder::{self, Host};
use super::template::{LogicalId, Resource, Stack, sub};
use crate::project::Project;
use crate::project::aws::Aws;

/// Of the VPC that is made, and of its two subnets.
const RANGE: &str = "10.64.0.0/16";
const SUBNETS: [&str; 2] = ["10.64.0.0/18", "10.64.64.0/18"];
const ORIGIN: &str = "aws";
const HTTPS: u16 = 443;
/// Dollars of one endpoint in one zone for an hour (us-east-1, 2026), and hours of a month.
const ENDPOINT_USD: f64 = 0.01;
const HOURS: f64 = 730.0;

/// Where tasks are started.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) subnets: Vec<Json>,
    pub(super) groups: Vec<Json>,
    pub(super) has_public_ip: bool,
}

pub(super) fn place(stack: &mut Stack, project: &Project, aws: &Aws, tags: &Json) -> Place {
    // By name of the stack, which says whose it is wherever it is embedded.
    let (vpc, subnets, mut groups, has_public_ip) = match &aws.network {
        Some(network) => {
            let groups: Vec<Json> = network.security_groups.iter().map(|group| json!(group)).collect();
            let subnets = network.subnets.iter().map(|subnet| json!(subnet)).collect();
            (json!(network.vpc), subnets, groups, network.public_ip)
        }
        None => {
            let dns = json!({ "CidrBlock": RANGE, "EnableDnsSupport": true, "EnableDnsHostnames": true, "Tags": tags });
            let vpc = add(stack, "Vpc", "AWS::EC2::VPC", dns);
            let subnets = subnets(stack, project, aws, &vpc, tags);
            (vpc.reference(), subnets, Vec::new(), !aws.endpoints)
        }
    };
    if groups.is_empty() {
        groups.push(group(stack, &vpc, tags));
    }
    if aws.endpoints {
        endpoints(stack, project, &vpc, &subnets, &groups, tags);
    }
    Place {
        subnets,
        groups,
        has_public_ip,
    }
}

/// Two, in two zones, with a way out; and one to the bucket that costs nothing.
fn subnets(stack: &mut Stack, project: &Project, aws: &Aws, vpc: &LogicalId, tags: &Json) -> Vec<Json> {
    let table = add(
        stack,
        "Routes",
        "AWS::EC2::RouteTable",
        json!({ "VpcId": vpc.reference(), "Tags": tags }),
    );
    if !aws.endpoints {
        way_out(stack, vpc, &table, tags);
    }
    add(
        stack,
        "BucketEndpoint",
        "AWS::EC2::VPCEndpoint",
        json!({
            "VpcId": vpc.reference(),
            "VpcEndpointType": "Gateway",
            "ServiceName": sub("com.amazonaws.${AWS::Region}.s3"),
            "RouteTableIds": [table.reference()],
            "Tags": tags,
        }),
    );
    // Instances have an address of their subnet's giving; tasks of Fargate ask for theirs.
    let has_instances = project
        .jobs
        .values()
        .any(|job| ladder::host(job) == Some(Host::Instances));
    let mut subnets = Vec::new();
    for (number, range) in SUBNETS.into_iter().enumerate() {
        let properties = json!({
            "VpcId": vpc.reference(),
            "CidrBlock": range,
            "AvailabilityZone": { "Fn::Select": [number, { "Fn::GetAZs": "" }] },
            "MapPublicIpOnLaunch": has_instances && !aws.endpoints,
            "Tags": tags,
        });
        let subnet = add(stack, &format!("Subnet{}", number + 1), "AWS::EC2::Subnet", properties);
        add(
            stack,
            &format!("Subnet{}Routes", number + 1),
            "AWS::EC2::SubnetRouteTableAssociation",
            json!({ "SubnetId": subnet.reference(), "RouteTableId": table.reference() }),
        );
        subnets.push(subnet.reference());
    }
    subnets
}

fn way_out(stack: &mut Stack, vpc: &LogicalId, table: &LogicalId, tags: &Json) {
    let gateway = add(stack, "Gateway", "AWS::EC2::InternetGateway", json!({ "Tags": tags }));
    let attached = add(
        stack,
        "GatewayAttachment",
        "AWS::EC2::VPCGatewayAttachment",
        json!({ "VpcId": vpc.reference(), "InternetGatewayId": gateway.reference() }),
    );
    let out = json!({
        "RouteTableId": table.reference(),
        "DestinationCidrBlock": "0.0.0.0/0",
        "GatewayId": gateway.reference(),
    });
    let route = Resource::new("AWS::EC2::Route", ORIGIN, out).after(&attached);
    stack.add(LogicalId::of("", "RouteOut"), route);
}

/// It lets nothing in.
fn group(stack: &mut Stack, vpc: &Json, tags: &Json) -> Json {
    let properties = json!({
        "GroupDescription": sub("Tasks of ${AWS::StackName}: nothing comes in"),
        "VpcId": vpc,
        "SecurityGroupEgress": [{ "IpProtocol": "-1", "CidrIp": "0.0.0.0/0", "Description": "to images, queues and the bucket" }],
        "Tags": tags,
    });
    add(stack, "SecurityGroup", "AWS::EC2::SecurityGroup", properties).get("GroupId")
}

/// Of the services that tasks ask.
pub(super) fn endpoint_services(project: &Project) -> Vec<&'static str> {
    let mut services = vec!["ecr.api", "ecr.dkr", "ecs", "logs", "servicequotas", "sqs"];
    let jobs = || project.jobs.values();
    if jobs().any(|job| !job.secrets.is_empty()) {
        services.extend(["secretsmanager", "ssm"]);
    }
    if jobs().any(|job| !job.cloud.alarms.is_empty()) {
        services.push("events");
    }
    if jobs().any(|job| ladder::host(job) == Some(Host::Instances)) {
        services.extend(["ecs-agent", "ecs-telemetry"]);
    }
    services.sort_unstable();
    services
}

/// What the endpoints cost in a month while nothing runs.
pub(super) fn endpoints_usd(project: &Project, subnets: usize) -> f64 {
    endpoint_services(project).len() as f64 * subnets as f64 * ENDPOINT_USD * HOURS
}

/// They are asked over TLS by the tasks alone.
fn endpoints(stack: &mut Stack, project: &Project, vpc: &Json, subnets: &[Json], groups: &[Json], tags: &Json) {
    let from_tasks: Vec<Json> = groups
        .iter()
        .map(|group| {
            json!({
                "IpProtocol": "tcp", "FromPort": HTTPS, "ToPort": HTTPS,
                "SourceSecurityGroupId": group, "Description": "from tasks",
            })
        })
        .collect();
    let group = json!({
        "GroupDescription": sub("Endpoints of ${AWS::StackName}"),
        "VpcId": vpc,
        "SecurityGroupIngress": from_tasks,
        "Tags": tags,
    });
    let group = add(stack, "EndpointsGroup", "AWS::EC2::SecurityGroup", group).get("GroupId");
    for service in endpoint_services(project) {
        let usd = subnets.len() as f64 * ENDPOINT_USD * HOURS;
        let properties = json!({
            "VpcId": vpc,
            "VpcEndpointType": "Interface",
            "ServiceName": sub(&format!("com.amazonaws.${{AWS::Region}}.{service}")),
            "SubnetIds": subnets,
            "SecurityGroupIds": [group],
            "PrivateDnsEnabled": true,
            "Tags": tags,
        });
        let endpoint = Resource::new("AWS::EC2::VPCEndpoint", ORIGIN, properties).noted(
            "idle",
            format!("{usd:.2} USD a month: paid for by the hour, in each zone"),
        );
        stack.add(LogicalId::of(service, "Endpoint"), endpoint);
    }
}

fn add(stack: &mut Stack, id: &str, kind: &'static str, properties: Json) -> LogicalId {
    stack.add(LogicalId::of("", id), Resource::new(kind, ORIGIN, properties))
}

impl Place {
    /// As `RunTask` takes it.
    pub(super) fn configuration(&self) -> Json {
        json!({
            "AwsvpcConfiguration": {
                "Subnets": self.subnets,
                "SecurityGroups": self.groups,
                "AssignPublicIp": if self.has_public_ip { "ENABLED" } else { "DISABLED" },
            },
        })
    }
}
