//! The first container of a task: copies this binary to a volume, from which the user's own image, whatever is in it, can start it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The binary could not be put there.
#[derive(Debug, thiserror::Error)]
#[error("failed to install to `{path}`")]
pub struct InstallError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Copies this binary to `to`, whole or not at all, and lets everybody write to `folders`: whoever the image runs as.
///
/// # Errors
/// When the volume cannot be written to.
pub fn install(to: &Path, folders: &[String]) -> Result<(), InstallError> {
    put(to).map_err(|source| InstallError {
        path: to.to_owned(),
        source,
    })?;
    for folder in folders {
        let path = Path::new(folder);
        open_to_all(path).map_err(|source| InstallError {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}

fn put(to: &Path) -> io::Result<()> {
    let mut from = File::open("/proc/self/exe")?;
    let draft = to.with_extension("draft");
    let mut copy = File::create(&draft)?;
    io::copy(&mut from, &mut copy)?;
    copy.set_permissions(Permissions::from_mode(0o755))?;
    copy.sync_all()?;
    drop(copy);
    fs::rename(&draft, to)?;
    match to.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// As `/tmp` is: what one has made another cannot remove.
fn open_to_all(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o1777))
}
