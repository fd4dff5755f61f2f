//! The image of a job that has none, or whose image is to have what is mounted here: as a Dockerfile, to be seen before it is built.

use serde_json::Value as Json;

use super::template::{LogicalId, Parameter, parameter};
use super::{IMAGE_PATTERN, Site, variables};
use crate::project::aws::Aws;
use crate::project::{ImageSource, Job, Mode};

/// Where the project's folder is.
const FOLDER: &str = "/app";

/// The Dockerfile that a job's image is built from; `None` where it is the user's own, or where an image is used as it is.
pub fn dockerfile(job: &Job, aws: &Aws) -> Option<String> {
    let Some(container) = job.container() else {
        return Some(of_folder(job, aws));
    };
    if container.mounts.is_empty() {
        return None;
    }
    let from = match &container.image {
        ImageSource::Named(name) => format!("FROM {name}\n"),
        // Built first, and handed over by its digest.
        ImageSource::Built(_) => "ARG IMAGE\nFROM ${IMAGE}\n".to_owned(),
    };
    let copies = container.mounts.iter().map(|mount| copy(&mount.source, &mount.target));
    Some(from + &copies.collect::<String>())
}

/// The base, the requirements, and the project's folder: what changes least comes first.
fn of_folder(job: &Job, aws: &Aws) -> String {
    let mut text = format!("FROM {}\nWORKDIR {FOLDER}\n", aws.base_image);
    if let Some(requirements) = &job.python {
        text.push_str(&copy(requirements, &format!("{FOLDER}/.kingtide-requirements.txt")));
        text.push_str("RUN python3 -m pip install --no-cache-dir --requirement .kingtide-requirements.txt\n");
    }
    text.push_str(&copy(".", FOLDER));
    // What the base starts is not meant.
    text.push_str("ENTRYPOINT []\n");
    if let Some(workdir) = &job.workdir {
        text.push_str(&format!("WORKDIR {FOLDER}/{workdir}\n"));
    }
    text
}

/// As JSON, so that spaces are part of a name.
fn copy(from: &str, to: &str) -> String {
    let from = from.trim_start_matches("./").trim_end_matches('/');
    let from = if from.is_empty() { "." } else { from };
    format!("COPY {}\n", serde_json::json!([from, to]))
}

/// The parameters by which a job's image is handed over: by its digest where it is built, by its name where it is another's; and what it starts,
/// where the file leaves that to it.
pub(super) fn parameters(site: &mut Site<'_>, job: &Job) {
    let image = Parameter {
        description: format!("The image of the job {}", job.name),
        pattern: Some(IMAGE_PATTERN),
        default: used_as_it_is(job),
        is_secret: false,
        written: None,
    };
    site.stack.parameters.insert(parameter_of(job), image);
    for (variable, name) in starts(job) {
        let what = if variable == variables::IMAGE_ENTRYPOINT {
            "ENTRYPOINT"
        } else {
            "CMD"
        };
        let of = Parameter {
            description: format!("The {what} of the image of the job {}, a JSON list", job.name),
            pattern: Some("^\\[.*\\]$"),
            default: Some("[]".to_owned()),
            is_secret: false,
            written: None,
        };
        site.stack.parameters.insert(name, of);
    }
}

/// The key of a job's messages, as its dispatcher reads it.
pub(super) fn params_parameter(site: &mut Site<'_>, job: &Job) -> Json {
    let Some(name) = params_of(job) else {
        return Json::from("");
    };
    let of = Parameter {
        description: format!(
            "The key, below the stack's name in the bucket, of the messages of runs of the job {} that are handed none: a JSON object a line",
            job.name
        ),
        pattern: Some("^[a-zA-Z0-9._/-]{0,512}$"),
        default: Some(String::new()),
        is_secret: false,
        written: None,
    };
    site.stack.parameters.insert(name.clone(), of);
    parameter(&name)
}

/// The name of the parameter of a job's image.
pub fn parameter_of(job: &Job) -> String {
    format!("{}Image", prefix(job))
}

/// The name of the parameter of a job's own messages, where it has some.
pub fn params_of(job: &Job) -> Option<String> {
    job.params.as_ref().map(|_| format!("{}Params", prefix(job)))
}

/// What an image says about its start, where the file says nothing: variables of the worker, and the parameters that fill them.
pub fn starts(job: &Job) -> Vec<(&'static str, String)> {
    let Some(container) = job.container() else {
        return Vec::new();
    };
    // An entrypoint of the job's own is not handed the command of the image.
    if container.entrypoint.is_some() || job.mode == Mode::Consumer {
        return Vec::new();
    }
    let mut starts = vec![(variables::IMAGE_ENTRYPOINT, format!("{}Entrypoint", prefix(job)))];
    if job.command.is_empty() {
        starts.push((variables::IMAGE_COMMAND, format!("{}Command", prefix(job))));
    }
    starts
}

/// An image that nothing is added to.
pub fn used_as_it_is(job: &Job) -> Option<String> {
    match job.container() {
        Some(container) if container.mounts.is_empty() => match &container.image {
            ImageSource::Named(name) => Some(name.clone()),
            ImageSource::Built(_) => None,
        },
        _ => None,
    }
}

fn prefix(job: &Job) -> String {
    LogicalId::of(&job.name, "").as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::load;

    fn of(lines: &str) -> String {
        let source = format!("[project]\nname = \"p\"\n[job.j]\n{lines}\n");
        let (project, findings) = load(&source);
        let project = project.unwrap_or_else(|| panic!("{findings:?}"));
        dockerfile(&project.jobs["j"], &project.aws).unwrap_or_else(|| "its own".to_owned())
    }

    #[test]
    fn a_job_without_an_image_gets_one() {
        insta::assert_snapshot!(
            [
                of("command = [\"python3\", \"train.py\"]\npython = \"requirements.txt\""),
                of("command = [\"./run\"]\nworkdir = \"jobs/daily\""),
                of("image = \"busybox\"\nmounts = [\"./my texts/:/texts:ro\"]"),
                of("build = \".\"\nmounts = [\"./texts:/texts:ro\"]"),
                of("image = \"busybox\""),
                of("build = \".\""),
            ]
            .join("\n---\n")
        );
    }
}
