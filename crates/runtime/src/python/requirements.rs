//! What an environment is made from: the requirements file, the files it includes, the local packages it names.
//!
//! Lines are read as pip reads them, as far as it takes to know which other files matter: `-r` and `-c` are relative to
//! the file they stand in, local packages to the folder of the first file (pip is started there). A local package counts
//! with the content of its files, so that a change is installed; an editable one (`-e`) only with its metadata and its
//! path, since its code is used where it lies. What an index or `--find-links` offers is not looked at: a version that is not
//! pinned stays as it was first installed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::PythonError;

/// A larger file of a local package counts with its size and time instead of its content: it is data, and reading it
/// before every run would take longer than starting at once allows.
const CONTENT_LIMIT: u64 = 1024 * 1024;
/// Beside the sources, made by building or by tools; setuptools builds in the tree and would change its own hash.
const NOT_SOURCES: [&str; 3] = ["__pycache__", "node_modules", "venv"];
const NOT_SOURCES_AT_TOP: [&str; 2] = ["build", "dist"];
const METADATA: [&str; 3] = ["pyproject.toml", "setup.cfg", "setup.py"];

/// A requirements file, read.
pub(super) struct Requirements {
    /// Absolute.
    pub(super) file: PathBuf,
    /// Where pip is started, for relative paths.
    pub(super) folder: PathBuf,
    /// As people know it: its file name.
    pub(super) shown: String,
    pub(super) digest: [u8; 32],
}

pub(super) fn read(path: &Path) -> Result<Requirements, PythonError> {
    let failed = |source| PythonError::Requirements {
        path: path.to_owned(),
        source,
    };
    let file = std::path::absolute(path).map_err(failed)?;
    let content = fs::read(&file).map_err(failed)?;
    let folder = file.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    let shown = path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    let mut reading = Reading {
        folder: folder.clone(),
        hash: Sha256::new(),
        seen: BTreeSet::from([file.clone()]),
    };
    reading.file(&file, &content)?;
    let digest = reading.hash.finalize().into();
    Ok(Requirements {
        file,
        folder,
        shown,
        digest,
    })
}

struct Reading {
    folder: PathBuf,
    hash: Sha256,
    seen: BTreeSet<PathBuf>,
}

/// What a line of a requirements file says about other files.
#[derive(Debug, PartialEq, Eq)]
enum Mention {
    /// `-r` or `-c`.
    Include(String),
    Editable(String),
    Local(String),
}

