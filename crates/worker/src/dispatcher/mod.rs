//! The role `dispatcher`: directs a run. What it does is decided by `kingtide_core::dispatch`; here its effects become calls, one after the other, and
//! their answers events. What it has decided is written down before it is done (`desk.rs`), so that another goes on when this one is lost.
//!
//! `opening.rs` finds the run or opens it, `sight.rs` looks at bucket, cluster and queues, `closing.rs` writes how it ended.

mod closing;
mod desk;
mod learnt;
mod opening;
mod orders;
mod sight;

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};

use kingtide_core::dispatch::{Dispatcher, Event};
use kingtide_remote::request::Client;
use kingtide_remote::request::client::NoRegion;

use self::desk::Desk;
use self::opening::Opened;
use self::orders::{Orders, OrdersError};
use crate::signals::{self, Signal};
use crate::voice::say;
use crate::worker::left::Unsaved;
use crate::worker::now;

/// Why a dispatcher ends before its run: Step Functions starts another.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DispatchError {
    #[error(transparent)]
    NoRegion(#[from] NoRegion),
    #[error(transparent)]
    Orders(#[from] OrdersError),
    #[error("told to leave; the run goes on with the next dispatcher")]
    Told,
    #[error("another dispatcher has taken over the run")]
    Replaced,
    #[error("{0}")]
    Calls(String),
}

impl From<Unsaved> for DispatchError {
    fn from(Unsaved(why): Unsaved) -> DispatchError {
        DispatchError::Calls(why)
    }
}

/// Directs the run from where it stands to its end.
pub(crate) fn dispatch() -> Result<(), DispatchError> {
    let (tell, signals) = mpsc::channel();
    signals::listen(move |signal| tell.send(signal).is_ok());
    let orders = Orders::of_environment()?;
    let client = Client::of_container()?;
    let Opened { opening, run, record } = opening::open(&client, &orders)?;
    let mut desk = Desk::new(client, orders, run, record);
    let (mut dispatcher, effects) = Dispatcher::new(now(), opening);
    let mut events: VecDeque<Event> = desk.perform(effects)?.into();
    while !dispatcher.is_finished() {
        let event = match events.pop_front() {
            Some(event) => {
                if told(&signals) {
                    return Err(DispatchError::Told);
                }
                event
            }
            None => wait(&dispatcher, &signals)?,
        };
        let effects = dispatcher.apply(now(), event);
        events.extend(desk.perform(effects)?);
    }
    say("the run has ended");
    Ok(())
}

fn told(signals: &Receiver<Signal>) -> bool {
    signals.try_iter().any(|signal| signal == Signal::Leave)
}

/// Until it is time for something, or a signal comes.
fn wait(dispatcher: &Dispatcher, signals: &Receiver<Signal>) -> Result<Event, DispatchError> {
    loop {
        let until = dispatcher.next_wakeup().unwrap_or_else(now).since(now());
        match signals.recv_timeout(until) {
            Ok(Signal::Child) => {}
            Ok(Signal::Leave) | Err(RecvTimeoutError::Disconnected) => return Err(DispatchError::Told),
            Err(RecvTimeoutError::Timeout) => return Ok(Event::Tick),
        }
    }
}
