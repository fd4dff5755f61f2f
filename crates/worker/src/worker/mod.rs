//! The role `worker`: works off a queue, one message at a time. What it does is decided by `kingtide_core::drain`; here its effects become calls and a
//! program, and their answers events.
//!
//! Four threads and one channel: this one decides; `hand.rs` holds the message and asks the services; `program.rs` runs the program and takes what
//! it leaves (`left.rs`), so that what is held can be held on to meanwhile; one waits for signals. Nobody waits by polling.

mod arrival;
pub(crate) mod claims;
mod errand;
pub(crate) mod hand;
mod kills;
pub(crate) mod left;
mod orphans;
mod place;
mod program;
mod protection;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use kingtide_core::drain::{Drain, Effect, Event, Terms};
use kingtide_core::engine::event::Stop;
use kingtide_core::time::Timestamp;
use kingtide_exec::stamp::now_ms;
use kingtide_exec::stopper::Stopper;
use kingtide_exec::wire::StopReason;
use kingtide_remote::request::Client;
use kingtide_remote::request::client::NoRegion;
use rustix::io::Errno;

use self::hand::{Hand, Order};
use self::program::{Program, Ran};
use crate::settings::Settings;
use crate::signals::{self, Signal};
use crate::voice::say;

/// What comes to the loop.
pub(crate) enum Inbound {
    Event(Event),
    /// The program has ended, and what it left is in the bucket.
    Ran(Box<Ran>),
    Signal(Signal),
    /// Something is in the way that waiting does not remove.
    Fatal(String),
}

/// Why a worker ends that was not told to, and has work left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error(transparent)]
    NoRegion(#[from] NoRegion),
    #[error("the secret `{0}` is not set")]
    Secret(String),
    #[error("no name can be drawn")]
    Chance(#[source] io::Error),
    #[error("no process can be made here")]
    Process(#[source] Errno),
    #[error("{0}")]
    Fatal(String),
}

/// Works until nothing is left, or it is told to leave.
pub(crate) fn work(settings: Settings) -> Result<(), WorkError> {
    let (tell, inbox) = mpsc::channel();
    let of_signals = tell.clone();
    // Before any thread is started, which would get them unblocked.
    signals::listen(move |signal| of_signals.send(Inbound::Signal(signal)).is_ok());
    orphans::adopt();
    let settings = Arc::new(settings);
    let client = Client::of_container()?;
    let place = place::find().map_err(WorkError::Chance)?;
    let program = Program::new(Arc::clone(&settings), client.clone(), tell.clone())?;
    let (errands, stopper) = program.start()?;
    let hand = Hand::new(Arc::clone(&settings), client, place, errands, tell);
    let (orders, of_orders) = mpsc::channel();
    thread::spawn(move || hand.follow(&of_orders));

    let terms = Terms {
        memory: settings.next_queue_url.as_ref().and(settings.memory),
        stays: settings.is_service,
    };
    let (drain, effects) = Drain::new(settings.job.clone(), terms, seed());
    let mut turn = Turn {
        drain,
        orders,
        stopper,
        ran: None,
        is_running: false,
        failure: None,
    };
    turn.perform(effects);
    turn.go_on(&inbox)
}

/// The loop.
struct Turn {
    drain: Drain,
    orders: Sender<Order>,
    stopper: Arc<Stopper>,
    /// What the program came to, until it is written down.
    ran: Option<Box<Ran>>,
    is_running: bool,
    failure: Option<String>,
}

impl Turn {
    fn go_on(&mut self, inbox: &Receiver<Inbound>) -> Result<(), WorkError> {
        while !self.drain.is_gone() {
            let event = match self.next(inbox) {
                Inbound::Event(event) => event,
                Inbound::Ran(ran) => {
                    self.is_running = false;
                    let event = ran.event();
                    self.ran = Some(ran);
                    event
                }
                Inbound::Signal(Signal::Child) => {
                    orphans::reap();
                    continue;
                }
                Inbound::Signal(Signal::Leave) => {
                    say("told to leave");
                    Event::Leave
                }
                Inbound::Fatal(why) if self.is_running => {
                    // What runs is ended and handed back, if that can be.
                    self.failure.get_or_insert(why);
                    Event::Leave
                }
                Inbound::Fatal(why) => return Err(WorkError::Fatal(self.failure.take().unwrap_or(why))),
            };
            let effects = self.drain.apply(now(), event);
            self.perform(effects);
        }
        match self.failure.take() {
            Some(why) => Err(WorkError::Fatal(why)),
            None => Ok(()),
        }
    }

    /// The next thing that happens, or the time that the drain has asked for.
    fn next(&self, inbox: &Receiver<Inbound>) -> Inbound {
        let gone = || Inbound::Fatal("a part of the worker has ended by itself".to_owned());
        match self.drain.next_wakeup() {
            None => inbox.recv().unwrap_or_else(|_| gone()),
            Some(at) => match inbox.recv_timeout(at.since(now())) {
                Ok(inbound) => inbound,
                Err(RecvTimeoutError::Timeout) => Inbound::Event(Event::Tick),
                Err(RecvTimeoutError::Disconnected) => gone(),
            },
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let order = match effect {
                Effect::Receive => Order::Receive,
                Effect::Claim => Order::Claim,
                Effect::Run { attempt, ledger } => {
                    self.is_running = true;
                    self.stopper.reset();
                    Order::Run { attempt, ledger }
                }
                Effect::Extend(duration) => Order::Extend(duration),
                Effect::Stop(stop) => {
                    self.stopper.ask(reason(stop));
                    continue;
                }
                Effect::Record(record) => Order::Record(record, self.ran.take()),
                Effect::Abandon => Order::Abandon,
                Effect::Close(close) => Order::Close(close),
                Effect::Quit => continue,
            };
            // Whoever no longer listens has said why.
            let _ = self.orders.send(order);
        }
    }
}

fn reason(stop: Stop) -> StopReason {
    match stop {
        Stop::Cancel => StopReason::Cancel,
        Stop::Release => StopReason::Release,
        Stop::Fence => StopReason::Fence,
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp(now_ms())
}

/// Waits before something is tried again whose end nobody tells.
pub(crate) fn pause(duration: Duration) {
    // The services say nothing when they are themselves again.
    thread::sleep(duration);
}

/// For the jitter of backoffs.
fn seed() -> u64 {
    let pid = u64::from(std::process::id());
    (now_ms().cast_unsigned() << 20) ^ pid
}
