//! The connection to the engine: its stream of events tells that it is there, and of containers that a runtime which lost its
//! lease makes even now: those are ended. When the stream breaks, the engine is asked again and again for a minute.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::{Stream, StreamExt};
use kingtide_exec::wire::{self, Report};
use tokio::time::{Instant, sleep};

use super::engine::Trouble;
use super::{Shared, Told};

/// How long an engine may be away: restarting one takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The engine is gone for good, or nobody needs it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

pub(super) type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, Error>> + Send>>;

/// What happens to the project's containers from now on.
pub(super) fn subscribe(shared: &Arc<Shared>) -> Events {
    let mut filters: HashMap<String, Vec<String>> = shared.labels.filters();
    filters.insert("type".to_owned(), vec!["container".to_owned()]);
    filters.insert("event".to_owned(), vec!["create".to_owned(), "start".to_owned()]);
    let options = EventsOptions {
        filters: Some(filters),
        ..EventsOptions::default()
    };
    let client = shared.engine.client.clone();
    Box::pin(client.events(Some(options)))
}

/// Obeys the events until nobody needs it any more.
pub(super) fn watch(shared: &Arc<Shared>, events: Events) {
    let watching = Arc::clone(shared);
    shared.spawn(async move {
        let mut events = events;
        loop {
            while let Some(Ok(event)) = events.next().await {
                on_event(&watching, event).await;
            }
            if watching.engine.answers().await {
                // It has only closed this stream; what it would have said of others is looked up.
                events = subscribe(&watching);
                fence(&watching).await;
                continue;
            }
            let socket = watching.engine.path();
            let said = format!(
                "the container engine at `{}` does not answer; trying again",
                socket.display()
            );
            watching.say(said);
            let until = Instant::now() + PATIENCE;
            let mut pause = FIRST_PAUSE;
            while !watching.engine.answers().await {
                if Instant::now() > until {
                    watching.closed.send_replace(true);
                    (watching.tell)(Told::Gone);
                    return;
                }
                // Nothing tells when it is back.
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            watching.say("the container engine answers again".to_owned());
            events = subscribe(&watching);
            fence(&watching).await;
        }
    });
}

/// Ends what runs for the project and is none of ours.
async fn fence(shared: &Shared) {
    for summary in shared.engine.list(shared.labels.filters()).await.unwrap_or_default() {
        if let (Some(id), Some(labels)) = (summary.id, summary.labels) {
            judge(shared, &id, &labels).await;
        }
    }
}

async fn on_event(shared: &Shared, event: EventMessage) {
    let Some(actor) = event.actor else { return };
    if let (Some(id), Some(attributes)) = (actor.id, actor.attributes) {
        judge(shared, &id, &attributes).await;
    }
}

async fn judge(shared: &Shared, id: &str, labels: &HashMap<String, String>) {
    let Some(tag) = shared.labels.read(labels, &shared.context.root) else {
        return;
    };
    // One of our own epoch that we do not know was ordered before a connection was lost, or by a handle that is gone.
    if !tag.ours || tag.epoch <= shared.context.epoch && !shared.attempts().contains_key(&tag.attempt) {
        let _ = shared.engine.remove(id).await;
    } else if tag.epoch > shared.context.epoch {
        shared.fenced(tag.epoch);
    }
}

impl Shared {
    /// Returns when the engine answers.
    pub(super) async fn back(&self) -> Result<(), Lost> {
        let mut pause = FIRST_PAUSE;
        loop {
            if *self.closed.borrow() {
                return Err(Lost);
            }
            // At least once, so that whoever fails at once does not try without end.
            sleep(pause).await;
            if self.engine.answers().await {
                return Ok(());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Removes a container, however long that takes.
    pub(super) async fn clear(&self, container: &str) -> Result<(), Lost> {
        loop {
            match self.engine.remove(container).await {
                Ok(()) => return Ok(()),
                // Such as a file system that is busy: what is left is found by the next runtime.
                Err(Trouble::Refused { .. }) => return Ok(()),
                Err(Trouble::Unreachable(_) | Trouble::Slow) => self.back().await?,
            }
        }
    }

    /// A later runtime has the containers of this project.
    pub(super) fn fenced(&self, found: i64) {
        let ours = self.context.epoch;
        self.report(Report::Refused {
            version: wire::VERSION,
            reason: format!("containers of epoch {found} are there, and this runtime's is {ours}"),
        });
    }
}
