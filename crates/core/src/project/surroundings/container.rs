//! What only the machine can say about jobs that run in containers: whether there is an engine, the images, what is to be
//! built and what is to be mounted. Why an engine or an image cannot be used the shell says in its own words.

use toml::Spanned;

use super::{Check, Kind};
use crate::project::job::{Container, ImageSource};

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
        if let Some(finding) = self.here.engine.as_ref().or(named).cloned() {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::finding::Finding;
    use crate::project::{Kind, Surroundings, check_surroundings, load, wanted};

    const SOURCE: &str = r#"
[project]
name = "p"
[job.named]
image = "train:7"
mounts = ["./data:/data", "/srv:/srv"]
workdir = "/app"
[job.built]
build = { context = "images/train", dockerfile = "Dockerfile.gpu" }
[job.process]
command = ["true"]
"#;

    fn said(here: &Surroundings) -> Vec<(&'static str, &'static str)> {
        let (project, findings) = load(SOURCE);
        assert_eq!(findings.0, []);
        let findings = check_surroundings(SOURCE, &project.expect("right"), here).0;
        let at = |finding: &Finding| &SOURCE[finding.span().expect("a place")];
        findings
            .iter()
            .map(|finding| (finding.code, at(finding).lines().next().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn the_engine_is_asked_only_for_jobs_that_need_it() {
        let project = load(SOURCE).0.expect("right");
        let asked = wanted(&project);
        assert!(asked.engine && asked.images.contains("train:7"));
        let paths: Vec<&str> = asked.paths.iter().map(String::as_str).collect();
        assert_eq!(
            paths,
            ["./data", "/srv", "images/train", "images/train/Dockerfile.gpu", "true"]
        );
        let process = "[project]\nname = \"p\"\n[job.j]\ncommand = [\"true\"]\n";
        assert!(!wanted(&load(process).0.expect("right")).engine);
    }

    #[test]
    fn what_a_container_lacks_is_said_where_it_is_named() {
        let mut here = Surroundings {
            programs: ["true".to_owned()].into(),
            cpu_milli: 1000,
            ..Surroundings::default()
        };
        here.paths.insert("./data".to_owned(), Kind::Folder);
        let (build, srv) = (
            "{ context = \"images/train\", dockerfile = \"Dockerfile.gpu\" }",
            "\"/srv:/srv\"",
        );
        assert_eq!(said(&here), [("file-not-found", srv), ("file-not-found", build)]);
        here.paths.extend([
            ("/srv".to_owned(), Kind::Folder),
            ("images/train".to_owned(), Kind::Folder),
        ]);
        assert_eq!(said(&here), [("file-not-found", build)]);
        here.paths.insert("images/train/Dockerfile.gpu".to_owned(), Kind::File);
        assert_eq!(said(&here), []);
        here.images = BTreeMap::from([("train:7".to_owned(), Finding::error("image-not-found", "none"))]);
        assert_eq!(said(&here), [("image-not-found", "\"train:7\"")]);
        here.engine = Some(Finding::error("docker-missing", "none"));
        assert_eq!(
            said(&here),
            [("docker-missing", "\"train:7\""), ("docker-missing", build)]
        );
    }
}
