//! Operations of the queues that a command of this machine asks for: of the runtime that lives on the project, else performed
//! here under its lease. Both are the way of an SDK's call: an [`Operation`] in one transaction, answered once it is on disk.

use std::path::PathBuf;
use std::time::Duration;

use kingtide_core::project::Project;

use crate::control::{self, ControlError};
use crate::layout::Layout;
use crate::runtime::{OpenError, RunError, Runtime};
use crate::sqs::fault::Fault;
use crate::sqs::operation::{Answer, Caller, Operation};
use crate::store::LeaseError;
use crate::turn;

/// Bytes of bodies that one call of [`Asker::ask`] may carry: one transaction takes them in without holding up others.
pub const ROUND_BYTES: usize = 4 * 1024 * 1024;

/// Between the moment in which a runtime takes the lease and that in which it listens; nothing tells that it does.
const SETTLING: Duration = Duration::from_millis(100);
/// So often at most.
const KNOCKS: u32 = 30;
/// What messages from here say of their sender.
pub(crate) const SENDER: &str = "kingtide";

/// Somebody who wants something of the queues.
pub struct Asker<'p> {
    folder: PathBuf,
    project: &'p Project,
    /// Held from the first operation that nobody else could be asked for, until this is dropped.
    runtime: Option<Runtime>,
}

/// Why an operation was not even looked at.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Perform(#[from] RunError),
}

impl<'p> Asker<'p> {
    /// `folder` is that of the project's file.
    pub fn new(folder: PathBuf, project: &'p Project) -> Asker<'p> {
        Asker {
            folder,
            project,
            runtime: None,
        }
    }

    /// Has operations performed, each on its own; they are durable when it returns.
    ///
    /// # Errors
    /// When nobody could perform them. Of what a runtime was asked that left before it answered, nobody knows.
    pub fn ask(&mut self, operations: Vec<Operation>) -> Result<Vec<Result<Answer, Fault>>, AskError> {
        let caller = Caller {
            access_key: Some(SENDER.to_owned()),
        };
        let root = Layout::new(&self.folder).root().to_owned();
        let mut knocks = 0;
        loop {
            if let Some(runtime) = &mut self.runtime {
                return Ok(turn::perform_alone(runtime, self.project, &caller, operations)?);
            }
            if let Some(answers) = control::ask(&root, &operations)? {
                return Ok(answers);
            }
            match Runtime::open(&self.folder) {
                Ok(runtime) => self.runtime = Some(runtime),
                Err(OpenError::Lease(LeaseError::Busy { .. })) if knocks < KNOCKS => {
                    knocks += 1;
                    // It has just begun and listens in a moment, or is about to leave: nothing tells.
                    std::thread::sleep(SETTLING);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether a runtime that lives did it.
    pub fn is_live(&self) -> bool {
        self.runtime.is_none()
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Without it the next one finds that this process is gone.
            let _ = runtime.leave();
        }
    }
}

#[cfg(test)]
mod tests;
