//! What the engine answers, interpreted: rows are written, instances started and ended, messages given back.

use kingtide_core::engine::Effect;
use kingtide_core::engine::event::{Change, Event, Fate, Followed, Ledger, TaskState};
use kingtide_core::id::TaskId;

use super::{Mutation, World};

impl World {
    pub(super) fn follow(&mut self, task: TaskId, fate: Fate) {
        let letter = self.letters.get_mut(&task).expect("a known task");
        let followed = Followed {
            task,
            job: self.job.name.clone(),
            fate: fate.clone(),
            state: letter.state,
            attempt: letter.attempt,
            ledger: Ledger::default(),
            started_at: (letter.state == TaskState::Leased).then_some(self.now),
            holder: letter.holder.take(),
        };
        if let Fate::Received(holder) = fate {
            letter.holder = holder;
            letter.receives += 1;
        }
        self.apply(vec![Event::Followed(Box::new(followed))]);
    }

    pub(super) fn apply(&mut self, events: Vec<Event>) {
        if self.engine.is_none() {
            // Nobody is told; the rows of the queue change all the same when the runtime is back.
            self.start();
        }
        for event in events {
            self.apply_one(event);
        }
        let of = |state| self.letters.values().filter(|letter| letter.state == state).count() as u64;
        let backlog = (of(TaskState::Waiting), of(TaskState::Leased));
        if self.engine.is_some() && self.backlog != Some(backlog) {
            self.backlog = Some(backlog);
            self.apply_one(Event::Backlog {
                job: self.job.name.clone(),
                visible: backlog.0,
                in_flight: backlog.1,
            });
        }
    }

    fn apply_one(&mut self, event: Event) {
        let engine = self.engine.as_mut().expect("started above");
        let step = engine.apply(self.now, event);
        let step = step.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        for change in step.changes {
            self.write(change);
        }
        for effect in step.effects {
            self.act(effect);
        }
    }

    fn write(&mut self, change: Change) {
        match change {
            Change::Task(row) => {
                let letter = self.letters.get_mut(&row.task).expect("a known task");
                assert!(
                    !letter.state.is_over(),
                    "seed {}: {} was over and became {:?}",
                    self.seed,
                    row.task,
                    row.state
                );
                (letter.state, letter.attempt) = (row.state, row.attempt);
            }
            Change::Counts { counts, .. } => self.counts = counts,
            Change::RunEnded { state, .. } => self.state = state,
            Change::InstanceOpened { instance, .. } => {
                assert!(instance.0 >= self.next, "seed {}: a number came twice", self.seed);
                self.next = instance.0 + 1;
                self.instances.insert(instance);
            }
            Change::InstanceEnded { instance, .. } => {
                assert!(self.instances.remove(&instance), "seed {}: ended twice", self.seed);
            }
            _ => {}
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Employ(employ) => {
                self.programs.insert(employ.instance);
            }
            Effect::Dismiss { instance } => {
                let holds = self.letters.values().any(|letter| letter.holder == Some(instance));
                assert!(!holds, "seed {}: {instance} holds a message and is to leave", self.seed);
                self.leaving.insert(instance);
            }
            Effect::Stop { attempts, .. } => {
                for id in attempts.iter().filter_map(|attempt| attempt.instance()) {
                    self.asked.insert(id);
                }
            }
            Effect::Reclaim { instance, .. } if self.mutation != Mutation::ForgetReclaim => {
                let held: Vec<TaskId> = self
                    .letters
                    .iter()
                    .filter(|(_, letter)| letter.holder == Some(instance))
                    .map(|(task, _)| *task)
                    .collect();
                let told_to_leave = self.leaving.remove(&instance);
                assert!(
                    held.is_empty() || !told_to_leave,
                    "seed {}: {instance} was told to leave and held a message",
                    self.seed
                );
                for task in held {
                    self.follow(task, Fate::Returned("its consumer ended".to_owned()));
                }
            }
            _ => {}
        }
    }
}
