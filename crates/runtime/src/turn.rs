//! The one loop: events in, one transaction, then the effects. See `docs/decisions/001-leases-ahead.md` for why a commit
//! is not on the way of a free slot.

mod commit;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use kingtide_core::engine::event::Counts;
use kingtide_core::engine::{Engine, Event};
use kingtide_core::id::{AttemptId, RunId};
use kingtide_core::project::{Job, Project};
use kingtide_exec::keeper::client::{self, ConnectError};
use kingtide_exec::redact::Secrets;
use kingtide_exec::wire::{self, Hello, Report};
use signal_hook::consts::SIGINT;

use crate::actuators::{self, Actuators};
use crate::control::{self, Wish};
use crate::inbox::{self, Inbound};
use crate::layout::Layout;
use crate::notice::Notice;
use crate::progress::Gauge;
use crate::runtime::{ExecuteOptions, RunError, Runtime, now};
use crate::store::{Store, StoreError};
use crate::surroundings::Surroundings;
use crate::{keeper, process, signals};

/// What the loop leaves.
#[derive(Debug)]
pub(crate) struct Worked {
    pub(crate) counts: Counts,
    pub(crate) limits: String,
}

/// Works off one run.
pub(crate) fn work_off(
    runtime: &mut Runtime,
    run: RunId,
    job: &Job,
    project: &Project,
    options: &ExecuteOptions,
    first: Vec<Event>,
    observe: &mut dyn FnMut(Notice),
) -> Result<Worked, RunError> {
    let layout = runtime.layout.clone();
    let open = runtime
        .store
        .open_run(run, job, options.workers)?
        .ok_or(RunError::NotOpen(run))?;
    let counts = open.counts;
    // Signals first: from here on Ctrl-C puts back what was leased.
    let (sender, inbox) = mpsc::channel();
    let _signals = signals::listen(sender.clone()).map_err(RunError::Prepare)?;
    let surroundings = Surroundings::gather(job, &layout, options, observe)?;
    make_folders(&layout, job, run)?;
    let wishes = sender.clone();
    control::listen(layout.root(), move |wish| {
        wish == Wish::Cancel(run) && wishes.send(Inbound::Wish(wish)).is_ok()
    })
    .map_err(RunError::Prepare)?;
    let (chores, to_do) = mpsc::channel();
    let answers = sender.clone();
    let values: Vec<&str> = surroundings.secrets.iter().map(|(_, value)| value.as_str()).collect();
    let secrets = Secrets::new(&values);
    std::thread::Builder::new()
        .name("chores".to_owned())
        .spawn(move || actuators::do_chores(&to_do, &answers, &secrets))
        .map_err(RunError::Prepare)?;

    let hello = Hello {
        version: wire::VERSION,
        epoch: runtime.store.epoch(),
        env: surroundings.inherited.clone(),
        secrets: surroundings.secrets.iter().map(|(_, value)| value.clone()).collect(),
        // Asked anew at each connection.
        keep: Vec::new(),
    };
    let mut extra_env = surroundings.python;
    extra_env.extend(surroundings.secrets);
    let mut turn = Turn {
        engine: Engine::new(u64::from(std::process::id()) ^ now().0 as u64, options.capacity),
        gauge: Gauge::new(run, counts, now()),
        actuators: Actuators {
            job: job.clone(),
            run,
            layout: layout.clone(),
            log_limit: project.local.log_limit,
            inherited: surroundings.inherited,
            extra_env,
            inbox: sender.clone(),
            chores,
            messages: HashMap::new(),
            collecting: BTreeMap::new(),
            finished: false,
        },
        store: &mut runtime.store,
        sender,
        keeper: None,
        connections: 0,
        hello,
        executable: options.executable.clone(),
        root: layout.root().to_owned(),
        renewed: Instant::now(),
        limits: String::new(),
        interrupts: 0,
    };
    let mut events = vec![Event::RunOpened(Box::new(open))];
    events.extend(first);
    turn.take(events, None, observe)?;
    turn.connect(observe)?;
    while !turn.actuators.finished {
        let batch = inbox::next_batch(&inbox, turn.wait());
        turn.digest(batch, observe)?;
        turn.gauge.tell(&turn.engine, now(), false, observe);
    }
    turn.gauge.tell(&turn.engine, now(), true, observe);
    if let Some(keeper) = &turn.keeper {
        keeper.hang_up();
    }
    // Nobody reads them any more, whatever became of the run.
    let _ = std::fs::remove_dir_all(layout.messages(run));
    Ok(Worked {
        counts: turn.gauge.counts(),
        limits: turn.limits,
    })
}

struct Turn<'a> {
    store: &'a mut Store,
    engine: Engine,
    actuators: Actuators,
    gauge: Gauge,
    sender: Sender<Inbound>,
    keeper: Option<client::Sender>,
    /// How often a keeper was connected; reports carry the number, so that those of an earlier one are known.
    connections: u64,
    hello: Hello,
    executable: std::path::PathBuf,
    root: std::path::PathBuf,
    renewed: Instant,
    limits: String,
    interrupts: u32,
}

