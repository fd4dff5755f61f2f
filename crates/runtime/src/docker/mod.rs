//! Containers as a second way to run attempts, beside the keeper: it starts, stops, logs and samples them by the Docker
//! Engine's API and says how they ended. The engine itself (Docker, or Podman's compatible socket) does what the keeper does
//! for processes: it outlives a runtime that dies, and keeps a container's end until that is acknowledged.
//!
//! `socket` finds the engine and `engine` speaks with it; `image` and `build` (with `buildkit`, `tree`, `ignore` and `credentials`) make images ready;
//! `body` says what a container is, `container` is one from its creation to its end (`end`), with `logs`, `sample`, `oom`, `work` (its folder)
//! and `ownership`; `adopt` finds what an earlier runtime left, `link` watches the connection and fences. Labels and names are in
//! `labels`; `probe` only looks; `workshop` makes images for machines elsewhere.

mod adopt;
mod body;
mod build;
mod buildkit;
mod container;
mod credentials;
mod end;
mod engine;
mod error;
mod ignore;
mod image;
mod labels;
mod link;
mod logs;
mod oom;
mod ownership;
mod probe;
mod sample;
mod socket;
mod tree;
mod work;
mod workshop;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kingtide_core::project::ImageSource;
use kingtide_exec::redact::Secrets;
use kingtide_exec::wire::{self, Report, StopReason};
use tokio::runtime::Handle;
use tokio::sync::watch;

pub use body::{ContainerStart, Mount};
pub use error::DockerError;
pub use image::Image;
pub use probe::{Found, look_around, probe};
pub use workshop::{Login, Workshop};

use engine::Engine;
use labels::Labels;
use work::Work;

/// Containers of one project. Cheap to clone; tasks on the runtime it was given do the work.
#[derive(Clone)]
pub struct Docker {
    shared: Arc<Shared>,
    /// Goes with the last handle, and the tasks with it.
    _life: Arc<Life>,
}

/// Ends the tasks when nobody holds a handle any more. Containers go on.
struct Life(watch::Sender<bool>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Whose containers these are.
#[derive(Clone, Debug)]
pub struct Context {
    /// Stable for the project's folder, and another's for no other: ASCII letters and digits.
    pub project_id: String,
    /// Of the lease; a runtime with a lower one is refused, its containers are ended.
    pub epoch: i64,
    /// `.kingtide`, absolute.
    pub root: PathBuf,
    /// Texts that are replaced by `***` in logs and messages.
    pub secrets: Vec<String>,
    /// In place of `DOCKER_HOST` and the usual places: `unix:///run/docker.sock`.
    pub host: Option<String>,
    /// Paths in work folders that rows of the store still name: not to be cleared away.
    pub keep: Vec<String>,
}

/// What it holds for the project when it connects; each of the ended follows as an `Exited` of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub running: Vec<wire::Attempt>,
    pub ended: Vec<wire::Attempt>,
}

/// What it says, from threads of its own.
#[derive(Clone, Debug)]
pub enum Told {
    /// `Started`, `Sample`, `Exited`, `Withdrawn` and `Refused`, as from a keeper. `Started` has no process id (0).
    Reports(Vec<Report>),
    /// These ended with the infrastructure: somebody removed their containers, or the engine's own end took them along. They are
    /// forgotten already.
    Lost(Vec<wire::Attempt>),
    /// For people: the connection was lost and is tried anew; it is back.
    Said(String),
    /// The engine has not answered for a minute. Nothing more will be said; what runs may go on, and the next `connect` finds it.
    Gone,
}

type Tell = Box<dyn Fn(Told) + Send + Sync>;

/// What all tasks share.
struct Shared {
    engine: Engine,
    context: Context,
    labels: Labels,
    secrets: Arc<Secrets>,
    handle: Handle,
    tell: Tell,
    attempts: Mutex<BTreeMap<wire::Attempt, Known>>,
    /// How many acknowledged attempts are not removed yet.
    leaving: watch::Sender<usize>,
    /// True once nobody needs anything done any more: all handles are dropped, or the engine is gone.
    closed: watch::Sender<bool>,
}

/// An attempt that was started and is not acknowledged.
struct Known {
    stop: watch::Sender<Option<StopReason>>,
}

impl Docker {
    /// Connects to the engine and adopts what it holds for this project, running or ended. Blocks; not to be called from a
    /// thread of the runtime behind `handle`.
    ///
    /// # Errors
    /// When no engine can be used, or a later runtime has already taken over.
    pub fn connect(
        handle: &Handle,
        context: Context,
        tell: impl Fn(Told) + Send + Sync + 'static,
    ) -> Result<(Docker, Held), DockerError> {
        let mut environment = socket::Environment::here();
        environment.docker_host = context.host.clone().or(environment.docker_host);
        let engine = handle.block_on(Engine::connect(&environment))?;
        Docker::over(handle, engine, context, Box::new(tell))
    }

