//! One turn's writing: what events change together with what is leased next, in one transaction, then the effects.

use std::collections::BTreeSet;
use std::time::Instant;

use kingtide_core::engine::event::{RunState, TaskState};
use kingtide_core::engine::{Change, Effect, Engine, Event, IllegalTransition};
use kingtide_core::id::{RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::time::Timestamp;

use super::Turn;
use super::calls::{Answers, Heard};
use crate::notice::Notice;
use crate::runtime::{RunError, now};
use crate::store::{Batch, StoreError};

impl Turn<'_> {
    /// Applies events, commits what they change together with what is leased next, then acts.
    pub(super) fn take(
        &mut self,
        events: Vec<Event>,
        keeper: Option<&str>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        let now = now();
        let mut pending = Pending::default();
        for event in events {
            let step = self.engine.apply(now, event)?;
            pending.changes.extend(step.changes);
            pending.effects.extend(step.effects);
        }
        let told = pending.effects.len();
        self.tell_queues(&pending.effects);
        let due = self.renewed.elapsed() >= self.store.renewal() && !self.is_idle();
        let asked = self.calls.is_due(now) || self.engine.next_receive(now).is_some();
        if !pending.changes.is_empty() || keeper.is_some() || due || asked {
            self.commit(&mut pending, keeper, observe)?;
        }
        self.tell_queues(&pending.effects[told..]);
        let requests = self.actuators.perform(pending.effects, &mut self.gauges, observe);
        self.hosts.send(&requests);
        self.tell_forecaster(&pending.changes);
        for change in pending.changes {
            match change {
                Change::RunEnded { run, state, reason, .. } => self.close(run, state, reason, observe)?,
                Change::InstanceEnded { instance, .. } => self.actuators.forget_instance(instance),
                _ => {}
            }
        }
        self.open_heard(pending.heard, observe)
    }

    /// What the engine decided about consumers is the queues' business too.
    fn tell_queues(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Employ(employ) => self.calls.admit(employ.instance),
                Effect::Dismiss { instance } => self.calls.dismiss(*instance),
                Effect::Reclaim { instance, .. } => self.calls.reclaim(*instance),
                _ => {}
            }
        }
    }

    /// Runs that messages have opened are worked off, queues that were purged are no longer.
    fn open_heard(&mut self, heard: Heard, observe: &mut dyn FnMut(Notice)) -> Result<(), RunError> {
        let mut events = Vec::new();
        for run in heard.opened {
            if self.stays && !self.engine.is_draining() {
                events.extend(self.open(run, observe)?);
            }
        }
        for run in heard.arrived {
            self.tell_arrivals(run)?;
        }
        for job in heard.purged {
            let runs = self.actuators.contexts.iter();
            let runs = runs.filter(|(_, context)| context.job.name == job);
            events.extend(runs.map(|(run, _)| Event::Purged(*run)));
        }
        if events.is_empty() {
            return Ok(());
        }
        self.take(events, None, observe)
    }

    /// What is left to do of a run whose end is on disk.
    fn close(
        &mut self,
        run: RunId,
        state: RunState,
        reason: Option<String>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        self.store.remember(run)?;
        self.calls.desk.learn_anew();
        // Nobody reads them any more.
        let _ = std::fs::remove_dir_all(self.layout.messages(run));
        self.actuators.contexts.remove(&run);
        if let Some(mut gauge) = self.gauges.remove(&run) {
            gauge.tell(&self.engine, now(), true, observe);
            observe(gauge.ended(state, reason));
        }
        Ok(())
    }

    /// Until it is on disk: a full disk is waited out, with everything kept.
    fn commit(
        &mut self,
        pending: &mut Pending,
        keeper: Option<&str>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        loop {
            match self.try_commit(pending, keeper) {
                Ok(()) => break,
                // What was asked of the queues is not asked twice: whoever asked is told to, and the loop begins anew from
                // what is on disk.
                Err(Attempted::Store(StoreError::DiskFull)) if pending.performed => {
                    self.calls.refuse(std::mem::take(&mut pending.answers));
                    return Err(StoreError::DiskFull.into());
                }
                Err(Attempted::Store(StoreError::DiskFull)) => {
                    self.premises.pause(observe);
                }
                Err(Attempted::Store(error)) => return Err(error.into()),
                Err(Attempted::Illegal(error)) => return Err(error.into()),
            }
        }
        if pending.performed {
            self.calls.performed(std::mem::take(&mut pending.answers));
        }
        self.premises.go_on(observe);
        Ok(())
    }

    fn try_commit(&mut self, pending: &mut Pending, keeper: Option<&str>) -> Result<(), Attempted> {
        let now = now();
        let renews = self.renewed.elapsed() >= self.store.renewal() / 2;
        let jobs = &self.project.jobs;
        let batch = self.store.begin()?;
        self.calls.desk.begin();
        batch.write(&pending.changes)?;
        if self.calls.is_due(now) {
            pending.performed = true;
            let notes = self.calls.perform(&batch, now, jobs, &mut pending.answers)?;
            let mut events = Vec::new();
            for note in notes {
                let Some(event) = self.calls.event(&batch, note, &mut pending.heard)? else {
                    continue;
                };
                // Of many that arrive in one run, one event.
                if let (Event::Arrived { run, .. }, Some(Event::Arrived { run: last, count })) =
                    (&event, events.last_mut())
                    && run == last
                {
                    *count += 1;
                    continue;
                }
                // The rows that the next note is about may be what this one changes.
                let is_arrival = matches!(event, Event::Arrived { .. });
                events.push(event);
                if !is_arrival {
                    for event in events.drain(..) {
                        apply(&mut self.engine, &batch, pending, now, event)?;
                    }
                }
            }
            for event in events {
                apply(&mut self.engine, &batch, pending, now, event)?;
            }
            for event in self.calls.look(&batch, now, self.project)? {
                apply(&mut self.engine, &batch, pending, now, event)?;
            }
        }
        while let Some(receive) = self.engine.next_receive(now) {
            let offer = batch.receive(receive, now)?;
            let tasks: Vec<TaskId> = offer.received.deliveries.iter().map(|delivery| delivery.task).collect();
            let step = self
                .engine
                .apply(now, Event::Received(offer.received))
                .map_err(Attempted::Illegal)?;
            let leased: BTreeSet<TaskId> = step.changes.iter().filter_map(leased_task).collect();
            for (task, body) in tasks
                .into_iter()
                .zip(offer.bodies)
                .filter(|(task, _)| leased.contains(task))
            {
                let message = Message::parse(&body).unwrap_or_else(|| Message(serde_json::Map::new()));
                if let Some(gauge) = self.gauges.get_mut(&task.run) {
                    gauge.leased(task, &message);
                }
                self.actuators.messages.insert(task, message);
            }
            pending.effects.extend(step.effects);
            let from = pending.changes.len();
            pending.changes.extend(step.changes);
            batch.write(&pending.changes[from..])?;
        }
        let contexts = &self.actuators.contexts;
        let run = |run| {
            contexts
                .get(&run)
                .map(|context| (context.job.name.clone(), context.host))
        };
        if pending.changes.iter().any(is_of_queues) {
            pending.performed = true;
            self.calls.follow(&batch, now, jobs, &pending.changes, run)?;
            // Or an instance that ends next would be replaced for messages that are gone.
            for event in self.calls.look(&batch, now, self.project)? {
                apply(&mut self.engine, &batch, pending, now, event)?;
            }
        }
        if let Some(keeper) = keeper {
            batch.note_keeper(keeper)?;
        }
        if renews {
            batch.renew_lease(now)?;
        }
        let decides_nothing = pending.changes.is_empty() && pending.effects.is_empty() && keeper.is_none();
        match decides_nothing && !self.calls.desk.is_durable() {
            true => batch.commit_losable()?,
            false => batch.commit()?,
        }
        self.calls.desk.committed();
        if renews {
            self.renewed = Instant::now();
        }
        for change in &pending.changes {
            if let Change::Counts { run, counts } = change
                && let Some(gauge) = self.gauges.get_mut(run)
            {
                gauge.note(*counts);
            }
        }
        Ok(())
    }
}

