//! Consumers: jobs whose program reads the queue itself. What runs is an instance and no attempt: as many as there are
//! messages visible or in flight, as far as they fit. One is told to leave only when it holds nothing and nothing is
//! visible, and is handed nothing after that; so no message is in the hands of a program that is being ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::{Change, Effect, Employ, End, Exit, Fate, Followed, Host, OpenConsumer, Stop};
use super::retry;
use super::{Engine, Step, Supply};
use crate::id::{AttemptId, InstanceId, RunId, TaskId};
use crate::project::{Job, Resources};
use crate::time::Timestamp;

/// How long an instance with nothing to do waits for more: starting another costs more than that.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// So many instances in a row that ended without having received anything, and a run that waits for them has failed.
pub(super) const MOST_FRUITLESS: u32 = 10;

/// A job whose program reads the queue itself.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) job: Job,
    pub(super) host: Host,
    ready: bool,
    instances: BTreeMap<InstanceId, Instance>,
    visible: u64,
    in_flight: u64,
    /// Instances in a row that ended without having received anything.
    fruitless: u32,
    /// After one of those, nothing starts before.
    not_before: Option<Timestamp>,
}

#[derive(Debug)]
struct Instance {
    gpus: Vec<u32>,
    /// The tasks of the messages that it has received and not deleted.
    held: BTreeSet<TaskId>,
    has_received: bool,
    /// Told to leave.
    is_leaving: bool,
    /// Since when it holds nothing.
    free_since: Timestamp,
}

impl Engine {
    pub(super) fn on_consumer_opened(&mut self, now: Timestamp, open: OpenConsumer) {
        let resources = open.job.resources;
        let instances = open.instances.into_iter().map(|(id, held)| {
            let instance = Instance {
                gpus: self.packing.take(resources),
                has_received: !held.is_empty(),
                held,
                is_leaving: false,
                free_since: now,
            };
            (id, instance)
        });
        let consumer = Consumer {
            instances: instances.collect(),
            host: open.host,
            ready: open.ready,
            visible: 0,
            in_flight: 0,
            fruitless: 0,
            not_before: None,
            job: open.job,
        };
        self.next_instance = self.next_instance.max(open.next.0);
        self.consumers.insert(consumer.job.name.clone(), consumer);
    }

    pub(super) fn on_consumer_ready(&mut self, job: &str) {
        if let Some(consumer) = self.consumers.get_mut(job) {
            consumer.ready = true;
        }
    }

    pub(super) fn on_backlog(&mut self, job: &str, visible: u64, in_flight: u64) {
        if let Some(consumer) = self.consumers.get_mut(job) {
            (consumer.visible, consumer.in_flight) = (visible, in_flight);
        }
    }

    /// Keeps count of what each instance holds.
    pub(super) fn note_holder(&mut self, now: Timestamp, followed: &Followed) {
        let Some(consumer) = self.consumers.get_mut(&followed.job) else {
            return;
        };
        if let Some(before) = followed.holder.and_then(|id| consumer.instances.get_mut(&id)) {
            before.held.remove(&followed.task);
            before.free_since = now;
        }
        if let Fate::Received(Some(id)) = &followed.fate {
            consumer.fruitless = 0;
            consumer.not_before = None;
            if let Some(instance) = consumer.instances.get_mut(id) {
                instance.held.insert(followed.task);
                instance.has_received = true;
            }
        }
    }

