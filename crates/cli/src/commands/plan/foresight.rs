//! What is known of a run that has not begun.

use std::collections::BTreeMap;
use std::time::Duration;

use kingtide_core::engine::packing::Capacity;
use kingtide_core::plan::burst::{Luck, Tariff};
use kingtide_core::plan::configuration::Configuration;
use kingtide_core::plan::lognormal::{Common, LogNormal};
use kingtide_core::plan::model::Knowledge;
use kingtide_core::plan::proposal::{Proposal, Question};
use kingtide_core::project::{Job, Project};
use kingtide_runtime::store::Lore;
use kingtide_runtime::view::{Database, OpenError};

use super::super::run::dry_run::Room;
use super::super::run::messages::{Messages, Wish};
use crate::exit::{Failure, Outcome};
use crate::project::{Place, capacity};
use crate::select::Pair;

/// The same question gets the same answer.
const SEED: u64 = 1;
/// So many tasks are known by name; a plan of more names them by their numbers.
const MOST_LABELS: usize = 100_000;

/// Where a run would be, and on which terms.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// Workers that can be had.
    pub(crate) slots: usize,
    /// What sets that limit.
    pub(crate) limit: &'static str,
    /// From the trigger to the first attempt, where no run tells.
    pub(crate) start: Duration,
    /// Of a worker for an hour; `None`: it costs nothing, or nobody knows.
    pub(crate) hourly: Option<f64>,
    pub(crate) tariff: Tariff,
    pub(crate) is_aws: bool,
}

impl Ground {
    /// This machine, as it is or as it would be.
    pub(super) fn here(project: &Project, job: &Job, what_if: &[Pair]) -> Outcome<Ground> {
        let there = changed(capacity(project), what_if)?;
        let (slots, limit) = Room(there).slots(job, None);
        Ok(Ground {
            slots: usize::try_from(slots).unwrap_or(usize::MAX).max(1),
            limit,
            start: Duration::ZERO,
            hourly: project.local.cost.map(|cost| cost.hour(&job.resources)),
            // This machine is there already.
            tariff: Tariff::AS_USED,
            is_aws: false,
        })
    }
}

/// What is foreseen, and by what.
pub(crate) struct Foresight {
    pub(super) job: String,
    pub(crate) tasks: usize,
    pub(super) slots: usize,
    /// What sets that limit.
    pub(super) limit: &'static str,
    pub(super) is_aws: bool,
    pub(crate) deadline: Option<Duration>,
    pub(crate) confidence: f64,
    /// `None` where nothing is known.
    pub(crate) proposal: Option<Proposal>,
    /// Configurations that were seen; 0 without history.
    pub(super) configurations: usize,
    pub(super) is_hint: bool,
    /// From run to run, as a share.
    pub(super) trend: Option<f64>,
    pub(super) covariates: Vec<String>,
    /// Runs of which nothing was learned, because their parameters had other names.
    pub(super) foreign: u64,
    /// Runs that are over.
    pub(super) runs: u64,
    /// The most memory that one of twenty runs of a task exceeds, and which task's.
    pub(super) memory: Option<(u64, String)>,
    pub(super) reserved: Option<u64>,
    /// What it costs when the run as a whole is a quick one, and a slow one: nine times of ten it is between them.
    pub(crate) cost_range: Option<(f64, f64)>,
    pub(crate) known: Vec<LogNormal>,
    labels: Vec<String>,
}

/// A task that is named.
pub(super) struct Named {
    pub(super) label: String,
    pub(super) median: Duration,
    /// Shorter nineteen times of twenty.
    pub(super) long: Duration,
}

