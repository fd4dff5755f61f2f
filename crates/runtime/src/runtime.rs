//! A runtime: holds the project's lease, makes runs and works them off.
//!
//! `turn.rs` is the loop, `actuators.rs` does what it decides.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use kingtide_core::engine::event::RunState;
use kingtide_core::engine::packing::Capacity;
use kingtide_core::engine::{Event, IllegalTransition};
use kingtide_core::id::RunId;
use kingtide_core::message::Message;
use kingtide_core::project::{Job, Project};
use kingtide_core::time::Timestamp;

use crate::control;
use crate::layout::Layout;
use crate::notice::Notice;
use crate::store::{LeaseError, NewRun, Store, StoreError};
use crate::turn::{self, Errand};
use crate::{process, store};

/// The one runtime of a project, for as long as it lives.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) store: Store,
    pub(crate) layout: Layout,
}

/// How a run is to be worked off.
#[derive(Clone, Debug)]
pub struct ExecuteOptions {
    /// At most so many attempts at once.
    pub workers: Option<u32>,
    /// What this machine gives.
    pub capacity: Capacity,
    /// Where environments are cached: `~/.cache`.
    pub cache: PathBuf,
    /// This program, which is also the keeper.
    pub executable: PathBuf,
}

/// Where a runtime listens.
#[derive(Clone)]
pub struct Doors {
    /// The queues, as Amazon SQS; port 0 takes any.
    pub sqs: SocketAddr,
    /// Pages and figures, to be read only.
    pub web: Option<SocketAddr>,
    /// An access key id and its secret that callers must sign with; on loopback addresses nobody must where there is none.
    pub access_key: Option<(String, String)>,
}

impl std::fmt::Debug for Doors {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doors")
            .field("sqs", &self.sqs)
            .field("web", &self.web)
            .field("access_key", &self.access_key.as_ref().map(|(id, _)| id))
            .finish()
    }
}

impl Doors {
    /// For consumers of a run in the foreground: any port, this machine's programs alone.
    pub(crate) fn for_consumers() -> Doors {
        Doors {
            sqs: SocketAddr::from(([127, 0, 0, 1], 0)),
            web: None,
            access_key: None,
        }
    }
}

/// What a run came to in this runtime.
#[derive(Clone, Debug)]
pub struct Ended {
    pub state: RunState,
    /// Ended by its `max_duration`.
    pub late: bool,
    pub wall: Duration,
    /// How memory was limited: `v2`, `v1` or `watch`.
    pub limits: String,
}

/// Why the project cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] store::OpenError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
}

