//! A look at the engine without a project: for the checker, which asks whether images can be had, and for `doctor`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kingtide_core::finding::Finding;
use tokio::runtime::{Builder, Runtime};

use super::engine::Engine;
use super::socket::Environment;
use super::{DockerError, image};

/// What kind of engine there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub socket: PathBuf,
    /// Podman, behind its compatible socket.
    pub is_podman: bool,
    pub version: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `overlay2`.
    pub storage: String,
    /// `1` or `2`.
    pub cgroup: String,
    pub is_rootless: bool,
    /// Whether it can limit processor time and memory.
    pub limits: bool,
}

/// Finds an engine and asks it what it is.
///
/// # Errors
/// When none can be used; why, and what to do.
pub fn probe() -> Result<Found, DockerError> {
    let engine = runtime()?.block_on(Engine::connect(&Environment::here()))?;
    let facts = engine.facts;
    Ok(Found {
        socket: engine.socket.path,
        is_podman: facts.podman,
        version: facts.version,
        architecture: facts.architecture,
        storage: facts.storage,
        cgroup: facts.cgroup,
        is_rootless: facts.rootless,
        limits: facts.limits_cpu && facts.limits_memory,
    })
}

/// What the checker says of the engine, and of those of the images that are neither here nor to be had. Pulls nothing.
pub fn look_around(images: &BTreeSet<String>) -> (Option<Finding>, BTreeMap<String, Finding>) {
    let looked = runtime().and_then(|runtime| {
        runtime.block_on(async {
            let engine = Engine::connect(&Environment::here()).await?;
            let mut findings = BTreeMap::new();
            for reference in images {
                if let Err(error) = image::check(&engine, reference).await {
                    findings.insert(reference.clone(), error.finding());
                }
            }
            Ok(findings)
        })
    });
    match looked {
        Ok(images) => (None, images),
        Err(error) => (Some(error.finding()), BTreeMap::new()),
    }
}

pub(super) fn runtime() -> Result<Runtime, DockerError> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|source| DockerError::Files {
        what: "prepare to ask the container engine".to_owned(),
        source,
    })
}
