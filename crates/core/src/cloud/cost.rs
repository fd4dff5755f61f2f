//! What a stack costs: for a month in which nothing runs, and for a run. Itemised, without free tiers and tax; what has no price is named
//! beside the sum and is not in it.

use serde_json::Value as Json;

use super::fargate::Size;
use super::prices::{Item, Region};
use crate::project::aws::Architecture;

/// As AWS counts it.
const HOURS_OF_A_MONTH: f64 = 730.0;
/// A task of Fargate is paid for so long at least (<https://aws.amazon.com/fargate/pricing/>).
pub const LEAST_SECONDS: f64 = 60.0;
/// Disk that is part of the price.
const DISK_GIB: f64 = 20.0;
/// Of the dispatcher.
pub const DISPATCHER: Size = Size {
    cpu: 256,
    memory_mib: 512,
};
/// It looks so often, and each look is two listings, one writing and one reading (`docs/decisions/008-run-on-aws.md`).
const LOOK_SECONDS: f64 = 15.0;
const WRITES_OF_A_LOOK: f64 = 3.0;
/// Of a task that succeeds at once: claim, begin, result, log, end, and being over; and what is read before.
const WRITES_OF_A_TASK: f64 = 6.0;
const READS_OF_A_TASK: f64 = 2.0;
/// Sent (with nine others), received, deleted, and that its worker lives, each minute.
const REQUESTS_OF_A_MESSAGE: f64 = 2.1;
const BEAT_SECONDS: f64 = 60.0;
/// From its start to its end, an execution's (`machine.rs`).
const TRANSITIONS: f64 = 5.0;

/// One line of a bill.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub what: String,
    /// `None`: there is no price for it.
    pub usd: Option<f64>,
}

/// What something comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bill {
    pub lines: Vec<Line>,
}

/// A task of Fargate, or so many alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worker {
    pub size: Size,
    pub architecture: Architecture,
    pub is_spot: bool,
    pub has_public_ip: bool,
    pub disk_gib: f64,
}

/// What a run used, or will.
#[derive(Clone, Debug, PartialEq)]
pub struct Used {
    pub worker: Worker,
    /// Of each worker, from the pull of its image to its stop.
    pub seconds: Vec<f64>,
    pub dispatcher_seconds: f64,
    pub tasks: u64,
    pub log_bytes: u64,
}

impl Bill {
    fn add(&mut self, what: String, usd: Option<f64>) {
        self.lines.push(Line { what, usd });
    }

    /// Of what has a price.
    pub fn sum(&self) -> f64 {
        self.lines.iter().filter_map(|line| line.usd).sum()
    }

    /// What has none.
    pub fn unpriced(&self) -> impl Iterator<Item = &str> {
        let without = self.lines.iter().filter(|line| line.usd.is_none());
        without.map(|line| line.what.as_str())
    }
}

impl Worker {
    /// For an hour.
    pub fn hourly(&self, prices: &Region<'_>) -> Option<f64> {
        let (vcpu, gb) = match self.architecture {
            Architecture::X86_64 => (Item::VcpuHour, Item::GbHour),
            Architecture::Arm64 => (Item::ArmVcpuHour, Item::ArmGbHour),
        };
        let cores = f64::from(self.size.cpu) / 1024.0;
        let gib = f64::from(self.size.memory_mib) / 1024.0;
        let mut usd = cores * prices.usd(vcpu)? + gib * prices.usd(gb)?;
        if self.is_spot {
            usd *= prices.usd(Item::SpotShare)?;
        }
        if self.disk_gib > DISK_GIB {
            usd += (self.disk_gib - DISK_GIB) * prices.usd(Item::EphemeralGbHour)?;
        }
        if self.has_public_ip {
            usd += prices.usd(Item::PublicIpv4Hour)?;
        }
        Some(usd)
    }

    /// For so many seconds.
    pub fn usd(&self, seconds: f64, prices: &Region<'_>) -> Option<f64> {
        Some(self.hourly(prices)? * seconds.max(LEAST_SECONDS) / 3600.0)
    }
}

