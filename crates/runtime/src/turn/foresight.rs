//! What is foreseen of the runs that are worked off: the forecaster is told what happens, and what it answers is shown, kept, and said
//! where a deadline becomes doubtful.

use std::collections::BTreeMap;
use std::time::Duration;

use kingtide_core::engine::event::{OpenRun, Outcome, TaskState};
use kingtide_core::engine::packing::Packing;
use kingtide_core::engine::{Change, Event};
use kingtide_core::id::RunId;
use kingtide_core::plan::burst::Tariff;
use kingtide_core::plan::proposal::{Proposal, Question};
use kingtide_core::project::{Job, Mode};
use kingtide_core::time::Timestamp;

use super::Turn;
use crate::forecaster::{Doubt, Foreseen, Opened, Told};
use crate::notice::{Due, Notice};
use crate::runtime::{RunError, now};
use crate::store::StoreError;
use crate::words;

/// Of runs with more tasks the end is told by the pace so far: what is foreseen of each would take more memory than it is worth.
const MOST_TASKS: u64 = 50_000;
/// So much less than what was wanted is a doubt, or a fifth less; what is less is luck of the draws.
const CLEARLY: f64 = 0.02;
const SHARE: f64 = 0.2;
const SEED: u64 = 1;

/// A run that is foreseen.
#[derive(Debug)]
pub(super) struct Watched {
    /// What was foreseen first is kept.
    is_kept: bool,
    /// It was said that the deadline is doubtful.
    is_doubted: bool,
    /// Workers have a price: so many are engaged, and so many could be.
    engaged: Option<(u32, u32)>,
    /// The last of its tasks that is known of.
    last: i64,
    due: Option<(Timestamp, f64)>,
}

