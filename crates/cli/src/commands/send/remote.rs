//! Messages to a job on AWS: whoever works there works them off; where nobody does, they start a run where the job has a doorbell.

use kingtide_core::project::Job;
use kingtide_remote::wire::{Ask, Event};
use serde_json::{Value as Json, json};

use super::wish;
use crate::args::Send;
use crate::commands::run::messages::Messages;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::plural;
use crate::output::{self, json};
use crate::project::{job, print_findings};
use crate::remote::site::Site;
use crate::settings::Settings;

pub(super) fn send(send: &Send, settings: &Settings) -> Outcome {
    if send.delay.is_some() {
        return Err(Failure::usage("`--delay` is not done on AWS yet").help("send it when it is time"));
    }
    let site = Site::find(settings, send.place.env.as_deref())?;
    let job = job(&site.project, &send.job)?;
    let wish = wish(send)?;
    let plain = Job {
        params: None,
        ..job.clone()
    };
    let checked = Messages::check(&site.place, &plain, &wish);
    print_findings(&checked.findings, &checked.source, "", settings);
    if checked.findings.has_errors() {
        return Err(Failure::said(Exit::Findings));
    }
    let mut messages: Vec<Json> = Vec::new();
    Messages::hand_over(&site.place, &plain, &wish, |rows| {
        for row in rows {
            match row {
                Ok(message) => messages.push(Json::Object(message.0)),
                Err(finding) => return Ok(Err(finding)),
            }
        }
        Ok(Ok(()))
    })?;
    let ask = Ask::Send {
        job: job.name.clone(),
        messages,
    };
    let sent = site.session()?.one(ask, |event| match event {
        Event::Sent { messages } => Some(messages),
        _ => None,
    })?;
    if settings.json {
        json::line(&mut std::io::stdout().lock(), &json!({ "job": job.name, "sent": sent }))?;
    } else if !settings.quiet {
        output::say(&format!(
            "{} sent to `{}` of {} on AWS",
            plural(sent, "message"),
            job.name,
            site.stack
        ));
    }
    Ok(Exit::Done)
}
