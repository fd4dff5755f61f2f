//! `synth`: the CloudFormation template of a project, compiled from its file.

use std::io::Write;

use kingtide_core::cloud;

use crate::args::Synth;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::project::{Checked, Needs, Place, print_findings};
use crate::settings::Settings;

pub(crate) fn run(synth: &Synth, settings: &Settings) -> Outcome {
    let place = Place::find(settings)?;
    let checked = Checked::read(&place, Needs::Nothing)?;
    let (name, source) = (checked.name.clone(), checked.source.clone());
    let project = checked.usable(settings)?;
    let stack = match cloud::compile(&project, synth.env.as_deref()) {
        Ok(stack) => stack,
        Err(findings) => {
            print_findings(&findings, &name, &source, settings);
            return Err(Failure::said(Exit::Findings));
        }
    };
    let mut out = output::data();
    let template = serde_json::to_string_pretty(&stack.template())
        .map_err(|error| Failure::new("failed to write the template").because(error))?;
    out.write_all(template.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    if !settings.quiet {
        output::say("the template is for reading: this version has no worker for it to start yet");
    }
    Ok(Exit::Done)
}
