//! ECS on Fargate: tasks that take a while to start, launches that are throttled, capacity and quotas that run out, and tokens that make a call
//! the same call.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use kingtide_core::dispatch::{Launch, Market, Sighting, Size, Status};
use kingtide_core::plan::lognormal::LogNormal;
use kingtide_core::time::Timestamp;

use super::Mutation;

/// Launches at once, and in a second after that.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 20.0;
/// Fargate is paid for a minute at least.
const LEAST_PAID: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) tasks: BTreeMap<u64, Task>,
    tokens: BTreeMap<String, (Launch, Vec<u64>)>,
    bucket: (Timestamp, f64),
    pub(super) sizes: Vec<Size>,
    pub(super) vcpus: f64,
    /// There is no capacity in between.
    pub(super) drought: (Timestamp, Timestamp),
    pub(super) image_is_missing: bool,
    numbers: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    /// `None`: the dispatcher.
    pub(super) size: Option<usize>,
    pub(super) market: Market,
    pub(super) created_at: Timestamp,
    pub(super) pulled_at: Option<Timestamp>,
    pub(super) status: Status,
    /// TERM was sent, for this reason.
    pub(super) stopping: Option<&'static str>,
}

/// When a task will have come so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) task: u64,
    pub(super) pull: Timestamp,
    pub(super) run: Timestamp,
}

/// Tasks that were accepted, those of them that are new, and reasons of those that were not.
pub(super) type Launched = (Vec<u64>, Vec<Start>, Vec<String>);

impl Cluster {
    pub(super) fn new(sizes: Vec<Size>, vcpus: f64, now: Timestamp) -> Cluster {
        Cluster {
            tasks: BTreeMap::new(),
            tokens: BTreeMap::new(),
            bucket: (now, BURST),
            sizes,
            vcpus,
            drought: (now, now),
            image_is_missing: false,
            numbers: 0,
        }
    }

    /// A call of `RunTask`; an error where the call as a whole is refused.
    pub(super) fn run(
        &mut self,
        launch: &Launch,
        now: Timestamp,
        random: &mut Rng,
        mutation: Mutation,
    ) -> Result<Launched, String> {
        if let Some((before, tasks)) = self.tokens.get(&launch.token)
            && mutation != Mutation::ForgetTokens
        {
            return match before == launch {
                true => Ok((tasks.clone(), Vec::new(), Vec::new())),
                false => Err("ConflictException: the token was used for another call".to_owned()),
            };
        }
        let (at, tokens) = self.bucket;
        let tokens = (tokens + now.since(at).as_secs_f64() * PER_SECOND).min(BURST);
        self.bucket = (now, tokens);
        if tokens < f64::from(launch.count) {
            return Err("ThrottlingException: Rate exceeded".to_owned());
        }
        self.bucket.1 -= f64::from(launch.count);
        let (mut tasks, mut starts, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..launch.count {
            let is_dry = (self.drought.0..self.drought.1).contains(&now);
            if is_dry && random.u32(..10) != 0 {
                failures.push("Capacity is unavailable at this time. Please try again later".to_owned());
            } else if self.taken() + self.sizes[launch.size].vcpus > self.vcpus + 1e-9 {
                failures.push("You've reached the limit on the number of vCPUs you can run concurrently".to_owned());
            } else {
                let start = self.add(Some(launch.size), launch.market, now, random);
                tasks.push(start.task);
                starts.push(start);
            }
        }
        self.tokens
            .insert(launch.token.clone(), (launch.clone(), tasks.clone()));
        Ok((tasks, starts, failures))
    }

    pub(super) fn add(&mut self, size: Option<usize>, market: Market, now: Timestamp, random: &mut Rng) -> Start {
        self.numbers += 1;
        let task = Task {
            size,
            market,
            created_at: now,
            pulled_at: None,
            status: Status::Starting,
            stopping: None,
        };
        self.tasks.insert(self.numbers, task);
        let start_up = LogNormal::around(Duration::from_secs(45), 0.4).quantile(random.f64().clamp(0.001, 0.999));
        Start {
            task: self.numbers,
            pull: now + start_up / 4,
            run: now + start_up,
        }
    }

    pub(super) fn stop(&mut self, task: u64, now: Timestamp, code: Option<&str>, reason: &str, exit_code: Option<i32>) {
        let Some(task) = self.tasks.get_mut(&task) else { return };
        if !task.is_alive() {
            return;
        }
        task.status = Status::Stopped {
            at: now,
            code: code.map(str::to_owned),
            reason: Some(reason.to_owned()),
            exit_code,
        };
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = (u64, &Task)> {
        self.tasks
            .iter()
            .filter(|(_, task)| task.is_alive())
            .map(|(id, task)| (*id, task))
    }

    pub(super) fn workers(&self) -> usize {
        self.alive().filter(|(_, task)| task.size.is_some()).count()
    }

    fn taken(&self) -> f64 {
        let sizes = self.alive().filter_map(|(_, task)| task.size);
        sizes.map(|size| self.sizes[size].vcpus).sum()
    }

    /// What all workers have cost.
    pub(super) fn dollars(&self, now: Timestamp) -> f64 {
        let of = |task: &Task| {
            let (Some(size), Some(from)) = (task.size, task.pulled_at) else {
                return 0.0;
            };
            let until = match task.status {
                Status::Stopped { at, .. } => at,
                Status::Starting | Status::Running => now,
            };
            let size = self.sizes[size];
            let hourly = match task.market {
                Market::OnDemand => size.hourly,
                Market::Spot => size.spot_hourly,
            };
            until.since(from).max(LEAST_PAID).as_secs_f64() / 3600.0 * hourly
        };
        self.tasks.values().map(of).sum()
    }

    /// What is told of the workers; of those that are just accepted, perhaps nothing yet.
    pub(super) fn describe(&self, now: Timestamp, random: &mut Rng) -> Vec<Sighting> {
        let mut seen = Vec::new();
        for (id, task) in &self.tasks {
            let Some(size) = task.size else { continue };
            let is_new = now.since(task.created_at) < Duration::from_secs(10);
            let is_old = matches!(task.status, Status::Stopped { at, .. } if now.since(at) > Duration::from_secs(3600));
            if (is_new && random.bool()) || is_old {
                continue;
            }
            seen.push(Sighting {
                id: arn(*id),
                size,
                market: task.market,
                paid_from: task.pulled_at,
                status: task.status.clone(),
            });
        }
        seen
    }
}

impl Task {
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.status, Status::Stopped { .. })
    }
}

pub(super) fn arn(task: u64) -> String {
    format!("arn:aws:ecs:eu-west-1:123456789012:task/c/{task}")
}

pub(super) fn number(arn: &str) -> Option<u64> {
    arn.rsplit('/').next()?.parse().ok()
}
