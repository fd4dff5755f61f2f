//! `deploy`: images are made and pushed (`deploy/images.rs`; `deploy/binary.rs`: what can be a worker), what changes is shown, and where it is wanted it is changed. What was interrupted
//! goes on with the next one: images are known by their content, and a stack by its state.

mod binary;
mod images;
mod urls;

use std::io::Write;

use kingtide_remote::wire::{Ask, Deploy as Change, Event, Stack};
use serde_json::json;

use super::diff::{compare, render};
use crate::args::Deploy;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, json};
use crate::remote::consent;
use crate::remote::events::Events;
use crate::remote::site::{Site, Standing, check_changeable, check_ours, parameters, tags};
use crate::settings::Settings;

pub(crate) fn run(deploy: &Deploy, settings: &Settings) -> Outcome {
    let site = Site::find(settings, deploy.env.as_deref())?;
    let template = site.compile(settings)?;
    site.check_deployable(settings)?;
    site.warn(&template, settings);
    let urls = urls::urls(&template)?;
    let mut session = site.session()?;
    let standing = Standing::ask(&mut session, true)?;
    if let Some(stack) = standing.stack() {
        check_ours(stack, &site)?;
        check_changeable(stack, &site)?;
        if stack.status.ends_with("IN_PROGRESS") && standing.is_made() {
            note(
                settings,
                &format!(
                    "a deploy of `{}` is under way ({}): this one goes on when it is over",
                    site.stack, stack.status
                ),
            );
        }
    }
    let stack = standing.stack().filter(|_| standing.is_made());
    let made = images::ready(&site, &template, &mut session, settings)?;
    let mut values = parameters(stack);
    values.retain(|name, _| template.parameters.contains_key(name));
    values.extend(made.parameters);
    values.extend(urls);
    let comparison = compare(&site, &template, stack, &values, standing.region())?;
    if !settings.quiet {
        output::say(&render::render(&comparison, settings.err));
    }
    let is_same = comparison.changes.is_empty() && values == parameters(stack);
    let is_stuck = stack.is_some_and(|stack| stack.status.ends_with("IN_PROGRESS"));
    if is_same && !is_stuck && stack.is_some() {
        return ended(&site, stack, false, settings);
    }
    let question = match stack {
        Some(_) => format!(
            "change `{}` in {} (account {})?",
            site.stack,
            standing.region(),
            standing.account()
        ),
        None => format!(
            "make `{}` in {} (account {})?",
            site.stack,
            standing.region(),
            standing.account()
        ),
    };
    consent::ask(&question, deploy.yes, &format!("kingtide deploy{} --yes", site.flag()))?;
    let json_template = template.template();
    let text = serde_json::to_string_pretty(&json_template)
        .map_err(|error| Failure::new("failed to write the template").because(error))?;
    let change = Change {
        template: text,
        parameters: values,
        tags: tags(&site),
        files: made.files,
    };
    let mut events = Events::new(&json_template, settings.err, settings.is_live, settings.quiet);
    let mut now = None;
    let asked = session.ask(Ask::Deploy(change), |event| {
        match event {
            Event::Resource(resource) => events.take(resource),
            Event::Stack(stack) => now = Some(*stack),
            _ => {}
        }
        Ok(())
    });
    match (asked, events.root()) {
        (Ok(()), _) => ended(&site, now.as_ref(), true, settings),
        (Err(failure), None) => Err(failure),
        (Err(failure), Some(root)) => {
            output::say(&format!("{} {root}", settings.err.red("first failed:")));
            Err(failure)
        }
    }
}

fn ended(site: &Site, stack: Option<&Stack>, is_changed: bool, settings: &Settings) -> Outcome {
    if settings.json {
        let line = json!({
            "stack": site.stack,
            "changed": is_changed,
            "status": stack.map(|stack| &stack.status),
            "region": stack.map(|stack| &stack.region),
            "outputs": stack.map(|stack| &stack.outputs),
        });
        let mut out = output::data();
        json::line(&mut out, &line)?;
        out.flush()?;
    }
    let job = site.project.jobs.keys().next().cloned().unwrap_or_default();
    let flag = site.flag();
    match is_changed {
        true => note(
            settings,
            &format!("`{}` is deployed; next: kingtide run {job} --on aws{flag}", site.stack),
        ),
        false => note(settings, "there is nothing to deploy"),
    }
    Ok(Exit::Done)
}

fn note(settings: &Settings, text: &str) {
    if !settings.quiet {
        output::say(text);
    }
}
