//! Whether what the planner says is so: against a brute-force simulation, against what comes in weeks whose durations drift, and against
//! the best number of workers that there is.

use std::time::Duration;

use fastrand::Rng;
use kingtide_core::plan::burst::{Draws, Luck, Order};
use kingtide_core::plan::configuration::Configuration;
use kingtide_core::plan::lognormal::{Common, LogNormal};
use kingtide_core::plan::model::{Model, Observation};
use kingtide_core::plan::normal;
use kingtide_core::plan::schedule::{Draw, Workers};
use kingtide_core::plan::size::{self, Terms};

use super::super::report::{Bound, Report, Target};
use super::{CONFIDENCE, MINUTE, SEED, TARIFF};

/// Draws of the brute force, and weeks of the calibration.
const MANY: usize = 20_000;
/// Weeks of each job that are foreseen, after so many that are only seen.
const FORESEEN: usize = 10;
const HISTORY: usize = 4;
/// Tasks and workers of a job in the weeks.
const TASKS: usize = 30;
const WORKERS: usize = 6;
/// How tasks and weeks vary, as standard deviations of logarithms.
const AMONG: f64 = 0.35;
const WITHIN: f64 = 0.15;
const STEP: f64 = 0.04;
const JITTER: f64 = 0.04;
/// Jobs differ in how much their weeks wander and jitter, by these factors, and in their trend.
const UNSTEADY: (f64, f64) = (0.5, 2.5);
const TREND: f64 = 0.01;
/// Ten frequencies lie so many standard errors around the truth, all of them, 99 times of 100.
const BAND: f64 = 3.29;
/// Jobs for which the best number of workers is searched.
const SEARCHED: u64 = 24;
const SEARCH_DRAWS: usize = 4000;

/// A job whose weeks come one after the other.
struct Job {
    means: Vec<f64>,
    trend: f64,
    unsteady: f64,
    level: f64,
    week: i64,
    random: Rng,
}

impl Job {
    fn new(tasks: usize, median: Duration, trend: f64, unsteady: f64, seed: u64) -> Job {
        let mut random = Rng::with_seed(seed);
        let middle = median.as_secs_f64().ln();
        let means = (0..tasks).map(|_| middle + AMONG * normal::quantile(random.f64()));
        Job {
            means: means.collect(),
            trend,
            unsteady,
            level: 0.0,
            week: 0,
            random,
        }
    }

    /// Seconds of each task.
    fn next_week(&mut self) -> Vec<f64> {
        let mut draw = |sigma: f64| sigma * normal::quantile(self.random.f64());
        self.week += 1;
        self.level += self.trend + draw(STEP * self.unsteady);
        let level = self.level + draw(JITTER * self.unsteady);
        self.means
            .iter()
            .map(|mean| (mean + level + draw(WITHIN)).exp())
            .collect()
    }
}

fn observed(week: i64, seconds: &[f64]) -> impl Iterator<Item = Observation> + '_ {
    let took = move |(key, seconds): (i64, &f64)| Observation::took(week, key, Duration::from_secs_f64(*seconds));
    (0..).zip(seconds).map(took)
}

fn foreseen(seen: &[Observation], tasks: usize) -> (Vec<LogNormal>, Luck) {
    let model = Model::of(seen, &[]).expect("there is history");
    let of = |key| Configuration {
        key,
        kin: key,
        shape: 0,
        numbers: Default::default(),
    };
    let tasks = (0..tasks as i64).map(|key| model.predict(&of(key)));
    let luck = Luck {
        common: model.common(),
        ..Luck::NONE
    };
    (tasks.collect(), luck)
}

/// All of it.
pub(super) fn run(report: &mut Report) -> Vec<Target> {
    let mut targets = vec![brute_force(report)];
    targets.push(weeks(report));
    targets.extend(best(report));
    targets
}

fn target(promise: &str, bound: f64, unit: &'static str, measured: f64) -> Target {
    Target {
        promise: promise.to_owned(),
        bound: Bound::AtMost(bound),
        unit,
        measured: Some(measured),
        disturbed: false,
    }
}

