//! How a run stands, told at most ten times a second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kingtide_core::engine::Engine;
use kingtide_core::engine::event::{Counts, RunState};
use kingtide_core::id::{AttemptId, RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::time::Timestamp;

use crate::notice::{Notice, Progress, Running};
use crate::samples::Samples;

const INTERVAL: Duration = Duration::from_millis(100);
const MOST_RUNNING: usize = 50;
const LABEL_CHARACTERS: usize = 80;

/// Gathers what is shown of one run.
#[derive(Debug)]
pub(crate) struct Gauge {
    run: RunId,
    name: String,
    started_at: Timestamp,
    told: Option<Instant>,
    labels: BTreeMap<TaskId, String>,
    samples: Samples,
    /// Tasks that were over when this runtime began, and the time spent in attempts since.
    done_before: u64,
    last: Counts,
}

impl Gauge {
    pub(crate) fn new(run: RunId, name: &str, counts: Counts, now: Timestamp, samples: Samples) -> Gauge {
        Gauge {
            run,
            name: name.to_owned(),
            started_at: now,
            told: None,
            labels: BTreeMap::new(),
            samples,
            done_before: counts.done(),
            last: counts,
        }
    }

    pub(crate) fn leased(&mut self, task: TaskId, message: &Message) {
        let mut label = message.label();
        if let Some((end, _)) = label.char_indices().nth(LABEL_CHARACTERS) {
            label.truncate(end);
            label.push('…');
        }
        self.labels.insert(task, label);
    }

    pub(crate) fn label(&self, task: TaskId) -> String {
        self.labels.get(&task).cloned().unwrap_or_default()
    }

    pub(crate) fn sampled(&mut self, attempt: AttemptId, memory: u64) {
        self.samples.note(attempt, memory);
    }

    /// It is no longer with the keeper.
    pub(crate) fn settled(&mut self, attempt: AttemptId) {
        self.samples.remove(attempt);
        self.labels.remove(&attempt.task);
    }

    pub(crate) fn tell(&mut self, engine: &Engine, now: Timestamp, last: bool, observe: &mut dyn FnMut(Notice)) {
        if let Some(counts) = engine.counts(self.run) {
            self.last = counts;
        }
        if !last && self.told.is_some_and(|told| told.elapsed() < INTERVAL) {
            return;
        }
        self.told = Some(Instant::now());
        let running = engine
            .running()
            .take(MOST_RUNNING)
            .map(|(attempt, started_at)| Running {
                seq: attempt.task.seq,
                attempt: attempt.number,
                label: self.label(attempt.task),
                started_at,
                memory: self.samples.memory(attempt),
            });
        let mut running: Vec<Running> = running.collect();
        running.sort_by_key(|running| running.started_at);
        observe(Notice::Progress(Progress {
            run: self.run,
            name: self.name.clone(),
            now,
            started_at: self.started_at,
            counts: self.last,
            running,
            leased: engine.leased() as u64,
            remaining: self.remaining(now),
            draining: engine.is_draining(),
        }));
    }

    /// These counts are on disk.
    pub(crate) fn note(&mut self, counts: Counts) {
        self.last = counts;
    }

    /// How the run ended.
    pub(crate) fn ended(self, state: RunState, reason: Option<String>) -> Notice {
        self.samples.remove_run(self.run);
        Notice::Ended {
            run: self.run,
            name: self.name,
            state,
            reason,
            counts: self.last,
        }
    }

    /// By the pace so far.
    fn remaining(&self, now: Timestamp) -> Option<Duration> {
        let done = self.last.done().saturating_sub(self.done_before);
        let left = self.last.total.saturating_sub(self.last.done());
        let elapsed = now.since(self.started_at).as_secs_f64();
        (done > 0).then(|| Duration::from_secs_f64(elapsed * left as f64 / done as f64))
    }
}