/// What a run costs.
pub fn run(used: &Used, prices: &Region<'_>) -> Bill {
    let mut bill = Bill::default();
    let of = |item: Item, quantity: f64| prices.usd(item).map(|usd| usd * quantity);
    let worker = Worker {
        has_public_ip: false,
        ..used.worker
    };
    let paid: f64 = used.seconds.iter().map(|seconds| seconds.max(LEAST_SECONDS)).sum();
    let hours = paid / 3600.0;
    bill.add(
        format!("{} workers, {hours:.1} hours in all", used.seconds.len()),
        worker.hourly(prices).map(|hourly| hourly * hours),
    );
    let dispatcher = Worker {
        size: DISPATCHER,
        is_spot: false,
        disk_gib: DISK_GIB,
        ..worker
    };
    bill.add(
        "the dispatcher".to_owned(),
        dispatcher.usd(used.dispatcher_seconds, prices),
    );
    if used.worker.has_public_ip {
        let hours = hours + used.dispatcher_seconds.max(LEAST_SECONDS) / 3600.0;
        bill.add("public addresses".to_owned(), of(Item::PublicIpv4Hour, hours));
    }
    let (tasks, busy) = (used.tasks as f64, used.seconds.iter().sum::<f64>());
    let requests = tasks * REQUESTS_OF_A_MESSAGE + busy / BEAT_SECONDS;
    bill.add("requests to the queue".to_owned(), of(Item::SqsMillion, requests / 1e6));
    let looks = used.dispatcher_seconds / LOOK_SECONDS;
    let writes = tasks * WRITES_OF_A_TASK + looks * WRITES_OF_A_LOOK;
    let reads = tasks * READS_OF_A_TASK + looks;
    let objects = of(Item::S3PutThousand, writes / 1e3).zip(of(Item::S3GetThousand, reads / 1e3));
    bill.add("requests to the bucket".to_owned(), objects.map(|(put, get)| put + get));
    bill.add(
        "the state machine".to_owned(),
        of(Item::TransitionThousand, TRANSITIONS / 1e3),
    );
    if used.log_bytes > 0 {
        bill.add("logs".to_owned(), of(Item::LogGb, used.log_bytes as f64 / 1e9));
    }
    bill
}

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
    hourly("alarm", count("AWS::CloudWatch::Alarm"), Item::AlarmMonth, 1.0);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::prices::Prices;
    use super::*;

    fn cents(usd: f64) -> i64 {
        (usd * 100.0).round() as i64
    }

    fn used(workers: usize, minutes: f64) -> Used {
        Used {
            worker: Worker {
                size: Size {
                    cpu: 1024,
                    memory_mib: 4096,
                },
                architecture: Architecture::X86_64,
                is_spot: false,
                has_public_ip: true,
                disk_gib: 20.0,
            },
            seconds: vec![minutes * 60.0; workers],
            dispatcher_seconds: minutes * 60.0,
            tasks: workers as u64,
            log_bytes: 0,
        }
    }

    /// The figures of `burst-on-aws`: a hundred of 30 minutes with 1 vCPU and 4 GB are $2.91, their addresses $0.25.
    #[test]
    fn a_burst_costs_what_the_price_pages_say() {
        let prices = Prices::embedded();
        let prices = prices.region("us-east-1").expect("known");
        let bill = run(&used(100, 30.0), &prices);
        let of = |what: &str| {
            let line = bill.lines.iter().find(|line| line.what.contains(what)).expect("a line");
            cents(line.usd.expect("a price"))
        };
        assert_eq!((of("workers"), of("addresses"), of("dispatcher")), (291, 25, 1));
        assert!((316..321).contains(&cents(bill.sum())), "{bill:?}");
        let mut arm = used(100, 30.0);
        arm.worker.architecture = Architecture::Arm64;
        let arm = run(&arm, &prices);
        assert_eq!(cents(arm.lines[0].usd.expect("a price")), 233);
        let mut spot = used(100, 30.0);
        spot.worker.is_spot = true;
        assert_eq!(cents(run(&spot, &prices).lines[0].usd.expect("a price")), 87);
    }

    #[test]
    fn a_minute_is_paid_for_at_least() {
        let prices = Prices::embedded();
        let prices = prices.region("us-east-1").expect("known");
        let worker = used(1, 1.0).worker;
        assert_eq!(worker.usd(1.0, &prices), worker.usd(60.0, &prices));
        assert!(worker.usd(61.0, &prices) > worker.usd(60.0, &prices));
    }

    #[test]
    fn what_has_no_price_is_named_and_not_added() {
        let mut prices = Prices::embedded();
        let price = prices
            .region("us-east-1")
            .and_then(|of| of.price(Item::VcpuHour))
            .cloned();
        prices.lay_over("xx-south-1", Item::VcpuHour, price.expect("known"));
        let bill = run(&used(10, 30.0), &prices.region("xx-south-1").expect("laid"));
        assert_eq!(bill.sum(), 0.0);
        assert!(bill.unpriced().any(|what| what.contains("workers")), "{bill:?}");
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
}