/// Why a run cannot go on. What was committed stays; `--resume` goes on with it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the run {0} is over or unknown")]
    NotOpen(RunId),
    #[error("the secret `{name}` cannot be read: {why}")]
    Secret { name: String, why: String },
    #[error("the Python environment of `{job}` cannot be made")]
    Python {
        job: String,
        #[source]
        source: crate::python::PythonError,
    },
    #[error("`{job}` cannot run in containers")]
    Docker {
        job: String,
        #[source]
        source: Box<crate::docker::DockerError>,
    },
    #[error("cannot make the folder `{path}`")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("the keeper of the programs cannot be reached")]
    Keeper(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot prepare the runtime")]
    Prepare(#[source] std::io::Error),
    /// A bug of ours, or somebody else's writing in the database.
    #[error("the engine met an event it cannot go on from; nothing of it was written")]
    Illegal(#[from] IllegalTransition),
}

impl Runtime {
    /// Takes the lease of the project in this folder.
    ///
    /// # Errors
    /// When another runtime lives, or the database cannot be used.
    pub fn open(project: &Path) -> Result<Runtime, OpenError> {
        let layout = Layout::new(project);
        let mut store = Store::open(layout.root())?;
        // A lease that was not renewed may be that of one who has nothing to do, or of one who was stopped: it is asked.
        let root = layout.root().to_owned();
        let within = store.patience();
        let answers = move || control::is_answering(&root, within);
        store.take_lease(now(), &process::ours(), process::is_alive, answers)?;
        store.forget_half_loaded().map_err(LeaseError::Store)?;
        Ok(Runtime { store, layout })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes a run of these messages; they are durable when it returns. `due` in place of what the job says.
    pub fn submit<E>(
        &mut self,
        job: &Job,
        source: &str,
        due: Option<Timestamp>,
        messages: impl Iterator<Item = Result<Message, E>>,
    ) -> Result<Result<RunId, E>, RunError> {
        let now = now();
        let new = NewRun::of(job, source, now).due_by(due);
        Ok(self.store.submit(now, &new, messages)?)
    }

    /// Makes a run of what did not succeed in another; `None` when everything did.
    pub fn retry(&mut self, job: &Job, of: RunId) -> Result<Option<RunId>, RunError> {
        let source = format!("what failed in {}", crate::layout::run_name(&job.name, of));
        let now = now();
        let new = NewRun {
            retry_of: Some(of),
            ..NewRun::of(job, &source, now)
        };
        Ok(self.store.retry(now, of, &new)?)
    }

    /// The newest run of a job that is not over.
    pub fn unfinished(&self, job: &str) -> Result<Option<RunId>, RunError> {
        Ok(self.store.unfinished(job)?)
    }

    /// Forgets runs that are over; their logs and outputs are the caller's to remove.
    pub fn forget(&mut self, runs: &[RunId]) -> Result<(), RunError> {
        self.store.forget(runs)?;
        Ok(self.store.give_lease_back()?)
    }

    /// Works off a run until it is over, or until a signal drains it. SIGINT drains, a second one and SIGTERM put back what runs.
    ///
    /// # Errors
    /// What keeps it from going on; above all `StoreError::Fenced` when another runtime has taken over.
    pub fn execute(
        &mut self,
        run: RunId,
        project: &Project,
        options: &ExecuteOptions,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<Ended, RunError> {
        self.work_off(run, project, options, Vec::new(), observe)
    }

    /// Ends a run that no runtime works on: what waits is cancelled, what still runs is stopped.
    pub fn cancel(
        &mut self,
        run: RunId,
        project: &Project,
        options: &ExecuteOptions,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<Ended, RunError> {
        let cancel = Event::Cancel { run, late: false };
        self.work_off(run, project, options, vec![cancel], observe)
    }

    /// Keeps the project alive: works off every run that is not over and whatever comes, until SIGINT or SIGTERM drains it; a
    /// second one puts back what runs.
    ///
    /// # Errors
    /// What keeps it from going on; above all `StoreError::Fenced` when another runtime has taken over.
    pub fn stay(
        &mut self,
        project: &Project,
        options: &ExecuteOptions,
        doors: &Doors,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), RunError> {
        let errand = Errand {
            project,
            options,
            runs: self.store.open_runs()?,
            first: Vec::new(),
            doors: Some(doors),
        };
        turn::work_off(self, &errand, observe)?;
        Ok(self.store.give_lease_back()?)
    }

    /// Gives the lease back, so that another process may go on at once.
    pub fn leave(mut self) -> Result<(), RunError> {
        Ok(self.store.give_lease_back()?)
    }

    fn work_off(
        &mut self,
        run: RunId,
        project: &Project,
        options: &ExecuteOptions,
        first: Vec<Event>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<Ended, RunError> {
        let began = Instant::now();
        let errand = Errand {
            project,
            options,
            runs: vec![run],
            first,
            doors: None,
        };
        let worked = turn::work_off(self, &errand, observe)?;
        let (_, state, late) = self.store.run(run)?.ok_or(RunError::NotOpen(run))?;
        self.store.give_lease_back()?;
        Ok(Ended {
            state,
            late,
            wall: began.elapsed(),
            limits: worked.limits,
        })
    }
}

/// The time, where the core is handed it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
