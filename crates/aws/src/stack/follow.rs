//! What happens with a stack until it is over, told as it happens.

use kingtide_remote::request::OrAbsent as _;
use kingtide_remote::request::cloudformation::{self, Event, Stack};
use kingtide_remote::wire::{self, FailureKind, Resource};

use super::standing;
use crate::failure::{Failure, Outcome};
use crate::pace::Pace;
use crate::site::{Site, moment_ms};

/// The newest event there is, from which on something is followed; empty where there is none.
pub(super) fn newest(site: &Site<'_>, stack: &str) -> Outcome<String> {
    let events = cloudformation::events_after(site.client, stack, "").or_absent()?;
    let newest = events.and_then(|events| events.into_iter().next_back());
    Ok(newest.map(|event| event.id).unwrap_or_default())
}

/// So often a stack may look as if nothing had begun, after something was.
const LATE: u32 = 8;

/// Tells all events after that one until the stack is over; how it stands then, `None` where it is gone. `has_begun`: something was set going just
/// now, and a stack that looks untouched is not over yet.
pub(super) fn follow(
    site: &mut Site<'_>,
    stack: &str,
    after: String,
    has_begun: bool,
) -> Outcome<(Option<Stack>, Vec<Event>)> {
    let mut untouched = if has_begun { LATE } else { 0 };
    let mut told: Vec<Event> = Vec::new();
    let mut after = after;
    let mut pace = Pace::new();
    loop {
        // The state first: what follows it is asked for once more before this ends.
        let state = cloudformation::describe(site.client, stack)?;
        let events = cloudformation::events_after(site.client, stack, &after).or_absent()?;
        for event in events.unwrap_or_default() {
            after.clone_from(&event.id);
            // One that was asked for twice, because the newest has vanished from the list.
            if told.iter().all(|known| known.id != event.id) {
                pace.hurry();
                site.say(wire::Event::Resource(resource(&event)))?;
                told.push(event);
            }
        }
        match state {
            Some(state) if !standing::is_over(&state.status) => pace.wait(),
            Some(_) if told.is_empty() && untouched > 0 => {
                untouched -= 1;
                pace.wait();
            }
            Some(state) if state.status == "DELETE_COMPLETE" => return Ok((None, told)),
            state => return Ok((state, told)),
        }
    }
}

fn resource(event: &Event) -> Resource {
    Resource {
        at_ms: moment_ms(&event.at),
        logical_id: event.logical_id.clone(),
        kind: event.kind.clone(),
        status: event.status.clone(),
        reason: event.reason.clone(),
    }
}

/// Why it did not come to what was wanted: by its root, where there is one.
pub(super) fn explain(what: &str, status: &str, reason: Option<&str>, events: &[Event]) -> Failure {
    let failure = Failure::new(FailureKind::Stack, format!("{what} ({status})"));
    match standing::root(events) {
        Some(root) => {
            let why = root.reason.as_deref().unwrap_or("CloudFormation does not say why");
            failure.because(format!("{} ({}): {why}", root.logical_id, root.kind))
        }
        None => match reason {
            Some(reason) => failure.because(reason),
            None => failure,
        },
    }
}
