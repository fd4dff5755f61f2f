//! What is asked of the queues: performed in the turn's transaction, answered after its commit. Receives that found nothing
//! wait here; whatever makes a message visible serves them in the same transaction.

use std::collections::{BTreeMap, BTreeSet};

use kingtide_core::engine::Event;
use kingtide_core::engine::event::{Change, Fate, Followed, Host, TaskState};
use kingtide_core::id::{InstanceId, RunId, TaskId};
use kingtide_core::project::{Job, Mode, Project};
use kingtide_core::time::Timestamp;

use crate::keys;
use crate::queue::{Desk, Note, Outcome, Queues};
use crate::sqs::Call;
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::{Answer, Operation};
use crate::store::{Batch, StoreError};

/// Calls on their way, and who holds what.
pub(super) struct Calls {
    pub(super) desk: Desk,
    /// Arrived since the last turn.
    pub(super) arrived: Vec<Call>,
    waiting: Vec<Waiting>,
    /// Instances that ended: what they held is to be visible again.
    reclaim: Vec<InstanceId>,
    /// Instances that are handed nothing any more.
    leaving: BTreeSet<InstanceId>,
    /// Who has received the message of a task in consumer mode.
    holders: BTreeMap<TaskId, InstanceId>,
    /// When something in the queues happens by the clock.
    next_due: Option<Timestamp>,
    /// Where something became visible after whoever waits was looked after: that is for the next turn.
    stirred: BTreeSet<String>,
    /// The queues of the jobs are there.
    is_open: bool,
    /// What the engine knows of the backlogs.
    backlogs: BTreeMap<String, (u64, u64)>,
}

/// A receive that found nothing.
struct Waiting {
    call: Call,
    queue: String,
    until: Timestamp,
}

/// What came of the calls of one turn; told once it is on disk.
#[derive(Default)]
pub(super) struct Answers {
    told: Vec<(Call, Result<Answer, Fault>)>,
}

impl Answers {
    fn tell(&mut self, call: Call, outcome: Result<Answer, Fault>) {
        self.told.push((call, outcome));
    }
}

/// What a receive is answered that found nothing.
fn nothing() -> Result<Answer, Fault> {
    Ok(Answer::Received(Vec::new()))
}

/// What the rest of the turn must know.
#[derive(Default)]
pub(super) struct Heard {
    /// Runs that were opened by a message.
    pub(super) opened: Vec<RunId>,
    /// Runs that got more.
    pub(super) arrived: BTreeSet<RunId>,
    /// Jobs whose queue was purged.
    pub(super) purged: Vec<String>,
}

impl Calls {
    pub(super) fn new(seed: u64, region: &str) -> Calls {
        Calls {
            desk: Desk::new(seed, region),
            arrived: Vec::new(),
            waiting: Vec::new(),
            reclaim: Vec::new(),
            leaving: BTreeSet::new(),
            holders: BTreeMap::new(),
            next_due: None,
            stirred: BTreeSet::new(),
            is_open: false,
            backlogs: BTreeMap::new(),
        }
    }

    /// An instance is handed messages.
    pub(super) fn admit(&mut self, instance: InstanceId) {
        self.desk.admit_holder(&keys::access_key(instance));
    }

    /// An instance is handed nothing any more.
    pub(super) fn dismiss(&mut self, instance: InstanceId) {
        self.leaving.insert(instance);
        // What it waits for it will not get: it is told so in the next turn.
        self.next_due = Some(Timestamp::default());
    }

    /// What an instance held is to be visible again.
    pub(super) fn reclaim(&mut self, instance: InstanceId) {
        self.leaving.remove(&instance);
        self.reclaim.push(instance);
    }

    /// An instance of an earlier runtime holds these.
    pub(super) fn know_holder(&mut self, task: TaskId, instance: InstanceId) {
        self.holders.insert(task, instance);
    }

