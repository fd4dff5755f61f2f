//! Moving a prepared output to its place: at once, for good, and once.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::output::MANIFEST;

/// Moves a prepared output to its place, both on one file system. A crash in between and a second call do no harm: what is
/// complete in its place stays, and the source is removed.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    let parent = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_folders(parent)?;
    // Without its manifest it is not what was prepared, whatever it is.
    let moved = if is_complete(from) || is_complete(to) {
        fs::rename(from, to)
    } else {
        Err(io::ErrorKind::NotFound.into())
    };
    match moved {
        Ok(()) => {}
        Err(_) if is_complete(to) => match fs::remove_dir_all(from) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
        Err(error) => return Err(error),
    }
    // Also when it was there already: the crash may have come between the move and this.
    sync_folder(parent)?;
    match from.parent().map(sync_folder) {
        // The work folder may be gone since.
        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_complete(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

/// `create_dir_all`, with each new folder's name on disk.
fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folders(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        created => created?,
    }
    folder.parent().map_or(Ok(()), sync_folder)
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::collect::prepare_output;

    /// A prepared output, in a folder that goes with the first.
    fn output() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let output = folder.path().join("output");
        fs::create_dir(&output).expect("a folder");
        fs::write(output.join("model.bin"), "abc").expect("written");
        prepare_output(&output).expect("prepared");
        (folder, output)
    }

    #[test]
    fn an_output_is_published_once() {
        let (folder, output) = output();
        let place = folder.path().join("outputs/job-1/7");
        publish(&output, &place).expect("published");
        assert!(!output.exists());
        assert_eq!(fs::read(place.join("model.bin")).expect("it is there"), b"abc");
        publish(&output, &place).expect("a second time does nothing");
        fs::create_dir(&output).expect("a folder");
        fs::write(output.join("late"), "").expect("written");
        publish(&output, &place).expect("the first one stays");
        assert!(!output.exists() && !place.join("late").exists());
        let error = publish(&output, &folder.path().join("outputs/job-1/8")).expect_err("there is nothing");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_place_that_is_taken_by_something_else_is_kept() {
        let (folder, output) = output();
        let place = folder.path().join("place");
        fs::create_dir(&place).expect("a folder");
        fs::write(place.join("foreign"), "").expect("written");
        publish(&output, &place).expect_err("it is not ours to replace");
        assert!(output.join("model.bin").is_file() && place.join("foreign").is_file());
    }
}