    fn over(handle: &Handle, engine: Engine, context: Context, tell: Tell) -> Result<(Docker, Held), DockerError> {
        let labels = Labels::of(&context)?;
        let shared = Arc::new(Shared {
            engine,
            secrets: Arc::new(Secrets::new(&context.secrets)),
            labels,
            context,
            handle: handle.clone(),
            tell,
            attempts: Mutex::default(),
            leaving: watch::channel(0).0,
            closed: watch::channel(false).0,
        });
        let life = Arc::new(Life(shared.closed.clone()));
        let held = handle.block_on(adopt::adopt(&shared))?;
        Ok((Docker { shared, _life: life }, held))
    }

    /// Creates and starts a container; how that went is told. An attempt that is known already is left alone.
    pub fn start(&self, start: ContainerStart) {
        if let Some(stop) = self.shared.know(&start.attempt) {
            let shared = Arc::clone(&self.shared);
            self.shared.spawn(container::run(shared, start, stop));
        }
    }

    /// TERM, then KILL after the attempt's `stop_timeout`; one that has not been started is handed back as `Withdrawn`. Unknown
    /// attempts are ignored: they have ended.
    pub fn stop(&self, attempts: Vec<wire::Attempt>, reason: StopReason) {
        let known = self.shared.attempts();
        for known in attempts.iter().filter_map(|attempt| known.get(attempt)) {
            known.stop.send_if_modified(|asked| asked.replace(reason).is_none());
        }
    }

    /// Removes containers and their work folders. May be repeated.
    pub fn acknowledge(&self, attempts: Vec<wire::Attempt>) {
        let shared = Arc::clone(&self.shared);
        {
            let mut known = shared.attempts();
            for attempt in &attempts {
                known.remove(attempt);
            }
        }
        shared.leaving.send_modify(|leaving| *leaving += attempts.len());
        // Not ended with the handle: nobody would come back to it before the next `connect`.
        self.shared.handle.spawn(async move {
            for attempt in attempts {
                shared.forget(&attempt).await;
                shared.leaving.send_modify(|leaving| *leaving -= 1);
            }
        });
    }

    /// Waits until everything acknowledged is removed, so that the runtime behind the handle can go. At most `patience`: what is left
    /// then is removed by the next `connect`.
    pub fn settle(&self, patience: Duration) {
        let mut leaving = self.shared.leaving.subscribe();
        let settled = async move {
            tokio::time::timeout(patience, leaving.wait_for(|leaving| *leaving == 0))
                .await
                .is_ok()
        };
        self.shared.handle.block_on(settled);
    }

    /// The image of a job, made ready: pulled once, or built when its sources have changed. Blocks, for minutes where it must.
    ///
    /// `name` is what a built image is tagged by (`<project>-<job>`), `project` the folder that paths are relative to; `say` is
    /// called with lines of progress.
    ///
    /// # Errors
    /// When there is none, it cannot be built, or this machine cannot run it.
    pub fn ensure_image(
        &self,
        name: &str,
        source: &ImageSource,
        project: &Path,
        say: &mut dyn FnMut(String),
    ) -> Result<Image, DockerError> {
        let shared = &self.shared;
        shared
            .handle
            .block_on(image::ensure(&shared.engine, name, source, project, say))
    }

    /// Where the engine listens.
    pub fn socket(&self) -> PathBuf {
        self.shared.engine.path()
    }

    /// The gateway of the engine's default bridge: an address of this machine that containers reach.
    pub fn bridge_address(&self) -> Option<IpAddr> {
        self.shared.handle.block_on(self.shared.engine.bridge_address())
    }
}

impl Shared {
    fn attempts(&self) -> MutexGuard<'_, BTreeMap<wire::Attempt, Known>> {
        // What it guards is valid between any two statements.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when it is known already.
    fn know(&self, attempt: &str) -> Option<watch::Receiver<Option<StopReason>>> {
        let mut attempts = self.attempts();
        if attempts.contains_key(attempt) {
            return None;
        }
        let (stop, asked) = watch::channel(None);
        attempts.insert(attempt.to_owned(), Known { stop });
        Some(asked)
    }

    fn report(&self, report: Report) {
        (self.tell)(Told::Reports(vec![report]));
    }

    /// The attempt is no longer known, and its container and folder are gone; in this order, so that whoever finds the
    /// container finds its folder.
    async fn forget(&self, attempt: &str) {
        self.attempts().remove(attempt);
        if self.clear(&self.labels.container(attempt)).await.is_ok()
            && let Err(error) = self.work(attempt).remove()
        {
            self.say(format!("the work folder of {attempt} cannot be removed: {error}"));
        }
    }

    fn say(&self, line: String) {
        (self.tell)(Told::Said(line));
    }

    fn work(&self, attempt: &str) -> Work {
        Work::of(&self.context.root, attempt)
    }

    /// Runs a task until it ends or nobody needs it any more.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut closed = self.closed.subscribe();
        self.handle.spawn(async move {
            tokio::select! {
                _ = closed.wait_for(|closed| *closed) => {}
                () = task => {}
            }
        });
    }
}

impl std::fmt::Debug for Docker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Docker")
            .field("engine", &self.shared.engine)
            .field("context", &self.shared.context)
            .finish_non_exhaustive()
    }
}
