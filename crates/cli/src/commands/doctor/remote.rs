//! `doctor --on aws`: credentials, permissions, quotas, addresses and images, as `kingtide-aws` finds them.

use std::io::Write;

use kingtide_core::project::ImageSource;
use kingtide_core::project::aws::Architecture;
use kingtide_remote::wire::{Ask, Check, Event, Verdict};
use serde_json::json;

use crate::args::Doctor;
use crate::exit::{Exit, Outcome};
use crate::output::text::tame;
use crate::output::{self, json};
use crate::remote::site::Site;
use crate::settings::Settings;

pub(super) fn run(doctor: &Doctor, settings: &Settings) -> Outcome {
    let site = Site::find(settings, doctor.place.env.as_deref())?;
    // What the file says wrong is said before anybody is asked.
    site.compile(settings)?;
    let images = site
        .project
        .jobs
        .values()
        .filter_map(|job| match &job.container()?.image {
            ImageSource::Named(name) => Some(name.clone()),
            ImageSource::Built(_) => None,
        });
    let ask = Ask::Doctor {
        images: images.collect(),
        architecture: match site.aws.architecture {
            Architecture::X86_64 => "amd64".to_owned(),
            Architecture::Arm64 => "arm64".to_owned(),
        },
    };
    let mut session = site.session()?;
    let mut out = output::data();
    let mut is_wrong = false;
    session.ask(ask, |event| {
        if let Event::Check(check) = event {
            is_wrong |= check.verdict == Verdict::Wrong;
            print(&mut out, &check, settings)?;
        }
        Ok(())
    })?;
    out.flush()?;
    Ok(if is_wrong { Exit::Ours } else { Exit::Done })
}

fn print(out: &mut impl Write, check: &Check, settings: &Settings) -> Outcome<()> {
    let style = settings.out;
    let (word, mark) = match check.verdict {
        Verdict::Fine => ("fine", style.green("✓")),
        Verdict::Doubtful => ("doubtful", style.yellow("!")),
        Verdict::Wrong => ("wrong", style.red("✗")),
    };
    if settings.json {
        let line = json!({ "check": check.name, "verdict": word, "text": check.text, "help": check.help });
        json::line(out, &line)?;
        return Ok(());
    }
    writeln!(out, "{mark} {:<14} {}", check.name, tame(&check.text))?;
    if let Some(help) = &check.help {
        writeln!(out, "  {} {help}", style.cyan("help:"))?;
    }
    Ok(())
}
