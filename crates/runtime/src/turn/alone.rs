//! Operations of the queues where no runtime lives: performed as the loop performs them, in one transaction, by whoever holds the
//! lease for a moment. Nothing is started; what the engine decides about rows (a purge ends runs) is written, and what it
//! would have done besides is done by the next runtime, from the rows.

use std::collections::BTreeMap;

use kingtide_core::engine::event::{Change, OpenRun};
use kingtide_core::engine::packing::Capacity;
use kingtide_core::engine::{Engine, Event};
use kingtide_core::id::RunId;
use kingtide_core::project::Project;
use tokio::sync::oneshot;

use super::calls::{Answers, Calls, Heard};
use super::{opening, seed};
use crate::endpoints::region;
use crate::runtime::{RunError, Runtime, now};
use crate::sqs::Call;
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::{Answer, Caller, Operation};

/// Performs operations in one transaction and returns once they are on disk. A receive does not wait.
pub(crate) fn perform(
    runtime: &mut Runtime,
    project: &Project,
    caller: &Caller,
    operations: Vec<Operation>,
) -> Result<Vec<Result<Answer, Fault>>, RunError> {
    let mut calls = Calls::new(seed(), &region());
    let mut replies = Vec::with_capacity(operations.len());
    for operation in operations {
        let (reply, answer) = oneshot::channel();
        replies.push(answer);
        calls.arrived.push(Call {
            caller: caller.clone(),
            operation,
            reply,
        });
    }
    let mut sleeping = Sleeping::read(runtime, project)?;
    // Nothing starts, so nothing is there to be given away.
    let capacity = Capacity {
        cpu_milli: 0,
        memory: 0,
        gpus: 0,
    };
    let mut engine = Engine::new(seed(), capacity);
    let now = now();
    let batch = runtime.store.begin()?;
    calls.desk.begin();
    let (mut answers, mut heard, mut ended) = (Answers::default(), Heard::default(), Vec::new());
    let mut apply = |engine: &mut Engine, event| -> Result<(), RunError> {
        let step = engine.apply(now, event)?;
        batch.write(&step.changes)?;
        ended.extend(step.changes.into_iter().filter_map(ended_run));
        Ok(())
    };
    for note in calls.perform(&batch, now, &project.jobs, &mut answers)? {
        let Some(event) = calls.event(&batch, note, &mut heard)? else {
            continue;
        };
        let run = match &event {
            Event::Followed(followed) => followed.task.run,
            // It is in the rows, where the next runtime finds it.
            _ => continue,
        };
        if let Some(open) = sleeping.wake(run) {
            apply(&mut engine, open)?;
        }
        apply(&mut engine, event)?;
    }
    for job in heard.purged {
        for run in sleeping.of_job(&job) {
            if let Some(open) = sleeping.wake(run) {
                apply(&mut engine, open)?;
            }
            apply(&mut engine, Event::Purged(run))?;
        }
    }
    batch.commit()?;
    calls.performed(answers);
    calls.close();
    for run in ended {
        runtime.store.remember(run)?;
    }
    let told = |mut answer: oneshot::Receiver<_>| {
        let nothing = || Err(Fault::new(Code::InternalFailure, "it was not answered"));
        answer.try_recv().unwrap_or_else(|_| nothing())
    };
    Ok(replies.into_iter().map(told).collect())
}

/// Open runs that the engine has not been told of.
struct Sleeping(BTreeMap<RunId, OpenRun>);

impl Sleeping {
    fn read(runtime: &Runtime, project: &Project) -> Result<Sleeping, RunError> {
        let mut sleeping = BTreeMap::new();
        for run in runtime.store.open_runs()? {
            let known = runtime.store.run(run)?;
            let Some(job) = known.and_then(|(job, ..)| project.jobs.get(&job)) else {
                continue;
            };
            if let Some(mut open) = runtime.store.open_run(run, job, None)? {
                open.host = opening::host(job);
                // Its end by the clock is for whoever can stop what runs.
                open.deadline = None;
                sleeping.insert(run, open);
            }
        }
        Ok(Sleeping(sleeping))
    }

    fn of_job(&self, job: &str) -> Vec<RunId> {
        let runs = self.0.iter().filter(|(_, open)| open.job.name == job);
        runs.map(|(run, _)| *run).collect()
    }

    fn wake(&mut self, run: RunId) -> Option<Event> {
        self.0.remove(&run).map(|open| Event::RunOpened(Box::new(open)))
    }
}

fn ended_run(change: Change) -> Option<RunId> {
    match change {
        Change::RunEnded { run, .. } => Some(run),
        _ => None,
    }
}
