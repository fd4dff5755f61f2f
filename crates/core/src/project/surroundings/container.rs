//! What only the machine can say about jobs that run in containers: whether there is an engine, the images, what is to be
//! built and what is to be mounted. Why an engine or an image cannot be used the shell says in its own words.

use toml::Spanned;

use super::{Check, Kind};
use crate::finding::Finding;
use crate::project::job::{Container, ImageSource};

/// Why something cannot be used, as the shell found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The finding's.
    pub code: &'static str,
    pub message: String,
    pub help: String,
    /// It may work all the same.
    pub is_warning: bool,
}

/// The paths that a container needs, relative to the project's folder or absolute.
pub(super) fn paths(container: &Container) -> Vec<String> {
    let mut paths: Vec<String> = container.mounts.iter().map(|mount| mount.source.clone()).collect();
    if let ImageSource::Built(build) = &container.image {
        paths.push(build.context.clone());
        paths.push(dockerfile(&build.context, &build.dockerfile));
    }
    paths
}

fn dockerfile(context: &str, file: &str) -> String {
    match context.trim_end_matches('/') {
        "." | "" => file.to_owned(),
        context => format!("{context}/{file}"),
    }
}

impl Check<'_> {
    pub(super) fn container(&mut self, container: &Container) {
        let raw = self.raw;
        let place = raw
            .image
            .as_ref()
            .map(Spanned::span)
            .or(raw.build.as_ref().map(Spanned::span));
        let named = match &container.image {
            ImageSource::Named(image) => self.here.images.get(image),
            ImageSource::Built(_) => None,
        };
        if let Some(Objection {
            code,
            message,
            help,
            is_warning,
        }) = self.here.engine.as_ref().or(named).cloned()
        {
            let finding = match is_warning {
                true => Finding::warning(code, message),
                false => Finding::error(code, message),
            };
            let finding = finding.help(help);
            self.findings.push(match place.clone() {
                Some(span) => finding.at(span),
                None => finding,
            });
        }
        if let ImageSource::Built(build) = &container.image {
            let file = dockerfile(&build.context, &build.dockerfile);
            let is_folder = self.here.paths.get(&build.context) == Some(&Kind::Folder);
            let (message, help) = match self.here.paths.get(&file) {
                Some(Kind::File | Kind::Program) => (None, String::new()),
                Some(Kind::Folder) => (
                    Some(format!("`{file}` is a folder")),
                    "name the Dockerfile in it".to_owned(),
                ),
                None if is_folder => (
                    Some(format!("there is no Dockerfile at `{file}`")),
                    "write one, or say where it is: build = { context = \"…\", dockerfile = \"…\" }".to_owned(),
                ),
                None => (
                    Some(format!("there is no folder `{}`", build.context)),
                    "`build` names the folder of a Dockerfile, relative to kingtide.toml".to_owned(),
                ),
            };
            if let Some(message) = message {
                self.error("file-not-found", place, message, help);
            }
        }
        let written = raw.mounts.as_ref().map_or(&[][..], |mounts| mounts.get_ref());
        for (mount, written) in container.mounts.iter().zip(written) {
            if !self.here.paths.contains_key(&mount.source) {
                let message = format!("there is nothing at `{}` to be mounted", mount.source);
                let help = format!("create it (mkdir -p {}), or correct the path", mount.source);
                self.error("file-not-found", Some(written.span()), message, help);
            }
        }
    }
}
