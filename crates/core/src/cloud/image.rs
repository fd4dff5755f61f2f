//! The image of a job that has none, or whose image is to have what is mounted here: as a Dockerfile, to be seen before it is built.

use super::template::{LogicalId, parameter};
use crate::project::aws::Aws;
use crate::project::{ImageSource, Job};
use serde_json::Value as Json;

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

/// The name of the parameter that its digest is handed over by, where something is built.
pub(super) fn parameter_of(job: &Job) -> Option<String> {
    let is_used_as_it_is = job
        .container()
        .is_some_and(|container| matches!(container.image, ImageSource::Named(_)) && container.mounts.is_empty());
    (!is_used_as_it_is).then(|| format!("{}Image", LogicalId::of(&job.name, "").as_str()))
}

/// What a worker's definition says.
pub(super) fn reference(job: &Job) -> Json {
    match (parameter_of(job), job.container().map(|container| &container.image)) {
        (None, Some(ImageSource::Named(name))) => serde_json::json!(name),
        (name, _) => parameter(&name.unwrap_or_default()),
    }
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