/// The planner's chance against that of many draws.
fn brute_force(report: &mut Report) -> Target {
    eprintln!("against a brute-force simulation");
    report.section("The planner's chance against 20,000 draws");
    let tasks = vec![LogNormal::around(22 * MINUTE, 0.35); 100];
    let common = Luck {
        common: Common {
            sigma: 0.08,
            degrees: 10.0,
        },
        failure: 0.02,
        retries: 2,
        ..Luck::NONE
    };
    let (mut rows, mut worst) = (Vec::new(), 0.0_f64);
    for (luck, what) in [(Luck::NONE, "independent"), (common, "a common level, 2 % fail")] {
        for (workers, minutes) in [(45, 60), (50, 60), (60, 60), (100, 60), (30, 90), (34, 90), (40, 90)] {
            let chance = |draws: &Draws| draws.finish(workers, MINUTE).chance(minutes * MINUTE);
            let planner = chance(&Draws::of(&tasks, &luck, Order::LongestFirst, SEED));
            let many = chance(&Draws::so_many(&tasks, &luck, Order::LongestFirst, MANY, SEED + 1));
            worst = worst.max((planner - many).abs() * 100.0);
            rows.push(vec![
                what.to_owned(),
                workers.to_string(),
                minutes.to_string(),
                format!("{planner:.3}"),
                format!("{many:.3}"),
            ]);
        }
    }
    report.table(&["tasks", "workers", "minutes", "planner", "20,000 draws"], &rows);
    target("the planner's chance, from that of 20,000 draws", 3.0, " points", worst)
}

