//! The images of a stack: the worker's, and one for each job. Each is known by what is in it: what the registry has already is not pushed again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kingtide_core::cloud::template::Stack as Template;
use kingtide_core::cloud::{self, WORKER_IMAGE, image};
use kingtide_core::hash::fnv1a;
use kingtide_core::project::aws::Architecture;
use kingtide_core::project::{ImageSource, Job};
use kingtide_remote::wire::{Ask, Base, Event, Registry, Repository};
use kingtide_runtime::docker::{DockerError, Image, Login, Workshop};

use super::binary;
use crate::commands::run::messages::{Messages, Wish};
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::remote::events::Events;
use crate::remote::session::Session;
use crate::remote::site::{Site, tags};
use crate::settings::Settings;

/// The binary that goes beside each program, and names it in place of the one that is looked for.
const WORKER: &str = "kingtide-worker";
const WORKER_VARIABLE: &str = "KINGTIDE_WORKER_BINARY";
/// Of a digest or an id so much is a tag.
const TAG_LENGTH: usize = 32;

/// What a stack is deployed with.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) parameters: BTreeMap<String, String>,
    /// By key, files of this machine.
    pub(super) files: BTreeMap<String, String>,
}

/// An image that is pushed, and the parameter that hands it over.
struct Made {
    parameter: String,
    repository: Repository,
    image: Image,
}

/// Makes all images ready, and pushes those that are new.
pub(super) fn ready(site: &Site, template: &Template, session: &mut Session, settings: &Settings) -> Outcome<Ready> {
    let mut ready = Ready::default();
    let workshop = Workshop::open().map_err(refused)?;
    let mut say = |line: String| {
        if !settings.quiet {
            output::say(&line);
        }
    };
    let platform = match site.aws.architecture {
        Architecture::X86_64 => "linux/amd64",
        Architecture::Arm64 => "linux/arm64",
    };
    let mut made = vec![worker(site, &workshop, platform, &mut say)?];
    for job in site.project.jobs.values() {
        let of = of_job(site, job, &workshop, platform, &mut say)?;
        check_architecture(job, &of, platform)?;
        for (variable, parameter) in image::starts(job) {
            let list = match variable {
                kingtide_core::cloud::variables::IMAGE_ENTRYPOINT => &of.entrypoint,
                _ => &of.command,
            };
            ready.parameters.insert(parameter, serde_json::json!(list).to_string());
        }
        match image::used_as_it_is(job) {
            Some(name) => {
                // By the digest it has now, where it came from a registry: what runs is what was looked at.
                let pinned = of.digest.clone().unwrap_or(name);
                ready.parameters.insert(image::parameter_of(job), pinned);
            }
            None => made.push(Made {
                parameter: image::parameter_of(job),
                repository: repository(&job.name, &of),
                image: of,
            }),
        }
    }
    params(site, template, &mut ready)?;
    let registry = registry(site, session, &made, settings)?;
    let login = Login {
        host: registry.host.clone(),
        user: registry.user.clone(),
        password: registry.password.clone(),
    };
    for (of, place) in made.iter().zip(&registry.places) {
        let digest = match &place.digest {
            Some(digest) => digest.clone(),
            None => {
                let name = (place.repository.as_str(), place.tag.as_str());
                workshop.push(&of.image, name, &login, &mut say).map_err(refused)?
            }
        };
        let reference = format!("{}/{}@{digest}", registry.host, place.repository);
        ready.parameters.insert(of.parameter.clone(), reference);
    }
    Ok(ready)
}

/// Where images are pushed: into the stack's own repository, which is made first where it is not there yet.
fn registry(site: &Site, session: &mut Session, made: &[Made], settings: &Settings) -> Outcome<Registry> {
    let base = cloud::base(&site.project, site.environment.as_deref())
        .map_err(|_| Failure::new("what is made first cannot be compiled, although all of it could"))?
        .template();
    let text = serde_json::to_string_pretty(&base)
        .map_err(|error| Failure::new("failed to write the template").because(error))?;
    let ask = Ask::Registry {
        base: Base {
            template: text,
            tags: tags(site),
        },
        repositories: made.iter().map(|made| made.repository.clone()).collect(),
    };
    let mut events = Events::new(&base, settings.err, settings.is_live, settings.quiet);
    let mut registry = None;
    let asked = session.ask(ask, |event| {
        match event {
            Event::Resource(resource) => events.take(resource),
            Event::Registry(of) => registry = Some(of),
            _ => {}
        }
        Ok(())
    });
    if let (Err(_), Some(root)) = (&asked, events.root()) {
        output::say(&format!("{} {root}", settings.err.red("first failed:")));
    }
    asked?;
    registry
        .filter(|registry| registry.places.len() == made.len())
        .ok_or_else(|| Failure::new("`kingtide-aws` has not said where images go"))
}