impl Reading {
    fn file(&mut self, file: &Path, content: &[u8]) -> Result<(), PythonError> {
        self.add("file", content);
        let text = String::from_utf8_lossy(content);
        let here = file.parent().unwrap_or(Path::new("/")).to_owned();
        for (number, line) in logical_lines(&text) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let place = || format!("{name}:{number}");
            match mention(&line) {
                Some(Mention::Include(included)) if !included.contains("://") => {
                    let path = here.join(&included);
                    if self.seen.insert(path.clone()) {
                        let content = fs::read(&path).map_err(|source| PythonError::Included {
                            place: place(),
                            path: path.clone(),
                            source,
                        })?;
                        self.file(&path, &content)?;
                    }
                }
                Some(Mention::Editable(path)) => {
                    let folder = self.folder.join(path);
                    // Missing: pip says so with its own words.
                    if let Ok(folder) = folder.canonicalize() {
                        self.add("editable", folder.as_os_str().as_bytes());
                        for name in METADATA {
                            self.add(name, &fs::read(folder.join(name)).unwrap_or_default());
                        }
                    }
                }
                Some(Mention::Local(path)) => {
                    let path = self.folder.join(path);
                    if path.exists() {
                        self.package(&path).map_err(|source| PythonError::LocalPackage {
                            place: place(),
                            path,
                            source,
                        })?;
                    }
                }
                Some(Mention::Include(_)) | None => {}
            }
        }
        Ok(())
    }

    /// A wheel, an archive, or a folder of sources.
    fn package(&mut self, path: &Path) -> io::Result<()> {
        if path.is_file() {
            return self.source(path, OsStr::new(""));
        }
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            let mut entries = fs::read_dir(&folder)?.collect::<io::Result<Vec<_>>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let name = entry.file_name();
                if is_source(&name, folder == path) {
                    let kind = entry.file_type()?;
                    if kind.is_dir() {
                        folders.push(entry.path());
                    } else if kind.is_file() {
                        let relative = entry.path();
                        self.source(
                            &entry.path(),
                            relative.strip_prefix(path).unwrap_or(&relative).as_os_str(),
                        )?;
                    }
                }
            }
        }
        Ok(())
    }

    fn source(&mut self, path: &Path, name: &OsStr) -> io::Result<()> {
        let metadata = fs::metadata(path)?;
        self.add("source", name.as_bytes());
        // A wheel or an archive (no name) is the package itself and counts in full.
        if metadata.len() > CONTENT_LIMIT && !name.is_empty() {
            self.add("size", &metadata.len().to_le_bytes());
            self.add("time", &metadata.mtime().to_le_bytes());
            self.add("nanoseconds", &metadata.mtime_nsec().to_le_bytes());
            return Ok(());
        }
        let mut inner = Sha256::new();
        let mut file = fs::File::open(path)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => inner.update(&buffer[..read]),
            }
        }
        self.add("content", &inner.finalize());
        Ok(())
    }

    fn add(&mut self, kind: &str, content: &[u8]) {
        for part in [kind.as_bytes(), content] {
            self.hash.update((part.len() as u64).to_le_bytes());
            self.hash.update(part);
        }
    }
}

fn is_source(name: &OsStr, at_top: bool) -> bool {
    let name = name.to_string_lossy();
    let is_made = name.ends_with(".egg-info") || name.ends_with(".pyc") || NOT_SOURCES.contains(&name.as_ref());
    let is_made_at_top = at_top && NOT_SOURCES_AT_TOP.contains(&name.as_ref());
    !(is_made || is_made_at_top || name.starts_with('.'))
}

/// Lines without comments, those that end in `\` joined with the next; with the number of their first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(line) if !line.trim_start().starts_with('#') => {
                joined.push_str(line);
                open = Some((number, joined));
            }
            _ => {
                joined.push_str(line);
                lines.push((number, joined));
            }
        }
    }
    lines.extend(open);
    for (_, line) in &mut lines {
        let comment = line
            .match_indices('#')
            .find(|(at, _)| *at == 0 || line[..*at].ends_with(char::is_whitespace));
        let end = comment.map_or(line.len(), |(at, _)| at);
        *line = line[..end].trim().to_owned();
    }
    lines.retain(|(_, line)| !line.is_empty());
    lines
}

