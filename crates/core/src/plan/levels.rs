//! Whole runs: how much slower or faster than the others each was, and what follows for the next. Data grow, machines are changed, a
//! neighbour is noisy: such things move all tasks of a run together, and it is they that make a forecast of the end unsure.

use super::lognormal::Common;

/// How much of a surprise is believed to last: exponential smoothing (C. C. Holt, 1957; R. J. Hyndman and G. Athanasopoulos, "Forecasting:
/// Principles and Practice", ch. 8). At a half the forecast of a level that wanders and of one that only jitters are both within a third
/// of the best there is.
const LASTS: f64 = 0.5;
/// How far runs are thought to differ as a whole before any two were seen, as a standard deviation of logarithms: the middle of that belief
/// is a ninth more, since it is a scale of Student's t.
const SPREAD: f64 = 0.08;
/// As if it had been seen so many times.
const WEIGHT: f64 = 3.0;
/// How steep trends are thought to be before any was seen, as a standard deviation: two in a hundred from run to run.
const STEEP: f64 = 0.02;
/// A trend is seen in so many runs, and said when it is so many times its standard error.
const TREND_RUNS: usize = 4;
const TREND_SURE: f64 = 2.5;

/// One run's level, as a difference of logarithms from the mean of all, and the variance with which its few tasks measure it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) value: f64,
    pub(super) variance: f64,
}

/// What is foreseen of the next run as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Next {
    pub(super) level: f64,
    pub(super) common: Common,
    /// From run to run, as a difference of logarithms; 0 where none is sure.
    pub(super) trend: f64,
}

/// From the levels of runs, the oldest first.
pub(super) fn next(levels: &[Level]) -> Next {
    let Trend { believed, sure } = trend(levels);
    let mut smoothed: Option<f64> = None;
    let (mut squares, mut errors) = (0.0, 0);
    for (place, level) in (0_u32..).zip(levels) {
        let value = level.value - believed * f64::from(place);
        smoothed = Some(match smoothed {
            None => value,
            Some(before) => {
                // What the next would have been thought to be, against what it was: noise of the measurement is not the level's.
                squares += (value - before).powi(2) - level.variance;
                errors += 1;
                before + LASTS * (value - before)
            }
        });
    }
    let degrees = WEIGHT + f64::from(errors);
    let variance = (WEIGHT * SPREAD * SPREAD + squares.max(0.0)) / degrees;
    Next {
        level: smoothed.unwrap_or(0.0) + believed * levels.len() as f64,
        common: Common {
            sigma: variance.sqrt(),
            degrees,
        },
        trend: sure,
    }
}

/// From run to run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trend {
    /// As far as it is believed, drawn to none as far as it may be luck.
    pub(super) believed: f64,
    /// 0 where it may well be luck.
    pub(super) sure: f64,
}

/// The slope by least squares. Its error is that of a level that wanders, told by the steps from run to run: one that only jitters is
/// known better than that.
pub(super) fn trend(levels: &[Level]) -> Trend {
    let runs = levels.len();
    if runs < TREND_RUNS {
        return Trend::default();
    }
    let middle = (runs - 1) as f64 / 2.0;
    let mean = levels.iter().map(|level| level.value).sum::<f64>() / runs as f64;
    let (mut squares, mut products) = (0.0, 0.0);
    for (place, level) in levels.iter().enumerate() {
        squares += (place as f64 - middle).powi(2);
        products += (place as f64 - middle) * (level.value - mean);
    }
    let slope = products / squares;
    let steps: Vec<f64> = levels.windows(2).map(|pair| pair[1].value - pair[0].value).collect();
    let count = steps.len() as f64;
    let spread = steps.iter().map(|step| (step - slope).powi(2)).sum::<f64>() / (count - 1.0);
    // Of a walk's slope by least squares: a fifth more than of the mean step.
    let variance = 1.2 * spread / count;
    Trend {
        believed: slope * STEEP * STEEP / (STEEP * STEEP + variance),
        sure: if slope.abs() > TREND_SURE * variance.sqrt() {
            slope
        } else {
            0.0
        },
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::super::normal;
    use super::*;

    fn exact(values: &[f64]) -> Vec<Level> {
        let exact = |value: &f64| Level {
            value: *value,
            variance: 0.0,
        };
        values.iter().map(exact).collect()
    }

    #[test]
    fn nothing_is_known_of_the_first_run() {
        let next = next(&[]);
        assert_eq!((next.level, next.trend, next.common.sigma), (0.0, 0.0, SPREAD));
    }

    #[test]
    fn growing_data_are_a_trend() {
        let levels: Vec<f64> = (0..10)
            .map(|week| 0.05 * f64::from(week) + 0.002 * f64::from(week % 3))
            .collect();
        let next = next(&exact(&levels));
        assert!((next.trend - 0.05).abs() < 0.002, "{next:?}");
        assert!((next.level - 0.5).abs() < 0.01, "{next:?}");
        assert!(next.common.sigma < 0.06, "{next:?}");
    }

    #[test]
    fn jitter_is_no_trend() {
        let next = next(&exact(&[0.1, -0.1, 0.05, -0.05, 0.1, -0.1, 0.0]));
        assert_eq!(next.trend, 0.0);
        assert!(next.common.sigma > 0.08, "{next:?}");
    }

    #[test]
    fn a_level_that_wanders_is_seldom_taken_for_a_trend() {
        let mut random = Rng::with_seed(2);
        let taken = (0..1000).filter(|_| {
            let mut level = 0.0;
            let walk: Vec<f64> = (0..12)
                .map(|_| {
                    level += 0.05 * normal::quantile(random.f64());
                    level
                })
                .collect();
            trend(&exact(&walk)).sure != 0.0
        });
        let taken = taken.count();
        assert!(taken < 80, "{taken} of 1000 walks");
    }
}
