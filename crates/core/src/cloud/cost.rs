//! What a stack costs: for a run, and (`idle.rs`) for a month in which nothing runs. Itemised, without free tiers and tax; what has no price is named
//! beside the sum and is not in it.

pub use super::idle::idle;

use super::fargate::Size;
use super::prices::{Item, Region};
use crate::project::aws::Architecture;

/// A task of Fargate is paid for so long at least (<https://aws.amazon.com/fargate/pricing/>).
pub const LEAST_SECONDS: f64 = 60.0;
/// Disk that is part of the price.
pub(super) const DISK_GIB: f64 = 20.0;
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
    pub(super) fn add(&mut self, what: String, usd: Option<f64>) {
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

#[cfg(test)]
mod tests {
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
}
