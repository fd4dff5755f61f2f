//! What a stack costs while nothing runs; what a run costs is `cost.rs`.

use serde_json::Value as Json;

use super::cost::{Bill, DISK_GIB, Worker};
use super::fargate::Size;
use super::prices::{Item, Region};
use crate::project::aws::Architecture;

/// As AWS counts it.
const HOURS_OF_A_MONTH: f64 = 730.0;
/// Receives of a pipe that finds nothing, in millions.
const PIPE_MILLIONS: f64 = 5.0 / 20.0 * 3600.0 * HOURS_OF_A_MONTH / 1e6;

/// What a template costs in a month in which nothing runs. Of another's template, too: what costs by the hour is looked for in all of them.
pub fn idle(template: &Json, prices: &Region<'_>) -> Bill {
    let mut bill = Bill::default();
    let resources: Vec<&Json> = template["Resources"]
        .as_object()
        .into_iter()
        .flat_map(|resources| resources.values())
        .collect();
    let count = |kind: &str| resources.iter().filter(|of| of["Type"] == kind).count() as f64;
    let mut hourly = |what: &str, number: f64, item: Item, factor: f64| {
        if number > 0.0 {
            bill.add(
                format!("{number} {what}{}", if number == 1.0 { "" } else { "s" }),
                prices.usd(item).map(|usd| usd * number * factor),
            );
        }
    };
    hourly(
        "NAT gateway",
        count("AWS::EC2::NatGateway"),
        Item::NatGatewayHour,
        HOURS_OF_A_MONTH,
    );
    // An address of a NAT gateway is a public address like any other.
    hourly(
        "public address",
        count("AWS::EC2::EIP"),
        Item::PublicIpv4Hour,
        HOURS_OF_A_MONTH,
    );
    let zones: usize = resources
        .iter()
        .filter(|of| of["Type"] == "AWS::EC2::VPCEndpoint" && of["Properties"]["VpcEndpointType"] == "Interface")
        .map(|of| of["Properties"]["SubnetIds"].as_array().map_or(1, Vec::len))
        .sum();
    hourly("endpoint", zones as f64, Item::EndpointHour, HOURS_OF_A_MONTH);
    // An alarm is paid for by its metrics.
    let metrics = |alarm: &&Json| {
        let metrics = alarm["Properties"]["Metrics"].as_array().into_iter().flatten();
        metrics.filter(|metric| metric["MetricStat"].is_object()).count()
    };
    let alarms = || {
        resources
            .iter()
            .copied()
            .filter(|of| of["Type"] == "AWS::CloudWatch::Alarm")
    };
    let plain = alarms().filter(|alarm| metrics(alarm) == 0).count();
    let scaling: usize = alarms().map(|alarm| metrics(&alarm)).sum();
    hourly("alarm", plain as f64, Item::AlarmMonth, 1.0);
    hourly("scaling metric", scaling as f64, Item::AlarmMonth, 1.0);
    // A pipe listens with five receives of twenty seconds each, all the time.
    hourly(
        "listening pipe",
        count("AWS::Pipes::Pipe"),
        Item::SqsMillion,
        PIPE_MILLIONS,
    );
    services(&mut bill, template, &resources, prices);
    // Nothing of what is free is listed; what grows with use is said by name.
    for (kind, what) in [
        ("AWS::Logs::LogGroup", Item::LogGbMonth),
        ("AWS::S3::Bucket", Item::S3GbMonth),
        ("AWS::ECR::Repository", Item::ImageGbMonth),
    ] {
        if count(kind) > 0.0
            && let Some(price) = prices.usd(what)
        {
            bill.add(format!("{}: {price} for what is kept", what.text()), Some(0.0));
        }
    }
    bill
}

