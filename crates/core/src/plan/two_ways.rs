//! Configurations against runs: what each of either adds (analysis of variance by two ways: G. W. Snedecor and W. G. Cochran,
//! "Statistical Methods", ch. 16). Not every configuration was in every run, so the two are weighed against each other in rounds.

use std::collections::BTreeMap;

use super::levels::{self, Level, Next};
use super::lognormal::Common;
use super::model::Observation;

/// A run counts so much of the one after it: programs change, and what was long ago says less.
const FADES: f64 = 0.8;
/// What a run has of its own is told from its tasks' luck where so many configurations were seen in two runs.
const LEVELLED: usize = 5;
/// More rounds change nothing that could be seen.
const ROUNDS: usize = 12;

/// The mean of what was seen, as if so many times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) mean: f64,
    pub(super) runs: f64,
}

/// What was found.
#[derive(Debug)]
pub(super) struct TwoWays {
    pub(super) known: BTreeMap<i64, Known>,
    /// Variance of what neither explains.
    pub(super) within: f64,
    pub(super) next: Next,
}

/// An observation by the places of its configuration and its run.
struct Cell {
    configuration: usize,
    run: usize,
    value: f64,
    weight: f64,
}

impl TwoWays {
    /// `weight` and `variance`: what is thought of the variance beforehand, as if it had been seen so many times.
    pub(super) fn fit(observations: &[Observation], weight: f64, variance: f64) -> TwoWays {
        let (keys, runs) = (places(observations, |of| of.key), places(observations, |of| of.run));
        let mut cells: Vec<Cell> = observations
            .iter()
            .map(|of| {
                let run = runs[&of.run];
                Cell {
                    configuration: keys[&of.key],
                    run,
                    value: of.value,
                    weight: FADES.powi((runs.len() - 1 - run) as i32),
                }
            })
            .collect();
        let is_levelled = repeated(&cells, keys.len()) >= LEVELLED;
        let mut effects = vec![0.0; runs.len()];
        let mut trend = levels::Trend::default();
        if is_levelled {
            for _ in 0..ROUNDS {
                let means = averages(&cells, keys.len(), |cell| {
                    (cell.configuration, cell.value - effects[cell.run], cell.weight)
                });
                effects = averages(&cells, runs.len(), |cell| {
                    (cell.run, cell.value - means[cell.configuration], 1.0)
                });
                // What all runs have is the configurations'.
                let middle = effects.iter().sum::<f64>() / effects.len() as f64;
                effects.iter_mut().for_each(|effect| *effect -= middle);
            }
        } else {
            let plain = averages(&cells, keys.len(), |cell| (cell.configuration, cell.value, 1.0));
            let levels = averages(&cells, runs.len(), |cell| {
                (cell.run, cell.value - plain[cell.configuration], 1.0)
            });
            let exact = |value: &f64| Level {
                value: *value,
                variance: 0.0,
            };
            trend = levels::trend(&levels.iter().map(exact).collect::<Vec<_>>());
            for cell in &mut cells {
                cell.value -= trend.believed * cell.run as f64;
            }
        }
        let means = averages(&cells, keys.len(), |cell| {
            (cell.configuration, cell.value - effects[cell.run], cell.weight)
        });
        let (known, mut degrees) = known(&cells, &keys, &means);
        let squares: f64 = cells
            .iter()
            .map(|cell| (cell.value - effects[cell.run] - means[cell.configuration]).powi(2))
            .sum();
        if is_levelled {
            degrees -= effects.len() as f64 - 1.0;
        }
        let within = (weight * variance + squares) / (weight + degrees.max(0.0));
        let next = match is_levelled {
            true => levels::next(&levels_of(&cells, &effects, within)),
            false => Next {
                level: trend.believed * runs.len() as f64,
                common: Common::NOTHING,
                trend: trend.sure,
            },
        };
        TwoWays { known, within, next }
    }
}

fn places(observations: &[Observation], of: impl Fn(&Observation) -> i64) -> BTreeMap<i64, usize> {
    let mut places: BTreeMap<i64, usize> = observations.iter().map(|seen| (of(seen), 0)).collect();
    for (place, value) in places.values_mut().enumerate() {
        *value = place;
    }
    places
}

/// How many configurations were seen in more than one run.
fn repeated(cells: &[Cell], configurations: usize) -> usize {
    let mut first: Vec<Option<usize>> = vec![None; configurations];
    let mut is_repeated = vec![false; configurations];
    for cell in cells {
        let first = first[cell.configuration].get_or_insert(cell.run);
        is_repeated[cell.configuration] |= *first != cell.run;
    }
    is_repeated.into_iter().filter(|repeated| *repeated).count()
}

/// Weighted means by place.
fn averages(cells: &[Cell], places: usize, of: impl Fn(&Cell) -> (usize, f64, f64)) -> Vec<f64> {
    let (mut sums, mut weights) = (vec![0.0; places], vec![0.0; places]);
    for cell in cells {
        let (place, value, weight) = of(cell);
        sums[place] += weight * value;
        weights[place] += weight;
    }
    sums.iter().zip(weights).map(|(sum, weight)| sum / weight).collect()
}

/// Configurations with what was seen of them; and what was seen beyond what their means took, in all.
fn known(cells: &[Cell], keys: &BTreeMap<i64, usize>, means: &[f64]) -> (BTreeMap<i64, Known>, f64) {
    let mut sums = vec![(0.0, 0.0, 0.0); keys.len()];
    for cell in cells {
        let (count, weights, squares) = &mut sums[cell.configuration];
        *count += 1.0;
        *weights += cell.weight;
        *squares += cell.weight.powi(2);
    }
    let mut degrees = 0.0;
    let known = keys.iter().map(|(key, place)| {
        let (count, weights, squares) = sums[*place];
        let runs = weights * weights / squares;
        // The expected sum of squares about a weighted mean.
        degrees += count - 2.0 + count / runs;
        let mean = means[*place];
        (*key, Known { mean, runs })
    });
    (known.collect(), degrees)
}

fn levels_of(cells: &[Cell], effects: &[f64], within: f64) -> Vec<Level> {
    let mut counts = vec![0.0; effects.len()];
    for cell in cells {
        counts[cell.run] += 1.0;
    }
    let level = |(value, count): (&f64, f64)| Level {
        value: *value,
        variance: within / count,
    };
    effects.iter().zip(counts).map(level).collect()
}
