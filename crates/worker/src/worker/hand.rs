//! Holds the message that is worked off, and asks the services: one order after the other, in a thread of its own, each answered by an event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use kingtide_core::drain::{Claim, Close, Event, Record, VISIBILITY};
use kingtide_core::engine::event::{Ledger, TaskState};
use kingtide_core::id::{RunId, TaskId};
use kingtide_exec::collect::chain;
use kingtide_remote::record::{Begin, Place};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::request::sqs::{self, Letter, Message};
use kingtide_remote::request::{Client, Kind, RequestError};

use super::claims::{Claimed, Claims};
use super::errand::Errand;
use super::left::{Unsaved, insist};
use super::program::Ran;
use super::protection::Protection;
use super::{Inbound, arrival, now};
use crate::settings::Settings;
use crate::voice::say;

/// A message says whose it is.
pub(crate) const RUN: &str = "kingtide.run";
pub(crate) const SEQ: &str = "kingtide.seq";
/// A dead letter says why.
pub(crate) const REASON: &str = "kingtide.reason";
/// As long as a queue hides.
const LONGEST_HIDING: Duration = Duration::from_secs(12 * 3600);

/// What the drain wants done.
pub(crate) enum Order {
    Receive,
    Claim,
    Run { attempt: u32, ledger: Ledger },
    Extend(Duration),
    Record(Box<Record>, Option<Box<Ran>>),
    Abandon,
    Close(Close),
}

/// A message that is held.
struct Held {
    message: Message,
    task: TaskId,
    claimed: Option<Claimed>,
    /// It failed for good with another worker, who may not have come to bury it.
    unburied: Option<String>,
}

/// Holds it.
pub(crate) struct Hand {
    settings: Arc<Settings>,
    client: Client,
    place: Place,
    errands: Sender<Errand>,
    tell: Sender<Inbound>,
    held: Option<Held>,
    /// How many messages runs have of their own.
    totals: BTreeMap<RunId, u64>,
    protection: Option<Protection>,
}

impl Hand {
    pub(crate) fn new(
        settings: Arc<Settings>,
        client: Client,
        place: Place,
        errands: Sender<Errand>,
        tell: Sender<Inbound>,
    ) -> Hand {
        Hand {
            protection: Protection::find(settings.is_service),
            settings,
            client,
            place,
            errands,
            tell,
            held: None,
            totals: BTreeMap::new(),
        }
    }

