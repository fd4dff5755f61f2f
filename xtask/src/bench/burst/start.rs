//! How long AWS Fargate takes to start a task, at what rate it starts them, and from when a task is paid for.

use std::time::Duration;

use fastrand::Rng;
use kingtide_core::plan::lognormal::LogNormal;
use kingtide_core::plan::normal;

use super::agenda::{HOUR, Moment, SECOND};

/// Of a private image of 413 MB: 53 to 62 seconds, 57 on average (elasticscale, "AWS Fargate container startup time"); the spread is wider than
/// what was measured there.
pub(super) const MEDIAN: Duration = Duration::from_secs(57);
const SIGMA: f64 = 0.1;
/// Of a start, what comes before the image is pulled; from then on a task is paid for
/// (<https://aws.amazon.com/fargate/pricing/>; the share: <https://aws.amazon.com/blogs/aws/aws-fargate-enables-faster-container-startup-using-seekable-oci/>).
const UNPAID: f64 = 0.2;
/// Tasks at once, and how many more a second
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html>).
const AT_ONCE: f64 = 100.0;
const A_SECOND: f64 = 20.0;

/// One of a log-normal distribution.
pub(super) fn draw(median: Duration, sigma: f64, random: &mut Rng) -> Moment {
    let of = LogNormal::around(median, sigma);
    let at = (of.mu + sigma * normal::quantile(random.f64().clamp(1e-12, 1.0 - 1e-12))).exp();
    (at * SECOND as f64).round() as Moment
}

/// Until capacity is taken away that is taken away so many times an hour.
pub(super) fn lifetime(hourly: f64, random: &mut Rng) -> Moment {
    let hours = -(1.0 - random.f64()).ln() / hourly;
    (hours * HOUR as f64) as Moment
}

/// A task that is being started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) paid_from: Moment,
    pub(super) begins: Moment,
}

/// The rate at which tasks may be started: a bucket of tokens.
#[derive(Debug)]
pub(super) struct Starts {
    tokens: f64,
    at: Moment,
    median: Duration,
}

impl Default for Starts {
    fn default() -> Starts {
        Starts::taking(MEDIAN)
    }
}

impl Starts {
    pub(super) fn taking(median: Duration) -> Starts {
        Starts {
            tokens: AT_ONCE,
            at: 0,
            median,
        }
    }

    /// The next task that is asked for.
    pub(super) fn next(&mut self, now: Moment, random: &mut Rng) -> Start {
        let gone = now.saturating_sub(self.at) as f64 / SECOND as f64;
        self.at = self.at.max(now);
        self.tokens = (self.tokens + gone * A_SECOND).min(AT_ONCE) - 1.0;
        let wait = (-self.tokens / A_SECOND).max(0.0) * SECOND as f64;
        let launched = now + wait as Moment;
        let takes = draw(self.median, SIGMA, random);
        Start {
            paid_from: launched + (takes as f64 * UNPAID) as Moment,
            begins: launched + takes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_start_at_once_and_then_twenty_a_second() {
        let mut random = Rng::with_seed(1);
        let mut starts = Starts::default();
        let begins = |starts: &mut Starts, random: &mut Rng| starts.next(0, random).begins as f64 / 1000.0;
        let first: f64 = (0..100).map(|_| begins(&mut starts, &mut random)).sum::<f64>() / 100.0;
        let next: f64 = (0..100).map(|_| begins(&mut starts, &mut random)).sum::<f64>() / 100.0;
        assert!((first - 57.0).abs() < 2.0, "{first}");
        // From one twentieth of a second to five.
        assert!((next - first - 2.5).abs() < 2.0, "{next}");
        let later = starts.next(60_000, &mut random);
        assert!(later.begins < 60_000 + 90_000 && later.paid_from < later.begins);
    }
}
