//! `destroy`: what would be lost is said first; then the stack goes, and its data only where that is said.

use kingtide_core::project::Project;
use kingtide_remote::wire::{Ask, Contents, Event};
use serde_json::{Value as Json, json};

use crate::args::Destroy;
use crate::exit::{Exit, Outcome};
use crate::output::text::{bytes, count, plural};
use crate::output::{self, json};
use crate::remote::consent;
use crate::remote::events::Events;
use crate::remote::site::{Site, Standing, check_ours};
use crate::settings::Settings;

pub(crate) fn run(destroy: &Destroy, settings: &Settings) -> Outcome {
    let site = Site::find(settings, destroy.env.as_deref())?;
    let mut session = site.session()?;
    let standing = Standing::ask(&mut session, false)?;
    let Some(stack) = standing.stack() else {
        return gone(
            &site,
            settings,
            &format!("there is no stack `{}` in {}", site.stack, standing.region()),
        );
    };
    check_ours(stack, &site)?;
    let contents = session.one(Ask::Contents, |event| match event {
        Event::Contents(contents) => Some(contents),
        _ => None,
    })?;
    if !settings.quiet {
        for line in lost(&site, &contents, destroy.with_data) {
            output::say(&line);
        }
    }
    let question = match destroy.with_data {
        true => format!("remove `{}` from {} with all of its data?", site.stack, stack.region),
        false => format!("remove `{}` from {}?", site.stack, stack.region),
    };
    let data = if destroy.with_data { " --with-data" } else { "" };
    let with = format!("kingtide destroy{}{data} --yes", site.flag());
    consent::ask(&question, destroy.yes, &with)?;
    let template: Json = serde_json::from_str(&stack.template).unwrap_or_default();
    let mut events = Events::new(&template, settings.err, settings.is_live, settings.quiet);
    let ask = Ask::Destroy {
        with_data: destroy.with_data,
    };
    let asked = session.ask(ask, |event| {
        if let Event::Resource(resource) = event {
            events.take(resource);
        }
        Ok(())
    });
    if let (Err(_), Some(root)) = (&asked, events.root()) {
        output::say(&format!("{} {root}", settings.err.red("first failed:")));
    }
    asked?;
    gone(&site, settings, &format!("`{}` is gone", site.stack))
}

/// What goes, and what stays.
fn lost(site: &Site, contents: &Contents, with_data: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for run in &contents.running {
        lines.push(format!("{run} is under way: it would be ended"));
    }
    for (queue, messages) in contents.messages.iter().filter(|(_, messages)| **messages > 0) {
        lines.push(format!("{queue}: {} would be lost", plural(*messages, "message")));
    }
    if contents.images > 0 {
        lines.push(format!(
            "{} would be removed; `deploy` makes them again",
            plural(contents.images, "image")
        ));
    }
    lines.extend(starts(&site.project));
    let Some(bucket) = &contents.bucket else { return lines };
    let what = format!(
        "the bucket {bucket} with {} ({}), results, outputs and logs of {}",
        plural(contents.objects, "object"),
        bytes(contents.bytes),
        plural(contents.runs, "run")
    );
    lines.push(match (with_data, contents.bucket_is_foreign) {
        (true, false) => format!("{what} would be lost"),
        (true, true) => format!("{what}: what is the stack's would be lost; the bucket was there before, and stays"),
        (false, _) => format!("{what} stays"),
    });
    lines
}

/// Runs that would start by themselves no more.
fn starts(project: &Project) -> Vec<String> {
    let of = project
        .jobs
        .values()
        .filter(|job| job.cloud.schedule.is_some() || !job.cloud.triggers.is_empty());
    let names: Vec<&str> = of.map(|job| job.name.as_str()).collect();
    match names.len() {
        0 => Vec::new(),
        number => vec![format!(
            "{} would not start by {} any more: {}",
            count(number as u64),
            if number == 1 { "itself" } else { "themselves" },
            names.join(", ")
        )],
    }
}

fn gone(site: &Site, settings: &Settings, text: &str) -> Outcome {
    if settings.json {
        json::line(
            &mut std::io::stdout().lock(),
            &json!({ "stack": site.stack, "destroyed": true }),
        )?;
    } else if !settings.quiet {
        output::say(text);
    }
    Ok(Exit::Done)
}
