//! How a run stands, told at most ten times a second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kingtide_core::engine::Engine;
use kingtide_core::engine::event::{Counts, RunState};
use kingtide_core::id::{AttemptId, RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::time::Timestamp;

use crate::forecaster::Foreseen;
use crate::notice::{Load, Notice, Progress, Running};
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
    foreseen: Option<Foreseen>,
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
            foreseen: None,
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

    pub(crate) fn sampled(&mut self, attempt: AttemptId, cpu_ms: u64, memory: u64) {
        self.samples.note(attempt, cpu_ms, memory);
    }

    /// What is shown of its end until something newer is.
    pub(crate) fn foresee(&mut self, foreseen: Foreseen) {
        self.foreseen = Some(foreseen);
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
        let foreseen = self.foreseen.as_ref();
        let running = engine
            .running()
            .filter(|(attempt, _)| attempt.task.run == self.run)
            .take(MOST_RUNNING)
            .map(|(attempt, started_at)| Running {
                seq: attempt.task.seq,
                attempt: attempt.number,
                label: self.label(attempt.task),
                started_at,
                memory: self.samples.memory(attempt),
                prediction: foreseen.and_then(|of| of.predictions.get(&attempt.task.seq).copied()),
            });
        let mut running: Vec<Running> = running.collect();
        running.sort_by_key(|running| running.started_at);
        let forecast = foreseen.and_then(|of| of.forecast);
        let progress = Progress {
            run: self.run,
            name: self.name.clone(),
            now,
            started_at: self.started_at,
            counts: self.last,
            running,
            leased: engine.leased_of(self.run) as u64,
            remaining: forecast
                .map(|forecast| forecast.p50.since(now))
                .or_else(|| self.remaining(now)),
            forecast,
            load: self.load(engine),
            draining: engine.is_draining(),
        };
        self.samples.stand(progress.clone());
        observe(Notice::Progress(progress));
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

    /// What of the machine is in use, by this run and by others.
    fn load(&self, engine: &Engine) -> Load {
        let (slots, taken) = engine.slots(self.run);
        let (cpu_milli, memory) = self.samples.sums();
        let given = engine.capacity();
        Load {
            slots,
            taken,
            cpu_milli,
            cpu_milli_given: given.cpu_milli,
            memory,
            memory_given: given.memory,
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
