//! Rules for the number of workers, side by side on bursts with a deadline. Everything is computed from a seed: the page is the same on
//! every machine. Durations are drawn from known distributions; who predicts is told each of them with an error.

mod calibration;

use std::time::{Duration, Instant};

use fastrand::Rng;
use kingtide_core::plan::burst::{Draws, Luck, Order, Tariff};
use kingtide_core::plan::lognormal::LogNormal;
use kingtide_core::plan::normal;
use kingtide_core::plan::schedule::{Draw, Workers};
use kingtide_core::plan::size::{self, Terms};

use super::report::{Bound, Report, Target};

const SEED: u64 = 5;
/// Futures of each burst.
const TRIALS: usize = 4000;
/// Futures for which the planner is asked: it is asked anew for each.
const PLANNED: usize = 200;
/// Standard deviation of the logarithm of what was predicted against what came.
pub(super) const PREDICTION_ERROR: f64 = 0.15;
const CONFIDENCE: f64 = 0.9;
const MINUTE: Duration = Duration::from_secs(60);
/// Four fifths of the start-up are paid for, and a minute at least: as AWS Fargate charges.
const TARIFF: Tariff = Tariff {
    start: Duration::from_secs(48),
    least: MINUTE,
};

/// A burst, and the deadline it is to meet.
struct Workload {
    title: &'static str,
    jobs: usize,
    median: Duration,
    sigma: f64,
    deadline: Duration,
    /// Numbers of workers that are looked at.
    workers: &'static [usize],
}

const WORKLOADS: [Workload; 5] = [
    Workload {
        title: "100 jobs of about 22 minutes, within 60 minutes",
        jobs: 100,
        median: Duration::from_secs(22 * 60),
        sigma: 0.35,
        deadline: Duration::from_secs(60 * 60),
        workers: &[39, 45, 50, 60, 80, 100],
    },
    Workload {
        title: "the same within 90 minutes",
        jobs: 100,
        median: Duration::from_secs(22 * 60),
        sigma: 0.35,
        deadline: Duration::from_secs(90 * 60),
        workers: &[26, 30, 34, 40, 50, 100],
    },
    Workload {
        title: "100 jobs of about 20 minutes with a heavier tail, within 60 minutes",
        jobs: 100,
        median: Duration::from_secs(20 * 60),
        sigma: 0.5,
        deadline: Duration::from_secs(60 * 60),
        workers: &[38, 45, 50, 60, 80, 100],
    },
    Workload {
        title: "300 jobs of about a minute, within 10 minutes",
        jobs: 300,
        median: MINUTE,
        sigma: 0.35,
        deadline: Duration::from_secs(10 * 60),
        workers: &[34, 38, 42, 50, 100, 300],
    },
    Workload {
        title: "1,000 jobs of about 2 minutes, within 60 minutes",
        jobs: 1000,
        median: Duration::from_secs(2 * 60),
        sigma: 0.35,
        deadline: Duration::from_secs(60 * 60),
        workers: &[36, 38, 40, 45, 100, 1000],
    },
];

/// One future: what each job is predicted to take, and what it takes, in milliseconds.
struct Future {
    predicted: Vec<LogNormal>,
    takes: Vec<u64>,
}

impl Workload {
    fn job(&self) -> LogNormal {
        LogNormal::around(self.median, self.sigma)
    }

    /// `AWS` and Dask: as many as the mean says.
    fn mean_rule(&self) -> usize {
        let work = self.job().mean().as_secs_f64() * self.jobs as f64;
        (work / self.deadline.as_secs_f64()).ceil() as usize
    }

    /// ARIA's upper bound of the end, (n - 1) * mean / k + longest, with the mean of the longest for the longest.
    fn aria(&self, futures: &[Future]) -> usize {
        let longest = futures.iter().filter_map(|future| future.takes.iter().max());
        let longest = longest.sum::<u64>() as f64 / 1000.0 / futures.len() as f64;
        let left = self.deadline.as_secs_f64() - MINUTE.as_secs_f64() - longest;
        let work = self.job().mean().as_secs_f64() * (self.jobs - 1) as f64;
        match left > 0.0 {
            true => ((work / left).ceil() as usize).min(self.jobs),
            false => self.jobs,
        }
    }