/// The image of one binary and nothing else.
fn worker(site: &Site, workshop: &Workshop, platform: &str, say: &mut dyn FnMut(String)) -> Outcome<Made> {
    let binary = worker_binary(platform)?;
    let failed = |error| Failure::new(format!("failed to read `{}`", binary.display())).because(error);
    let bytes = std::fs::read(&binary).map_err(failed)?;
    binary::check(&bytes, platform).map_err(|unfit| {
        Failure::new(format!("`{}` cannot go into a task for {platform}", binary.display()))
            .because(unfit)
            .help(built_by(platform))
    })?;
    // A folder with the binary alone: nothing of what lies beside it is sent.
    let folder = folder_of_its_own(site)?;
    std::fs::copy(&binary, folder.path.join(WORKER)).map_err(failed)?;
    let dockerfile = format!("FROM scratch\nCOPY [\"{WORKER}\", \"/{WORKER}\"]\nENTRYPOINT [\"/{WORKER}\"]\n");
    let name = format!("{}-worker", site.stack);
    let image = workshop
        .made(&name, &dockerfile, BTreeMap::new(), &folder.path, platform, say)
        .map_err(refused)?;
    Ok(Made {
        parameter: WORKER_IMAGE.to_owned(),
        repository: repository("worker", &image),
        image,
    })
}

/// A folder that goes with its owner.
struct Folder {
    path: PathBuf,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is written over by the next.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Within the project, where nobody else may write: what is in it goes into every task.
fn folder_of_its_own(site: &Site) -> Outcome<Folder> {
    let path = site.place.layout().root().join("aws").join("worker");
    std::fs::create_dir_all(&path)
        .map_err(|error| Failure::new(format!("failed to make `{}`", path.display())).because(error))?;
    Ok(Folder { path })
}

fn worker_binary(platform: &str) -> Outcome<PathBuf> {
    if let Some(named) = std::env::var_os(WORKER_VARIABLE).filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(named));
    }
    let machine = match platform {
        "linux/arm64" => "aarch64",
        _ => "x86_64",
    };
    let beside = std::env::current_exe()?.parent().map(|folder| {
        let own = folder.join(format!("{WORKER}-{machine}"));
        match machine == std::env::consts::ARCH && !own.is_file() {
            true => folder.join(WORKER),
            false => own,
        }
    });
    beside.filter(|path| path.is_file()).ok_or_else(|| {
        Failure::new(format!(
            "there is no `{WORKER}` for {platform} beside this executable: it goes into each task"
        ))
        .help(built_by(platform))
    })
}

fn built_by(platform: &str) -> String {
    let machine = match platform {
        "linux/arm64" => " aarch64",
        _ => "",
    };
    format!("build it: cargo xtask worker{machine}; `{WORKER_VARIABLE}` names another place")
}

fn of_job(site: &Site, job: &Job, workshop: &Workshop, platform: &str, say: &mut dyn FnMut(String)) -> Outcome<Image> {
    let name = format!("{}-{}", site.stack, job.name);
    let folder = &site.place.folder;
    let base = match job.container().map(|container| &container.image) {
        Some(ImageSource::Named(reference)) => Some(workshop.named(reference, say).map_err(refused)?),
        Some(ImageSource::Built(build)) => Some(workshop.built(&name, build, folder, say).map_err(refused)?),
        None => None,
    };
    let Some(dockerfile) = image::dockerfile(job, &site.aws) else {
        return base.ok_or_else(|| Failure::new(format!("the job `{}` has no image", job.name)));
    };
    let args = base.map(|base| ("IMAGE".to_owned(), base.reference));
    let args = args
        .filter(|_| dockerfile.starts_with("ARG IMAGE"))
        .into_iter()
        .collect();
    workshop
        .made(&name, &dockerfile, args, folder, platform, say)
        .map_err(refused)
}

fn check_architecture(job: &Job, image: &Image, platform: &str) -> Outcome<()> {
    let wanted = platform.rsplit('/').next().unwrap_or(platform);
    if image.architecture.is_empty() || image.architecture == wanted {
        return Ok(());
    }
    Err(Failure::finding(format!(
        "the image `{}` of the job `{}` is made for {}, and its tasks run on {wanted}",
        image.reference, job.name, image.architecture
    ))
    .help(format!(
        "use one for {platform} (docker buildx build --platform {platform}), or say [aws] architecture = \"{}\"",
        if wanted == "amd64" { "arm64" } else { "x86_64" }
    )))
}

/// What is in it, with what tells this image from any other.
fn repository(name: &str, image: &Image) -> Repository {
    let id = image.id.trim_start_matches("sha256:");
    Repository {
        name: name.to_lowercase(),
        tag: id.get(..TAG_LENGTH).unwrap_or(id).to_owned(),
    }
}

/// Messages of runs that nobody hands any: they lie in the bucket, by their content.
fn params(site: &Site, template: &Template, ready: &mut Ready) -> Outcome<()> {
    for job in site.project.jobs.values().filter(|job| job.params.is_some()) {
        let Some(parameter) = image::params_of(job) else {
            continue;
        };
        if !template.parameters.contains_key(&parameter) {
            continue;
        }
        let mut text = String::new();
        Messages::hand_over(&site.place, job, &Wish::Params, |messages| {
            for message in messages {
                match message {
                    Ok(message) => {
                        text.push_str(&message.body());
                        text.push('\n');
                    }
                    Err(finding) => return Ok(Err(finding)),
                }
            }
            Ok(Ok(()))
        })?;
        let folder = site.place.layout().root().join("aws").join("params");
        std::fs::create_dir_all(&folder)?;
        let key = format!("params/{}-{:016x}.jsonl", job.name, fnv1a(text.as_bytes()));
        let path = folder.join(format!("{}.jsonl", job.name));
        std::fs::write(&path, text)?;
        ready.files.insert(key.clone(), path.display().to_string());
        ready.parameters.insert(parameter, key);
    }
    Ok(())
}

fn refused(error: DockerError) -> Failure {
    let help = error.advice();
    Failure::from(error).help(help)
}
