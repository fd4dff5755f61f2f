//! Durations as history tells them: each configuration has its own, drawn to what its numbers speak for, or to the mean of the job, as far
//! as its few runs leave room for luck (empirical Bayes: B. Efron and C. Morris, "Stein's Paradox in Statistics", 1977; A. Gelman et al.,
//! "Bayesian Data Analysis", ch. 5); and each run its own level (`levels.rs`). The same is done for peaks of memory, in bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::configuration::Configuration;
use super::covariates::Covariates;
use super::levels::Next;
use super::lognormal::{Common, LogNormal};
use super::two_ways::{Known, TwoWays};

/// What is thought of the spread of one configuration's durations before anything was seen, as a standard deviation of logarithms.
const SPREAD: f64 = 0.3;
/// As if it had been seen so many times.
const SPREAD_WEIGHT: f64 = 4.0;
/// How far from right a user's hint is thought to be, for all tasks alike and for each.
const HINT: (f64, f64) = (0.4, 0.4);
/// And what is thought where nothing is known at all: anything from seconds to hours.
const NOTHING: (f64, f64) = (3.0, 0.5);
const ANYTHING: Duration = Duration::from_secs(60);
/// So unsure of all tasks together is as good as not to know.
pub const VAGUE: f64 = 1.0;
/// Of a thought, not of something seen.
const THOUGHT_DEGREES: f64 = 8.0;
/// Runs this many standard deviations from their configuration's middle one count as if they were there: an outlier tells of itself only.
const OUTLIER: f64 = 3.0;
/// A success of a configuration in a run.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Later runs have higher numbers.
    pub run: i64,
    pub key: i64,
    /// Logarithm of seconds, or of bytes.
    pub value: f64,
}

impl Observation {
    pub fn took(run: i64, key: i64, duration: Duration) -> Observation {
        let value = LogNormal::around(duration, 0.0).mu;
        Observation { run, key, value }
    }

    /// `None` where it was not seen.
    pub fn occupied(run: i64, key: i64, bytes: u64) -> Option<Observation> {
        let value = (bytes as f64).ln();
        (bytes > 0).then_some(Observation { run, key, value })
    }
}

/// What is known of how long a job's tasks take.
#[derive(Clone, Debug)]
pub enum Knowledge {
    History(Box<Model>),
    /// The user's word.
    Hint(Duration),
    Nothing,
}

impl Knowledge {
    /// Of what was seen, else of the hint.
    pub fn of(observations: &[Observation], told: &[Configuration], hint: Option<Duration>) -> Knowledge {
        match (Model::of(observations, told), hint) {
            (Some(model), _) => Knowledge::History(Box::new(model)),
            (None, Some(hint)) => Knowledge::Hint(hint),
            (None, None) => Knowledge::Nothing,
        }
    }

    /// A task beside the others of its run.
    pub fn predict(&self, of: &Configuration) -> LogNormal {
        match self {
            Knowledge::History(model) => model.predict(of),
            Knowledge::Hint(hint) => LogNormal::around(*hint, HINT.1),
            Knowledge::Nothing => LogNormal::around(ANYTHING, NOTHING.1),
        }
    }

    /// What its tasks have in common.
    pub fn common(&self) -> Common {
        let thought = |sigma| Common {
            sigma,
            degrees: THOUGHT_DEGREES,
        };
        match self {
            Knowledge::History(model) => model.common(),
            Knowledge::Hint(_) => thought(HINT.0),
            Knowledge::Nothing => thought(NOTHING.0),
        }
    }

    /// The model, where there is a history.
    pub fn model(&self) -> Option<&Model> {
        match self {
            Knowledge::History(model) => Some(model),
            Knowledge::Hint(_) | Knowledge::Nothing => None,
        }
    }
}

/// What history tells of a job's tasks.
#[derive(Clone, Debug)]
pub struct Model {
    covariates: Covariates,
    /// Variance of one configuration's logarithms.
    within: f64,
    /// Runs of a configuration, on average.
    runs_each: f64,
    /// Beyond what their numbers say.
    known: Family,
    kin: Family,
    next: Next,
}

/// Alike ones that differ.
#[derive(Clone, Debug)]
struct Family {
    members: BTreeMap<i64, Known>,
    /// Variance of their true means, and of what was seen of each.
    between: f64,
    within: f64,
}

impl Family {
    fn of(members: BTreeMap<i64, Known>, within: f64) -> Family {
        Family {
            between: between(&members, within),
            members,
            within,
        }
    }

    /// A member as far as it is believed: its mean, how much of it is believed, and its variance.
    fn member(&self, key: i64) -> Option<(f64, f64, f64)> {
        let known = self.members.get(&key)?;
        let luck = self.within / known.runs;
        let worth = self.between / (self.between + luck);
        Some((worth * known.mean, worth, worth * luck))
    }
}

