//! House rules, as ordinary tests: what reviewers would otherwise have to say again and again. `sources.rs` looks at code,
//! `manifests.rs` at dependencies, `documents.rs` at what is written for people.
//!
//! Looked at is what git tracks or would track; without git, everything but build folders.

mod documents;
mod manifests;
mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the repository.
struct File {
    /// Relative to the workspace, with `/`.
    path: String,
    text: String,
}

impl File {
    /// Whether it is Rust below one of the crates' (or the chores') `src`.
    fn is_source(&self) -> bool {
        let mut parts = self.path.split('/');
        let in_src = match parts.next() {
            Some("crates") => parts.nth(1) == Some("src"),
            Some("xtask") => parts.next() == Some("src"),
            _ => false,
        };
        in_src && self.path.ends_with(".rs")
    }

    /// The lines of Rust that are not comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

fn root() -> PathBuf {
    // Nextest and cargo both set it when they run the test; a path compiled in would be that of another checkout.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    Path::new(&manifest)
        .parent()
        .expect("xtask lies in the workspace")
        .to_owned()
}

/// Every file of the repository that is UTF-8 text, in order.
fn files() -> Vec<File> {
    let root = root();
    let git = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard", "-z"])
        .current_dir(&root)
        .output();
    let mut paths: Vec<String> = match git {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split_terminator('\0')
            .map(str::to_owned)
            .collect(),
        _ => {
            let mut found = Vec::new();
            walk(&root, "", &mut found);
            found
        }
    };
    paths.sort();
    paths.dedup();
    // A tracked file may have been removed, and binary files have no style.
    let read = |path: String| {
        Some(File {
            text: std::fs::read_to_string(root.join(&path)).ok()?,
            path,
        })
    };
    let files: Vec<File> = paths.into_iter().filter_map(read).collect();
    assert!(
        files.iter().any(|file| file.path == "Cargo.toml"),
        "the workspace is looked at, not some other folder"
    );
    files
}

fn walk(root: &Path, folder: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(root.join(folder)).expect("readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !matches!(name.as_str(), "target" | ".git" | ".kingtide" | "__pycache__") {
                walk(root, &path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Fails with one line for each thing that is wrong.
#[track_caller]
fn assert_none(rule: &str, wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{rule}\n  {}", wrong.join("\n  "));
}
