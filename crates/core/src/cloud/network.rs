//! Where tasks are: a VPC that exists, or two public subnets of one that costs nothing. No NAT gateway: tasks reach out by addresses of their
//! own, and nothing reaches in.

use serde_json::{Value as Json, json};

use super::template::{LogicalId, Resource, Stack, sub};
use crate::project::aws::Aws;

/// Of the VPC that is made, and of its two subnets.
const RANGE: &str = "10.64.0.0/16";
const SUBNETS: [&str; 2] = ["10.64.0.0/18", "10.64.64.0/18"];
const ORIGIN: &str = "aws";

/// Where tasks are started.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) subnets: Vec<Json>,
    pub(super) groups: Vec<Json>,
    pub(super) has_public_ip: bool,
}

pub(super) fn place(stack: &mut Stack, aws: &Aws, tags: &Json, name: &str) -> Place {
    match &aws.network {
        Some(network) => {
            let groups = match network.security_groups.is_empty() {
                true => vec![group(stack, json!(network.vpc), tags, name)],
                false => network.security_groups.iter().map(|group| json!(group)).collect(),
            };
            Place {
                subnets: network.subnets.iter().map(|subnet| json!(subnet)).collect(),
                groups,
                has_public_ip: network.public_ip,
            }
        }
        None => {
            let vpc = add(
                stack,
                "Vpc",
                "AWS::EC2::VPC",
                json!({ "CidrBlock": RANGE, "EnableDnsSupport": true, "EnableDnsHostnames": true, "Tags": tags }),
            );
            Place {
                subnets: subnets(stack, &vpc, tags),
                groups: vec![group(stack, vpc.reference(), tags, name)],
                has_public_ip: true,
            }
        }
    }
}

/// Two, in two zones, with a way out; and one to the bucket that costs nothing.
fn subnets(stack: &mut Stack, vpc: &LogicalId, tags: &Json) -> Vec<Json> {
    let gateway = add(stack, "Gateway", "AWS::EC2::InternetGateway", json!({ "Tags": tags }));
    let attached = add(
        stack,
        "GatewayAttachment",
        "AWS::EC2::VPCGatewayAttachment",
        json!({ "VpcId": vpc.reference(), "InternetGatewayId": gateway.reference() }),
    );
    let table = add(
        stack,
        "Routes",
        "AWS::EC2::RouteTable",
        json!({ "VpcId": vpc.reference(), "Tags": tags }),
    );
    let out = json!({
        "RouteTableId": table.reference(),
        "DestinationCidrBlock": "0.0.0.0/0",
        "GatewayId": gateway.reference(),
    });
    let route = Resource::new("AWS::EC2::Route", ORIGIN, out).after(&attached);
    stack.add(LogicalId::of("", "RouteOut"), route);
    add(
        stack,
        "BucketEndpoint",
        "AWS::EC2::VPCEndpoint",
        json!({
            "VpcId": vpc.reference(),
            "VpcEndpointType": "Gateway",
            "ServiceName": sub("com.amazonaws.${AWS::Region}.s3"),
            "RouteTableIds": [table.reference()],
        }),
    );
    let mut subnets = Vec::new();
    for (number, range) in SUBNETS.into_iter().enumerate() {
        let properties = json!({
            "VpcId": vpc.reference(),
            "CidrBlock": range,
            "AvailabilityZone": { "Fn::Select": [number, { "Fn::GetAZs": "" }] },
            "MapPublicIpOnLaunch": false,
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

/// It lets nothing in.
fn group(stack: &mut Stack, vpc: Json, tags: &Json, name: &str) -> Json {
    let properties = json!({
        "GroupDescription": format!("Tasks of {name}: nothing comes in"),
        "VpcId": vpc,
        "SecurityGroupEgress": [{ "IpProtocol": "-1", "CidrIp": "0.0.0.0/0", "Description": "to images, queues and the bucket" }],
        "Tags": tags,
    });
    add(stack, "SecurityGroup", "AWS::EC2::SecurityGroup", properties).get("GroupId")
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
