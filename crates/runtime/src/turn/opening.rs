//! Runs are taken up, and their jobs made ready: what takes long (a Python environment) on a thread of its own, while
//! everything else goes on. A run whose job is not ready yet holds its place and what it left running; it starts nothing.

use std::path::Path;

use kingtide_core::engine::Event;
use kingtide_core::engine::event::{Host, OpenConsumer};
use kingtide_core::id::RunId;
use kingtide_core::project::{Job, Mode, Program};
use kingtide_exec::collect::chain;

use super::Turn;
use crate::actuators::Context;
use crate::control::{Load, Reply};
use crate::inbox::Inbound;
use crate::layout::run_name;
use crate::notice::Notice;
use crate::progress::Gauge;
use crate::runtime::{RunError, now};
use crate::store::NewRun;
use crate::{keys, surroundings};

/// Whether what a job's attempts need is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preparation {
    Underway,
    Ready,
}

impl<'a> Turn<'a> {
    /// Takes up a run of the store: the event that opens it, or nothing when it is not to be worked off here.
    pub(super) fn open(&mut self, run: RunId, observe: &mut dyn FnMut(Notice)) -> Result<Option<Event>, RunError> {
        let (name, ..) = self.store.run(run)?.ok_or(RunError::NotOpen(run))?;
        let title = run_name(&name, run);
        let Some(job) = self.project.jobs.get(&name) else {
            let text = format!("{title} stays as it is: the project has no job `{name}` any more");
            observe(Notice::Said(text));
            return Ok(None);
        };
        let Some(mut open) = self.store.open_run(run, job, self.options.workers)? else {
            return Ok(None);
        };
        open.host = host(job);
        self.make_folders(job, run)?;
        if job.mode == Mode::Consumer {
            let batch = self.store.begin()?;
            self.calls.post(&batch, now(), &self.project.jobs, &job.name, run)?;
            batch.commit()?;
            self.calls.desk.committed();
        }
        open.ready = self.prepare(job, observe)?;
        self.foresee(&mut open)?;
        self.gauges.insert(
            run,
            Gauge::new(run, &title, open.counts, now(), self.premises.samples.clone()),
        );
        self.actuators.contexts.insert(
            run,
            Context {
                job: job.clone(),
                host: open.host,
                name: title.clone(),
            },
        );
        observe(Notice::Opened {
            run,
            name: title,
            total: open.counts.total,
        });
        Ok(Some(Event::RunOpened(Box::new(open))))
    }

    /// Takes up a job whose program reads the queue itself: the event that opens it, with the instances that an earlier runtime
    /// left running.
    pub(super) fn open_consumer(&mut self, job: &Job, observe: &mut dyn FnMut(Notice)) -> Result<Event, RunError> {
        let host = match job.program {
            Program::Process => Host::Keeper,
            Program::Container(_) => Host::Docker,
        };
        make(&self.layout.consumer_logs(&job.name))?;
        self.actuators.consumers.insert(job.name.clone(), (job.clone(), host));
        let mut instances = Vec::new();
        for instance in self.store.instances(&job.name)? {
            let held = self.store.held(&keys::access_key(instance))?;
            for task in &held {
                self.calls.know_holder(*task, instance);
            }
            self.calls.admit(instance);
            self.actuators.keys.admit(instance);
            self.actuators.instances.insert(instance, host);
            instances.push((instance, held));
        }
        let ready = self.prepare(job, observe)?;
        Ok(Event::ConsumerOpened(Box::new(OpenConsumer {
            job: job.clone(),
            host,
            ready,
            instances,
            next: self.store.next_instance()?,
        })))
    }

    /// Makes a job ready, or begins to; whether it is.
    fn prepare(&mut self, job: &Job, observe: &mut dyn FnMut(Notice)) -> Result<bool, RunError> {
        if let Some(preparation) = self.preparations.get(&job.name) {
            return Ok(*preparation == Preparation::Ready);
        }
        if !surroundings::takes_time(job) {
            let outcome = surroundings::prepare(
                job,
                &self.project.name,
                &self.layout,
                self.options,
                &self.actuators.inherited,
                &self.actuators.containers,
                &mut |_| (),
            );
            let mut events = Vec::new();
            self.prepared(&job.name, outcome.map(Box::new), &mut events, observe)?;
            return Ok(self.preparations.contains_key(&job.name));
        }
        self.preparations.insert(job.name.clone(), Preparation::Underway);
        let (job, layout, options) = (job.clone(), self.layout.clone(), self.options.clone());
        let (inherited, inbox) = (self.actuators.inherited.clone(), self.premises.mailbox.current());
        let (containers, project) = (self.actuators.containers.clone(), self.project.name.clone());
        std::thread::Builder::new()
            .name("prepare".to_owned())
            .spawn(move || {
                let mut say = |line| {
                    // Nobody listens any more when the loop is over.
                    let _ = inbox.send(Inbound::Said(line));
                };
                let outcome =
                    surroundings::prepare(&job, &project, &layout, &options, &inherited, &containers, &mut say);
                let _ = inbox.send(Inbound::Prepared(job.name, outcome.map(Box::new)));
            })
            .map_err(RunError::Prepare)?;
        Ok(false)
    }