/// What is decided and not yet on disk.
#[derive(Default)]
struct Pending {
    changes: Vec<Change>,
    effects: Vec<Effect>,
    /// Something was asked of the queues.
    performed: bool,
    answers: Answers,
    heard: Heard,
}

/// Applies an event in the middle of a transaction.
fn apply(
    engine: &mut Engine,
    batch: &Batch<'_>,
    pending: &mut Pending,
    now: Timestamp,
    event: Event,
) -> Result<(), Attempted> {
    let step = engine.apply(now, event).map_err(Attempted::Illegal)?;
    batch.write(&step.changes)?;
    pending.changes.extend(step.changes);
    pending.effects.extend(step.effects);
    Ok(())
}

/// Whether something follows from it for a queue.
fn is_of_queues(change: &Change) -> bool {
    match change {
        Change::Task(row) => matches!(
            row.state,
            TaskState::Failed | TaskState::Rejected | TaskState::Cancelled
        ),
        Change::CancelWaiting { .. } => true,
        _ => false,
    }
}

enum Attempted {
    Store(StoreError),
    Illegal(IllegalTransition),
}

impl From<StoreError> for Attempted {
    fn from(error: StoreError) -> Attempted {
        Attempted::Store(error)
    }
}

fn leased_task(change: &Change) -> Option<TaskId> {
    match change {
        Change::Task(row) if row.state == TaskState::Leased => Some(row.task),
        _ => None,
    }
}
