//! One turn's writing: what events change together with what is leased next, in one transaction, then the effects.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kingtide_core::engine::event::{RunState, TaskState};
use kingtide_core::engine::{Change, Effect, Event, IllegalTransition};
use kingtide_core::id::{RunId, TaskId};
use kingtide_core::message::Message;

use super::Turn;
use crate::notice::Notice;
use crate::runtime::{RunError, now};
use crate::store::StoreError;

/// How often a full disk is looked at: nothing tells when there is room again.
const DISK_FULL_PAUSE: Duration = Duration::from_secs(1);

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
        let due = self.renewed.elapsed() >= self.store.renewal();
        if !pending.changes.is_empty() || keeper.is_some() || due || self.engine.next_receive(now).is_some() {
            self.commit(&mut pending, keeper, observe)?;
        }
        let requests = self.actuators.perform(pending.effects, &mut self.gauges, observe);
        self.hosts.send(&requests);
        for change in pending.changes {
            if let Change::RunEnded { run, state, reason, .. } = change {
                self.close(run, state, reason, observe)?;
            }
        }
        Ok(())
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
        let mut paused = false;
        loop {
            match self.try_commit(pending, keeper) {
                Ok(()) => break,
                Err(Attempted::Store(StoreError::DiskFull)) => {
                    if !paused {
                        observe(Notice::Said(
                            "the disk is full: paused, nothing is lost; waiting for room".to_owned(),
                        ));
                    }
                    paused = true;
                    // Nothing tells when there is room again.
                    std::thread::sleep(DISK_FULL_PAUSE);
                }
                Err(Attempted::Store(error)) => return Err(error.into()),
                Err(Attempted::Illegal(error)) => return Err(error.into()),
            }
        }
        if paused {
            observe(Notice::Said("there is room on the disk again: going on".to_owned()));
        }
        Ok(())
    }

    fn try_commit(&mut self, pending: &mut Pending, keeper: Option<&str>) -> Result<(), Attempted> {
        let now = now();
        let renews = self.renewed.elapsed() >= self.store.renewal() / 2;
        let batch = self.store.begin()?;
        batch.write(&pending.changes)?;
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
        if let Some(keeper) = keeper {
            batch.note_keeper(keeper)?;
        }
        if renews {
            batch.renew_lease(now)?;
        }
        batch.commit()?;
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
