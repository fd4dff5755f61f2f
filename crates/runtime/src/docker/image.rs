//! Images made ready: looked up by name, pulled where they are not here, or built (`build.rs`); and whether this machine can
//! run them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use kingtide_core::project::ImageSource;

use super::engine::{Engine, Trouble};
use super::{DockerError, build, credentials};

/// How often progress is said.
const PROGRESS: Duration = Duration::from_secs(2);
/// How long a registry may take to say whether it has an image.
const PATIENCE: Duration = Duration::from_secs(10);
const MIB: f64 = 1024.0 * 1024.0;

/// An image that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`, which no tag can be moved away from.
    pub id: String,
    /// As it was asked for, or the tag it was built as.
    pub reference: String,
    /// `name@sha256:…` where it came from a registry.
    pub digest: Option<String>,
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// Whom it runs as where nothing else is said; empty is root.
    pub user: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    /// Names of the variables that it sets.
    pub variables: Vec<String>,
}

impl Image {
    /// Whether it sets a variable itself, which a default is not to hide.
    pub fn sets(&self, variable: &str) -> bool {
        self.variables.iter().any(|name| name == variable)
    }

    pub(super) fn runs_as_root(&self) -> bool {
        let name = self.user.split(':').next().unwrap_or_default();
        matches!(name, "" | "root" | "0")
    }

    fn of(reference: &str, inspected: ImageInspect) -> Image {
        let config = inspected.config.unwrap_or_default();
        let names = config.env.unwrap_or_default();
        Image {
            id: inspected.id.unwrap_or_else(|| reference.to_owned()),
            reference: reference.to_owned(),
            digest: inspected.repo_digests.unwrap_or_default().into_iter().next(),
            os: inspected.os.unwrap_or_default(),
            architecture: inspected.architecture.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
            variables: names
                .iter()
                .map(|variable| variable.split('=').next().unwrap_or_default().to_owned())
                .collect(),
        }
    }
}

/// The image of a job, here and fit to run. `name` is what a built one is tagged by.
pub(super) async fn ensure(
    engine: &Engine,
    name: &str,
    source: &ImageSource,
    project: &Path,
    say: &mut dyn FnMut(String),
) -> Result<Image, DockerError> {
    let image = match source {
        ImageSource::Named(reference) => here(engine, reference, say).await?,
        ImageSource::Built(source) => build::ensure(engine, name, source, project, say).await?,
    };
    fit(engine, &image)?;
    Ok(image)
}

/// An image by its name, pulled where it is not here; whatever machine it is for.
pub(super) async fn here(engine: &Engine, reference: &str, say: &mut dyn FnMut(String)) -> Result<Image, DockerError> {
    if let Some(image) = look_up(engine, reference).await? {
        return Ok(image);
    }
    pull(engine, reference, say).await?;
    look_up(engine, reference).await?.ok_or_else(|| DockerError::NoImage {
        image: reference.to_owned(),
        why: "it was pulled, and is gone again".to_owned(),
    })
}

/// Whether it is here or could be pulled; says nothing and pulls nothing.
pub(super) async fn check(engine: &Engine, reference: &str) -> Result<(), DockerError> {
    if let Some(image) = look_up(engine, reference).await? {
        return fit(engine, &image);
    }
    let login = credentials::of(reference, engine.config.as_deref());
    let asked = engine.client.inspect_registry_image(reference, login);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(not_pulled(reference, error.into())),
        Err(_) => Err(DockerError::NotPulled {
            image: reference.to_owned(),
            why: format!("its registry has not answered within {} s", PATIENCE.as_secs()),
        }),
    }
}

/// `None` when it is not here.
pub(super) async fn look_up(engine: &Engine, reference: &str) -> Result<Option<Image>, DockerError> {
    match engine.client.inspect_image(reference).await.map_err(Trouble::from) {
        Ok(inspected) => Ok(Some(Image::of(reference, inspected))),
        Err(trouble) if trouble.is(404) => Ok(None),
        Err(trouble) => Err(DockerError::Refused {
            what: "look up an image",
            why: trouble.to_string(),
        }),
    }
}

async fn pull(engine: &Engine, reference: &str, say: &mut dyn FnMut(String)) -> Result<(), DockerError> {
    say(format!("pulling {reference}"));
    let has_version = reference.contains('@') || reference.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let options = CreateImageOptions {
        from_image: Some(reference.to_owned()),
        // Without, every tag there is would be pulled.
        tag: (!has_version).then(|| "latest".to_owned()),
        ..CreateImageOptions::default()
    };
    let login = credentials::of(reference, engine.config.as_deref());
    let mut steps = std::pin::pin!(engine.client.create_image(Some(options), None, login));
    let mut progress = Progress::new();
    while let Some(step) = steps.next().await {
        let step = step.map_err(|error| not_pulled(reference, error.into()))?;
        if let Some(line) = progress.take(step) {
            say(format!("pulling {reference}: {line}"));
        }
    }
    Ok(())
}

fn not_pulled(reference: &str, trouble: Trouble) -> DockerError {
    let (image, why) = (reference.to_owned(), trouble.to_string());
    let says = |words: &str| why.contains(words);
    // A registry that may be reached says that it has none; a private one does not even say that.
    let is_missing = trouble.is(404)
        || says("manifest unknown")
        || says("not found: manifest")
        || says("repository does not exist")
        || says("access denied")
        || says("access to the resource is denied")
        || says("unauthorized");
    match is_missing && !says("no such host") {
        true => DockerError::NoImage { image, why },
        false => DockerError::NotPulled { image, why },
    }
}

/// Whether the machine runs it.
fn fit(engine: &Engine, image: &Image) -> Result<(), DockerError> {
    let here = engine.facts.architecture.as_str();
    let there = image.architecture.as_str();
    let is_native = there.is_empty() || there == here || matches!((here, there), ("amd64", "386") | ("arm64", "arm"));
    let is_linux = image.os.is_empty() || image.os == "linux";
    if is_linux && (is_native || is_emulated(there)) {
        return Ok(());
    }
    Err(DockerError::OtherPlatform {
        image: image.reference.clone(),
        image_platform: format!("{}/{there}", image.os),
        machine_platform: format!("linux/{here}"),
    })
}

/// Whether the kernel hands programs of that architecture to an emulator.
fn is_emulated(architecture: &str) -> bool {
    let kernel = match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "386" => "i386",
        other => other,
    };
    Path::new("/proc/sys/fs/binfmt_misc")
        .join(format!("qemu-{kernel}"))
        .exists()
}

/// How far a pull has come, of all its layers together.
struct Progress {
    layers: BTreeMap<String, (i64, i64)>,
    said: Instant,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            layers: BTreeMap::new(),
            said: Instant::now(),
        }
    }

    /// A line, when it is time for one.
    fn take(&mut self, step: CreateImageInfo) -> Option<String> {
        let (id, detail) = step.id.zip(step.progress_detail)?;
        let total = detail.total.filter(|total| *total > 0)?;
        if step.status.as_deref() != Some("Downloading") {
            return None;
        }
        self.layers.insert(id, (detail.current.unwrap_or(0), total));
        if self.said.elapsed() < PROGRESS {
            return None;
        }
        self.said = Instant::now();
        let sum = |of: fn(&(i64, i64)) -> i64| self.layers.values().map(of).sum::<i64>() as f64 / MIB;
        Some(format!(
            "{:.0} of {:.0} MiB",
            sum(|layer| layer.0),
            sum(|layer| layer.1)
        ))
    }
}