    /// An instance has ended, by itself or because it was told to.
    pub(super) fn on_instance_exited(&mut self, now: Timestamp, id: InstanceId, exit: &Exit, step: &mut Step) {
        let jitter = self.random.f64();
        step.effects.push(Effect::Acknowledge { attempt: id.attempt() });
        let Some((job, instance)) = self.take_instance(id) else {
            return;
        };
        let consumer = self.consumers.get_mut(&job).expect("its instance was just taken");
        let memory = consumer.job.resources.memory;
        let is_asked = instance.is_leaving || matches!(exit.end, End::Stopped(_));
        let is_well = is_asked || exit.end == End::Code(0);
        let reason = (!is_well).then(|| retry::reason(&exit.end, memory).unwrap_or_default());
        if !is_asked && !instance.has_received {
            consumer.fruitless += 1;
        }
        if !is_asked && (!is_well || !instance.has_received) {
            let wait = retry::delay(&consumer.job.backoff, consumer.fruitless.max(1), jitter);
            consumer.not_before = Some(now + wait);
            step.effects.push(Effect::TellConsumer {
                job: job.clone(),
                instance: id,
                reason: reason
                    .clone()
                    .unwrap_or_else(|| "it left without having received anything".to_owned()),
                tail: exit.tail.clone(),
                next_in: wait,
            });
        }
        let why = match &reason {
            Some(reason) => format!("its consumer ended: {reason}"),
            None => "its consumer left".to_owned(),
        };
        self.end_instance(now, id, reason, why, step);
        self.give_up(now, &job, step);
    }

    /// A host holds these and nothing else.
    pub(super) fn on_host_of_instances(
        &mut self,
        now: Timestamp,
        host: Host,
        holds: &BTreeSet<AttemptId>,
        step: &mut Step,
    ) {
        let of_host = self.consumers.values().filter(|consumer| consumer.host == host);
        let known: Vec<InstanceId> = of_host
            .flat_map(|consumer| consumer.instances.keys().copied())
            .collect();
        for id in known.into_iter().filter(|id| !holds.contains(&id.attempt())) {
            self.on_instance_lost(now, id, step);
        }
    }

    pub(super) fn on_instance_lost(&mut self, now: Timestamp, id: InstanceId, step: &mut Step) {
        if self.take_instance(id).is_some() {
            self.end_instance(
                now,
                id,
                Some("lost".to_owned()),
                "its consumer was lost".to_owned(),
                step,
            );
        }
    }

    pub(super) fn is_instance(&self, attempt: AttemptId) -> bool {
        attempt.instance().is_some_and(|id| {
            self.consumers
                .values()
                .any(|consumer| consumer.instances.contains_key(&id))
        })
    }

    /// Starts and dismisses instances, as the backlog wants it.
    pub(super) fn employ(&mut self, now: Timestamp, step: &mut Step) {
        let names: Vec<String> = self.consumers.keys().cloned().collect();
        for name in names {
            self.hire(now, &name, step);
            self.dismiss(now, &name, step);
        }
    }

    fn hire(&mut self, now: Timestamp, name: &str, step: &mut Step) {
        let consumer = &self.consumers[name];
        let may_start = self.supply == Supply::Open
            && consumer.ready
            && self.hosts.contains(&consumer.host)
            && consumer.not_before.is_none_or(|at| at <= now);
        if !may_start {
            return;
        }
        let staying = consumer.instances.values().filter(|instance| !instance.is_leaving);
        let staying = staying.count() as u64;
        let most = u64::from(consumer.job.max_workers.unwrap_or(u32::MAX));
        let wanted = (consumer.visible + consumer.in_flight).min(most);
        let resources = consumer.job.resources;
        let mut missing = wanted.saturating_sub(staying);
        // After one that received nothing, one at a time.
        if consumer.fruitless > 0 {
            missing = missing.min(u64::from(staying == 0));
        }
        // What is leaving still runs.
        let running = consumer.instances.len() as u64;
        missing = missing.min(most.saturating_sub(running));
        for _ in 0..missing {
            if self.packing.room(resources) == 0 {
                break;
            }
            let gpus = self.packing.take(resources);
            let id = InstanceId(self.next_instance);
            self.next_instance += 1;
            let consumer = self.consumers.get_mut(name).expect("looked up above");
            let instance = Instance {
                gpus: gpus.clone(),
                held: BTreeSet::new(),
                has_received: false,
                is_leaving: false,
                free_since: now,
            };
            consumer.instances.insert(id, instance);
            step.changes.push(Change::InstanceOpened {
                instance: id,
                job: name.to_owned(),
                at: now,
            });
            step.effects.push(Effect::Employ(Employ {
                job: name.to_owned(),
                instance: id,
                memory: resources.memory,
                gpus,
            }));
        }
    }

