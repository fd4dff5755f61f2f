//! `up`: keeps a project alive, until it is told to leave.

use std::io::Write;
use std::net::SocketAddr;

use kingtide_runtime::endpoints::Endpoints;
use kingtide_runtime::notice::Notice;
use serde_json::json;

use super::run::launch::{failed, open, options};
use crate::args::Up;
use crate::exit::{Exit, Outcome};
use crate::output::glimpse::{Asked, Glimpse, withstand};
use crate::output::plain::Failures;
use crate::output::style::Style;
use crate::output::text::plural;
use crate::output::{json, say};
use crate::project::{Checked, Needs, Place};
use crate::settings::Settings;

pub(crate) fn run(up: &Up, settings: &Settings) -> Outcome {
    withstand();
    let doors = up.doors()?;
    let place = Place::find(settings)?;
    let project = Checked::read(&place, Needs::All)?.usable(settings)?;
    let mut runtime = open(&place)?;
    let mut teller = Teller {
        asked: Asked::listen(Glimpse::new(place.layout(), settings.err)),
        failures: Failures::new(settings.err),
        style: settings.err,
        is_quiet: settings.quiet,
    };
    let ready = |endpoints: Option<Endpoints>| {
        let url = |address: SocketAddr| format!("http://{address}");
        let sqs = endpoints.as_ref().map(|endpoints| url(endpoints.sqs));
        let web = endpoints.as_ref().and_then(|endpoints| endpoints.web).map(url);
        let mut out = std::io::stdout().lock();
        let told = if settings.json {
            json::line(
                &mut out,
                &json!({ "up": true, "pid": std::process::id(), "sqs": sqs, "web": web }),
            )
        } else {
            let parts = [("queues at", sqs), ("pages at", web)].into_iter();
            let parts: Vec<String> = parts
                .filter_map(|(what, url)| Some(format!("{what} {}", url?)))
                .collect();
            writeln!(out, "kingtide is up: {}", parts.join(", "))
        };
        // Whoever waited for the line may have gone; the project is up all the same.
        let _ = told.and_then(|()| out.flush());
    };
    runtime
        .stay(
            &project,
            &options(&project, None)?,
            &doors,
            &mut |notice| match notice {
                Notice::Ready(endpoints) => ready(endpoints),
                other => teller.tell(other),
            },
        )
        .map_err(failed)?;
    Ok(Exit::Done)
}

/// Says what happens, a line each.
struct Teller {
    asked: Asked,
    failures: Failures,
    style: Style,
    is_quiet: bool,
}

impl Teller {
    fn tell(&mut self, notice: Notice) {
        match &notice {
            Notice::Progress(progress) => self.asked.note(progress),
            Notice::Ended { run, .. } => self.asked.forget(*run),
            _ => {}
        }
        if self.is_quiet {
            return;
        }
        let text = match notice {
            Notice::Opened { name, total, .. } => Some(format!("{name}: {}", plural(total, "task"))),
            Notice::Failed(failure) => self.failures.tell(&failure.job, &failure),
            Notice::Said(text) => Some(text),
            Notice::Consumer(failure) => Some(self.failures.tell_consumer(&failure)),
            Notice::Ended {
                name,
                state,
                reason,
                counts,
                ..
            } => {
                // What failed in it was told; the next run's failures are told afresh.
                self.failures = Failures::new(self.style);
                let why = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
                let done = plural(counts.done(), "task");
                Some(format!("{name} {}{why}: {done} done", state.text()))
            }
            Notice::Progress(_) | Notice::Ready(_) => None,
        };
        if let Some(text) = text {
            say(&text);
        }
    }
}
