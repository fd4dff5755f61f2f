//! The folder of a build: what is in it, a hash that changes with it, and the archive in which the engine is sent it.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kingtide_core::project::Build;
use sha2::{Digest, Sha256};

use super::ignore::Ignore;
use kingtide_core::hex;

const IGNORE_FILE: &str = ".dockerignore";
/// Kingtide's own folder changes with every run and is no part of any build.
const OURS: &str = ".kingtide";
/// Raised when the same files would give another image.
const HASH_VERSION: &str = "kingtide image 1";
/// So much of the hash tells images apart; the whole is in a label.
const TAG_LENGTH: usize = 16;

/// A folder, as it is sent.
#[derive(Debug)]
pub(super) struct Tree {
    folder: PathBuf,
    /// By path.
    entries: Vec<Entry>,
    /// A file that is not in the folder: its path, and what it says.
    extra: Option<(String, Vec<u8>)>,
}

/// Where a folder says nothing of what is no part of an image that is made for it: histories, environments, caches, and what holds secrets.
const USUALLY_IGNORED: &str = ".git\n.hg\n.venv\nvenv\n**/__pycache__\n**/*.pyc\n.env\n.env.*\n.aws\n.ssh\n";

#[derive(Debug)]
struct Entry {
    /// Relative to the folder.
    path: String,
    metadata: Metadata,
}

impl Tree {
    /// Looks at all of a folder that its `.dockerignore` does not exclude.
    pub(super) fn of(folder: &Path, dockerfile: &str) -> io::Result<Tree> {
        let own = folder.join(format!("{dockerfile}{IGNORE_FILE}"));
        let text = match std::fs::read_to_string(own) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::read_to_string(folder.join(IGNORE_FILE)),
            other => other,
        };
        let ignore = match text {
            Ok(text) => Ignore::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ignore::default(),
            Err(error) => return Err(error),
        };
        Tree::look(folder, &ignore, dockerfile.trim_start_matches("./"))
    }

    /// A folder for which a Dockerfile was made, with that at a path where it has none of its own.
    pub(super) fn around(folder: &Path, dockerfile: (&str, &str)) -> io::Result<Tree> {
        let ignore = match std::fs::read_to_string(folder.join(IGNORE_FILE)) {
            Ok(text) => Ignore::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ignore::parse(USUALLY_IGNORED),
            Err(error) => return Err(error),
        };
        let mut tree = Tree::look(folder, &ignore, dockerfile.0)?;
        tree.extra = Some((dockerfile.0.to_owned(), dockerfile.1.as_bytes().to_vec()));
        Ok(tree)
    }

    fn look(folder: &Path, ignore: &Ignore, dockerfile: &str) -> io::Result<Tree> {
        let mut tree = Tree {
            folder: folder.to_owned(),
            entries: Vec::new(),
            extra: None,
        };
        tree.walk("", ignore, dockerfile)?;
        tree.entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(tree)
    }

    fn walk(&mut self, below: &str, ignore: &Ignore, dockerfile: &str) -> io::Result<()> {
        for entry in std::fs::read_dir(self.folder.join(below))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                let path = entry.path();
                io::Error::other(format!("the name of `{}` is not UTF-8", path.display()))
            })?;
            let path = match below {
                "" => name.to_owned(),
                below => format!("{below}/{name}"),
            };
            if path == OURS {
                continue;
            }
            let metadata = entry.metadata()?;
            // The engine itself needs these two, whatever is said of them.
            let ignored = ignore.ignores(&path) && path != dockerfile && path != IGNORE_FILE;
            let (is_folder, is_wanted) = (
                metadata.is_dir(),
                metadata.is_dir() || metadata.is_file() || metadata.is_symlink(),
            );
            if !ignored && is_wanted {
                self.entries.push(Entry {
                    path: path.clone(),
                    metadata,
                });
            }
            let may_hold = !ignored || ignore.has_exceptions() || dockerfile.starts_with(&format!("{path}/"));
            if is_folder && may_hold {
                self.walk(&path, ignore, dockerfile)?;
            }
        }
        Ok(())
    }

    /// Of everything that the image depends on here. What the Dockerfile takes from elsewhere is not in it.
    pub(super) fn hash(&self, build: &Build) -> io::Result<String> {
        let mut hash = Sha256::new();
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        text(HASH_VERSION);
        text(&build.dockerfile);
        text(build.target.as_deref().unwrap_or_default());
        for (name, value) in &build.args {
            text(name);
            text(value);
        }
        if let Some((path, contents)) = &self.extra {
            text(path);
            text(&String::from_utf8_lossy(contents));
        }
        for entry in &self.entries {
            let metadata = &entry.metadata;
            hash.update(b"\0");
            hash.update(entry.path.as_bytes());
            hash.update(format!("\0{:o}\0", metadata.mode() & 0o170_111).as_bytes());
            if metadata.is_file() {
                hash.update(metadata.len().to_le_bytes());
                let mut file = File::open(self.folder.join(&entry.path))?;
                let mut buffer = vec![0; 128 * 1024];
                loop {
                    match file.read(&mut buffer)? {
                        0 => break,
                        length => hash.update(&buffer[..length]),
                    }
                }
            } else if metadata.is_symlink() {
                let target = std::fs::read_link(self.folder.join(&entry.path))?;
                hash.update(target.as_os_str().as_encoded_bytes());
            }
        }
        Ok(hex::encode(&hash.finalize()))
    }

    /// The archive. All of it is root's, as Docker's own client has it.
    pub(super) fn write(&self, out: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        for entry in &self.entries {
            let metadata = &entry.metadata;
            let mut header = tar::Header::new_gnu();
            header.set_mode(metadata.permissions().mode() & 0o7777);
            header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
            header.set_uid(0);
            header.set_gid(0);
            let path = self.folder.join(&entry.path);
            if metadata.is_dir() {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                archive.append_data(&mut header, format!("{}/", entry.path), io::empty())?;
            } else if metadata.is_symlink() {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, &entry.path, std::fs::read_link(path)?)?;
            } else {
                let file = File::open(path)?;
                // What has grown since is cut; what has shrunk breaks the archive, and the build with it.
                header.set_size(metadata.len());
                archive.append_data(&mut header, &entry.path, file.take(metadata.len()))?;
            }
        }
        if let Some((path, contents)) = &self.extra {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(contents.len() as u64);
            archive.append_data(&mut header, path, &contents[..])?;
        }
        archive.into_inner()?.flush()
    }
}

