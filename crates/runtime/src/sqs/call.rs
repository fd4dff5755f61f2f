//! A request on its way to the loop, and where its answer goes.

use tokio::sync::oneshot;

use super::fault::Fault;
use super::operation::{Answer, Caller, Operation};

/// One operation that somebody waits for. It is answered once what it changed is on disk.
#[derive(Debug)]
pub struct Call {
    pub caller: Caller,
    pub operation: Operation,
    /// Closed when the caller has hung up.
    pub reply: oneshot::Sender<Result<Answer, Fault>>,
}