impl Model {
    /// `None` when there is no history. What is told of configurations is optional.
    pub fn of(observations: &[Observation], told: &[Configuration]) -> Option<Model> {
        if observations.is_empty() {
            return None;
        }
        let ways = TwoWays::fit(&tame(observations), SPREAD_WEIGHT, SPREAD * SPREAD);
        let told: BTreeMap<i64, &Configuration> = told.iter().map(|of| (of.key, of)).collect();
        let none = BTreeMap::new();
        let numbers = |key: &i64| told.get(key).map_or(&none, |of| &of.numbers);
        let points = ways.known.iter().map(|(key, known)| (known.mean, numbers(key)));
        let covariates = Covariates::of(&points.collect::<Vec<_>>());
        let beyond = |(key, known): (&i64, &Known)| {
            let mean = known.mean - covariates.at(numbers(key));
            (*key, Known { mean, ..*known })
        };
        let known: BTreeMap<i64, Known> = ways.known.iter().map(beyond).collect();
        let runs_each = known.values().map(|known| known.runs).sum::<f64>() / known.len() as f64;
        let kin = kin(
            &known,
            |key| told.get(&key).map_or(key, |of| of.kin),
            ways.within / runs_each,
        );
        Some(Model {
            covariates,
            within: ways.within,
            runs_each,
            known: Family::of(known, ways.within),
            kin,
            next: ways.next,
        })
    }

    /// The next run of a configuration, beside the others of its run; one that was never seen is like its kin, or like all others.
    pub fn predict(&self, of: &Configuration) -> LogNormal {
        let base = self.covariates.at(&of.numbers) + self.next.level;
        let apart = self.known.between + self.within / self.runs_each;
        let unsure = self.covariates.leverage(&of.numbers) * apart;
        let (mean, variance) = if let Some((mean, worth, luck)) = self.known.member(of.key) {
            (mean, luck + (1.0 - worth).powi(2) * unsure)
        } else if let Some((mean, worth, luck)) = self.kin.member(of.kin) {
            let among = (self.kin.within - self.within / self.runs_each).max(0.0);
            (mean, among + luck + (1.0 - worth).powi(2) * unsure)
        } else {
            (0.0, self.known.between + unsure)
        };
        LogNormal {
            mu: base + mean,
            sigma: (self.within + variance).sqrt(),
        }
    }

    /// What the next run's tasks have in common.
    pub fn common(&self) -> Common {
        self.next.common
    }

    /// By how much longer each run takes than the one before, as a difference of logarithms; 0 where no trend is seen.
    pub fn trend(&self) -> f64 {
        self.next.trend
    }

    /// The numbers among the parameters that tell of durations.
    pub fn covariates(&self) -> impl Iterator<Item = &str> {
        self.covariates.names()
    }

    /// How many configurations were seen.
    pub fn configurations(&self) -> usize {
        self.known.members.len()
    }
}

/// Families of configurations that differ in their numbers only; nothing where there are none.
fn kin(known: &BTreeMap<i64, Known>, kin_of: impl Fn(i64) -> i64, luck: f64) -> Family {
    let mut families: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (key, known) in known {
        families.entry(kin_of(*key)).or_default().push(known.mean);
    }
    let (mut squares, mut degrees) = (0.0, 0.0);
    let mut members = BTreeMap::new();
    for (kin, means) in families {
        let runs = means.len() as f64;
        let mean = means.iter().sum::<f64>() / runs;
        squares += means.iter().map(|of| (of - mean).powi(2)).sum::<f64>();
        degrees += runs - 1.0;
        members.insert(kin, Known { mean, runs });
    }
    if degrees == 0.0 {
        // One of each: they are their own kin, and their numbers are part of who they are.
        return Family::of(members, luck);
    }
    Family::of(members, (squares / degrees).max(luck))
}

/// Draws outliers in to where they are still believed. Of fewer than three runs nobody can say which it is.
fn tame(observations: &[Observation]) -> Vec<Observation> {
    let mut by_key: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for of in observations {
        by_key.entry(of.key).or_default().push(of.value);
    }
    by_key.retain(|_, seen| seen.len() >= 3);
    let middle = |seen: &mut Vec<f64>| {
        seen.sort_by(f64::total_cmp);
        seen[seen.len() / 2]
    };
    let middles: BTreeMap<i64, f64> = by_key.iter_mut().map(|(key, seen)| (*key, middle(seen))).collect();
    let reach = OUTLIER * SPREAD;
    let tamed = |of: &Observation| Observation {
        value: middles
            .get(&of.key)
            .map_or(of.value, |middle| of.value.clamp(middle - reach, middle + reach)),
        ..*of
    };
    observations.iter().map(tamed).collect()
}

/// The variance of configurations' true means, by the method of moments (R. DerSimonian and N. Laird, "Meta-Analysis in Clinical Trials",
/// 1986); 0 when they differ no more than by luck.
fn between(known: &BTreeMap<i64, Known>, within: f64) -> f64 {
    let weight = |known: &Known| known.runs / within;
    let weights: f64 = known.values().map(weight).sum();
    let squared: f64 = known.values().map(|known| weight(known).powi(2)).sum();
    let mean = known.values().map(|known| weight(known) * known.mean).sum::<f64>() / weights;
    let heterogeneity: f64 = known
        .values()
        .map(|known| weight(known) * (known.mean - mean).powi(2))
        .sum();
    let by_luck = known.len() as f64 - 1.0;
    let scale = weights - squared / weights;
    match scale > 0.0 {
        true => ((heterogeneity - by_luck) / scale).max(0.0),
        false => 0.0,
    }
}

#[cfg(test)]
mod tests;