    fn dismiss(&mut self, now: Timestamp, name: &str, step: &mut Step) {
        let is_leaving = self.supply != Supply::Open;
        let is_releasing = self.supply == Supply::Releasing;
        let is_waited_for = self.runs.values().any(|run| run.job.name == name);
        let consumer = self.consumers.get_mut(name).expect("its key was just read");
        let is_empty = consumer.visible == 0;
        let grace = if is_waited_for { GRACE } else { Duration::ZERO };
        let mut leaving = Vec::new();
        for (id, instance) in consumer
            .instances
            .iter_mut()
            .filter(|(_, instance)| !instance.is_leaving)
        {
            let has_waited = is_empty && now >= instance.free_since + grace;
            if is_releasing || (instance.held.is_empty() && (is_leaving || has_waited)) {
                instance.is_leaving = true;
                leaving.push(id.attempt());
                step.effects.push(Effect::Dismiss { instance: *id });
            }
        }
        if !leaving.is_empty() {
            step.effects.push(Effect::Stop {
                attempts: leaving,
                stop: Stop::Release,
            });
        }
    }

    /// Ends whoever holds a message of this run.
    pub(super) fn dismiss_holders(&mut self, run: RunId, step: &mut Step) {
        let mut attempts = Vec::new();
        for consumer in self.consumers.values_mut() {
            for (id, instance) in &mut consumer.instances {
                if instance.held.iter().any(|task| task.run == run) && !instance.is_leaving {
                    instance.is_leaving = true;
                    attempts.push(id.attempt());
                    step.effects.push(Effect::Dismiss { instance: *id });
                }
            }
        }
        if !attempts.is_empty() {
            step.effects.push(Effect::Stop {
                attempts,
                stop: Stop::Cancel,
            });
        }
    }

    /// When a consumer has to be looked at again.
    pub(super) fn consumers_wakeup(&self) -> Option<Timestamp> {
        let times = self.consumers.values().flat_map(|consumer| {
            let waits = consumer.visible > 0 && consumer.instances.is_empty() && self.supply == Supply::Open;
            let free = consumer
                .instances
                .values()
                .filter(|instance| consumer.visible == 0 && instance.held.is_empty() && !instance.is_leaving)
                .map(|instance| instance.free_since + GRACE);
            free.chain(consumer.not_before.filter(|_| waits))
        });
        times.min()
    }

    /// Whether no instance of any consumer is left.
    pub fn is_unmanned(&self) -> bool {
        self.consumers.values().all(|consumer| consumer.instances.is_empty())
    }

    /// How many instances of a consumer there are.
    pub fn instances(&self, job: &str) -> usize {
        self.consumers.get(job).map_or(0, |consumer| consumer.instances.len())
    }

    /// A run that waits for a consumer which never receives anything has failed.
    fn give_up(&mut self, now: Timestamp, job: &str, step: &mut Step) {
        if self.consumers[job].fruitless < MOST_FRUITLESS {
            return;
        }
        let waits = |run: &super::Run| run.job.name == job && run.idle.is_none() && run.ending.is_none();
        let hopeless: Vec<RunId> = self
            .runs
            .iter()
            .filter(|(_, run)| waits(run))
            .map(|(id, _)| *id)
            .collect();
        for run in hopeless {
            self.end_run(now, run, super::run::Ending::Hopeless, step);
        }
    }

    fn take_instance(&mut self, id: InstanceId) -> Option<(String, Instance)> {
        for (name, consumer) in &mut self.consumers {
            if let Some(instance) = consumer.instances.remove(&id) {
                let resources: Resources = consumer.job.resources;
                self.packing.give_back(resources, &instance.gpus);
                return Some((name.clone(), instance));
            }
        }
        None
    }

    fn end_instance(&self, now: Timestamp, id: InstanceId, reason: Option<String>, why: String, step: &mut Step) {
        step.changes.push(Change::InstanceEnded {
            instance: id,
            reason,
            at: now,
        });
        step.effects.push(Effect::Reclaim { instance: id, why });
    }
}
