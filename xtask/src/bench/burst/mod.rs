//! The seed's burst, simulated: a hundred jobs of ten minutes to an hour, once a week, as CDK's pattern, Copilot, KEDA, AWS Batch and Kingtide
//! would work it off. Each peer is a file here, with its sources; what they share is beside: `agenda.rs` (virtual time), `queue.rs`, `start.rs`,
//! `scaling.rs` (alarms and policies), `fleet.rs` (tasks that read a queue), `money.rs`. Everything is computed from a seed.

mod agenda;
mod batch;
mod cdk;
mod copilot;
mod fleet;
mod keda;
mod kingtide;
mod money;
mod page;
mod queue;
mod scaling;
mod start;

use std::time::Duration;

use fastrand::Rng;
use kingtide_core::plan::lognormal::LogNormal;

use super::planning::{self, PREDICTION_ERROR};
use agenda::{HOUR, Moment};
use fleet::{Burst, simulate};
use queue::Delivery;

const SEED: u64 = 7;
/// Weeks of each peer.
const WEEKS: usize = 1000;
const DEADLINE: Duration = Duration::from_secs(60 * 60);
const CONFIDENCE: f64 = 0.9;
/// Spot capacity is taken away so many times an hour: nobody publishes it, so several are looked at.
const RECLAIMED: [f64; 2] = [0.05, 0.2];

/// One week's jobs, the one that is thought to take longest first.
struct Week {
    predicted: Vec<LogNormal>,
    takes: Vec<Moment>,
    /// By whether messages come in an order, and for which deadline: it takes long enough to ask once.
    planned: Vec<(Delivery, Duration, usize)>,
}

impl Week {
    fn plan(&mut self, delivery: Delivery, deadline: Duration) {
        let workers = kingtide::planned(CONFIDENCE, deadline, delivery, &self.predicted);
        self.planned.push((delivery, deadline, workers));
    }

    fn workers(&self, crew: Crew, delivery: Delivery, deadline: Duration) -> usize {
        let planned = self.planned.iter().filter(|_| crew == Crew::Planned);
        let planned = planned.filter(|plan| (plan.0, plan.1) == (delivery, deadline));
        planned.map(|plan| plan.2).next().unwrap_or(self.takes.len())
    }
}

/// A peer under a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    Cdk(cdk::Use),
    /// `acceptable_latency` of so many minutes.
    Copilot(u32),
    /// Whether pods are given the time to finish.
    KedaObject {
        patient: bool,
    },
    KedaJob,
    Batch {
        spot: Option<f64>,
    },
    Kingtide {
        workers: Crew,
        spot: Option<f64>,
        delivery: Delivery,
    },
}

/// How many workers Kingtide has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Crew {
    OneEach,
    /// As `Week::planned` says.
    Planned,
}

/// Minutes that a message is said to take where one has to say it.
const PROCESSING: u32 = 22;

impl Peer {
    fn work_off(self, week: &Week, deadline: Duration, random: &mut Rng) -> Burst {
        match self {
            Peer::Cdk(how) => {
                let mut pattern = how.pattern(random);
                simulate(how.consumers(), &mut pattern, &week.takes, random)
            }
            Peer::Copilot(latency) => {
                let mut worker = copilot::Worker::accepting(latency, PROCESSING);
                simulate(copilot::consumers(), &mut worker, &week.takes, random)
            }
            Peer::KedaObject { patient } => {
                let consumers = keda::Object::consumers(if patient { 2 * HOUR } else { 0 });
                simulate(consumers, &mut keda::Object::default(), &week.takes, random)
            }
            Peer::KedaJob => simulate(keda::Job::consumers(), &mut keda::Job, &week.takes, random),
            Peer::Batch { spot } => {
                let consumers = fleet::Consumers {
                    on_spot: if spot.is_some() { usize::MAX } else { 0 },
                    reclaimed_hourly: spot.unwrap_or(0.0),
                    ..batch::consumers()
                };
                simulate(consumers, &mut batch::Array, &week.takes, random)
            }
            Peer::Kingtide {
                workers,
                spot,
                delivery,
            } => {
                let how = kingtide::How {
                    workers: week.workers(workers, delivery, deadline),
                    deadline,
                    spot,
                    delivery,
                };
                let (mut dispatcher, consumers) = how.dispatcher(&week.predicted);
                simulate(consumers, &mut dispatcher, &week.takes, random)
            }
        }
    }

    /// All weeks. Each has its own luck, the same for all peers.
    fn all(self, weeks: &[Week], deadline: Duration) -> Vec<Burst> {
        let luck = |week: usize| Rng::with_seed(SEED ^ (week as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let numbered = weeks.iter().enumerate();
        numbered
            .map(|(number, week)| self.work_off(week, deadline, &mut luck(number)))
            .collect()
    }
}

fn weeks() -> Vec<Week> {
    let mut random = Rng::with_seed(SEED);
    let futures = planning::seed_burst(WEEKS, PREDICTION_ERROR, &mut random);
    let week = |(predicted, takes): (Vec<LogNormal>, Vec<u64>)| {
        let mut jobs: Vec<(LogNormal, Moment)> = predicted.into_iter().zip(takes).collect();
        jobs.sort_by_key(|(of, _)| std::cmp::Reverse(of.quantile(0.8)));
        let (predicted, takes) = jobs.into_iter().unzip();
        Week {
            predicted,
            takes,
            planned: Vec::new(),
        }
    };
    futures.into_iter().map(week).collect()
}

pub(super) fn run() -> anyhow::Result<()> {
    page::write(weeks())
}