    /// Each job is predicted with this standard error.
    fn futures(&self, count: usize, error: f64, random: &mut Rng) -> Vec<Future> {
        let job = self.job();
        let mut draw = |sigma: f64| sigma * normal::quantile(random.f64());
        let worth = job.sigma.powi(2) / (job.sigma.powi(2) + error.powi(2));
        let mut future = |_| {
            let (mut predicted, mut takes) = (Vec::new(), Vec::new());
            for _ in 0..self.jobs {
                let mu = job.mu + draw(job.sigma);
                takes.push((mu.exp() * 1000.0).round() as u64);
                // What was seen of it, drawn to the mean of all as far as it is worth: the longest seen is seldom so long again.
                let seen = mu + draw(error);
                predicted.push(LogNormal {
                    mu: job.mu + worth * (seen - job.mu),
                    sigma: error * worth.sqrt(),
                });
            }
            Future { predicted, takes }
        };
        (0..count).map(&mut future).collect()
    }
}

impl Future {
    fn in_order(&self, order: Order) -> Vec<u64> {
        let mut jobs: Vec<usize> = (0..self.takes.len()).collect();
        if order == Order::LongestFirst {
            jobs.sort_by_key(|job| std::cmp::Reverse(self.predicted[*job].quantile(0.8)));
        }
        jobs.into_iter().map(|job| self.takes[job]).collect()
    }
}

/// Futures of the seed's burst, for other areas: what is predicted of each job, and what each takes in milliseconds.
pub(super) fn seed_burst(count: usize, error: f64, random: &mut Rng) -> Vec<(Vec<LogNormal>, Vec<u64>)> {
    let futures = WORKLOADS[0].futures(count, error, random);
    futures
        .into_iter()
        .map(|future| (future.predicted, future.takes))
        .collect()
}

/// What a number of workers came to over the futures.
#[derive(Default)]
struct Outcome {
    chance: f64,
    /// Paid for beyond the work itself, as a share of it.
    overhead: f64,
}

fn outcome<'a>(cases: impl Iterator<Item = (&'a [u64], usize)>, deadline: Duration) -> Outcome {
    let mut workers = Workers::default();
    let (mut met, mut cases_seen, mut paid, mut work) = (0_usize, 0_usize, 0.0, 0.0);
    for (takes, count) in cases {
        workers.engage(count, MINUTE.as_millis() as u64);
        let end = workers.finish(Draw::of(takes));
        met += usize::from(end.is_some_and(|end| u128::from(end) <= deadline.as_millis()));
        cases_seen += 1;
        paid += workers.busy().map(|busy| TARIFF.paid(busy)).sum::<f64>();
        work += takes.iter().sum::<u64>() as f64 / 1000.0;
    }
    Outcome {
        chance: met as f64 / cases_seen as f64,
        overhead: paid / work - 1.0,
    }
}

pub(super) fn run() -> anyhow::Result<()> {
    let mut report = Report::new(
        "planning",
        &format!(
            "How likely a burst is done in time, by how its number of workers is chosen. {TRIALS} futures of each burst from seed {SEED}; a \
             worker begins after a minute; each job is predicted with a standard error of {:.0} %; for each of {PLANNED} futures the planner \
             is asked anew, with a confidence of {CONFIDENCE}. Computed by `kingtide_core::plan`, so the same on every machine.",
            PREDICTION_ERROR * 100.0
        ),
    );
    let mut random = Rng::with_seed(SEED);
    let mut targets = Vec::new();
    for (number, workload) in WORKLOADS.iter().enumerate() {
        eprintln!("{}", workload.title);
        targets.extend(compare(workload, number == 0, &mut random, &mut report));
    }
    targets.extend(calibration::run(&mut report));
    targets.extend(speed());
    report.targets(&targets);
    report.write()
}

