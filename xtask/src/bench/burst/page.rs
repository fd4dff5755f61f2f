//! The page: a row for each peer and setting, what each assumes and where that is written, and which targets are met.

mod words;

use std::time::Duration;

use super::super::prices::{self, ADDRESS, ALARM, EKS, KEY, METRIC, MONTH, NAT};
use super::super::report::{Bound, Report, Target};
use super::agenda::{HOUR, Moment};
use super::cdk::Use;
use super::fleet::Burst;
use super::money;
use super::queue::Delivery;
use super::{CONFIDENCE, Crew, DEADLINE, PROCESSING, Peer, RECLAIMED, SEED, WEEKS, Week};

use words::{ASSUMPTIONS, IDLE_NOTES, NOTES};

/// Of each task.
const VCPUS: f64 = 1.0;
const GIB: f64 = 2.0;
/// Of a pod with that: Fargate adds 256 MiB for Kubernetes and rounds up
/// (<https://docs.aws.amazon.com/eks/latest/userguide/fargate-pod-configuration.html>).
const POD_GIB: f64 = 3.0;

/// A row: who, under what setting, and what it costs when nothing runs.
struct Row {
    title: String,
    peer: Peer,
    /// A month, what for.
    idle: Vec<(f64, &'static str)>,
    bursts: Vec<Burst>,
}

impl Row {
    fn new(title: &str, peer: Peer, idle: Vec<(f64, &'static str)>, weeks: &[Week]) -> Row {
        eprintln!("{title}");
        Row {
            title: title.to_owned(),
            bursts: peer.all(weeks, DEADLINE),
            peer,
            idle,
        }
    }

    fn chance(&self, within: Duration) -> f64 {
        let met = |burst: &&Burst| burst.done.is_some_and(|done| u128::from(done) <= within.as_millis());
        self.bursts.iter().filter(met).count() as f64 / self.bursts.len() as f64
    }

    /// Hours to done; `None` where that many are never done.
    fn hours(&self, quantile: f64) -> Option<f64> {
        let mut ends: Vec<Moment> = self
            .bursts
            .iter()
            .map(|burst| burst.done.unwrap_or(Moment::MAX))
            .collect();
        ends.sort_unstable();
        let at = (quantile * (ends.len() - 1) as f64).round() as usize;
        (ends[at] < Moment::MAX).then(|| ends[at] as f64 / HOUR as f64)
    }

    fn mean(&self, of: impl Fn(&Burst) -> f64) -> f64 {
        self.bursts.iter().map(of).sum::<f64>() / self.bursts.len() as f64
    }

    fn dollars(&self) -> f64 {
        let (gib, address) = match self.peer {
            Peer::KedaObject { .. } | Peer::KedaJob => (POD_GIB, 0.0),
            // Behind the gateways.
            Peer::Cdk(Use::Defaults | Use::Visibility) => (GIB, 0.0),
            _ => (GIB, ADDRESS),
        };
        self.mean(|burst| {
            let beside = match self.peer {
                Peer::Kingtide { .. } => money::dispatcher(burst.over, 100),
                _ => 0.0,
            };
            beside + money::tasks(prices::task(VCPUS, gib), address, burst.paid, burst.paid_spot)
        })
    }

    fn idle(&self) -> f64 {
        self.idle.iter().fold(0.0, |sum, (dollars, _)| sum + dollars)
    }

    fn cells(&self) -> Vec<String> {
        let hours = |quantile| {
            self.hours(quantile)
                .map_or_else(|| "never".to_owned(), |hours| format!("{hours:.2}"))
        };
        let (run, idle) = (self.dollars(), self.idle());
        vec![
            self.title.clone(),
            format!("{} / {}", hours(0.5), hours(0.95)),
            format!("{:.3}", self.chance(DEADLINE)),
            format!("{:.1}", self.mean(|burst| f64::from(burst.killed))),
            format!("{:.1}", self.mean(|burst| f64::from(burst.repeated))),
            format!("{:.1}", self.mean(|burst| burst.dead as f64)),
            format!("{:.0}", self.mean(|burst| burst.most as f64)),
            format!("{run:.2}"),
            format!("{idle:.2}"),
            format!("{:.2}", idle + prices::WEEKS * run),
        ]
    }
}

const HEAD: [&str; 10] = [
    "who",
    "hours to done, p50 / p95",
    "in 60 min",
    "killed",
    "repeated",
    "dead letters",
    "most tasks",
    "$ a run",
    "$ idle a month",
    "$ a month",
];

fn ours(workers: Crew, spot: Option<f64>) -> Peer {
    Peer::Kingtide {
        workers,
        spot,
        delivery: Delivery::Any,
    }
}

fn rows(weeks: &[Week]) -> Vec<Row> {
    let always = prices::task(VCPUS, GIB) * MONTH;
    let natted = || {
        vec![
            (2.0 * (NAT + ADDRESS) * MONTH, "two NAT gateways with their addresses"),
            (always, "one task"),
            (4.0 * ALARM, "four alarms"),
        ]
    };
    let public = || vec![(2.0 * ALARM, "two alarms")];
    let copilot = || {
        vec![
            (always + ADDRESS * MONTH, "one task with its address"),
            (2.0 * ALARM, "two alarms"),
            (METRIC, "the backlog's metric"),
            (KEY, "the queue's key"),
        ]
    };
    let cluster = || {
        vec![
            (EKS * MONTH, "the cluster"),
            (
                5.0 * prices::task(0.25, 0.5) * MONTH,
                "five pods: KEDA's three, two of DNS",
            ),
            (
                (NAT + ADDRESS) * MONTH,
                "a NAT gateway, for pods on Fargate have private subnets only",
            ),
        ]
    };
    let kingtide = || vec![(ALARM, "an alarm on dead letters")];
    let [seldom, often] = RECLAIMED;
    vec![
        Row::new("CDK, defaults", Peer::Cdk(Use::Defaults), natted(), weeks),
        Row::new(
            "CDK, defaults, visibility timeout 2 h",
            Peer::Cdk(Use::Visibility),
            natted(),
            weeks,
        ),
        Row::new("CDK, best effort", Peer::Cdk(Use::BestEffort), public(), weeks),
        Row::new(
            "CDK, best effort, cooldown 2 h",
            Peer::Cdk(Use::LongCooldown),
            public(),
            weeks,
        ),
        Row::new(
            "CDK, best effort, the program protects its task",
            Peer::Cdk(Use::Protected),
            public(),
            weeks,
        ),
        Row::new("Copilot, latency 60 min", Peer::Copilot(60), copilot(), weeks),
        Row::new(
            "Copilot, latency of one message",
            Peer::Copilot(PROCESSING),
            copilot(),
            weeks,
        ),
        Row::new(
            "KEDA ScaledObject",
            Peer::KedaObject { patient: false },
            cluster(),
            weeks,
        ),
        Row::new(
            "KEDA ScaledObject, 2 h to finish",
            Peer::KedaObject { patient: true },
            cluster(),
            weeks,
        ),
        Row::new("KEDA ScaledJob", Peer::KedaJob, cluster(), weeks),
        Row::new("AWS Batch, array", Peer::Batch { spot: None }, Vec::new(), weeks),
        Row::new(
            &format!("AWS Batch, array on Spot, {} %/h taken", seldom * 100.0),
            Peer::Batch { spot: Some(seldom) },
            Vec::new(),
            weeks,
        ),
        Row::new(
            &format!("AWS Batch, array on Spot, {} %/h taken", often * 100.0),
            Peer::Batch { spot: Some(often) },
            Vec::new(),
            weeks,
        ),
        Row::new(
            "Kingtide, planned for 90 %",
            ours(Crew::Planned, None),
            kingtide(),
            weeks,
        ),
        Row::new("Kingtide, 100 workers", ours(Crew::OneEach, None), kingtide(), weeks),
        Row::new(
            &format!("Kingtide, Spot by slack, {} %/h taken", seldom * 100.0),
            ours(Crew::Planned, Some(seldom)),
            kingtide(),
            weeks,
        ),
        Row::new(
            &format!("Kingtide, Spot by slack, {} %/h taken", often * 100.0),
            ours(Crew::Planned, Some(often)),
            kingtide(),
            weeks,
        ),
    ]
}

pub(super) fn write(mut weeks: Vec<Week>) -> anyhow::Result<()> {
    for week in &mut weeks {
        week.plan(Delivery::Any, DEADLINE);
    }
    let mut report = Report::new(
        "burst",
        &format!(
            "The seed's burst on AWS, **simulated**: nothing here ran on AWS. {WEEKS} weeks from seed {SEED}, the same for all: 100 jobs, log-normal with \
             a median of 22 minutes and a sigma of 0.35 (1 % below 10 minutes, 1 % above 50), each predicted with a standard error of 15 %; every task \
             has {VCPUS} vCPU and {GIB} GiB; all messages are there at once, the deadline is 60 minutes later. No program ever fails, so every dead letter is \
             wrong. The same on every machine."
        ),
    );
    let rows = rows(&weeks);
    report.section("A hundred jobs, within 60 minutes");
    report.table(&HEAD, &rows.iter().map(Row::cells).collect::<Vec<_>>());
    report.line(NOTES);
    report.section("What is paid when nothing runs");
    let mut said: Vec<String> = Vec::new();
    for row in &rows {
        let items: Vec<String> = row
            .idle
            .iter()
            .map(|(dollars, what)| format!("{what} {dollars:.2}"))
            .collect();
        let name = row.title.split(',').next().unwrap_or(&row.title);
        let line = format!(
            "- {name}: {}",
            if items.is_empty() {
                "nothing".to_owned()
            } else {
                items.join("; ")
            }
        );
        if !said.contains(&line) {
            report.line(&line);
            said.push(line);
        }
    }
    report.line(IDLE_NOTES);
    order(&mut weeks, &mut report);
    report.section("What each model assumes");
    report.line(ASSUMPTIONS);
    report.targets(&targets(&rows));
    report.write()
}

/// What the order of messages is worth: SQS has none.
fn order(weeks: &mut [Week], report: &mut Report) {
    report.section("What order is worth");
    let some = weeks.len() / 4;
    let some = &mut weeks[..some];
    let mut cells = Vec::new();
    for minutes in [60, 75, 90] {
        let deadline = Duration::from_secs(minutes * 60);
        for (name, delivery) in [
            ("all", Delivery::Any),
            ("in order, three more than workers wait", Delivery::Ahead(3)),
            ("in order, as many as workers wait", Delivery::Ahead(0)),
        ] {
            for week in &mut *some {
                week.plan(delivery, deadline);
            }
            let peer = Peer::Kingtide {
                workers: Crew::Planned,
                spot: None,
                delivery,
            };
            let row = Row {
                title: String::new(),
                peer,
                idle: Vec::new(),
                bursts: peer.all(some, deadline),
            };
            cells.push(vec![
                format!("{minutes} min"),
                name.to_owned(),
                format!("{:.1}", row.mean(|burst| burst.most as f64)),
                format!("{:.3}", row.chance(deadline)),
                format!("{:.2}", row.dollars()),
            ]);
        }
    }
    report.table(
        &["deadline", "messages sent at once", "workers", "in time", "$ a run"],
        &cells,
    );
    report.line(&format!(
        "\nAll rows are Kingtide with a confidence of {CONFIDENCE} over a quarter of the weeks. A standard queue hands out in no order: who sends all messages at once has \
         to start nearly as many workers as there are messages, who sends the longest first and only a few ahead needs half of them.",
    ));
}

fn targets(rows: &[Row]) -> Vec<Target> {
    let of = |title: &str| rows.iter().find(|row| row.title == title);
    let target = |promise: &str, bound, unit, measured: Option<f64>| Target {
        promise: promise.to_owned(),
        bound,
        unit,
        measured,
        disturbed: false,
    };
    let planned = of("Kingtide, planned for 90 %");
    let batch = of("AWS Batch, array");
    let points = planned
        .zip(batch)
        .map(|(ours, theirs)| (theirs.chance(DEADLINE) - ours.chance(DEADLINE)) * 100.0);
    let dearer = planned
        .zip(batch)
        .map(|(ours, theirs)| (ours.dollars() / theirs.dollars() - 1.0) * 100.0);
    let lost =
        planned.map(|ours| ours.mean(|burst| f64::from(burst.killed) + f64::from(burst.repeated) + burst.dead as f64));
    vec![
        target("Kingtide, killed, repeated or dead", Bound::AtMost(0.0), "", lost),
        target(
            "Kingtide, idle a month",
            Bound::AtMost(0.5),
            " $",
            planned.map(Row::idle),
        ),
        target(
            "Kingtide, in time less often than an array of AWS Batch",
            Bound::AtMost(2.0),
            " points",
            points,
        ),
        target(
            "Kingtide, a run dearer than an array of AWS Batch",
            Bound::AtMost(10.0),
            " %",
            dearer,
        ),
    ]
}
