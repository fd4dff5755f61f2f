//! `diff`: what `deploy` would change. `diff/render.rs` says it to people; what differs is found by `core/cloud/changes`, what it costs by
//! `core/cloud/cost.rs`.

pub(crate) mod render;

use std::collections::BTreeMap;
use std::io::Write;

use kingtide_core::cloud::changes::{Changes, Side};
use kingtide_core::cloud::template::Stack as Template;
use kingtide_remote::wire::Stack;
use serde_json::Value as Json;

use self::render::{Comparison, Costs};
use crate::args::Diff;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, json};
use crate::remote::site::{Site, Standing, parameters};
use crate::remote::tariff;
use crate::settings::Settings;

pub(crate) fn run(diff: &Diff, settings: &Settings) -> Outcome {
    let site = Site::find(settings, diff.env.as_deref())?;
    let template = site.compile(settings)?;
    let mut session = site.session()?;
    let standing = Standing::ask(&mut session, true)?;
    let stack = standing.stack().filter(|_| standing.is_made());
    // Images are made by `deploy`: here they are what they were.
    let comparison = compare(&site, &template, stack, &parameters(stack), standing.region())?;
    let mut out = output::data();
    match settings.json {
        true => json::line(&mut out, &render::json(&comparison))?,
        false => writeln!(out, "{}", render::render(&comparison, settings.out))?,
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// What is there against what the file says.
pub(crate) fn compare(
    site: &Site,
    template: &Template,
    stack: Option<&Stack>,
    values: &BTreeMap<String, String>,
    region: &str,
) -> Outcome<Comparison> {
    let after = template.template();
    let before: Option<Json> = match stack {
        Some(stack) => Some(serde_json::from_str(&stack.template).map_err(|error| {
            Failure::new(format!(
                "the template of the stack `{}` is no JSON: it was not made by Kingtide",
                site.stack
            ))
            .because(error)
        })?),
        None => None,
    };
    let old_values = parameters(stack);
    let changes = Changes::between(
        before.as_ref().map(|template| Side {
            template,
            parameters: &old_values,
        }),
        Side {
            template: &after,
            parameters: values,
        },
    );
    let prices = tariff::load();
    let costs = prices
        .region(region)
        .map(|prices| Costs::of(site, before.as_ref(), &after, &prices));
    Ok(Comparison {
        stack: site.stack.clone(),
        region: region.to_owned(),
        status: stack.map(|stack| stack.status.clone()),
        changes,
        costs,
        drift: stack.and_then(|stack| stack.drift.clone()),
    })
}