    /// Whether there is something to perform now.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        !self.is_open
            || !self.arrived.is_empty()
            || !self.reclaim.is_empty()
            || !self.stirred.is_empty()
            || self.next_wakeup().is_some_and(|at| at <= now)
    }

    /// The queues that somebody waits at, each once.
    fn waited_for(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.waiting.iter().map(|waiting| &waiting.queue).collect();
        names.into_iter().cloned().collect()
    }

    pub(super) fn next_wakeup(&self) -> Option<Timestamp> {
        let patience = self.waiting.iter().map(|waiting| waiting.until);
        patience.chain(self.next_due).min()
    }

    /// Performs what has arrived and what is due, within the transaction.
    pub(super) fn perform(
        &mut self,
        batch: &Batch<'_>,
        now: Timestamp,
        jobs: &BTreeMap<String, Job>,
        answers: &mut Answers,
    ) -> Result<Vec<Note>, StoreError> {
        let waited_for = self.waited_for();
        let leaving = &self.leaving;
        let is_leaving = |call: &Call| caller(call).is_some_and(|instance| leaving.contains(&instance));
        let mut queues = Queues::open(batch.rows(), &mut self.desk, now, jobs);
        if !self.is_open {
            queues.ensure_job_queues()?;
        }
        for instance in &self.reclaim {
            queues.release_holder(&keys::access_key(*instance))?;
        }
        queues.due(&waited_for)?;
        let mut notes = queues.take_notes();
        for call in std::mem::take(&mut self.arrived) {
            if is_leaving(&call) && matches!(call.operation, Operation::ReceiveMessage(_)) {
                answers.tell(call, nothing());
                continue;
            }
            match queues.perform(&call.caller, &call.operation)? {
                Ok(Outcome::Answer(answer)) => answers.tell(call, Ok(answer)),
                Ok(Outcome::Empty { queue, until }) => self.waiting.push(Waiting { call, queue, until }),
                Err(fault) => answers.tell(call, Err(fault)),
            }
        }
        notes.extend(queues.take_notes());
        // Whoever waits at a queue where something has become visible is served, the one who has waited longest first.
        let mut visible = std::mem::take(&mut self.stirred);
        visible.extend(notes.iter().filter_map(visible_queue));
        let mut still = Vec::with_capacity(self.waiting.len());
        for waiting in std::mem::take(&mut self.waiting) {
            // Its caller has hung up: nothing is handed to nobody.
            if waiting.call.reply.is_closed() {
                continue;
            }
            let outcome = match visible.contains(&waiting.queue) && !is_leaving(&waiting.call) {
                true => queues.perform(&waiting.call.caller, &waiting.call.operation)?,
                false => Ok(Outcome::Empty {
                    queue: waiting.queue.clone(),
                    until: waiting.until,
                }),
            };
            match outcome {
                Ok(Outcome::Answer(answer)) => answers.tell(waiting.call, Ok(answer)),
                Err(fault) => answers.tell(waiting.call, Err(fault)),
                Ok(Outcome::Empty { .. }) if waiting.until <= now || is_leaving(&waiting.call) => {
                    answers.tell(waiting.call, nothing());
                }
                // From the first on it is waited so long, and no longer.
                Ok(Outcome::Empty { .. }) => still.push(waiting),
            }
        }
        self.waiting = still;
        notes.extend(queues.take_notes());
        Ok(notes)
    }

    /// The engine's events for what happened, in order; the rows of the tasks are read as they are now.
    pub(super) fn event(
        &mut self,
        batch: &Batch<'_>,
        note: Note,
        heard: &mut Heard,
    ) -> Result<Option<Event>, StoreError> {
        let (job, task, fate) = match note {
            Note::Visible { .. } => return Ok(None),
            Note::Purged { job } => {
                heard.purged.push(job);
                return Ok(None);
            }
            Note::Arrived { task, opened, .. } => {
                if opened {
                    heard.opened.push(task.run);
                }
                heard.arrived.insert(task.run);
                return Ok(Some(Event::Arrived {
                    run: task.run,
                    count: 1,
                }));
            }
            Note::Received { job, task, holder, .. } => {
                let instance = holder.as_deref().and_then(keys::instance);
                (job, task, Fate::Received(instance))
            }
            Note::Deleted { job, task } => (job, task, Fate::Deleted),
            Note::Returned { job, task, why } => (job, task, Fate::Returned(why)),
            Note::Buried { job, task, reason } => (job, task, Fate::Buried(reason)),
            Note::Discarded { job, task } => (job, task, Fate::Discarded),
        };
        let Some(row) = batch.standing(task)? else {
            return Ok(None);
        };
        let holder = match fate {
            Fate::Received(Some(instance)) => self.holders.insert(task, instance),
            _ => self.holders.remove(&task),
        };
        Ok(Some(Event::Followed(Box::new(Followed {
            task,
            job,
            fate,
            state: row.state,
            attempt: row.attempt,
            ledger: row.ledger,
            started_at: row.started_at,
            holder,
        }))))
    }

    /// What follows for the queues from what the engine decided: dead letters of tasks that failed for good, letters of
    /// runs that are cancelled.
    pub(super) fn follow(
        &mut self,
        batch: &Batch<'_>,
        now: Timestamp,
        jobs: &BTreeMap<String, Job>,
        changes: &[Change],
        run: impl Fn(RunId) -> Option<(String, Host)>,
    ) -> Result<(), StoreError> {
        let mut queues = Queues::open(batch.rows(), &mut self.desk, now, jobs);
        for change in changes {
            match change {
                Change::Task(row) if matches!(row.state, TaskState::Failed | TaskState::Rejected) => {
                    if let Some((job, host)) = run(row.task.run)
                        && host != Host::Outside
                    {
                        queues.bury(&job, row.task, row.reason.as_deref().unwrap_or("failed"))?;
                    }
                }
                Change::Task(row) if row.state == TaskState::Cancelled => {
                    if let Some((job, Host::Outside)) = run(row.task.run) {
                        queues.discard(&job, row.task)?;
                    }
                }
                Change::CancelWaiting { run: id, .. } => {
                    if let Some((job, Host::Outside)) = run(*id) {
                        queues.withdraw(&job, *id)?;
                    }
                }
                _ => {}
            }
        }
        let notes = queues.take_notes();
        self.stir(&notes);
        Ok(())
    }

    /// Whoever waits where something became visible is served by the next turn.
    fn stir(&mut self, notes: &[Note]) {
        let queues = notes.iter().filter_map(visible_queue);
        self.stirred
            .extend(queues.filter(|queue| self.waiting.iter().any(|waiting| waiting.queue == *queue)));
    }

    /// Puts the tasks of a consumer's run into its queue.
    pub(super) fn post(
        &mut self,
        batch: &Batch<'_>,
        now: Timestamp,
        jobs: &BTreeMap<String, Job>,
        job: &str,
        run: RunId,
    ) -> Result<(), StoreError> {
        self.desk.begin();
        let mut queues = Queues::open(batch.rows(), &mut self.desk, now, jobs);
        if !self.is_open {
            queues.ensure_job_queues()?;
            self.is_open = true;
        }
        queues.post(job, run)?;
        let notes = queues.take_notes();
        self.stir(&notes);
        // The backlog has grown.
        self.next_due = Some(now);
        Ok(())
    }

    /// How the queues of consumers stand, where that has changed; and when the clock matters next.
    pub(super) fn look(
        &mut self,
        batch: &Batch<'_>,
        now: Timestamp,
        project: &Project,
    ) -> Result<Vec<Event>, StoreError> {
        let mut waited_for = self.waited_for();
        let consumers = project.jobs.values().filter(|job| job.mode == Mode::Consumer);
        let consumers: Vec<&str> = consumers.map(|job| job.name.as_str()).collect();
        waited_for.extend(consumers.iter().map(|name| (*name).to_owned()));
        let mut queues = Queues::open(batch.rows(), &mut self.desk, now, &project.jobs);
        let mut events = Vec::new();
        for name in consumers {
            if self.backlogs.contains_key(name) && queues.is_calm(name) {
                continue;
            }
            let Some(counts) = queues.counts(name)? else { continue };
            let backlog = (counts.visible, counts.in_flight);
            if self.backlogs.get(name) != Some(&backlog) {
                self.backlogs.insert(name.to_owned(), backlog);
                events.push(Event::Backlog {
                    job: name.to_owned(),
                    visible: counts.visible,
                    in_flight: counts.in_flight,
                });
            }
        }
        self.next_due = queues.next_due(&waited_for)?;
        Ok(events)
    }

    /// What was performed is on disk.
    pub(super) fn performed(&mut self, answers: Answers) {
        self.is_open = true;
        self.reclaim.clear();
        for (call, outcome) in answers.told {
            // A caller that has hung up gets its message again when its visibility has ended.
            let _ = call.reply.send(outcome);
        }
    }

    /// Nothing of it was written, and the loop begins anew: whoever waits is to ask again.
    pub(super) fn refuse(&mut self, answers: Answers) {
        let refusal = || Fault::new(Code::ServiceUnavailable, "the disk is full; try again");
        let waiting = std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|waiting| waiting.call);
        let told = answers.told.into_iter().map(|(call, _)| call);
        for call in told.chain(waiting).chain(std::mem::take(&mut self.arrived)) {
            let _ = call.reply.send(Err(refusal()));
        }
    }

    /// The loop ends: receives that wait are answered with nothing.
    pub(super) fn close(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            let _ = waiting.call.reply.send(nothing());
        }
    }
}

/// The queue in which something may be received now.
fn visible_queue(note: &Note) -> Option<String> {
    match note {
        Note::Visible { queue } => Some(queue.clone()),
        _ => None,
    }
}

fn caller(call: &Call) -> Option<InstanceId> {
    call.caller.access_key.as_deref().and_then(keys::instance)
}