/// The part of a hash that becomes a tag.
pub(super) fn tag(hash: &str) -> &str {
    hash.get(..TAG_LENGTH).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn build() -> Build {
        Build {
            context: ".".to_owned(),
            dockerfile: "Dockerfile".to_owned(),
            args: BTreeMap::new(),
            target: None,
        }
    }

    fn paths(folder: &Path) -> Vec<String> {
        let tree = Tree::of(folder, "Dockerfile").expect("readable");
        tree.entries.into_iter().map(|entry| entry.path).collect()
    }

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    #[test]
    fn the_hash_changes_with_what_the_image_is_made_of_and_with_nothing_else() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path();
        write(folder, "Dockerfile", "FROM scratch\n");
        write(folder, "src/train.py", "pass\n");
        write(folder, ".dockerignore", "*.csv\n");
        let hash = |build: &Build| {
            Tree::of(folder, "Dockerfile")
                .expect("readable")
                .hash(build)
                .expect("readable")
        };
        let first = hash(&build());
        write(folder, "data.csv", "1\n");
        write(folder, ".kingtide/kingtide.db", "x");
        assert_eq!(hash(&build()), first, "ignored files do not count");
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(100);
        File::options()
            .write(true)
            .open(folder.join("Dockerfile"))
            .expect("there")
            .set_modified(later)
            .expect("set");
        assert_eq!(hash(&build()), first, "nor do times");
        let mut seen = vec![first];
        let mut is_new = |hash: String| {
            assert!(!seen.contains(&hash));
            seen.push(hash);
        };
        is_new(hash(&Build {
            target: Some("run".to_owned()),
            ..build()
        }));
        is_new(hash(&Build {
            args: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            ..build()
        }));
        is_new(hash(&Build {
            args: BTreeMap::from([("A".to_owned(), "2".to_owned())]),
            ..build()
        }));
        write(folder, "src/train.py", "exit()\n");
        is_new(hash(&build()));
        std::fs::set_permissions(folder.join("src/train.py"), std::fs::Permissions::from_mode(0o755)).expect("set");
        is_new(hash(&build()));
        std::os::unix::fs::symlink("train.py", folder.join("src/link")).expect("linked");
        is_new(hash(&build()));
        std::fs::rename(folder.join("src"), folder.join("code")).expect("renamed");
        is_new(hash(&build()));
    }

    #[test]
    fn around_a_folder_goes_a_dockerfile_that_it_does_not_have_and_no_secret() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path();
        for file in ["train.py", ".env", ".git/HEAD", "lib/__pycache__/a.pyc"] {
            write(folder, file, "x");
        }
        let made = |text: &str| Tree::around(folder, ("Dockerfile.kingtide", text)).expect("readable");
        let tree = made("FROM a\n");
        let sent: Vec<&str> = tree.entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(sent, ["lib", "train.py"]);
        let hash = |tree: &Tree| tree.hash(&build()).expect("readable");
        assert_ne!(hash(&tree), hash(&made("FROM b\n")));
        let mut archive = Vec::new();
        tree.write(&mut archive).expect("memory");
        let mut archive = tar::Archive::new(&archive[..]);
        let paths: Vec<String> = archive
            .entries()
            .expect("an archive")
            .map(|entry| entry.expect("whole").path().expect("named").display().to_string())
            .collect();
        assert_eq!(paths, ["lib/", "train.py", "Dockerfile.kingtide"]);
    }

    #[test]
    fn what_is_ignored_is_not_sent_but_what_the_engine_needs_is() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path();
        write(folder, ".dockerignore", "*\n!src/*.py\n");
        for file in ["Dockerfile", "src/a.py", "src/a.csv", "big/data.csv"] {
            write(folder, file, "x");
        }
        assert_eq!(paths(folder), [".dockerignore", "Dockerfile", "src/a.py"]);
        write(folder, "Dockerfile.dockerignore", "src\n");
        assert_eq!(
            paths(folder),
            [
                ".dockerignore",
                "Dockerfile",
                "Dockerfile.dockerignore",
                "big",
                "big/data.csv"
            ]
        );
    }
}