/// Tasks that a service keeps running.
fn services(bill: &mut Bill, template: &Json, resources: &[&Json], prices: &Region<'_>) {
    for service in resources.iter().filter(|of| of["Type"] == "AWS::ECS::Service") {
        // Without a word CloudFormation starts one (aws-cloudformation-user-guide, issue 866).
        let tasks = service["Properties"]["DesiredCount"].as_f64().unwrap_or(1.0);
        // What is scaled goes down to its least.
        let tasks = least(template, resources, service).map_or(tasks, |least| tasks.min(least));
        if tasks == 0.0 {
            continue;
        }
        let definition = service["Properties"]["TaskDefinition"]["Ref"]
            .as_str()
            .unwrap_or_default();
        let definition = &template["Resources"][definition]["Properties"];
        let number = |key: &str| definition[key].as_str().and_then(|text| text.parse().ok());
        let hourly = number("Cpu").zip(number("Memory")).and_then(|(cpu, memory_mib)| {
            let worker = Worker {
                size: Size { cpu, memory_mib },
                architecture: match definition["RuntimePlatform"]["CpuArchitecture"].as_str() {
                    Some("ARM64") => Architecture::Arm64,
                    _ => Architecture::X86_64,
                },
                is_spot: false,
                has_public_ip: service["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"]
                    == "ENABLED",
                disk_gib: DISK_GIB,
            };
            worker.hourly(prices)
        });
        bill.add(
            format!("{tasks} task{} of a service", if tasks == 1.0 { "" } else { "s" }),
            hourly.map(|usd| usd * tasks * HOURS_OF_A_MONTH),
        );
    }
}

/// How many tasks scaling leaves to a service: that of the target whose name is made from the service's.
fn least(template: &Json, resources: &[&Json], service: &Json) -> Option<f64> {
    let all = template["Resources"].as_object()?;
    let (id, _) = all.iter().find(|(_, of)| *of == service)?;
    let named = format!("[\"{id}\",\"Name\"]");
    let target = resources.iter().find(|of| {
        of["Type"] == "AWS::ApplicationAutoScaling::ScalableTarget"
            && of["Properties"]["ResourceId"].to_string().contains(&named)
    })?;
    target["Properties"]["MinCapacity"].as_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::prices::Prices;
    use super::*;

    fn cents(usd: f64) -> i64 {
        (usd * 100.0).round() as i64
    }

    /// The pattern of CDK: two NAT gateways and a task, $75 a month for nothing.
    #[test]
    fn a_month_of_nothing_is_what_is_always_on() {
        let prices = Prices::embedded();
        let prices = prices.region("us-east-1").expect("known");
        let cdk = json!({ "Resources": {
            "A": { "Type": "AWS::EC2::NatGateway" },
            "B": { "Type": "AWS::EC2::NatGateway" },
            "S": { "Type": "AWS::ECS::Service", "Properties": { "TaskDefinition": { "Ref": "T" } } },
            "T": { "Type": "AWS::ECS::TaskDefinition", "Properties": { "Cpu": "256", "Memory": "512" } },
            "L": { "Type": "AWS::CloudWatch::Alarm" },
            "M": { "Type": "AWS::CloudWatch::Alarm" },
            "Q": { "Type": "AWS::SQS::Queue" },
        }});
        let bill = idle(&cdk, &prices);
        let texts: Vec<String> = bill
            .lines
            .iter()
            .map(|line| format!("{}: {:.2}", line.what, line.usd.unwrap_or(-1.0)))
            .collect();
        assert_eq!(
            texts,
            ["2 NAT gateways: 65.70", "2 alarms: 0.20", "1 task of a service: 9.01"]
        );
    }

    /// What a project may ask for beyond what is free, to the cent.
    #[test]
    fn a_service_that_goes_to_nothing_costs_its_alarms() {
        let prices = Prices::embedded();
        let prices = prices.region("us-east-1").expect("known");
        let usd = |more: &str| {
            let source = format!("[project]\nname = \"p\"\n[job.j]\ncommand = [\"x\"]\n{more}\n");
            let project = crate::project::load(&source).0.expect("a project");
            let stack = crate::cloud::compile(&project, None).unwrap_or_else(|findings| panic!("{findings:?}"));
            let bill = idle(&stack.template(), &prices);
            cents(bill.lines.iter().filter_map(|line| line.usd).sum())
        };
        assert_eq!(usd(""), 0);
        assert_eq!(usd("service = true"), 40);
        assert_eq!(usd("doorbell = \"alarm\""), 10);
        assert_eq!(usd("doorbell = \"pipe\""), 26);
        assert_eq!(usd("[aws]\nendpoints = true"), 6 * 2 * 730);
    }
}
