//! `describe`: the stack as CloudFormation has it, and what was changed by hand.

use kingtide_remote::request::cloudformation::{self, Detection, Stack};
use kingtide_remote::wire::{self, Drift, Event};

use crate::failure::Outcome;
use crate::pace::Pace;
use crate::site::{Site, moment_ms};

pub(crate) fn describe(site: &mut Site<'_>, drift: bool) -> Outcome {
    let Some(stack) = cloudformation::describe(site.client, site.stack)? else {
        let event = Event::NoStack {
            region: site.client.region().to_owned(),
            account: site.account.to_owned(),
        };
        return site.say(event);
    };
    let drifts = match drift && stack.status.ends_with("_COMPLETE") {
        true => drifts(site),
        false => None,
    };
    let stack = told(site, stack, drifts)?;
    site.say(Event::Stack(Box::new(stack)))
}

/// A stack as events have it.
pub(super) fn told(site: &Site<'_>, stack: Stack, drift: Option<Vec<Drift>>) -> Outcome<wire::Stack> {
    let changed = stack.updated.as_deref().unwrap_or(&stack.created);
    Ok(wire::Stack {
        region: site.client.region().to_owned(),
        account: site.account.to_owned(),
        changed_at_ms: moment_ms(changed),
        template: cloudformation::template(site.client, site.stack)?,
        status: stack.status,
        reason: stack.reason,
        parameters: stack.parameters,
        outputs: stack.outputs,
        tags: stack.tags,
        drift,
    })
}

/// `None` where CloudFormation could not look: it may not be allowed to, and that keeps nobody from deploying.
fn drifts(site: &Site<'_>) -> Option<Vec<Drift>> {
    let id = cloudformation::detect_drift(site.client, site.stack).ok()?;
    let mut pace = Pace::new();
    while cloudformation::drift_detection(site.client, &id).ok()? == Detection::Looking {
        pace.wait();
    }
    let found = cloudformation::drifts(site.client, site.stack).ok()?;
    let told = found.into_iter().map(|drift| Drift {
        logical_id: drift.logical_id,
        kind: drift.kind,
        is_deleted: drift.is_deleted,
        differences: drift.differences,
    });
    Some(told.collect())
}
