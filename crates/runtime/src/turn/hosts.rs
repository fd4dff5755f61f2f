//! What runs attempts: found or started, told what to do, and its reports turned into the engine's events.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use kingtide_core::engine::Event;
use kingtide_core::engine::event::Host;
use kingtide_core::id::AttemptId;
use kingtide_core::time::Timestamp;
use kingtide_exec::keeper::client::{self, ConnectError};
use kingtide_exec::wire::{self, Hello, Report, Request};

use super::Turn;
use crate::docker::{Held, Told};
use crate::inbox::Inbound;
use crate::notice::Notice;
use crate::runtime::RunError;
use crate::store::StoreError;
use crate::{containers, keeper, process};

/// The connections to them.
pub(super) struct Hosts {
    keeper: Option<client::Sender>,
    /// How often a keeper was connected; reports carry the number, so that those of an earlier one are known.
    pub(super) connections: u64,
    hello: Hello,
    executable: PathBuf,
    sender: Sender<Inbound>,
    pub(super) limits: String,
}

impl Hosts {
    pub(super) fn new(
        epoch: i64,
        inherited: &BTreeMap<String, String>,
        secrets: Vec<String>,
        executable: &Path,
        sender: Sender<Inbound>,
    ) -> Hosts {
        Hosts {
            keeper: None,
            connections: 0,
            hello: Hello {
                version: wire::VERSION,
                epoch,
                env: inherited.clone(),
                secrets,
                // Asked anew at each connection.
                keep: Vec::new(),
            },
            executable: executable.to_owned(),
            sender,
            limits: String::new(),
        }
    }

    pub(super) fn lose_keeper(&mut self) {
        self.keeper = None;
    }

    pub(super) fn send(&mut self, requests: &[Request]) {
        if let (Some(keeper), false) = (&mut self.keeper, requests.is_empty()) {
            // A keeper that is gone says so on its reports.
            let _ = keeper.send(requests);
        }
    }

    pub(super) fn hang_up(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.hang_up();
        }
    }
}

impl Turn<'_> {
    pub(super) fn report(&mut self, report: Report, events: &mut Vec<Event>) -> Result<(), RunError> {
        let misread = |error| RunError::Keeper(Box::new(error));
        match report {
            Report::Started { attempt, at_ms, .. } => events.push(Event::Started {
                attempt: attempt.parse().map_err(misread)?,
                at: Timestamp(at_ms),
            }),
            Report::Exited(exited) => events.push(keeper::exited(*exited).map_err(misread)?),
            Report::Withdrawn { attempts } => {
                events.push(Event::Withdrawn {
                    attempts: keeper::attempts(&attempts).map_err(misread)?,
                });
            }
            Report::Sample { attempt, usage } => {
                let attempt: AttemptId = attempt.parse().map_err(misread)?;
                if let Some(gauge) = self.gauges.get_mut(&attempt.task.run) {
                    gauge.sampled(attempt, usage.cpu_ms, usage.memory);
                }
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

    /// The engine of containers answers.
    pub(super) fn docker_found(
        &mut self,
        held: &Held,
        events: &mut Vec<Event>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        self.open_bridge(observe);
        let misread = |error| RunError::Keeper(Box::new(error));
        let holds = containers::names(held).map(|name| name.parse::<AttemptId>());
        let holds = holds.collect::<Result<BTreeSet<_>, _>>().map_err(misread)?;
        events.push(Event::HostFound {
            host: Host::Docker,
            holds,
            // Whether a container that is not there ever was, nobody can tell: it counts as lost.
            same: false,
        });
        Ok(())
    }

    pub(super) fn told(
        &mut self,
        told: Told,
        events: &mut Vec<Event>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        match told {
            Told::Reports(reports) => {
                for report in reports {
                    self.report(report, events)?;
                }
            }
            Told::Lost(attempts) => {
                let attempts = keeper::attempts(&attempts).map_err(|error| RunError::Keeper(Box::new(error)))?;
                events.push(Event::Lost { attempts });
            }
            Told::Said(text) => observe(Notice::Said(text)),
            Told::Gone => {
                let text = "the engine of containers does not answer: nothing new starts in it until it does";
                observe(Notice::Said(text.to_owned()));
                events.push(Event::HostAway(Host::Docker));
                self.actuators.containers.reconnect();
            }
        }
        Ok(())
    }

    /// Finds the keeper or starts one, and tells the engine what it holds.
    pub(super) fn connect(&mut self, observe: &mut dyn FnMut(Notice)) -> Result<(), RunError> {
        let failed = |error: ConnectError| RunError::Keeper(Box::new(error));
        let misread = |error| RunError::Keeper(Box::new(error));
        self.hosts.hello.keep = work_folders(self.store.unpublished()?, &self.actuators.collecting);
        let (client, welcome) =
            client::connect_or_start(self.layout.root(), &self.hosts.executable, self.hosts.hello.clone())
                .map_err(failed)?;
        let (requests, mut reports) = client.split();
        self.hosts.connections += 1;
        let (connection, sender) = (self.hosts.connections, self.hosts.sender.clone());
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
        self.hosts.limits = welcome.limits;
        self.hosts.keeper = Some(requests);
        let events = vec![
            Event::Withdrawn { attempts: withdrawn },
            Event::HostFound {
                host: Host::Keeper,
                holds,
                same,
            },
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
