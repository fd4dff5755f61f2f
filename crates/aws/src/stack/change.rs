//! Making a stack what a template says, by a change set: it is made, looked at, carried out and followed.

use std::collections::BTreeMap;

use kingtide_remote::request::cloudformation::{self, ChangeSet, Stack, Template, Wanted};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::wire::FailureKind;
use sha2::{Digest as _, Sha256};

use super::follow::{explain, follow, newest};
use super::standing::{self, Step};
use crate::failure::{Failure, Outcome};
use crate::pace::Pace;
use crate::site::{Site, now_ms};

/// What a stack is to become.
pub(super) struct Change<'a> {
    pub(super) template: &'a str,
    pub(super) parameters: &'a BTreeMap<String, String>,
    pub(super) tags: &'a BTreeMap<String, String>,
}

/// Waits for what is under way, and then says whether there is a stack to be changed.
///
/// # Errors
/// When nothing can be done with it as it stands.
pub(super) fn ready(site: &mut Site<'_>) -> Outcome<Option<Stack>> {
    loop {
        let found = cloudformation::describe(site.client, site.stack)?;
        match standing::step(found.as_ref().map(|stack| stack.status.as_str())) {
            Step::Create => return Ok(None),
            Step::Update => return Ok(found),
            Step::Wait => {
                let id = found.map(|stack| stack.id).unwrap_or_default();
                let after = newest(site, &id)?;
                follow(site, &id, after, false)?;
            }
            Step::Refuse(help) => {
                let stack = found.unwrap_or_default();
                let message = format!(
                    "nothing can be changed in the stack `{}` ({})",
                    site.stack, stack.status
                );
                let failure = Failure::new(FailureKind::Stack, message).help(help);
                return Err(match stack.reason {
                    Some(reason) => failure.because(reason),
                    None => failure,
                });
            }
        }
    }
}

/// Makes it so; the stack afterwards. `before` is the stack as it was found ready.
pub(super) fn make(site: &mut Site<'_>, before: Option<&Stack>, change: &Change<'_>) -> Outcome<Stack> {
    let url = hand_over(site, before, change.template)?;
    let name = format!("kingtide-{}", now_ms());
    let wanted = Wanted {
        stack: site.stack,
        name: &name,
        is_new: before.is_none(),
        template: match &url {
            Some(url) => Template::Url(url),
            None => Template::Body(change.template),
        },
        parameters: change.parameters,
        tags: change.tags,
    };
    cloudformation::create_change_set(site.client, &wanted)?;
    let made = looked_at(site, &name)?;
    if made.is_empty() {
        // A failed one stays otherwise, and there may be only so many.
        cloudformation::delete_change_set(site.client, site.stack, &name)?;
        let stack = before.cloned();
        return stack.ok_or_else(|| Failure::new(FailureKind::Refused, "the template has no resources"));
    }
    if made.status == "FAILED" {
        cloudformation::delete_change_set(site.client, site.stack, &name)?;
        let failure = Failure::new(FailureKind::Refused, "CloudFormation refuses the template");
        return Err(failure.because(made.reason.unwrap_or_default()));
    }
    let after = newest(site, site.stack)?;
    cloudformation::execute_change_set(site.client, site.stack, &name)?;
    let (stack, events) = follow(site, site.stack, after, true)?;
    let stack = stack.unwrap_or_default();
    match standing::is_well(&stack.status) {
        true => Ok(stack),
        false => {
            let what = match before {
                None => format!("the stack `{}` could not be made", site.stack),
                Some(_) => format!(
                    "the stack `{}` could not be changed, and is what it was before",
                    site.stack
                ),
            };
            Err(explain(&what, &stack.status, stack.reason.as_deref(), &events))
        }
    }
}

/// Once CloudFormation has made up its mind.
fn looked_at(site: &Site<'_>, name: &str) -> Outcome<ChangeSet> {
    let mut pace = Pace::new();
    loop {
        let set = cloudformation::change_set(site.client, site.stack, name)?;
        match set.status.as_str() {
            "CREATE_COMPLETE" | "FAILED" => return Ok(set),
            _ => pace.wait(),
        }
    }
}

/// A template that is too long to be handed over by itself goes into the stack's bucket, under its digest.
fn hand_over(site: &Site<'_>, before: Option<&Stack>, template: &str) -> Outcome<Option<String>> {
    if template.len() <= cloudformation::MOST_BODY {
        return Ok(None);
    }
    let bucket = before.and_then(|stack| stack.outputs.get("Bucket")).ok_or_else(|| {
        let message = format!(
            "the template has {} bytes, which is too long to be handed over without a bucket, and the stack has none yet",
            template.len()
        );
        Failure::new(FailureKind::Refused, message)
    })?;
    let digest = Sha256::digest(template);
    let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let key = format!("{}/templates/{name}.json", site.stack);
    s3::put(site.client, bucket, &key, template.as_bytes(), Condition::Always)?;
    Ok(Some(s3::url(site.client, bucket, &key)?))
}
