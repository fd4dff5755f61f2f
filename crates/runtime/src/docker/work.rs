//! The folder of one container: `.kingtide/work/c-<attempt>/`, for our eyes only, with `mount/` in it, which the container
//! sees as `/kingtide` and may write to whoever its user is. A note beside it says that the attempt was asked to stop, for a
//! runtime that comes later.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kingtide_exec::wire::StopReason;

use super::labels::dashed;

/// Where a container sees its folder.
pub(super) const INSIDE: &str = "/kingtide";
pub(super) const RESULT: &str = "result.json";
pub(super) const OUTPUT: &str = "output";
const MOUNT: &str = "mount";
const STOPPED: &str = "stopped";
const PREFIX: &str = "c-";

/// One attempt's folder.
#[derive(Clone, Debug)]
pub(super) struct Work {
    path: PathBuf,
}

impl Work {
    pub(super) fn of(root: &Path, attempt: &str) -> Work {
        Work {
            path: root.join("work").join(format!("{PREFIX}{}", dashed(attempt))),
        }
    }

    /// Empty, and open to any user of the container.
    pub(super) fn make(&self) -> io::Result<()> {
        self.remove()?;
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        let private = || {
            std::fs::create_dir_all(parent)?;
            DirBuilder::new().mode(0o700).create(&self.path)
        };
        // The parent goes with the last that leaves it, perhaps just now.
        private().or_else(|_| private())?;
        for folder in [self.mount(), self.mount().join(OUTPUT)] {
            std::fs::create_dir(&folder)?;
            std::fs::set_permissions(&folder, Permissions::from_mode(0o777))?;
        }
        Ok(())
    }

    /// What is mounted.
    pub(super) fn mount(&self) -> PathBuf {
        self.path.join(MOUNT)
    }

    /// The result and the output, as far as there is something. The output is nobody else's to write to from here on.
    pub(super) fn left(&self) -> (Option<String>, Option<String>) {
        let (result, output) = (self.mount().join(RESULT), self.mount().join(OUTPUT));
        let is_there = |path: &Path, is_kind: fn(&std::fs::Metadata) -> bool| {
            std::fs::symlink_metadata(path).is_ok_and(|metadata| is_kind(&metadata))
        };
        let written = is_there(&result, std::fs::Metadata::is_file);
        let filled = is_there(&output, std::fs::Metadata::is_dir) && {
            // Refused where the container has made it another user's.
            let _ = std::fs::set_permissions(&output, Permissions::from_mode(0o755));
            std::fs::read_dir(&output).is_ok_and(|mut entries| entries.next().is_some())
        };
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        (written.then(|| text(result)), filled.then(|| text(output)))
    }

    /// Before it is asked to stop, so that its end is known for what it is.
    pub(super) fn note_stop(&self, reason: StopReason) {
        if let Ok(text) = serde_json::to_vec(&reason) {
            // On a full disk a later runtime takes the end for the program's own.
            let _ = std::fs::write(self.path.join(STOPPED), text);
        }
    }

    pub(super) fn stop(&self) -> Option<StopReason> {
        serde_json::from_slice(&std::fs::read(self.path.join(STOPPED)).ok()?).ok()
    }

    /// May be repeated.
    pub(super) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if let Some(parent) = self.path.parent() {
            // Only when it is empty.
            let _ = std::fs::remove_dir(parent);
        }
        Ok(())
    }
}

/// Folders of containers that are neither held nor named by one of `keep`.
pub(super) fn clear(root: &Path, held: &[String], keep: &[String]) {
    let held: Vec<Work> = held.iter().map(|attempt| Work::of(root, attempt)).collect();
    let Ok(entries) = std::fs::read_dir(root.join("work")) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_container = name.to_string_lossy().starts_with(PREFIX);
        // Compared by name: the project may have been moved.
        let is_kept = keep
            .iter()
            .any(|path| Path::new(path).components().any(|part| part.as_os_str() == name));
        let path = entry.path();
        if is_container && !is_kept && held.iter().all(|work| work.path != path) {
            let _ = Work { path }.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_what_was_left_in_it() {
        let root = tempfile::tempdir().expect("a folder");
        let work = Work::of(root.path(), "1/2/3");
        work.make().expect("made");
        assert_eq!(work.left(), (None, None));
        std::fs::write(work.mount().join(RESULT), "{}").expect("written");
        std::fs::write(work.mount().join(OUTPUT).join("model"), "m").expect("written");
        let (result, output) = work.left();
        assert!(result.is_some_and(|path| path.ends_with("work/c-1-2-3/mount/result.json")));
        assert!(output.is_some_and(|path| path.ends_with("work/c-1-2-3/mount/output")));
        assert_eq!(work.stop(), None);
        work.note_stop(StopReason::Timeout);
        assert_eq!(work.stop(), Some(StopReason::Timeout));
        work.remove().expect("removed");
        work.remove().expect("once more");
        assert!(!root.path().join("work").exists());
    }

    #[test]
    fn only_what_nobody_names_is_cleared_away() {
        let root = tempfile::tempdir().expect("a folder");
        let works = ["1/1/1", "1/2/1", "1/3/1"].map(|attempt| Work::of(root.path(), attempt));
        works.iter().for_each(|work| work.make().expect("made"));
        std::fs::create_dir(root.path().join("work/7")).expect("the keeper's");
        let kept = works[1].mount().join(OUTPUT).to_string_lossy().into_owned();
        clear(root.path(), &["1/1/1".to_owned()], &[kept]);
        let left = works.each_ref().map(|work| work.path.exists());
        assert_eq!((left, root.path().join("work/7").exists()), ([true, true, false], true));
    }
}
