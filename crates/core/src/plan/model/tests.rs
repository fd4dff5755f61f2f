//! What the model makes of histories that are known, and how sure it is of what comes.

use fastrand::Rng;

use super::super::normal;
use super::*;
use crate::message::Message;

fn of(key: i64) -> Configuration {
    Configuration {
        key,
        kin: key,
        shape: 0,
        numbers: BTreeMap::new(),
    }
}

fn seen(run: i64, key: i64, seconds: f64) -> Observation {
    Observation::took(run, key, Duration::from_secs_f64(seconds))
}

/// A job whose configurations differ by `between` and vary by `within`, week after week at a level of its own.
struct Job {
    means: Vec<f64>,
    within: f64,
    random: Rng,
}

impl Job {
    fn new(configurations: usize, between: f64, within: f64, seed: u64) -> Job {
        let mut random = Rng::with_seed(seed);
        let mut mean = || 7.0 + between * normal::quantile(random.f64());
        Job {
            means: (0..configurations).map(|_| mean()).collect(),
            within,
            random,
        }
    }

    fn week(&mut self, level: f64) -> Vec<f64> {
        let mut draw = || self.within * normal::quantile(self.random.f64());
        self.means.iter().map(|mean| (mean + level + draw()).exp()).collect()
    }

    fn weeks(&mut self, levels: &[f64]) -> Vec<Observation> {
        let mut observations = Vec::new();
        for (run, level) in (1..).zip(levels) {
            observations.extend(
                (0..)
                    .zip(self.week(*level))
                    .map(|(key, seconds)| seen(run, key, seconds)),
            );
        }
        observations
    }
}

fn model(observations: &[Observation]) -> Model {
    Model::of(observations, &[]).expect("there is history")
}

#[test]
fn without_history_the_hint_is_all_there_is() {
    let minute = Duration::from_secs(60);
    let hinted = Knowledge::of(&[], &[], Some(minute));
    assert_eq!(hinted.predict(&of(1)).median().as_secs_f64().round(), 60.0);
    assert!(hinted.common().sigma < Knowledge::of(&[], &[], None).common().sigma);
}

#[test]
fn one_run_of_one_configuration_is_all_there_is_to_go_by() {
    let model = model(&[seen(1, 1, 100.0)]);
    let (same, other) = (model.predict(&of(1)), model.predict(&of(2)));
    assert_eq!(same.median().as_secs_f64().round(), 100.0);
    assert_eq!(other.mu, same.mu);
    assert!(other.sigma >= same.sigma && same.sigma > SPREAD);
}

#[test]
fn what_is_drawn_to_the_mean_is_nearer_the_truth_than_the_last_run() {
    let mut job = Job::new(200, 0.2, 0.3, 3);
    let observations = job.weeks(&[0.0]);
    // With one week alone nothing tells luck from difference but the spread thought of beforehand.
    let model = model(&observations);
    let error =
        |of: &dyn Fn(i64) -> f64| -> f64 { (0..).zip(&job.means).map(|(key, mean)| (of(key) - mean).powi(2)).sum() };
    assert!(error(&|key| model.predict(&of(key)).mu) < 0.6 * error(&|key| observations[key as usize].value));
}

#[test]
fn forecasts_are_as_sure_as_they_say() {
    let (mut below, mut all) = ([0_u32; 3], 0_u32);
    for seed in 0..40 {
        let mut job = Job::new(50, 0.35, 0.15, seed);
        let model = model(&job.weeks(&[0.0; 4]));
        for (key, seconds) in (0..).zip(job.week(0.0)) {
            for (count, p) in below.iter_mut().zip([0.1, 0.5, 0.95]) {
                *count += u32::from(seconds <= model.predict(&of(key)).quantile(p).as_secs_f64());
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
    let mut observations: Vec<Observation> = (1..=6).map(|run| seen(run, 1, 100.0)).collect();
    observations.push(seen(7, 1, 10_000.0));
    let median = model(&observations).predict(&of(1)).median().as_secs_f64();
    assert!((100.0..140.0).contains(&median), "{median}");
}

#[test]
fn a_slow_week_is_half_believed_and_says_how_sure_the_next_is() {
    let mut job = Job::new(40, 0.3, 0.1, 1);
    let steady = model(&job.weeks(&[0.0; 5]));
    let slow = model(&job.weeks(&[0.0, 0.0, 0.0, 0.0, 0.4]));
    let more = slow.predict(&of(1)).mu - steady.predict(&of(1)).mu;
    assert!((0.1..0.3).contains(&more), "{more}");
    assert!(slow.common().sigma > 1.5 * steady.common().sigma);
}

#[test]
fn growing_data_make_the_next_run_longer_than_any_before() {
    let mut job = Job::new(40, 0.3, 0.1, 1);
    let levels: Vec<f64> = (0..10).map(|week| 0.05 * f64::from(week)).collect();
    let growing = model(&job.weeks(&levels));
    assert!((growing.trend() - 0.05).abs() < 0.01, "{}", growing.trend());
    let expected = job.means.iter().sum::<f64>() / 40.0 + 0.5;
    let foreseen = (0..40).map(|key| growing.predict(&of(key)).mu).sum::<f64>() / 40.0;
    assert!((foreseen - expected).abs() < 0.05, "{foreseen} for {expected}");
    // Of one configuration alone, too.
    let alone: Vec<Observation> = (0..10)
        .map(|run| seen(run, 1, 100.0 * (0.05 * run as f64).exp()))
        .collect();
    let alone = model(&alone);
    let foreseen = alone.predict(&of(1)).median().as_secs_f64();
    assert!((155.0..175.0).contains(&foreseen), "{foreseen}: {alone:?}");
}

#[test]
fn rows_speak_for_a_configuration_that_was_never_seen() {
    let mut random = Rng::with_seed(1);
    let mut city = |number: u32, week: u32| {
        let rows = 100.0 * f64::from(number + 1) + 7.0 * f64::from(week);
        let body = format!("{{\"dest\":\"D{number}\",\"rows\":{rows}}}");
        let of = Configuration::of(&Message::parse(&body).expect("an object"));
        // Every fifth is slower than its rows say.
        let own = if number.is_multiple_of(5) { 3.0 } else { 1.0 };
        let seconds = own * 0.01 * rows * (0.05 * normal::quantile(random.f64())).exp();
        (of, seconds)
    };
    let (mut told, mut observations) = (Vec::new(), Vec::new());
    for week in 0..4 {
        for number in 0..30 {
            let (of, seconds) = city(number, week);
            observations.push(seen(i64::from(week), of.key, seconds));
            told.push(of);
        }
    }
    let model = Model::of(&observations, &told).expect("there is history");
    assert_eq!(model.covariates().collect::<Vec<_>>(), ["rows"]);
    // Nobody saw these rows: kin and the number of rows tell.
    for number in [3, 5, 20, 25] {
        let (of, seconds) = city(number, 9);
        let foreseen = model.predict(&of).median().as_secs_f64();
        assert!(
            (foreseen / seconds - 1.0).abs() < 0.3,
            "{number}: {foreseen} for {seconds}"
        );
    }
    let (stranger, _) = city(60, 0);
    let foreseen = model.predict(&stranger).median().as_secs_f64();
    assert!((61.0..120.0).contains(&foreseen), "{foreseen}");
}

#[test]
fn tasks_of_no_duration_are_foreseen_as_such() {
    let observations: Vec<Observation> = (0..30).map(|key| seen(1, key, 0.0)).collect();
    assert!(model(&observations).predict(&of(3)).quantile(0.95) < Duration::from_millis(10));
}