/// The tables of one workload.
fn compare(workload: &Workload, is_seed: bool, random: &mut Rng, report: &mut Report) -> Vec<Target> {
    let futures = workload.futures(TRIALS, PREDICTION_ERROR, random);
    let order = |order| -> Vec<Vec<u64>> { futures.iter().map(|future| future.in_order(order)).collect() };
    let (given, longest) = (order(Order::AsGiven), order(Order::LongestFirst));
    let of = |cases: &[Vec<u64>], count: usize| {
        outcome(cases.iter().map(|takes| (takes.as_slice(), count)), workload.deadline)
    };
    report.section(workload.title);
    let rows: Vec<Vec<String>> = workload
        .workers
        .iter()
        .map(|count| {
            let (fifo, lpt) = (of(&given, *count), of(&longest, *count));
            vec![
                count.to_string(),
                format!("{:.3}", fifo.chance),
                format!("{:.3}", lpt.chance),
                format!("{:.1} %", lpt.overhead * 100.0),
            ]
        })
        .collect();
    report.table(&["workers", "as given", "longest first", "paid beyond the work"], &rows);
    report.line("");

    let terms = Terms {
        deadline: workload.deadline,
        confidence: CONFIDENCE,
        start: MINUTE,
        most: workload.jobs,
        tariff: Some(TARIFF),
    };
    let planned = &futures[..PLANNED];
    let sizes: Vec<size::Size> = planned
        .iter()
        .zip(0..)
        .map(|(future, seed)| {
            size::size(
                &Draws::of(&future.predicted, &Luck::NONE, Order::LongestFirst, seed),
                &terms,
            )
        })
        .collect();
    let cases = longest.iter().zip(&sizes);
    let ours = outcome(
        cases.map(|(takes, size)| (takes.as_slice(), size.workers)),
        workload.deadline,
    );
    let mean = sizes.iter().map(|size| size.workers).sum::<usize>() as f64 / PLANNED as f64;
    let foreseen = sizes.iter().map(|size| size.chance).sum::<f64>() / PLANNED as f64;
    let aria = workload.aria(&futures);
    let row = |rule: &str, workers: String, outcome: &Outcome| {
        let overhead = format!("{:.1} %", outcome.overhead * 100.0);
        vec![rule.to_owned(), workers, format!("{:.3}", outcome.chance), overhead]
    };
    let mean_rule = of(&given, workload.mean_rule());
    let rules = vec![
        row(
            "mean rule (AWS, Dask), as given",
            workload.mean_rule().to_string(),
            &mean_rule,
        ),
        row("ARIA's upper bound, as given", aria.to_string(), &of(&given, aria)),
        row(
            "one for each message (KEDA)",
            workload.jobs.to_string(),
            &of(&given, workload.jobs),
        ),
        row(
            &format!("Kingtide, which foresaw {foreseen:.3}"),
            format!("{mean:.1} on average"),
            &ours,
        ),
    ];
    report.table(&["rule", "workers", "in time", "paid beyond the work"], &rules);

    if !is_seed {
        return Vec::new();
    }
    let room = workload.deadline - MINUTE;
    let ceiling = size::ceiling(&vec![workload.job(); workload.jobs], room);
    let fifty = of(&longest, 50).chance;
    report.line(&format!(
        "\nNo number of workers does better than the longest job allows: {ceiling:.3}. Of 50 workers, longest first: {fifty:.3}."
    ));
    let by_error = [0.0, 0.05, 0.1].map(|error| {
        let futures = workload.futures(TRIALS, error, &mut Rng::with_seed(SEED));
        let cases: Vec<Vec<u64>> = futures
            .iter()
            .map(|future| future.in_order(Order::LongestFirst))
            .collect();
        format!(
            "{:.3} where each job is known to {:.0} %",
            of(&cases, 50).chance,
            error * 100.0
        )
    });
    report.line(&format!("Of 50 workers again: {}.", by_error.join(", ")));
    let target = |promise: &str, bound, chance: f64| Target {
        promise: promise.to_owned(),
        bound,
        unit: " points",
        measured: Some(chance * 100.0),
        disturbed: false,
    };
    vec![
        target(
            "50 workers, longest first, from the ceiling",
            Bound::AtMost(2.0),
            (ceiling - fifty).abs(),
        ),
        target("the mean rule, in time", Bound::AtMost(0.0), mean_rule.chance),
    ]
}

/// How long an answer takes.
fn speed() -> Vec<Target> {
    let limits = [(1000, 100.0), (10_000, 1000.0)];
    let took = |jobs: usize| {
        let tasks = vec![LogNormal::around(22 * MINUTE, 0.35); jobs];
        let terms = Terms {
            deadline: 90 * MINUTE,
            confidence: CONFIDENCE,
            start: MINUTE,
            most: jobs,
            tariff: Some(TARIFF),
        };
        let began = Instant::now();
        let size = size::size(&Draws::of(&tasks, &Luck::NONE, Order::LongestFirst, SEED), &terms);
        assert!(size.workers > 0, "somebody works");
        began.elapsed().as_secs_f64() * 1000.0
    };
    limits
        .into_iter()
        .map(|(jobs, limit)| Target {
            promise: format!("a number of workers for {jobs} jobs"),
            bound: Bound::AtMost(limit),
            unit: " ms",
            measured: Some(took(jobs)),
            disturbed: false,
        })
        .collect()
}