fn mention(line: &str) -> Option<Mention> {
    let option = |names: [&str; 2]| {
        names.into_iter().find_map(|name| {
            let rest = line.strip_prefix(name)?;
            let apart = rest.trim_start_matches(['=', ' ', '\t']);
            // `-rmore.txt` is allowed, `--requirementmore.txt` is not.
            (apart.len() < rest.len() || !name.starts_with("--")).then(|| unquoted(&expanded(apart)))
        })
    };
    if let Some(path) = option(["--requirement", "-r"]).or_else(|| option(["--constraint", "-c"])) {
        return Some(Mention::Include(path));
    }
    if let Some(path) = option(["--editable", "-e"]) {
        return local_path(&path).map(Mention::Editable);
    }
    if line.starts_with('-') {
        return None;
    }
    let line = expanded(line);
    let target = line
        .split_once(" @ ")
        .map_or(line.as_str(), |(_, target)| target.trim_start());
    let target = target.split([' ', '\t', ';']).next().unwrap_or_default();
    let archive = [".whl", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz"]
        .iter()
        .any(|ending| target.ends_with(ending));
    (archive || target.starts_with('.') || target.contains('/'))
        .then(|| local_path(target))?
        .map(Mention::Local)
}

/// The path of a requirement without its extras; `None` for what is not on this machine.
fn local_path(target: &str) -> Option<String> {
    let target = match target.strip_prefix("file:") {
        Some(path) => path
            .strip_prefix("//localhost")
            .or_else(|| path.strip_prefix("//"))
            .unwrap_or(path),
        None if target.contains("://") => return None,
        None => target,
    };
    let end = target.find(['[', '#']).unwrap_or(target.len());
    Some(target[..end].to_owned())
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_owned()
}

/// `${NAME}` as pip expands it; what is not set stays.
fn expanded(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 2..start + length];
        result.push_str(&rest[..start]);
        match std::env::var(name) {
            Ok(value) => result.push_str(&value),
            Err(_) => result.push_str(&rest[start..=start + length]),
        }
        rest = &rest[start + length + 1..];
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_pip_reads_them() {
        let lines = logical_lines("# a\nnumpy==1 \\\n  --hash=x # why\n\n-r more.txt\nu @ https://h/x#egg=u\n");
        let lines: Vec<(usize, &str)> = lines.iter().map(|(number, line)| (*number, line.as_str())).collect();
        assert_eq!(
            lines,
            [
                (2, "numpy==1   --hash=x"),
                (5, "-r more.txt"),
                (6, "u @ https://h/x#egg=u")
            ]
        );
    }

    #[test]
    fn what_lies_on_this_machine_is_told_apart() {
        let include = |text: &str| Some(Mention::Include(text.into()));
        let local = |text: &str| Some(Mention::Local(text.into()));
        assert_eq!(mention("-r more.txt"), include("more.txt"));
        assert_eq!(mention("-rmore.txt"), include("more.txt"));
        assert_eq!(mention("--constraint=../c.txt"), include("../c.txt"));
        assert_eq!(mention("-e ."), Some(Mention::Editable(".".into())));
        assert_eq!(mention("-e git+https://h/x"), None);
        assert_eq!(mention("./pkg[fast]; python_version > '3'"), local("./pkg"));
        assert_eq!(mention("pkg @ file:///a/b.whl"), local("/a/b.whl"));
        assert_eq!(mention("a-1-py3-none-any.whl --hash=x"), local("a-1-py3-none-any.whl"));
        assert_eq!(mention("pkg @ https://user:word@h/b.whl"), None);
        assert_eq!(mention("numpy>=1.2,<3; python_version > '3'"), None);
        assert_eq!(mention("--find-links ./wheels"), None);
    }

    #[test]
    fn the_digest_follows_whatever_changes_what_is_installed() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        };
        let digest = || read(&folder.path().join("r.txt")).map(|read| read.digest);
        write("r.txt", "-r more.txt\n./pkg\n");
        let error = digest().expect_err("an include is missing").to_string();
        assert!(error.starts_with("r.txt:1: cannot read the included `"), "{error}");
        write("more.txt", "-r r.txt\n");
        let without = digest().expect("read");
        write("pkg/a/__init__.py", "1");
        let with = digest().expect("read");
        assert_ne!(without, with);
        write("pkg/build/x.py", "1");
        write("pkg/a/__pycache__/x.pyc", "1");
        write("pkg/a.egg-info/PKG-INFO", "1");
        assert_eq!(with, digest().expect("read"), "what a build leaves behind is no source");
        write("pkg/a/__init__.py", "2");
        let changed = digest().expect("read");
        assert_ne!(with, changed);
        write("more.txt", "-r r.txt\nnumpy\n");
        assert_ne!(changed, digest().expect("read"));
        write("r.txt", "-e ./pkg");
        let editable = digest().expect("read");
        write("pkg/a/__init__.py", "3");
        assert_eq!(
            editable,
            digest().expect("read"),
            "the code of an editable package is used where it lies"
        );
        write("pkg/pyproject.toml", "[project]");
        assert_ne!(editable, digest().expect("read"));
    }
}
