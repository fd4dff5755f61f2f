//! `synth`: the CloudFormation template of a project, compiled from its file.

use std::io::Write;

use kingtide_core::cloud;
use kingtide_core::project::Project;

use crate::args::Synth;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::project::{Checked, Needs, Place, job, print_findings};
use crate::settings::Settings;

pub(crate) fn run(synth: &Synth, settings: &Settings) -> Outcome {
    let place = Place::find(settings)?;
    let checked = Checked::read(&place, Needs::Nothing)?;
    let (name, source) = (checked.name.clone(), checked.source.clone());
    let project = checked.usable(settings)?;
    if let Some(name) = &synth.dockerfile {
        return dockerfile(&project, name, synth.env.as_deref());
    }
    let stack = match cloud::compile(&project, synth.env.as_deref()) {
        Ok(stack) => {
            print_findings(&stack.warnings, &name, &source, settings);
            stack
        }
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
    Ok(Exit::Done)
}

/// The image of a job that has none of its own.
fn dockerfile(project: &Project, name: &str, environment: Option<&str>) -> Outcome {
    let job = job(project, name)?;
    let aws = match environment {
        None => &project.aws,
        Some(environment) => project
            .environments
            .get(environment)
            .ok_or_else(|| Failure::usage(format!("there is no environment `{environment}`")))?,
    };
    let Some(text) = cloud::image::dockerfile(job, aws) else {
        return Err(Failure::usage(format!(
            "the job `{name}` brings its own image: nothing is made for it"
        )));
    };
    let mut out = output::data();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Exit::Done)
}