impl Turn<'_> {
    /// A run is taken up: it is foreseen from now on, where anything is known of its tasks. Where workers have a price, as few are engaged
    /// as the deadline takes.
    pub(super) fn foresee(&mut self, open: &mut OpenRun) -> Result<(), RunError> {
        let job = open.job.clone();
        if job.mode == Mode::Consumer || open.counts.total.saturating_sub(open.counts.done()) > MOST_TASKS {
            return Ok(());
        }
        let Some(known) = self.store.foreseeable(open.run, &job)? else {
            return Ok(());
        };
        let all = Packing::new(self.options.capacity).room(job.resources);
        let most = [open.workers, job.max_workers]
            .into_iter()
            .flatten()
            .fold(all, u32::min);
        let mut watched = Watched {
            is_kept: known.is_kept,
            is_doubted: false,
            engaged: None,
            last: known.last,
            due: known.due,
        };
        let mut opened = Opened {
            run: open.run,
            tasks: known.tasks,
            luck: known.luck,
            slots: most,
            due: known.due,
        };
        if open.workers.is_none()
            && let Some(fewer) = self.engage(&job, &opened)
        {
            watched.engaged = Some((fewer, most));
            open.workers = Some(fewer);
            opened.slots = fewer;
        }
        self.watched.insert(open.run, watched);
        self.forecaster.tell(vec![Told::Opened(Box::new(opened))]);
        Ok(())
    }

    /// The cheapest number of workers for the deadline; `None` where there is none, or where they cost nothing.
    fn engage(&self, job: &Job, of: &Opened) -> Option<u32> {
        let (cost, (at, confidence)) = (self.project.local.cost?, of.due?);
        let tasks: Vec<_> = of.tasks.iter().map(|(_, task)| *task).collect();
        let proposal = Proposal::of(&Question {
            tasks: &tasks,
            luck: of.luck,
            start: Duration::ZERO,
            deadline: Some(at.since(now())),
            confidence,
            slots: of.slots as usize,
            workers: None,
            hourly: Some(cost.hour(&job.resources)),
            tariff: Tariff::AS_USED,
            seed: SEED,
        });
        u32::try_from(proposal.chosen.workers)
            .ok()
            .filter(|workers| *workers < of.slots)
    }

    /// What was committed, as far as it concerns what is foreseen.
    pub(super) fn tell_forecaster(&mut self, changes: &[Change]) {
        if self.watched.is_empty() {
            return;
        }
        let mut told = Vec::new();
        let mut took = BTreeMap::new();
        for change in changes {
            match change {
                Change::Started { task, at } if self.watched.contains_key(&task.run) => {
                    told.push(Told::Started(task.run, task.seq, *at));
                }
                Change::Attempt(row) if matches!(row.outcome, Outcome::Succeeded | Outcome::Skipped) => {
                    let duration = row.started_at.map(|at| row.ended_at.since(at));
                    took.insert(row.attempt.task, duration);
                }
                Change::Task(row) if self.watched.contains_key(&row.task.run) => match row.state {
                    TaskState::Leased => {}
                    TaskState::Waiting => told.push(Told::PutBack(row.task.run, row.task.seq, row.visible_at)),
                    _ => {
                        let took = took.get(&row.task).copied().flatten();
                        told.push(Told::Over(row.task.run, row.task.seq, took));
                    }
                },
                Change::CancelWaiting { run, .. } | Change::RunEnded { run, .. }
                    if self.watched.remove(run).is_some() =>
                {
                    told.push(Told::Closed(*run));
                }
                _ => {}
            }
        }
        if !told.is_empty() {
            self.forecaster.tell(told);
        }
    }

    /// Messages have arrived in a run that is foreseen.
    pub(super) fn tell_arrivals(&mut self, run: RunId) -> Result<(), RunError> {
        let Some(watched) = self.watched.get_mut(&run) else {
            return Ok(());
        };
        let added = self.store.foreseeable_after(run, watched.last)?;
        if let Some((last, _)) = added.last() {
            watched.last = *last;
            let mut told = vec![Told::Added(run, added)];
            let due = self.store.due(run)?;
            if due != watched.due {
                // All was done, and this is the first of another burst: it is foreseen anew.
                watched.due = due;
                watched.is_kept = false;
                watched.is_doubted = false;
                told.push(Told::Due(run, due));
            }
            self.forecaster.tell(told);
        }
        Ok(())
    }

    /// What the forecaster answers.
    pub(super) fn foreseen(
        &mut self,
        foreseen: Foreseen,
        events: &mut Vec<Event>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        let run = foreseen.run;
        let Some(watched) = self.watched.get_mut(&run) else {
            return Ok(());
        };
        if let Some(forecast) = foreseen.forecast.filter(|_| !watched.is_kept) {
            watched.is_kept = true;
            match self.store.keep_forecast(run, foreseen.at, &forecast) {
                // There are worse things to wait for.
                Ok(()) | Err(StoreError::DiskFull) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let due = foreseen.forecast.and_then(|forecast| forecast.due);
        let doubt = due
            .filter(|due| due.chance < due.confidence - CLEARLY.min(SHARE * due.confidence.min(1.0 - due.confidence)))
            .zip(foreseen.doubt.as_ref());
        if let Some((due, doubt)) = doubt {
            if let Some((engaged, most)) = watched.engaged.take_if(|(engaged, most)| engaged < most) {
                // Those that were saved are engaged after all.
                let workers = doubt.workers.unwrap_or(most).clamp(engaged, most);
                watched.engaged = Some((workers, most)).filter(|_| workers < most);
                events.push(Event::Workers { run, most: workers });
                self.forecaster.tell(vec![Told::Slots(run, workers)]);
            } else if !std::mem::replace(&mut watched.is_doubted, true) {
                let text = self.doubt(run, &due, doubt)?;
                observe(Notice::Said(text));
            }
        }
        if let Some(gauge) = self.gauges.get_mut(&run) {
            gauge.foresee(foreseen);
        }
        Ok(())
    }

    /// In words: how doubtful the deadline is, and what would help.
    fn doubt(&self, run: RunId, due: &Due, doubt: &Doubt) -> Result<String, RunError> {
        let more = humantime::format_duration(Duration::from_secs(doubt.short.as_secs_f64().ceil().max(1.0) as u64));
        let at = words::moment(due.at);
        let mut text = match due.at <= now() {
            true => format!("the deadline {at} has passed: it is missed by about {more}"),
            false => format!(
                "the deadline {at} is met with a chance of {}, {} is wanted: {more} more would do",
                words::chance(due.chance),
                words::chance(due.confidence)
            ),
        };
        if !doubt.behind.is_zero() {
            let behind = humantime::format_duration(Duration::from_secs(doubt.behind.as_secs().max(1)));
            text.push_str(&format!("; runs that came before take {behind} of it"));
        } else if let Some(workers) = doubt.workers {
            text.push_str(&format!(
                ", or {workers} at once in place of {}",
                self.engine.slots(run).0
            ));
        } else if !doubt.deciding.is_empty() && due.at > now() {
            let mut named = Vec::new();
            for (seq, chance) in &doubt.deciding {
                let label = self.store.label(run.task(*seq))?;
                named.push(format!("{label} (alone late in {})", words::chance(*chance)));
            }
            text.push_str(&format!("; it hangs on {}", named.join(", ")));
        }
        // Of several runs it has to be said whose it is.
        match (self.stays, self.actuators.contexts.get(&run)) {
            (true, Some(context)) => Ok(format!("{}: {text}", context.name)),
            _ => Ok(text),
        }
    }
}
