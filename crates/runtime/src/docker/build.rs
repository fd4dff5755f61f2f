//! Images built from a folder with a Dockerfile: tagged with the hash of all that goes into them, so that the same sources
//! are built once.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, ListImagesOptions, RemoveImageOptions};
use bytes::Bytes;
use futures_util::StreamExt;
use kingtide_core::project::Build;
use tokio::sync::mpsc;

use super::engine::{Engine, Trouble};
use super::image::{Image, look_up};
use super::tree::{Tree, tag};
use super::{DockerError, buildkit};

/// What a failed build is told by.
const TAIL_LINES: usize = 20;
/// The archive goes in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;
/// Of the images of one job this many are kept: changing back and forth does not build anew.
const KEPT_IMAGES: usize = 3;
/// The whole hash, on the image.
const HASH_LABEL: &str = "kingtide.hash";

/// The image of these sources, built unless it was built before.
pub(super) async fn ensure(
    engine: &Engine,
    name: &str,
    build: &Build,
    project: &Path,
    say: &mut dyn FnMut(String),
) -> Result<Image, DockerError> {
    let folder = project.join(&build.context);
    let tree = Tree::of(&folder, &build.dockerfile).map_err(|error| unreadable(&folder, &error))?;
    ensure_tree(engine, name, build, (&folder, tree), None, say).await
}

/// The image of a folder for which a Dockerfile was made; for another platform than this machine's where one is named.
pub(super) async fn ensure_made(
    engine: &Engine,
    name: &str,
    dockerfile: &str,
    build: &Build,
    folder: &Path,
    platform: Option<&str>,
    say: &mut dyn FnMut(String),
) -> Result<Image, DockerError> {
    let tree = Tree::around(folder, (&build.dockerfile, dockerfile)).map_err(|error| unreadable(folder, &error))?;
    ensure_tree(engine, name, build, (folder, tree), platform, say).await
}

fn unreadable(folder: &Path, error: &io::Error) -> DockerError {
    DockerError::Context {
        folder: folder.to_owned(),
        why: error.to_string(),
    }
}

async fn ensure_tree(
    engine: &Engine,
    name: &str,
    build: &Build,
    (folder, tree): (&Path, Tree),
    platform: Option<&str>,
    say: &mut dyn FnMut(String),
) -> Result<Image, DockerError> {
    let hash = tree.hash(build).map_err(|error| unreadable(folder, &error))?;
    let repository = repository(name);
    // Of another platform it is another image.
    let suffix = platform.map_or_else(String::new, |platform| {
        format!("-{}", platform.rsplit('/').next().unwrap_or(platform))
    });
    let reference = format!("{repository}:{}{suffix}", tag(&hash));
    if let Some(image) = look_up(engine, &reference).await? {
        return Ok(image);
    }
    say(format!("building {reference} from {}", folder.display()));
    let options = BuildImageOptions {
        dockerfile: build.dockerfile.clone(),
        t: Some(reference.clone()),
        rm: true,
        forcerm: true,
        buildargs: Some(build.args.clone().into_iter().collect()),
        target: build.target.clone().unwrap_or_default(),
        labels: Some(HashMap::from([(HASH_LABEL.to_owned(), hash.clone())])),
        platform: platform.unwrap_or_default().to_owned(),
        ..BuildImageOptions::default()
    };
    let mut last = Vec::new();
    let failed = |last: &[String], why: String| {
        let mut lines = last[last.len().saturating_sub(TAIL_LINES)..].to_vec();
        lines.push(why);
        DockerError::Build {
            folder: folder.to_owned(),
            tail: lines.join("\n"),
        }
    };
    let body = bollard::body_try_stream(archive(tree));
    let mut steps = std::pin::pin!(engine.client.build_image(options, None, Some(body)));
    while let Some(step) = steps.next().await {
        match step {
            Ok(step) => lines(step, |line| {
                say(line.clone());
                last.push(line);
            }),
            Err(error) => {
                let why = Trouble::from(error).to_string();
                if !buildkit::is_needed(&why) {
                    return Err(failed(&last, why));
                }
                say(format!("{why}; trying `docker build`"));
                let mut hear = |line: String| {
                    say(line.clone());
                    last.push(line);
                };
                buildkit::build(engine, &reference, (HASH_LABEL, &hash), build, folder, &mut hear)
                    .map_err(|why| failed(&last, why))?;
                break;
            }
        }
    }
    let Some(image) = look_up(engine, &reference).await? else {
        return Err(failed(&last, "the engine has built nothing".to_owned()));
    };
    prune(engine, &repository).await;
    Ok(image)
}

/// What a step says, line by line, without the names of layers and containers on the way.
fn lines(step: BuildInfo, mut with: impl FnMut(String)) {
    let text = step.stream.or(step.status).unwrap_or_default();
    for line in text.lines().map(str::trim_end).filter(|line| !is_noise(line)) {
        with(line.to_owned());
    }
}

fn is_noise(line: &str) -> bool {
    line.is_empty() || line.starts_with(" --->") || line.starts_with("Removing intermediate container")
}

/// The archive as a stream; a thread reads the files as fast as the engine takes them.
fn archive(tree: Tree) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    let (pieces, stream) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let end = pieces.clone();
        if let Err(error) = tree.write(io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces))) {
            // Nobody listens any more when the engine has given up first.
            let _ = end.blocking_send(Err(error));
        }
    });
    futures_util::stream::unfold(stream, |mut stream| async move { Some((stream.recv().await?, stream)) })
}

struct Pieces(mpsc::Sender<Result<Bytes, io::Error>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `kingtide/<project>-<job>`, in the letters that a repository may have.
fn repository(name: &str) -> String {
    let mut clean = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        match character {
            'a'..='z' | '0'..='9' => clean.push(character),
            _ if clean.ends_with('-') || clean.is_empty() => {}
            _ => clean.push('-'),
        }
    }
    format!("kingtide/{}", clean.trim_end_matches('-'))
}

/// Removes the job's images but the newest. One in use stays: the engine refuses.
async fn prune(engine: &Engine, repository: &str) {
    let options = ListImagesOptions {
        filters: Some(HashMap::from([("reference".to_owned(), vec![repository.to_owned()])])),
        ..ListImagesOptions::default()
    };
    let mut images = engine.client.list_images(Some(options)).await.unwrap_or_default();
    images.sort_by_key(|image| std::cmp::Reverse(image.created));
    let tags = images.into_iter().skip(KEPT_IMAGES).flat_map(|image| image.repo_tags);
    for tag in tags.filter(|tag| tag.starts_with(&format!("{repository}:"))) {
        let _ = engine.client.remove_image(&tag, None::<RemoveImageOptions>, None).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_a_repository() {
        assert_eq!(repository("Flights_2-re_-train-"), "kingtide/flights-2-re-train");
    }
}