impl Foresight {
    /// `places` are where runs may be known, the best first.
    pub(crate) fn of(
        places: &[&Place],
        job: &Job,
        wish: &Wish,
        ground: &Ground,
        workers: Option<u32>,
        deadline: Option<Duration>,
    ) -> Outcome<Foresight> {
        let place = places[0];
        let (mut told, mut labels) = (Vec::new(), Vec::new());
        Messages::hand_over(place, job, wish, |messages| {
            for message in messages {
                let message = match message {
                    Ok(message) => message,
                    Err(finding) => return Ok(Err(finding)),
                };
                told.push(Configuration::of(&message));
                if labels.len() < MOST_LABELS {
                    labels.push(message.label());
                }
            }
            Ok(Ok(()))
        })?;
        let (lore, is_own) = lore(places, job, shape(&told))?;
        let common = lore.luck.common;
        let predicted: Vec<LogNormal> = told.iter().map(|of| lore.knowledge.predict(of)).collect();
        let is_known = !matches!(lore.knowledge, Knowledge::Nothing);
        let question = Question {
            tasks: &predicted,
            luck: lore.luck,
            // Elsewhere runs begin otherwise.
            start: lore.start.filter(|_| is_own).unwrap_or(ground.start),
            deadline,
            confidence: job.confidence,
            slots: ground.slots,
            workers: workers.map(|workers| workers as usize),
            hourly: ground.hourly,
            tariff: ground.tariff,
            seed: SEED,
        };
        let proposal = is_known.then(|| Proposal::of(&question));
        let cost_range = proposal
            .as_ref()
            .filter(|proposal| proposal.chosen.cost.is_some())
            .and_then(|proposal| range(&question, proposal.chosen.workers));
        let model = lore.knowledge.model();
        let largest = lore.memory.model().and_then(|memory| {
            let peak = |of: &Configuration| {
                memory
                    .predict(of)
                    .in_any_run(&memory.common())
                    .quantile(0.95)
                    .as_secs_f64()
            };
            let peaks = told.iter().enumerate().map(|(task, of)| (task, peak(of)));
            peaks.max_by(|a, b| a.1.total_cmp(&b.1))
        });
        let mut foresight = Foresight {
            job: job.name.clone(),
            tasks: told.len(),
            slots: ground.slots,
            limit: ground.limit,
            is_aws: ground.is_aws,
            cost_range,
            deadline,
            confidence: job.confidence,
            proposal,
            configurations: model.map_or(0, |model| model.configurations()),
            is_hint: matches!(lore.knowledge, Knowledge::Hint(_)),
            trend: model
                .map(|model| model.trend())
                .filter(|trend| *trend != 0.0)
                .map(f64::exp_m1),
            covariates: model.map_or_else(Vec::new, |model| model.covariates().map(str::to_owned).collect()),
            foreign: lore.foreign,
            runs: lore.runs,
            memory: None,
            reserved: job.resources.memory,
            known: predicted.iter().map(|of| of.in_any_run(&common)).collect(),
            labels,
        };
        foresight.memory = largest.map(|(task, bytes)| (bytes as u64, foresight.task(task).label));
        Ok(foresight)
    }

    pub(super) fn task(&self, number: usize) -> Named {
        let of = &self.known[number];
        let label = self.labels.get(number).filter(|label| !label.is_empty());
        Named {
            label: label.cloned().unwrap_or_else(|| format!("task {}", number + 1)),
            median: of.median(),
            long: of.quantile(0.95),
        }
    }

    /// The longest, where there is any.
    pub(super) fn longest(&self) -> Option<Named> {
        let longest = (0..self.known.len()).max_by(|a, b| self.known[*a].mu.total_cmp(&self.known[*b].mu))?;
        Some(self.task(longest))
    }
}

/// The names of parameters that most messages have.
fn shape(told: &[Configuration]) -> i64 {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for of in told {
        *counts.entry(of.shape).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or(0, |(shape, _)| shape)
}

/// What the first place knows where anything ran; and whether that is the first that was asked.
fn lore(places: &[&Place], job: &Job, shape: i64) -> Outcome<(Lore, bool)> {
    for (number, place) in places.iter().enumerate() {
        let database = match Database::at(&place.layout().database()) {
            Ok(database) => database,
            Err(OpenError::Missing) => continue,
            Err(_) => place.database()?,
        };
        let lore = database.snapshot()?.lore(job, shape)?;
        if lore.runs > 0 {
            return Ok((lore, number == 0));
        }
    }
    Ok((Lore::of_nothing(job), false))
}

/// The cost of a quick run and of a slow one: what all tasks have in common moves it most, and the rest evens out.
fn range(question: &Question<'_>, workers: usize) -> Option<(f64, f64)> {
    let cost = |deviations: f64| {
        let shift = question.luck.common.sigma * deviations;
        let tasks: Vec<LogNormal> = question
            .tasks
            .iter()
            .map(|task| LogNormal {
                mu: task.mu + shift,
                ..*task
            })
            .collect();
        let moved = Question {
            tasks: &tasks,
            luck: Luck {
                common: Common::NOTHING,
                ..question.luck
            },
            deadline: None,
            workers: Some(workers),
            ..*question
        };
        Proposal::of(&moved).chosen.cost
    };
    // Nine of ten of a normal distribution.
    cost(-1.645).zip(cost(1.645))
}

/// The machine as it would be.
fn changed(mut there: Capacity, changes: &[Pair]) -> Outcome<Capacity> {
    for change in changes {
        let value = change.value.as_str();
        let bad = |what: &str| Failure::usage(format!("`--what-if {}={value}`: {what}", change.name));
        match change.name.as_str() {
            "cpu" => {
                let cores: f64 = value
                    .parse()
                    .map_err(|_| bad("a number of cores, `cpu=8` for instance"))?;
                if !(0.001..1e6).contains(&cores) {
                    return Err(bad("at least 0.001 and less than a million cores"));
                }
                there.cpu_milli = (cores * 1000.0).round() as u32;
            }
            "memory" => {
                let size: bytesize::ByteSize = value.parse().map_err(|_| bad("a size, `memory=64GiB` for instance"))?;
                there.memory = size.as_u64();
            }
            "gpus" => there.gpus = value.parse().map_err(|_| bad("a whole number"))?,
            _ => {
                return Err(bad(
                    "the machine's `cpu`, `memory` and `gpus` can be thought of as others",
                ));
            }
        }
    }
    Ok(there)
}
