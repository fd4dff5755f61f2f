//! How long something takes, as far as one can know: a log-normal distribution, in seconds.

use std::time::Duration;

use fastrand::Rng;

use super::normal;

/// The logarithm of the seconds is normal, with this mean and this standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogNormal {
    pub mu: f64,
    /// 0: known exactly.
    pub sigma: f64,
}

/// What is shorter cannot be told from nothing: a start of a process.
const SHORTEST: Duration = Duration::from_millis(1);

impl LogNormal {
    /// As often shorter as longer than `median`.
    pub fn around(median: Duration, sigma: f64) -> LogNormal {
        LogNormal {
            mu: median.max(SHORTEST).as_secs_f64().ln(),
            sigma,
        }
    }

    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    pub fn mean(&self) -> Duration {
        seconds((self.mu + self.sigma * self.sigma / 2.0).exp())
    }

    /// It takes so long at most with probability `p`.
    pub fn quantile(&self, p: f64) -> Duration {
        seconds(self.at(normal::quantile(p)))
    }

    /// The probability that it takes so long at most.
    pub fn within(&self, limit: Duration) -> f64 {
        let distance = limit.as_secs_f64().ln() - self.mu;
        if self.sigma > 0.0 {
            return normal::below(distance / self.sigma);
        }
        f64::from(u8::from(distance >= 0.0))
    }

    /// The probability that it takes longer than that.
    fn beyond(&self, limit: Duration) -> f64 {
        let distance = limit.as_secs_f64().ln() - self.mu;
        if self.sigma > 0.0 {
            return normal::below(-distance / self.sigma);
        }
        f64::from(u8::from(distance < 0.0))
    }

    /// How long it takes in all, as far as one knows who sees it run for `elapsed`: the quantile `p` of what is longer than that.
    pub fn quantile_after(&self, elapsed: Duration, p: f64) -> Duration {
        // What is left of it, told from its end: close to nothing it keeps its digits.
        let left = self.beyond(elapsed) * (1.0 - p);
        if left < f64::MIN_POSITIVE {
            // Beyond anything expected: it may end at any moment.
            return elapsed;
        }
        seconds(self.at(-normal::quantile(left))).max(elapsed)
    }

    /// The same for a task of a run of which no more is known than what runs have in common.
    pub fn in_any_run(&self, common: &Common) -> LogNormal {
        LogNormal {
            mu: self.mu,
            sigma: self.sigma.hypot(common.sigma),
        }
    }

    /// One of it, times a factor: in whole milliseconds, as the clock of a run has them.
    pub(super) fn draw(&self, factor: f64, random: &mut Rng) -> u64 {
        let seconds = self.at(normal::quantile(uniform(random))) * factor;
        (seconds * 1000.0).round() as u64
    }

    /// Seconds, `z` standard deviations from the median.
    fn at(&self, z: f64) -> f64 {
        match self.sigma > 0.0 {
            true => (self.mu + self.sigma * z).exp(),
            // Infinitely far from something known exactly is no further.
            false => self.mu.exp(),
        }
    }
}

/// What all tasks of a run have in common: they are longer or shorter together, by a factor whose logarithm nobody knows. Its spread was
/// itself seen a few times only, so it follows Student's t with so many degrees of freedom ("Student", "The Probable Error of a Mean",
/// 1908).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Common {
    pub sigma: f64,
    pub degrees: f64,
}

impl Common {
    /// Tasks have nothing in common.
    pub const NOTHING: Common = Common {
        sigma: 0.0,
        degrees: 1.0,
    };

    /// The logarithm of the factor in one future after the other. They are spread evenly, however many are taken (an additive recurrence with
    /// the golden ratio: L. Kuipers and H. Niederreiter, "Uniform Distribution of Sequences", 1974): what all tasks have in common is not
    /// averaged out by their number.
    pub(super) fn draws(self, random: &mut Rng) -> impl FnMut(&mut Rng) -> f64 + use<> {
        let mut place = random.f64();
        move |random| {
            place = (place + GOLDEN).fract();
            self.draw(place.max(f64::EPSILON / 2.0), random)
        }
    }

    fn draw(&self, p: f64, random: &mut Rng) -> f64 {
        if self.sigma <= 0.0 {
            return 0.0;
        }
        let normal = |random: &mut Rng| normal::quantile(uniform(random));
        let squares: f64 = (0..self.degrees.round().clamp(1.0, 100.0) as u32)
            .map(|_| normal(random).powi(2))
            .sum();
        self.sigma * normal::quantile(p) / (squares / self.degrees).sqrt()
    }
}

/// The part of the golden ratio behind its point.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// From 0 to 1, without either.
pub(super) fn uniform(random: &mut Rng) -> f64 {
    random.f64().max(f64::EPSILON / 2.0)
}

/// A hundred years in place of what is longer: nobody waits for it, and it can still be added to a time.
const LONGEST_S: f64 = 100.0 * 365.0 * 24.0 * 3600.0;

fn seconds(seconds: f64) -> Duration {
    // What is no number is longer than any.
    Duration::from_secs_f64(if seconds < LONGEST_S { seconds } else { LONGEST_S })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: LogNormal = LogNormal {
        mu: 7.185_387_015_580_416_5,
        sigma: 0.35,
    };

    #[test]
    fn a_job_of_about_twenty_two_minutes() {
        let minutes = |duration: Duration| (duration.as_secs_f64() / 6.0).round() / 10.0;
        assert_eq!(minutes(JOB.median()), 22.0);
        assert_eq!(minutes(JOB.mean()), 23.4);
        assert_eq!((minutes(JOB.quantile(0.01)), minutes(JOB.quantile(0.99))), (9.7, 49.7));
        assert!((JOB.within(JOB.quantile(0.8)) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn what_has_run_long_is_expected_to_run_longer() {
        let half_an_hour = Duration::from_secs(30 * 60);
        assert!(JOB.quantile_after(half_an_hour, 0.5) > half_an_hour);
        assert_eq!(JOB.quantile_after(Duration::ZERO, 0.5), JOB.median());
        let ages = Duration::from_secs(1_000_000_000);
        let longer = JOB.quantile_after(ages, 0.5).as_secs_f64() / ages.as_secs_f64();
        assert!((1.0..1.1).contains(&longer), "{longer}");
        let known = LogNormal::around(half_an_hour, 0.001);
        assert_eq!(known.quantile_after(ages, 0.5), ages, "it may end at any moment");
    }

    #[test]
    fn what_is_known_exactly() {
        let exact = LogNormal::around(Duration::from_secs(10), 0.0);
        assert_eq!(exact.quantile(0.999).as_millis(), 10_000);
        assert_eq!(
            (
                exact.within(Duration::from_secs(9)),
                exact.within(Duration::from_secs(11))
            ),
            (0.0, 1.0)
        );
        assert_eq!(LogNormal::around(Duration::ZERO, 0.3).median(), SHORTEST);
    }
}
