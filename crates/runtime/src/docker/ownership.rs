//! Files that a container wrote as another user than ours. Where we are not root we could neither remove them nor move what
//! is in them, so the engine, which can, is asked to hand them over: by the machine's own `chown`, in a container of the same
//! image that sees nothing else.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};

use super::Shared;
use super::container::Container;
use super::engine::Trouble;
use super::link::Lost;
use super::work::{INSIDE, Work};

/// Where a machine has `chown` and what that is linked with.
const SYSTEM: &[&str] = &["/usr", "/bin", "/lib", "/lib64"];
const CHOWN: &str = "/usr/bin/chown";

/// Makes everything below the folder ours. What cannot be handed over is said, and stays as it is.
pub(super) async fn take_back(shared: &Shared, container: &Container, work: &Work) -> Result<(), Lost> {
    let us = rustix::process::geteuid();
    if us.is_root() || !is_foreign(&work.mount(), us.as_raw()) {
        return Ok(());
    }
    // In a rootless engine, root inside is us outside.
    let owner = match shared.engine.facts.rootless {
        true => "0:0".to_owned(),
        false => format!("{}:{}", us.as_raw(), rustix::process::getegid().as_raw()),
    };
    let name = format!("{}-chown", shared.labels.container(&container.attempt));
    let handed = hand_over(shared, container, work, &name, &owner).await;
    shared.clear(&name).await?;
    let why = match handed {
        Ok(0) => return Ok(()),
        Ok(code) => format!("`chown` has ended with {code}"),
        Err(Trouble::Unreachable(_) | Trouble::Slow) => return shared.back().await,
        Err(Trouble::Refused { message, .. }) => message,
    };
    let folder = work.mount();
    shared.say(format!(
        "the container of {} left files of another user in `{}`, which can only be removed as root: {why}",
        container.attempt,
        folder.display()
    ));
    Ok(())
}

async fn hand_over(
    shared: &Shared,
    container: &Container,
    work: &Work,
    name: &str,
    owner: &str,
) -> Result<i64, Trouble> {
    let image = shared.engine.image(&container.id).await?;
    let mount = |source: PathBuf, target: &str, read_only: bool| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    };
    let there = SYSTEM.iter().filter(|folder| Path::new(folder).exists());
    let mut mounts: Vec<Mount> = there.map(|folder| mount(PathBuf::from(folder), folder, true)).collect();
    mounts.push(mount(work.mount(), INSIDE, false));
    let body = ContainerCreateBody {
        image: Some(image),
        entrypoint: Some(
            [CHOWN, "--recursive", "--no-dereference", owner, INSIDE]
                .map(str::to_owned)
                .to_vec(),
        ),
        cmd: Some(Vec::new()),
        user: Some("0:0".to_owned()),
        labels: Some(shared.labels.chore()),
        working_dir: Some("/".to_owned()),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let chore = shared.engine.create(name, body).await?;
    shared.engine.start(&chore).await?;
    shared.engine.wait(&chore).await
}

/// Whether anything below a folder, links not followed, is another's; what cannot be looked at is.
fn is_foreign(path: &Path, us: u32) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return true;
    };
    if metadata.uid() != us {
        return true;
    }
    if !metadata.is_dir() {
        return false;
    }
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().any(|entry| is_foreign(&entry.path(), us)),
        Err(_) => true,
    }
}
