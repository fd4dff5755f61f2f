//! The workers of a run, as ECS tells of them: who starts, who works, who has gone and why, and what they are paid for.

use std::time::Duration;

use super::event::{Market, Sighting, Size, Status};
use super::memory::{Memory, Worker};
use crate::time::Timestamp;

/// Fargate is paid for by the second, and for a minute at least (<https://aws.amazon.com/fargate/pricing/>).
pub(super) const LEAST_PAID: Duration = Duration::from_secs(60);
/// ECS may not know yet what it has just accepted; what it has not known for so long is gone.
const UNKNOWN: Duration = Duration::from_secs(300);
/// So long ECS tells of what has stopped, and more.
const SETTLED: Duration = Duration::from_secs(2 * 3600);

/// How a worker has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// By itself: there was nothing to do. It had been asked for then.
    Left { asked_at: Timestamp },
    /// It was told to.
    Told,
    /// With its machine, or reclaimed.
    Lost { at: Timestamp },
    /// It failed.
    Failed { at: Timestamp, reason: String },
    /// It did not even start.
    Unstarted { market: Market, reason: String },
}

/// Takes in what ECS says, and settles the accounts of those that have gone.
pub(super) fn look(memory: &mut Memory, now: Timestamp, tasks: &[Sighting], sizes: &[Size]) -> Vec<Parting> {
    let mut partings = Vec::new();
    for task in tasks {
        if memory.settled.contains_key(&task.id) {
            continue;
        }
        // One that is not known was accepted before the answer was lost.
        let worker = memory.crew.entry(task.id.clone()).or_insert_with(|| {
            memory.started += 1;
            Worker {
                size: task.size,
                market: task.market,
                asked_at: now,
                seen_at: now,
                paid_from: None,
                is_running: false,
                told_at: None,
            }
        });
        worker.seen_at = now;
        worker.paid_from = task.paid_from.or(worker.paid_from);
        match &task.status {
            Status::Starting => {}
            Status::Running => worker.is_running = true,
            Status::Stopped { at, .. } => {
                partings.push(parting(worker, &task.status));
                settle(memory, &task.id, *at, sizes);
            }
        }
    }
    let unknown = memory
        .crew
        .iter()
        .filter(|(_, worker)| now.since(worker.seen_at) > UNKNOWN);
    let unknown: Vec<(String, Timestamp)> = unknown.map(|(id, worker)| (id.clone(), worker.seen_at)).collect();
    for (id, at) in unknown {
        partings.push(Parting::Lost { at });
        settle(memory, &id, at, sizes);
    }
    memory.settled.retain(|_, at| now.since(*at) < SETTLED);
    let lost = |parting: &&Parting| !matches!(parting, Parting::Left { .. } | Parting::Told);
    memory.lost += partings.iter().filter(lost).count() as u32;
    partings
}

fn settle(memory: &mut Memory, id: &str, at: Timestamp, sizes: &[Size]) {
    if let Some(worker) = memory.crew.remove(id) {
        memory.spent += worker.dollars(at, sizes);
        memory.settled.insert(id.to_owned(), at);
    }
}

fn parting(worker: &Worker, status: &Status) -> Parting {
    let Status::Stopped {
        at,
        code,
        reason,
        exit_code,
    } = status
    else {
        return Parting::Told;
    };
    let said = || {
        let reason = reason.clone().unwrap_or_else(|| "it has stopped".to_owned());
        match exit_code {
            Some(code) if *code != 0 => format!("{reason} (exit code {code})"),
            _ => reason,
        }
    };
    match code.as_deref() {
        _ if worker.told_at.is_some() => Parting::Told,
        Some("TaskFailedToStart") => Parting::Unstarted {
            market: worker.market,
            reason: said(),
        },
        Some("SpotInterruption" | "TerminationNotice" | "InfrastructureHealth" | "UserInitiated") => {
            Parting::Lost { at: *at }
        }
        _ => match exit_code {
            Some(0) => Parting::Left {
                asked_at: worker.asked_at,
            },
            // Nobody saw its end.
            None => Parting::Lost { at: *at },
            Some(_) => Parting::Failed {
                at: *at,
                reason: said(),
            },
        },
    }
}

impl Worker {
    /// What it is paid for until then.
    pub(super) fn dollars(&self, until: Timestamp, sizes: &[Size]) -> f64 {
        let (Some(from), Some(size)) = (self.paid_from, sizes.get(self.size)) else {
            return 0.0;
        };
        let hours = until.since(from).max(LEAST_PAID).as_secs_f64() / 3600.0;
        hours * size.price(self.market)
    }
}

impl Memory {
    /// What all have cost until now.
    pub(super) fn dollars(&self, now: Timestamp, sizes: &[Size]) -> f64 {
        let alive: f64 = self.crew.values().map(|worker| worker.dollars(now, sizes)).sum();
        self.spent + alive
    }

    pub(super) fn running(&self) -> usize {
        self.crew.values().filter(|worker| worker.is_running).count()
    }

    /// Workers that are to come: accepted or asked for.
    pub(super) fn coming(&self) -> usize {
        self.crew.len() - self.running() + self.asked_count()
    }

    pub(super) fn asked_count(&self) -> usize {
        self.asked.values().map(|asked| asked.launch.count as usize).sum()
    }
}
