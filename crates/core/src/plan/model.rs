//! Durations as history tells them: each configuration has its own, drawn to the mean of the job as far as its few runs leave room for luck
//! (empirical Bayes: B. Efron and C. Morris, "Stein's Paradox in Statistics", 1977; A. Gelman et al., "Bayesian Data Analysis", ch. 5).

use std::collections::BTreeMap;
use std::time::Duration;

use super::lognormal::LogNormal;

/// What is thought of the spread of one configuration's durations before anything was seen, as a standard deviation of logarithms.
const SPREAD: f64 = 0.3;
/// As if it had been seen so many times.
const SPREAD_WEIGHT: f64 = 4.0;
/// How far from right a user's hint is thought to be.
const HINT_SPREAD: f64 = 0.5;
/// Runs this many standard deviations from their configuration's middle one count as if they were there: an outlier tells of itself only.
const OUTLIER: f64 = 3.0;

/// A success of a configuration, by the key of its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    pub key: i64,
    pub duration: Duration,
}

/// What is known of a job's durations.
#[derive(Clone, Debug)]
pub struct Model {
    /// Mean of the logarithms over configurations, and how far it may be off (variance).
    mean: f64,
    mean_variance: f64,
    /// Variance of one configuration's logarithms, and of configurations' means.
    within: f64,
    between: f64,
    known: BTreeMap<i64, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    mean: f64,
    runs: f64,
}

impl Model {
    /// `None` when there is no history.
    pub fn of(observations: &[Observation]) -> Option<Model> {
        let mut by_key: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for observation in observations {
            let mu = LogNormal::around(observation.duration, 0.0).mu;
            by_key.entry(observation.key).or_default().push(mu);
        }
        if by_key.is_empty() {
            return None;
        }
        for logarithms in by_key.values_mut() {
            tame(logarithms);
        }
        let known: BTreeMap<i64, Known> = by_key.iter().map(|(key, seen)| (*key, Known::of(seen))).collect();
        let squares = |(key, seen): (&i64, &Vec<f64>)| -> f64 {
            let mean = known[key].mean;
            seen.iter().map(|logarithm| (logarithm - mean).powi(2)).sum()
        };
        let degrees = (observations.len() - known.len()) as f64;
        let seen: f64 = by_key.iter().map(squares).sum();
        let within = (SPREAD_WEIGHT * SPREAD * SPREAD + seen) / (SPREAD_WEIGHT + degrees);
        let between = between(&known, within);
        // Each configuration counts as much as its mean is known.
        let weight = |known: &Known| 1.0 / (between + within / known.runs);
        let weights: f64 = known.values().map(weight).sum();
        let mean = known.values().map(|known| weight(known) * known.mean).sum::<f64>() / weights;
        Some(Model {
            mean,
            mean_variance: 1.0 / weights,
            within,
            between,
            known,
        })
    }

    /// Of a job that never ran, by its user's word.
    pub fn by_hint(expected: Duration) -> LogNormal {
        LogNormal::around(expected, HINT_SPREAD)
    }

    /// How long the next run of a configuration takes; one that was never seen is like the others.
    pub fn predict(&self, key: i64) -> LogNormal {
        let Some(known) = self.known.get(&key) else {
            return LogNormal {
                mu: self.mean,
                sigma: (self.within + self.between + self.mean_variance).sqrt(),
            };
        };
        let worth = self.worth(known);
        let variance = self.within + worth * self.within / known.runs + (1.0 - worth).powi(2) * self.mean_variance;
        LogNormal {
            mu: self.mean + worth * (known.mean - self.mean),
            sigma: variance.sqrt(),
        }
    }

    /// How much of a configuration's own mean is believed, from 0 to 1.
    fn worth(&self, known: &Known) -> f64 {
        self.between / (self.between + self.within / known.runs)
    }
}

impl Known {
    fn of(logarithms: &[f64]) -> Known {
        let runs = logarithms.len() as f64;
        Known {
            mean: logarithms.iter().sum::<f64>() / runs,
            runs,
        }
    }
}

