//! The engine that runs containers, connected when the first job needs it, and again when it had gone away.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kingtide_exec::wire::{self, StopReason};

use crate::docker::{ContainerStart, Context, Docker, DockerError, Held, Told};
use crate::http;
use crate::inbox::Inbound;

/// How long an engine may take to remove what has ended, when this process leaves.
const SETTLING: Duration = Duration::from_secs(10);
/// Between two tries to reach an engine that has gone: nothing tells when it is back.
const AGAIN: Duration = Duration::from_secs(5);

/// A handle to it that may not be connected yet. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Containers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    docker: Mutex<Option<Docker>>,
    connecting: Mutex<()>,
    context: Context,
    inbox: Sender<Inbound>,
}

impl Containers {
    pub(crate) fn new(context: Context, inbox: Sender<Inbound>) -> Containers {
        Containers {
            shared: Arc::new(Shared {
                docker: Mutex::new(None),
                connecting: Mutex::new(()),
                context,
                inbox,
            }),
        }
    }

    /// The engine; connected now if it was not, and what it holds is then told to the loop. Blocks.
    pub(crate) fn connected(&self) -> Result<Docker, DockerError> {
        // One at a time; the loop, which has orders for an engine that is there, is not held up.
        let _connecting = self.shared.connecting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(docker) = &*self.docker() {
            return Ok(docker.clone());
        }
        let threads = http::threads().map_err(|source| DockerError::Files {
            what: "start threads".to_owned(),
            source,
        })?;
        let inbox = self.shared.inbox.clone();
        let tell = move |told: Told| {
            // Nobody listens any more when the loop is over.
            let _ = inbox.send(Inbound::Told(told));
        };
        let (connected, held) = Docker::connect(&threads[0], self.shared.context.clone(), tell)?;
        *self.docker() = Some(connected.clone());
        let _ = self.shared.inbox.send(Inbound::DockerFound(held));
        Ok(connected)
    }

    /// It has not answered for long: tries until it does, on a thread of its own.
    pub(crate) fn reconnect(&self) {
        *self.docker() = None;
        let containers = self.clone();
        let again = move || {
            while let Err(error) = containers.connected() {
                if matches!(error, DockerError::Fenced { .. }) {
                    return;
                }
                // Nothing tells when it is back.
                std::thread::sleep(AGAIN);
            }
        };
        // Without a thread the next job that needs it connects.
        let _ = std::thread::Builder::new().name("docker".to_owned()).spawn(again);
    }

    /// An address of this machine that containers reach, if the engine is connected.
    pub(crate) fn bridge_address(&self) -> Option<std::net::IpAddr> {
        self.docker().as_ref()?.bridge_address()
    }

    pub(crate) fn start(&self, start: ContainerStart) {
        // An engine that has gone since leaves the attempt to the next connection, which finds it missing.
        if let Some(docker) = &*self.docker() {
            docker.start(start);
        }
    }

    /// Waits until what was acknowledged is removed: nobody comes back to it before the next connection.
    pub(crate) fn settle(&self) {
        let docker = self.docker().clone();
        if let Some(docker) = docker {
            docker.settle(SETTLING);
        }
    }

    pub(crate) fn stop(&self, attempts: Vec<wire::Attempt>, reason: StopReason) {
        if let (Some(docker), false) = (&*self.docker(), attempts.is_empty()) {
            docker.stop(attempts, reason);
        }
    }

    pub(crate) fn acknowledge(&self, attempts: Vec<wire::Attempt>) {
        if let (Some(docker), false) = (&*self.docker(), attempts.is_empty()) {
            docker.acknowledge(attempts);
        }
    }

    fn docker(&self) -> MutexGuard<'_, Option<Docker>> {
        // What it guards is valid between any two statements.
        self.shared.docker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it holds, in the engine's words.
pub(crate) fn names(held: &Held) -> impl Iterator<Item = &wire::Attempt> {
    held.running.iter().chain(&held.ended)
}