    /// Does as it is told, until nobody tells any more.
    pub(crate) fn follow(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let answer = match self.obey(order) {
                Ok(None) => continue,
                Ok(Some(event)) => Inbound::Event(event),
                Err(Unsaved(why)) => Inbound::Fatal(why),
            };
            if self.tell.send(answer).is_err() {
                return;
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<Option<Event>, Unsaved> {
        match order {
            Order::Receive => self.receive().map(|found| Some(Event::Received(found))),
            Order::Claim => self.claim().map(Some),
            Order::Run { attempt, ledger } => self.run(attempt, ledger).map(|()| None),
            Order::Extend(duration) => self.extend(duration),
            Order::Record(record, ran) => self.record(&record, ran.as_deref()).map(Some),
            Order::Abandon => self.abandon().map(Some),
            Order::Close(close) => self.close(close).map(|()| Some(Event::Closed)),
        }
    }

    fn receive(&mut self) -> Result<bool, Unsaved> {
        self.held = None;
        let received = sqs::receive(
            &self.client,
            &self.settings.queue_url,
            1,
            VISIBILITY,
            self.settings.wait,
        );
        let message = match received {
            Ok(messages) => messages.into_iter().next(),
            Err(error) if may_pass(&error) => {
                say(&format!("nothing was received: {}", chain(&error)));
                None
            }
            Err(error) => return Err(Unsaved(chain(&error))),
        };
        let Some(message) = message else { return Ok(false) };
        let task = self.task(&message)?;
        self.held = Some(Held {
            message,
            task,
            claimed: None,
            unburied: None,
        });
        Ok(true)
    }

    /// What a message says, or what becomes of it.
    fn task(&mut self, message: &Message) -> Result<TaskId, Unsaved> {
        let number = |name: &str| message.attributes.get(name)?.parse::<i64>().ok();
        if let (Some(run), Some(seq)) = (number(RUN), number(SEQ)) {
            return Ok(RunId(run).task(seq));
        }
        // A service's worker was started for no run.
        let run = self.settings.run.unwrap_or_default();
        let total = match self.totals.get(&run) {
            Some(total) => *total,
            None => {
                let total = arrival::total(&self.client, &self.settings, run)?;
                self.totals.insert(run, total);
                total
            }
        };
        arrival::task(&self.client, &self.settings, run, total, message)
    }

    fn claim(&mut self) -> Result<Event, Unsaved> {
        let claims = claims(&self.client, &self.settings, &self.place);
        let held = held(&mut self.held);
        if claims.is_cancelled(held.task)? {
            return Ok(Event::Claimed(Claim::Cancelled));
        }
        let memory = self.settings.next_queue_url.as_ref().and(self.settings.memory);
        let (claim, claimed) = claims.claim(held.task, VISIBILITY, memory)?;
        held.claimed = claimed;
        if claim == Claim::Done {
            // Whoever has written that may not have come further.
            held.unburied = held.claimed.as_ref().and_then(|claimed| {
                let state = claimed.document.state();
                let is_dead = matches!(state, TaskState::Failed | TaskState::Rejected);
                let reason = claimed.document.attempts.last()?.reason.clone();
                is_dead.then(|| reason.unwrap_or_default())
            });
            self.mark_end()?;
        }
        Ok(Event::Claimed(claim))
    }

    fn run(&mut self, attempt: u32, ledger: Ledger) -> Result<(), Unsaved> {
        if let Some(protection) = &mut self.protection {
            protection.hold();
        }
        let held = held(&mut self.held);
        let task = held.task;
        let begin = Begin {
            seq: task.seq,
            attempt,
            at: now(),
        };
        let key = self.settings.keys.run(task.run).begin(&begin);
        insist(|| s3::put(&self.client, &self.settings.bucket, &key, &[], Condition::Always))?;
        say(&format!("{}-{task} attempt {attempt} begins", self.settings.job.name));
        let errand = Errand {
            attempt: task.attempt(attempt),
            ledger,
            body: held.message.body.clone(),
        };
        let gone = || Unsaved("the program's thread has ended by itself".to_owned());
        self.errands.send(errand).map_err(|_| gone())
    }

    fn extend(&mut self, duration: Duration) -> Result<Option<Event>, Unsaved> {
        if let Some(protection) = &mut self.protection {
            protection.hold();
        }
        let claims = claims(&self.client, &self.settings, &self.place);
        let held = held(&mut self.held);
        // Twelve hours after its receive a queue hands out a message in any case; the claim is what counts.
        if let Err(error) = hide(&self.client, &self.settings, &held.message, duration) {
            say(&format!("the queue may hand out the message again: {}", chain(&error)));
        }
        let Some(claimed) = &mut held.claimed else {
            return Ok(None);
        };
        let is_ours = claims.extend(claimed, duration)?;
        Ok((!is_ours).then_some(Event::Unheld))
    }

    fn record(&mut self, record: &Record, ran: Option<&Ran>) -> Result<Event, Unsaved> {
        let claims = claims(&self.client, &self.settings, &self.place);
        let held = held(&mut self.held);
        let outcome = record.outcome;
        let why = record.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        say(&format!(
            "{}-{} attempt {} {outcome}{why}",
            self.settings.job.name, held.task, record.attempt
        ));
        let is_ours = match &mut held.claimed {
            Some(claimed) => claims.record(claimed, record, ran)?,
            None => false,
        };
        if !is_ours {
            say("another worker has the task by now");
            return Ok(Event::Unheld);
        }
        if record.is_final {
            self.mark_end()?;
        }
        Ok(Event::Recorded)
    }

    fn abandon(&mut self) -> Result<Event, Unsaved> {
        let claims = claims(&self.client, &self.settings, &self.place);
        let held = held(&mut self.held);
        held.claimed = claims.abandon(held.task)?;
        match held.claimed {
            Some(_) => self.mark_end().map(|()| Event::Recorded),
            None => Ok(Event::Unheld),
        }
    }

    fn close(&mut self, close: Close) -> Result<(), Unsaved> {
        if let Some(protection) = &mut self.protection {
            protection.let_go();
        }
        let Some(held) = self.held.take() else { return Ok(()) };
        let settings = &self.settings;
        let close = match (close, held.unburied) {
            (Close::Delete, Some(reason)) => Close::Bury(reason),
            (close, _) => close,
        };
        let letter = |reason: Option<String>| {
            let mut attributes = BTreeMap::from([
                (RUN.to_owned(), held.task.run.to_string()),
                (SEQ.to_owned(), held.task.seq.to_string()),
            ]);
            attributes.extend(reason.map(|reason| (REASON.to_owned(), reason)));
            Letter {
                body: held.message.body.clone(),
                attributes,
                ..Letter::default()
            }
        };
        match close {
            Close::Delete => {}
            Close::Return(after) => {
                // Else it becomes visible by itself.
                let _ = hide(&self.client, settings, &held.message, after.min(LONGEST_HIDING));
                return Ok(());
            }
            Close::Bury(reason) => self.send(&settings.dead_letters_url, letter(Some(reason)))?,
            Close::SendOn => {
                let next = settings.next_queue_url.as_ref();
                let next = next.ok_or_else(|| Unsaved("there is no worker with more memory".to_owned()))?;
                self.send(next, letter(None))?;
            }
        }
        if let Err(error) = sqs::delete(&self.client, &settings.queue_url, &held.message.receipt) {
            // Whoever receives it finds that it is over.
            say(&format!("the message is not deleted: {}", chain(&error)));
        }
        Ok(())
    }

    fn send(&self, queue_url: &str, letter: Letter) -> Result<(), Unsaved> {
        let letters = [letter];
        insist(|| {
            let untaken = sqs::send(&self.client, queue_url, &letters)?.into_iter().next();
            match untaken {
                None => Ok(()),
                Some(untaken) => Err(RequestError {
                    kind: untaken.kind,
                    operation: "sqs:SendMessage",
                    code: String::new(),
                    message: untaken.message,
                    request_id: String::new(),
                    tries: 1,
                }),
            }
        })
    }

    /// The task is over, for whoever lists what is.
    fn mark_end(&mut self) -> Result<(), Unsaved> {
        let held = held(&mut self.held);
        let document = held.claimed.as_ref().map(|claimed| &claimed.document);
        let Some(end) = document.and_then(|document| document.end(held.task.seq)) else {
            return Ok(());
        };
        let key = self.settings.keys.run(held.task.run).end(&end);
        insist(|| s3::put(&self.client, &self.settings.bucket, &key, &[], Condition::Always)).map(drop)
    }
}

fn held(held: &mut Option<Held>) -> &mut Held {
    held.as_mut()
        .expect("the drain asks for this only while it holds a message")
}

fn claims<'a>(client: &'a Client, settings: &'a Settings, place: &'a Place) -> Claims<'a> {
    Claims {
        client,
        keys: &settings.keys,
        bucket: &settings.bucket,
        place,
    }
}

fn hide(client: &Client, settings: &Settings, message: &Message, after: Duration) -> Result<(), RequestError> {
    sqs::change_visibility(client, &settings.queue_url, &message.receipt, after)
}

/// Whether another try may come to something.
fn may_pass(error: &RequestError) -> bool {
    matches!(error.kind, Kind::Throttled | Kind::Unavailable)
}
