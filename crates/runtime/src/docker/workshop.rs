//! Images for machines elsewhere: built here, or looked at here, and pushed to a registry. Without a project's containers, and without threads
//! of its own: each call blocks until it is done.

use std::collections::BTreeMap;
use std::path::Path;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{PushImageOptions, TagImageOptions};
use futures_util::StreamExt;
use kingtide_core::project::Build;
use tokio::runtime::Runtime;

use super::engine::{Engine, Trouble};
use super::image::{Image, here, look_up};
use super::socket::Environment;
use super::{DockerError, build, probe};

/// Where a Dockerfile that was made lies in what the engine is sent: no folder has a file of that name.
const MADE: &str = "Dockerfile.made-by-kingtide";

/// An engine that builds.
pub struct Workshop {
    runtime: Runtime,
    engine: Engine,
}

/// Who we are to a registry.
#[derive(Clone)]
pub struct Login {
    pub host: String,
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Login {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("host", &self.host)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").finish_non_exhaustive()
    }
}

impl Workshop {
    /// # Errors
    /// When no engine can be used here.
    pub fn open() -> Result<Workshop, DockerError> {
        let runtime = probe::runtime()?;
        let engine = runtime.block_on(Engine::connect(&Environment::here()))?;
        Ok(Workshop { runtime, engine })
    }

    /// An image by its name, pulled where it is not here; whatever machine it is for.
    pub fn named(&self, reference: &str, say: &mut dyn FnMut(String)) -> Result<Image, DockerError> {
        self.runtime.block_on(here(&self.engine, reference, say))
    }

    /// An image from the user's own Dockerfile, built unless it was built before.
    pub fn built(
        &self,
        name: &str,
        build: &Build,
        project: &Path,
        say: &mut dyn FnMut(String),
    ) -> Result<Image, DockerError> {
        self.runtime
            .block_on(build::ensure(&self.engine, name, build, project, say))
    }

    /// An image from a Dockerfile that was made for a folder. `platform` is `linux/arm64`, for instance.
    pub fn made(
        &self,
        name: &str,
        dockerfile: &str,
        args: BTreeMap<String, String>,
        folder: &Path,
        platform: &str,
        say: &mut dyn FnMut(String),
    ) -> Result<Image, DockerError> {
        let build = Build {
            context: ".".to_owned(),
            dockerfile: MADE.to_owned(),
            args,
            target: None,
        };
        let platform = Some(platform).filter(|platform| *platform != self.platform());
        let made = build::ensure_made(&self.engine, name, dockerfile, &build, folder, platform, say);
        self.runtime.block_on(made)
    }

    /// `linux/amd64`: of this machine.
    pub fn platform(&self) -> String {
        format!("linux/{}", self.engine.facts.architecture)
    }

    /// Pushes an image under another name; by which digest it is known there.
    pub fn push(
        &self,
        image: &Image,
        (repository, tag): (&str, &str),
        login: &Login,
        say: &mut dyn FnMut(String),
    ) -> Result<String, DockerError> {
        self.runtime
            .block_on(push(&self.engine, image, (repository, tag), login, say))
    }
}

async fn push(
    engine: &Engine,
    image: &Image,
    (repository, tag): (&str, &str),
    login: &Login,
    say: &mut dyn FnMut(String),
) -> Result<String, DockerError> {
    let name = format!("{}/{repository}", login.host);
    let refused = |trouble: Trouble| DockerError::Refused {
        what: "push an image",
        why: trouble.to_string(),
    };
    let options = TagImageOptions {
        repo: Some(name.clone()),
        tag: Some(tag.to_owned()),
    };
    let tagged = engine.client.tag_image(&image.id, Some(options)).await;
    tagged.map_err(|error| refused(error.into()))?;
    say(format!("pushing {name}:{tag}"));
    let options = PushImageOptions {
        tag: Some(tag.to_owned()),
        ..PushImageOptions::default()
    };
    let credentials = DockerCredentials {
        username: Some(login.user.clone()),
        password: Some(login.password.clone()),
        serveraddress: Some(login.host.clone()),
        ..DockerCredentials::default()
    };
    let mut steps = std::pin::pin!(engine.client.push_image(&name, Some(options), Some(credentials)));
    let mut digest = None;
    while let Some(step) = steps.next().await {
        let step = step.map_err(|error| refused(error.into()))?;
        if let Some(why) = step.error_detail.and_then(|detail| detail.message) {
            return Err(refused(Trouble::Refused {
                status: 500,
                message: why,
            }));
        }
        digest = step.status.as_deref().and_then(digest_in).or(digest);
    }
    if digest.is_none() {
        // Podman does not say it.
        let pushed = look_up(engine, &format!("{name}:{tag}")).await?;
        digest = pushed
            .and_then(|image| image.digest)
            .and_then(|digest| Some(digest.split_once('@')?.1.to_owned()));
    }
    digest.ok_or_else(|| DockerError::Refused {
        what: "push an image",
        why: "the engine has not said by which digest it is known now".to_owned(),
    })
}

/// `sha256:…` of `7: digest: sha256:… size: 1234`.
fn digest_in(status: &str) -> Option<String> {
    let (_, rest) = status.split_once("digest: ")?;
    let digest = rest.split(' ').next()?;
    digest.starts_with("sha256:").then(|| digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_stands_in_the_last_status() {
        assert_eq!(
            digest_in("7: digest: sha256:abc size: 1234"),
            Some("sha256:abc".to_owned())
        );
        assert_eq!(digest_in("Pushed"), None);
    }
}
