//! `queue`: what lies in queues, and what people do with it. One module for each verb that looks (`ls.rs`, `peek.rs`) or moves
//! messages (`send.rs`, `redrive.rs`); the others are here.

mod ls;
mod peek;
mod redrive;
mod send;

use std::io::Write;

use kingtide_runtime::sqs::operation::{Answer, Operation};
use kingtide_runtime::view::QueueRole;
use serde_json::json;

use super::counter::{Counter, next, unexpected};
use super::env::queue_url;
use crate::args::{Create, Purge, Queue, QueueVerb, Rm, Url};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::plural;
use crate::output::{self, json};
use crate::settings::Settings;

pub(crate) fn run(queue: &Queue, settings: &Settings) -> Outcome {
    match &queue.verb {
        QueueVerb::Ls(_) => ls::run(settings),
        QueueVerb::Peek(peek) => peek::run(peek, settings),
        QueueVerb::Send(send) => send::run(send, settings),
        QueueVerb::Redrive(redrive) => redrive::run(redrive, settings),
        QueueVerb::Purge(purge) => self::purge(purge, settings),
        QueueVerb::Create(create) => self::create(create, settings),
        QueueVerb::Rm(rm) => remove(rm, settings),
        QueueVerb::Url(url) => self::url(url, settings),
    }
}

fn purge(purge: &Purge, settings: &Settings) -> Outcome {
    let counter = Counter::open(settings)?;
    let queue = counter.queue(&purge.name)?;
    let project = counter.project(settings)?;
    let operation = Operation::PurgeQueue {
        queue: purge.name.clone(),
    };
    match counter.ask(&project, operation)? {
        Answer::Done => {}
        other => return Err(unexpected(&other)),
    }
    let counts = queue.counts;
    let gone = counts.visible + counts.in_flight + counts.delayed;
    let name = &purge.name;
    let of_tasks = queue.role == QueueRole::Job;
    let said = format!("{name} is empty: {} gone", plural(gone, "message"));
    let said = if of_tasks {
        format!("{said}, the tasks that waited are cancelled")
    } else {
        said
    };
    say(settings, json!({ "queue": name, "purged": gone }), &said)
}

fn create(create: &Create, settings: &Settings) -> Outcome {
    let counter = Counter::open(settings)?;
    let project = counter.project(settings)?;
    let attributes = create.attributes.iter();
    let operation = Operation::CreateQueue {
        name: create.name.clone(),
        attributes: attributes.map(|pair| (pair.name.clone(), pair.value.clone())).collect(),
        tags: Default::default(),
    };
    let name = match counter.ask(&project, operation)? {
        Answer::Queue(name) => name,
        other => return Err(unexpected(&other)),
    };
    let url = queue_url(counter.listens()?.as_ref(), &name);
    say(
        settings,
        json!({ "queue": name, "url": url }),
        &format!("{name} is there: {url}"),
    )?;
    next(&[format!("kingtide queue send {name} BODY")], settings);
    Ok(Exit::Done)
}

fn remove(rm: &Rm, settings: &Settings) -> Outcome {
    let counter = Counter::open(settings)?;
    let queue = counter.queue(&rm.name)?;
    let project = counter.project(settings)?;
    let operation = Operation::DeleteQueue { queue: rm.name.clone() };
    match counter.ask(&project, operation)? {
        Answer::Done => {}
        other => return Err(unexpected(&other)),
    }
    let name = &rm.name;
    let comes_back = queue.role != QueueRole::Free;
    let said = match &queue.job {
        Some(job) => format!("{name} is empty and as new; it belongs to the job `{job}` and stays"),
        None => format!("{name} is gone"),
    };
    say(settings, json!({ "queue": name, "removed": !comes_back }), &said)
}

fn url(url: &Url, settings: &Settings) -> Outcome {
    let counter = Counter::open(settings)?;
    let queue = counter.queue(&url.name)?;
    let listens = counter.listens()?;
    let url = queue_url(listens.as_ref(), &queue.name);
    let mut out = output::data();
    if settings.json {
        let line = json!({ "queue": queue.name, "url": url, "listening": listens.is_some() });
        json::line(&mut out, &line)?;
    } else {
        writeln!(out, "{url}")?;
    }
    out.flush()?;
    if listens.is_none() && !settings.quiet {
        output::say("nobody listens there now: `kingtide up` does, at this address unless it is given another");
    }
    Ok(Exit::Done)
}

/// One line, for a program or for people.
fn say(settings: &Settings, line: serde_json::Value, words: &str) -> Outcome {
    if settings.json {
        json::line(&mut std::io::stdout().lock(), &line)?;
    } else if !settings.quiet {
        output::say(words);
    }
    Ok(Exit::Done)
}

/// Of a file or of standard input, in words.
fn unreadable(what: &str, error: std::io::Error) -> Failure {
    Failure::usage(format!("failed to read {what}")).because(error)
}