impl Turn<'_> {
    /// How long nothing has to happen.
    fn wait(&self) -> Duration {
        let renewal = self.store.renewal().saturating_sub(self.renewed.elapsed());
        let wakeup = self.engine.next_wakeup().map_or(renewal, |at| at.since(now()));
        renewal.min(wakeup)
    }

    /// Turns what has arrived into events and takes them.
    fn digest(&mut self, batch: Vec<Inbound>, observe: &mut dyn FnMut(Notice)) -> Result<(), RunError> {
        let mut events = Vec::with_capacity(batch.len() + 1);
        let mut lost = false;
        for inbound in batch {
            match inbound {
                Inbound::Event(event) => events.push(event),
                Inbound::Reports(connection, reports) if connection == self.connections => {
                    for report in reports {
                        self.report(report, &mut events)?;
                    }
                }
                Inbound::KeeperGone(connection) if connection == self.connections => lost = true,
                Inbound::Reports(..) | Inbound::KeeperGone(_) => {}
                Inbound::Signal(signal) => self.signal(signal, &mut events, observe),
                Inbound::Wish(Wish::Cancel(run)) => events.push(Event::Cancel { run, late: false }),
                Inbound::Trouble(why) => observe(Notice::Said(why)),
            }
        }
        events.push(Event::Tick);
        if lost {
            self.keeper = None;
            self.take(events, None, observe)?;
            return self.connect(observe);
        }
        self.take(events, None, observe)
    }

    fn report(&mut self, report: Report, events: &mut Vec<Event>) -> Result<(), RunError> {
        let misread = |error| RunError::Keeper(Box::new(error));
        match report {
            Report::Started { attempt, at_ms, .. } => events.push(Event::Started {
                attempt: attempt.parse().map_err(misread)?,
                at: kingtide_core::time::Timestamp(at_ms),
            }),
            Report::Exited(exited) => events.push(keeper::exited(*exited).map_err(misread)?),
            Report::Withdrawn { attempts } => {
                events.push(Event::Withdrawn {
                    attempts: keeper::attempts(&attempts).map_err(misread)?,
                });
            }
            Report::Sample { attempt, usage } => {
                self.gauge.sampled(attempt.parse().map_err(misread)?, usage.memory);
            }
            // Another runtime has spoken to the keeper with a higher epoch: the lease is gone too.
            Report::Refused { .. } => {
                let ours = self.store.epoch();
                return Err(StoreError::Fenced { ours, found: ours + 1 }.into());
            }
            Report::Welcome(_) => {}
        }
        Ok(())
    }

    fn signal(&mut self, signal: i32, events: &mut Vec<Event>, observe: &mut dyn FnMut(Notice)) {
        self.interrupts += 1;
        let (event, said) = if signal == SIGINT && self.interrupts == 1 {
            (
                Event::Drain,
                "nothing new starts; what runs goes on (Ctrl-C again ends it and puts it back)",
            )
        } else {
            (Event::Release, "ending what runs; its messages go back to the queue")
        };
        observe(Notice::Said(said.to_owned()));
        events.push(event);
    }

    /// Finds the keeper or starts one, and tells the engine what it holds.
    fn connect(&mut self, observe: &mut dyn FnMut(Notice)) -> Result<(), RunError> {
        let failed = |error: ConnectError| RunError::Keeper(Box::new(error));
        let misread = |error| RunError::Keeper(Box::new(error));
        self.hello.keep = work_folders(self.store.unpublished()?, &self.actuators.collecting);
        let (client, welcome) =
            client::connect_or_start(&self.root, &self.executable, self.hello.clone()).map_err(failed)?;
        let (requests, mut reports) = client.split();
        self.connections += 1;
        let (connection, sender) = (self.connections, self.sender.clone());
        std::thread::Builder::new()
            .name("reports".to_owned())
            .spawn(move || {
                while let Ok(batch) = reports.next_batch()
                    && !batch.is_empty()
                {
                    if sender.send(Inbound::Reports(connection, batch)).is_err() {
                        return;
                    }
                }
                // Nobody listens any more when the loop is over.
                let _ = sender.send(Inbound::KeeperGone(connection));
            })
            .map_err(RunError::Prepare)?;
        let start = process::start_of(welcome.pid).unwrap_or(0);
        let identity = format!("{}-{start}", welcome.pid);
        let same = self.store.known_keeper()?.as_deref() == Some(identity.as_str());
        let withdrawn = keeper::attempts(&welcome.withdrawn).map_err(misread)?;
        let held = [&welcome.waiting, &welcome.running, &welcome.ended]
            .into_iter()
            .flatten();
        let holds = held
            .map(|name| name.parse::<AttemptId>())
            .collect::<Result<BTreeSet<_>, _>>()
            .map_err(misread)?;
        self.limits = welcome.limits;
        self.keeper = Some(requests);
        let events = vec![
            Event::Withdrawn { attempts: withdrawn },
            Event::KeeperFound { holds, same },
        ];
        self.take(events, Some(&identity), observe)
    }
}

/// The work folders (`.../work/<n>`) of these outputs and of what is being collected: a keeper that takes another's place
/// must leave them alone, and hand none of them out again.
fn work_folders(unpublished: Vec<String>, collecting: &BTreeMap<AttemptId, String>) -> Vec<String> {
    let left = unpublished.iter().chain(collecting.values());
    left.filter_map(|path| Some(Path::new(path).parent()?.to_str()?.to_owned()))
        .collect()
}

fn make_folders(layout: &Layout, job: &Job, run: RunId) -> Result<(), RunError> {
    let make = |path: &Path| {
        std::fs::create_dir_all(path).map_err(|source| RunError::Folder {
            path: path.to_owned(),
            source,
        })
    };
    make(&layout.logs(&job.name, run))?;
    make(layout.root())
}