/// How often deadlines are met that were said to be met so often.
fn weeks(report: &mut Report) -> Target {
    eprintln!("weeks that drift");
    report.section("Forecasts over 20,000 weeks that drift");
    report.line(&format!(
        "{} jobs of {TASKS} tasks on {WORKERS} workers. A week's level wanders ({STEP}) and jitters ({JITTER}), of each job by {} to {} times \
         that, and has a trend ({TREND}); tasks vary by {WITHIN} (standard deviations of logarithms). Each job is seen for {HISTORY} weeks \
         and then foreseen for {FORESEEN}, each time from all weeks before; the deadline is one that the forecast says is met with a chance \
         drawn at random.\n",
        MANY / FORESEEN,
        UNSTEADY.0,
        UNSTEADY.1
    ));
    let mut deciles = [(0_u32, 0.0, 0_u32); 10];
    let mut random = Rng::with_seed(SEED);
    let mut workers = Workers::default();
    for number in 0..MANY / FORESEEN {
        let trend = TREND * normal::quantile(random.f64());
        let unsteady = UNSTEADY.0 + (UNSTEADY.1 - UNSTEADY.0) * random.f64();
        let mut job = Job::new(TASKS, 5 * MINUTE, trend, unsteady, number as u64);
        let mut seen: Vec<Observation> = Vec::new();
        for week in 0..HISTORY + FORESEEN {
            let took = job.next_week();
            if week >= HISTORY {
                let (tasks, luck) = foreseen(&seen, TASKS);
                let draws = Draws::so_many(&tasks, &luck, Order::LongestFirst, 500, random.u64(..));
                let finish = draws.finish(WORKERS, Duration::ZERO);
                let deadline = finish.quantile(0.01 + 0.98 * random.f64());
                let order = draws.order().iter().map(|task| (took[*task] * 1000.0).round() as u64);
                workers.engage(WORKERS, 0);
                let end = workers
                    .finish(Draw::of(&order.collect::<Vec<_>>()))
                    .map(Duration::from_millis);
                let chance = finish.chance(deadline);
                let (count, sum, met) = &mut deciles[((chance * 10.0) as usize).min(9)];
                *count += 1;
                *sum += chance;
                *met += u32::from(end.is_some_and(|end| end <= deadline));
            }
            seen.extend(observed(job.week, &took));
        }
    }
    let mut outside = 0;
    let rows = deciles.iter().enumerate().map(|(decile, (count, sum, met))| {
        let count = f64::from(*count);
        let (said, came) = (sum / count, f64::from(*met) / count);
        let band = BAND * (said * (1.0 - said) / count).sqrt();
        let is_inside = (came - said).abs() <= band;
        outside += u32::from(!is_inside);
        vec![
            format!("{}–{} %", decile * 10, decile * 10 + 10),
            format!("{count}"),
            format!("{:.1} %", said * 100.0),
            format!("{:.1} %", came * 100.0),
            format!("± {:.1}", band * 100.0),
            if is_inside { "inside" } else { "**outside**" }.to_owned(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    report.table(
        &["forecast", "weeks", "said", "came", "band of all ten, 99 %", ""],
        &rows,
    );
    target(
        "deciles of forecasts outside of their band",
        0.0,
        "",
        f64::from(outside),
    )
}

/// The number of workers against the best that there is, by those who know the truth.
fn best(report: &mut Report) -> Vec<Target> {
    eprintln!("against the best number");
    report.section("The number of workers against the best");
    report.line(
        "After eight weeks the planner chooses for the ninth. The best is searched among all numbers with the true distribution of each \
         task, by the same rule: the cheapest that reaches the confidence, of those within 2 % the safest.\n",
    );
    let cases = [
        ("100 tasks of 22 minutes, within 90", 100, 22 * MINUTE, 90 * MINUTE),
        ("300 tasks of a minute, within 10", 300, MINUTE, 10 * MINUTE),
        ("40 tasks of 5 minutes, within 20", 40, 5 * MINUTE, 20 * MINUTE),
    ];
    let (mut rows, mut dearer, mut below) = (Vec::new(), 0.0_f64, 0.0_f64);
    for (title, count, median, deadline) in cases {
        let (mut ours, mut theirs) = ([0.0; 3], [0.0; 3]);
        for seed in 0..SEARCHED {
            let mut job = Job::new(count, median, 0.0, 1.0, 1000 + seed);
            let mut seen = Vec::new();
            for _ in 0..8 {
                let took = job.next_week();
                seen.extend(observed(job.week, &took));
            }
            let (tasks, luck) = foreseen(&seen, count);
            let terms = Terms {
                deadline,
                confidence: CONFIDENCE,
                start: MINUTE,
                most: count,
                tariff: Some(TARIFF),
            };
            let chosen = size::size(&Draws::of(&tasks, &luck, Order::LongestFirst, seed), &terms).workers;
            let truth: Vec<LogNormal> = job
                .means
                .iter()
                .map(|mean| LogNormal {
                    mu: mean + job.level,
                    sigma: WITHIN,
                })
                .collect();
            let common = Luck {
                common: Common {
                    sigma: STEP.hypot(JITTER),
                    degrees: 100.0,
                },
                ..Luck::NONE
            };
            let draws = Draws::so_many(&truth, &common, Order::LongestFirst, SEARCH_DRAWS, seed);
            let chances = draws.chances(MINUTE, deadline, count);
            let paid: Vec<f64> = (1..=count).map(|workers| draws.paid(workers, &TARIFF)).collect();
            let best = exhaustive(&paid, |workers| chances.of(workers));
            for (sums, workers) in [(&mut ours, chosen), (&mut theirs, best)] {
                sums[0] += workers as f64;
                sums[1] += paid[workers - 1];
                sums[2] += chances.of(workers);
            }
        }
        let mean = |sums: &[f64; 3], place: usize| sums[place] / SEARCHED as f64;
        let cost = (mean(&ours, 1) / mean(&theirs, 1) - 1.0) * 100.0;
        let chance = (mean(&theirs, 2) - mean(&ours, 2)) * 100.0;
        dearer = dearer.max(cost);
        below = below.max(chance);
        rows.push(vec![
            title.to_owned(),
            format!("{:.1}", mean(&ours, 0)),
            format!("{:.1}", mean(&theirs, 0)),
            format!("{cost:+.2} %"),
            format!("{:.3}", mean(&ours, 2)),
            format!("{:.3}", mean(&theirs, 2)),
        ]);
    }
    report.table(
        &["burst", "workers", "the best", "paid against it", "in time", "the best"],
        &rows,
    );
    vec![
        target("paid beyond the best number of workers", 3.0, " %", dearer),
        target("in time less often than with the best", 2.0, " points", below),
    ]
}

/// Every number is looked at.
fn exhaustive(paid: &[f64], chance: impl Fn(usize) -> f64) -> usize {
    let all = 1..=paid.len();
    let reaching: Vec<usize> = all.clone().filter(|workers| chance(*workers) >= CONFIDENCE).collect();
    let cheapest = reaching
        .iter()
        .map(|workers| paid[workers - 1])
        .fold(f64::MAX, f64::min);
    let cheap = reaching.iter().filter(|workers| paid[**workers - 1] <= cheapest * 1.02);
    let safest = cheap.max_by(|a, b| chance(**a).total_cmp(&chance(**b)).then(b.cmp(a)));
    safest.copied().unwrap_or_else(|| {
        let best = all.clone().map(&chance).fold(0.0, f64::max);
        all.clone().find(|workers| chance(*workers) >= best - 0.01).unwrap_or(1)
    })
}