/// Draws outliers in to where they are still believed. Of fewer than three runs nobody can say which it is.
fn tame(logarithms: &mut [f64]) {
    if logarithms.len() < 3 {
        return;
    }
    let mut sorted = logarithms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted[sorted.len() / 2];
    let reach = OUTLIER * SPREAD;
    for logarithm in logarithms {
        *logarithm = logarithm.clamp(middle - reach, middle + reach);
    }
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
mod tests {
    use fastrand::Rng;

    use super::super::normal;
    use super::*;

    fn seen(key: i64, seconds: f64) -> Observation {
        Observation {
            key,
            duration: Duration::from_secs_f64(seconds),
        }
    }

    /// Weeks of a job whose configurations differ by `between` and vary by `within`; and the true means.
    fn weeks(
        configurations: i64,
        weeks: u32,
        between: f64,
        within: f64,
        random: &mut Rng,
    ) -> (Vec<Observation>, Vec<f64>) {
        let mut draw = |sigma: f64| sigma * normal::quantile(random.f64());
        let means: Vec<f64> = (0..configurations).map(|_| 7.0 + draw(between)).collect();
        let mut observations = Vec::new();
        for _ in 0..weeks {
            for (key, mean) in (0..).zip(&means) {
                observations.push(seen(key, (mean + draw(within)).exp()));
            }
        }
        (observations, means)
    }

    #[test]
    fn without_history_nothing_is_known() {
        assert!(Model::of(&[]).is_none());
        assert_eq!(
            Model::by_hint(Duration::from_secs(60)).median().as_secs_f64().round(),
            60.0
        );
    }

    #[test]
    fn one_run_of_one_configuration_is_all_there_is_to_go_by() {
        let model = Model::of(&[seen(1, 100.0)]).expect("there is history");
        let (same, other) = (model.predict(1), model.predict(2));
        assert_eq!(same.median().as_secs_f64().round(), 100.0);
        assert_eq!(other.mu, same.mu);
        assert!(other.sigma >= same.sigma && same.sigma > SPREAD);
    }

    #[test]
    fn what_is_drawn_to_the_mean_is_nearer_the_truth_than_the_last_run() {
        let (observations, means) = weeks(200, 1, 0.2, 0.3, &mut Rng::with_seed(3));
        // With one week alone nothing tells luck from difference but the spread thought of beforehand.
        let model = Model::of(&observations).expect("there is history");
        let error =
            |of: &dyn Fn(i64) -> f64| -> f64 { (0..).zip(&means).map(|(key, mean)| (of(key) - mean).powi(2)).sum() };
        let last = |key: i64| observations[key as usize].duration.as_secs_f64().ln();
        assert!(error(&|key| model.predict(key).mu) < 0.6 * error(&last));
    }

    #[test]
    fn forecasts_are_as_sure_as_they_say() {
        let mut random = Rng::with_seed(4);
        let (mut below, mut all) = ([0_u32; 3], 0_u32);
        for _ in 0..40 {
            let (observations, means) = weeks(50, 4, 0.35, 0.15, &mut random);
            let model = Model::of(&observations).expect("there is history");
            for (key, mean) in (0..).zip(&means) {
                let next = (mean + 0.15 * normal::quantile(random.f64())).exp();
                for (count, p) in below.iter_mut().zip([0.1, 0.5, 0.95]) {
                    *count += u32::from(next <= model.predict(key).quantile(p).as_secs_f64());
                }
                all += 1;
            }
        }
        let share = below.map(|count| f64::from(count) / f64::from(all));
        for (share, p) in share.iter().zip([0.1, 0.5, 0.95]) {
            assert!(
                (share - p).abs() < 0.03,
                "{share} of the runs were below the quantile {p}"
            );
        }
    }

    #[test]
    fn one_outlier_does_not_carry_a_configuration_away() {
        let mut observations = vec![seen(1, 100.0); 6];
        observations.push(seen(1, 10_000.0));
        let model = Model::of(&observations).expect("there is history");
        let median = model.predict(1).median().as_secs_f64();
        assert!((100.0..120.0).contains(&median), "{median}");
    }
}
