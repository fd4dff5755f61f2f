//! Everything that reaches the loop, on one channel.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use kingtide_core::engine::Event;
use kingtide_exec::wire::Report;

use crate::control::Wish;
use crate::docker::{Held, Told};
use crate::forecaster::Foreseen;
use crate::runtime::RunError;
use crate::sqs::Call;
use crate::surroundings::Prepared;

/// The most that one transaction takes in.
const BATCH: usize = 4096;

#[derive(Debug)]
pub(crate) enum Inbound {
    Event(Event),
    /// From the keeper that was connected as number `.0`.
    Reports(u64, Vec<Report>),
    /// That keeper's connection is gone.
    KeeperGone(u64),
    /// Asked of the queues.
    Call(Box<Call>),
    /// The engine of containers answers, and holds this.
    DockerFound(Held),
    /// What it says.
    Told(Told),
    Signal(i32),
    Wish(Wish),
    /// What this job's attempts need is there, or cannot be had.
    Prepared(String, Result<Box<Prepared>, RunError>),
    /// How a run is going to end.
    Foreseen(Box<Foreseen>),
    /// Something to tell people; the loop can do nothing about it.
    Said(String),
}

/// Waits for the first, takes what else is there; empty when the time is up, if it ever is.
pub(crate) fn next_batch(inbox: &Receiver<Inbound>, wait: Option<Duration>) -> Vec<Inbound> {
    let first = match wait {
        None => inbox.recv().map_err(RecvTimeoutError::from),
        Some(wait) => inbox.recv_timeout(wait),
    };
    let first = match first {
        Ok(first) => first,
        Err(RecvTimeoutError::Timeout) => return Vec::new(),
        Err(RecvTimeoutError::Disconnected) => unreachable!("the loop holds a sender itself"),
    };
    std::iter::once(first).chain(inbox.try_iter()).take(BATCH).collect()
}
