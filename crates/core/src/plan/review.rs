//! Looking back: which configurations take longer than they did, and how well runs were foreseen.

use std::collections::BTreeMap;

use super::model::Observation;

/// Less than that is luck: so many standard deviations of what configurations vary by.
const SURE: f64 = 2.0;
/// And nobody minds less than a tenth.
const WORTH_SAYING: f64 = 0.1;
/// What configurations are thought to vary by at least.
const LEAST_SPREAD: f64 = 0.03;

/// A configuration over its runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    pub key: i64,
    /// Seconds, the oldest run first.
    pub seconds: Vec<f64>,
    /// The last against those before, as a share: 0.2 is a fifth longer. `None` for the first.
    pub change: Option<f64>,
    /// It is longer by more than luck.
    pub is_slower: bool,
}

/// Configurations as they were seen, those that take longest first. Observations are those of runs in their order.
pub fn courses(observations: &[Observation]) -> Vec<Course> {
    let mut by_key: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for of in observations {
        by_key.entry(of.key).or_default().push(of.value);
    }
    let spread = spread(by_key.values());
    let mut courses: Vec<Course> = by_key
        .iter()
        .map(|(key, seen)| Course::of(*key, seen, spread))
        .collect();
    courses.sort_by(|a, b| b.last().total_cmp(&a.last()));
    courses
}

impl Course {
    fn of(key: i64, logarithms: &[f64], spread: f64) -> Course {
        let (last, before) = logarithms.split_last().expect("it was seen");
        let count = before.len() as f64;
        let change = (!before.is_empty()).then(|| last - before.iter().sum::<f64>() / count);
        let luck = SURE * spread * (1.0 + 1.0 / count.max(1.0)).sqrt();
        Course {
            key,
            seconds: logarithms.iter().map(|logarithm| logarithm.exp()).collect(),
            change: change.map(f64::exp_m1),
            is_slower: change.is_some_and(|change| change > luck && change.exp_m1() > WORTH_SAYING),
        }
    }

    /// Seconds of the last run.
    pub fn last(&self) -> f64 {
        self.seconds.last().copied().unwrap_or(0.0)
    }
}

/// What configurations vary by from run to run: by the middle one of the steps, so that a few that did get slower do not hide themselves.
fn spread<'a>(all: impl Iterator<Item = &'a Vec<f64>>) -> f64 {
    let steps = all.flat_map(|seen| seen.windows(2).map(|pair| (pair[1] - pair[0]).abs()));
    let mut steps: Vec<f64> = steps.collect();
    if steps.is_empty() {
        return LEAST_SPREAD;
    }
    steps.sort_by(f64::total_cmp);
    // The middle one of the absolute differences of two normal numbers lies there.
    (steps[steps.len() / 2] / (0.6745 * 2.0_f64.sqrt())).max(LEAST_SPREAD)
}

/// A run that was foreseen and is over; seconds from when it was foreseen.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub p50: f64,
    pub p95: f64,
    pub took: f64,
    /// The chance of the deadline, and whether it was met.
    pub deadline: Option<(f64, bool)>,
}

/// How well runs were foreseen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calibration {
    pub runs: u32,
    /// Ended before the time that was as likely as not, and before the one of 19 in 20.
    pub before_p50: u32,
    pub before_p95: u32,
    /// The middle one of how far off the first was, as a share.
    pub off: f64,
    pub deadlines: u32,
    /// As many would have been met by what was foreseen, and so many were.
    pub expected: f64,
    pub met: u32,
}

impl Calibration {
    pub fn of(outcomes: &[Outcome]) -> Calibration {
        let mut of = Calibration::default();
        let mut off = Vec::new();
        for outcome in outcomes {
            of.runs += 1;
            of.before_p50 += u32::from(outcome.took <= outcome.p50);
            of.before_p95 += u32::from(outcome.took <= outcome.p95);
            off.push((outcome.took / outcome.p50.max(1e-3) - 1.0).abs());
            if let Some((chance, met)) = outcome.deadline {
                of.deadlines += 1;
                of.expected += chance;
                of.met += u32::from(met);
            }
        }
        off.sort_by(f64::total_cmp);
        of.off = off.get(off.len() / 2).copied().unwrap_or(0.0);
        of
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_got_slower_stands_out_of_what_varies() {
        let mut observations = Vec::new();
        for run in 1..=6 {
            for key in 1..=20 {
                let jitter = 1.0 + 0.03 * f64::from((run * 7 + key * 3) % 5);
                let slow = if key == 4 && run == 6 { 1.6 } else { 1.0 };
                let duration = Duration::from_secs_f64(f64::from(key) * jitter * slow);
                observations.push(Observation::took(i64::from(run), i64::from(key), duration));
            }
        }
        let courses = courses(&observations);
        let slower: Vec<i64> = courses.iter().filter(|of| of.is_slower).map(|of| of.key).collect();
        assert_eq!(slower, [4]);
        assert!(courses.iter().all(|of| of.seconds.len() == 6) && courses[0].last() > courses[19].last());
        assert!(courses.iter().find(|of| of.key == 4).and_then(|of| of.change) > Some(0.4));
    }

    #[test]
    fn a_first_run_has_nothing_to_compare_with() {
        let courses = courses(&[Observation::took(1, 7, Duration::from_secs(3))]);
        assert_eq!((courses[0].change, courses[0].is_slower), (None, false));
        assert_eq!(super::courses(&[]), []);
    }

    #[test]
    fn forecasts_are_held_to_what_came() {
        let outcome = |took: f64, deadline| Outcome {
            p50: 100.0,
            p95: 130.0,
            took,
            deadline,
        };
        let of = Calibration::of(&[
            outcome(90.0, Some((0.9, true))),
            outcome(104.0, Some((0.8, true))),
            outcome(150.0, Some((0.7, false))),
            outcome(110.0, None),
        ]);
        assert_eq!((of.runs, of.before_p50, of.before_p95), (4, 1, 3));
        assert_eq!((of.deadlines, of.met), (3, 2));
        assert!(
            (of.expected - 2.4).abs() < 1e-9 && (of.off - 0.1).abs() < 1e-9,
            "{of:?}"
        );
    }
}