    /// A job is ready, or cannot be made ready: then a run in the foreground has failed, and whoever stays says so and
    /// tries again with the job's next run.
    pub(super) fn prepared(
        &mut self,
        job: &str,
        outcome: Result<Box<surroundings::Prepared>, RunError>,
        events: &mut Vec<Event>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        match outcome {
            Ok(prepared) => {
                self.preparations.insert(job.to_owned(), Preparation::Ready);
                self.actuators.prepared.insert(job.to_owned(), *prepared);
                let runs = self.actuators.contexts.iter();
                let runs = runs.filter(|(_, context)| context.job.name == job);
                events.extend(runs.map(|(run, _)| Event::Ready(*run)));
                events.push(Event::ConsumerReady(job.to_owned()));
            }
            Err(error) if self.stays => {
                self.preparations.remove(job);
                observe(Notice::Said(format!("`{job}` cannot start: {}", chain(&error))));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Messages that another process hands over become a run.
    pub(super) fn load(
        &mut self,
        load: Load,
        events: &mut Vec<Event>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        let job = match self.takes(&load.job) {
            Ok(job) => job,
            Err(why) => {
                load.reply.tell(Err(why));
                return Ok(());
            }
        };
        let now = now();
        let new = NewRun {
            workers: load.workers,
            ..NewRun::of(job, &load.source, now).due_by(load.due)
        };
        let run = self.store.load(now, load.run, &new, &load.messages, load.is_last)?;
        if load.is_last {
            events.extend(self.open(run, observe)?);
        }
        load.reply.tell(Ok(run));
        Ok(())
    }

    /// What failed in a run that is over becomes another.
    pub(super) fn retry(
        &mut self,
        of: RunId,
        workers: Option<u32>,
        reply: Reply<Option<RunId>>,
        events: &mut Vec<Event>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        let known = self.store.run(of)?;
        let job = match known {
            Some((name, state, _)) if state.is_over() => self.takes(&name),
            _ => Err(format!("the run {of} is not over")),
        };
        let job = match job {
            Ok(job) => job,
            Err(why) => {
                reply.tell(Err(why));
                return Ok(());
            }
        };
        let source = format!("what failed in {}", run_name(&job.name, of));
        let now = now();
        let new = NewRun {
            retry_of: Some(of),
            workers,
            ..NewRun::of(job, &source, now)
        };
        let run = self.store.retry(now, of, &new)?;
        if let Some(run) = run {
            events.extend(self.open(run, observe)?);
        }
        reply.tell(Ok(run));
        Ok(())
    }

    /// The job of that name, if runs of it are taken now.
    fn takes(&self, name: &str) -> Result<&'a Job, String> {
        if !self.stays || self.engine.is_draining() {
            let why = if self.stays {
                "it is leaving"
            } else {
                "it works off one run and then leaves"
            };
            return Err(format!("the Kingtide that lives here takes no runs: {why}"));
        }
        self.project.jobs.get(name).ok_or_else(|| {
            format!("the Kingtide that lives here knows no job `{name}`: it was started before the file said so")
        })
    }

    fn make_folders(&self, job: &Job, run: RunId) -> Result<(), RunError> {
        make(&self.layout.logs(&job.name, run))
    }
}

/// What runs a job's attempts.
pub(super) fn host(job: &Job) -> Host {
    match (job.mode, &job.program) {
        (Mode::Consumer, _) => Host::Outside,
        (Mode::Task, Program::Process) => Host::Keeper,
        (Mode::Task, Program::Container(_)) => Host::Docker,
    }
}

fn make(path: &Path) -> Result<(), RunError> {
    std::fs::create_dir_all(path).map_err(|source| RunError::Folder {
        path: path.to_owned(),
        source,
    })
}
