//! The output folder: checked, listed in a manifest and on disk before the success is committed. `publish.rs` moves it after.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::publish::sync_folder;
use kingtide_core::hex;

/// The list of what is in an output, written last.
pub const MANIFEST: &str = "manifest.json";
/// Where the manifest is written before it takes its name, so that a manifest is never half of one.
const DRAFT: &str = ".kingtide-manifest";
const FORMAT: &str = "kingtide-output-1";
/// Up to here each file is flushed by itself, which waits for nothing but these. Beyond, the whole file system is flushed
/// once: ten thousand small files take 0.1 s instead of 2.5 s.
const FLUSHED_ONE_BY_ONE: usize = 64;

/// What a prepared output holds, the manifest not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputSummary {
    pub files: u64,
    pub bytes: u64,
}

/// Why an output cannot be published. All but [`OutputError::Unreadable`] and [`OutputError::Unwritable`] are the program's doing
/// and read as a reason of its failure; paths are relative to the output's folder.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("the output `{path}` links to `{target}`, which is not there")]
    Dangling { path: String, target: String },
    #[error("the output `{path}` links to `{target}` outside of KINGTIDE_OUTPUT (copy it there)")]
    Outside { path: String, target: String },
    #[error(
        "the output `{path}` links to the absolute path `{target}`, which will be gone when the output is published (link to a relative one)"
    )]
    Absolute { path: String, target: String },
    #[error("the output `{path}` is {kind}; only files, folders and links can be published")]
    NotAFile { path: String, kind: &'static str },
    #[error("KINGTIDE_OUTPUT is no longer the folder that it was (write into it, do not replace it)")]
    Replaced,
    #[error("the output `{path}` has a name that is not UTF-8")]
    BadName { path: String },
    #[error(
        "the output has a file `{MANIFEST}`, a name that Kingtide needs for its own list (name it otherwise, or put it into a folder)"
    )]
    ManifestTaken,
    #[error("the output `{path}` cannot be read")]
    Unreadable {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("the output cannot be put on disk")]
    Unwritable(#[source] io::Error),
}

#[derive(Serialize)]
struct Manifest<'a> {
    format: &'static str,
    files: u64,
    bytes: u64,
    /// By path.
    entries: &'a BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct ManifestFormat {
    format: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    File { bytes: u64, sha256: String },
    Link { target: String },
}

/// Checks a folder, writes its manifest and puts all of it on disk. May be called again on a prepared one.
pub fn prepare_output(folder: &Path) -> Result<OutputSummary, OutputError> {
    // Published, a link in its place would lead to where anyone may change it.
    let unreadable = |source| OutputError::Unreadable {
        path: ".".to_owned(),
        source,
    };
    if !folder.symlink_metadata().map_err(unreadable)?.is_dir() {
        return Err(OutputError::Replaced);
    }
    clear_own_manifest(folder)?;
    let walk = Walk::over(folder)?;
    let mut entries = BTreeMap::new();
    let mut summary = OutputSummary::default();
    for (name, path) in &walk.links {
        entries.insert(
            name.clone(),
            Entry::Link {
                target: check_link(folder, name, path)?,
            },
        );
    }
    let one_by_one = walk.files.len() <= FLUSHED_ONE_BY_ONE;
    let mut buffer = vec![0; 256 * 1024];
    for (name, path) in &walk.files {
        let read = |source| OutputError::Unreadable {
            path: name.clone(),
            source,
        };
        let mut file = File::open(path).map_err(read)?;
        let (bytes, sha256) = digest(&mut file, &mut buffer).map_err(read)?;
        if one_by_one {
            file.sync_all().map_err(OutputError::Unwritable)?;
        }
        summary.files += 1;
        summary.bytes += bytes;
        entries.insert(name.clone(), Entry::File { bytes, sha256 });
    }
    let manifest = Manifest {
        format: FORMAT,
        files: summary.files,
        bytes: summary.bytes,
        entries: &entries,
    };
    flush(folder, &walk, one_by_one, &manifest).map_err(OutputError::Unwritable)?;
    Ok(summary)
}

/// What a folder holds: relative names and full paths. Links are not followed.
#[derive(Default)]
struct Walk {
    files: Vec<(String, PathBuf)>,
    links: Vec<(String, PathBuf)>,
    /// The innermost last.
    folders: Vec<PathBuf>,
}

impl Walk {
    fn over(root: &Path) -> Result<Walk, OutputError> {
        let mut walk = Walk {
            folders: vec![root.to_owned()],
            ..Walk::default()
        };
        let mut names = vec![String::new()];
        let mut next = 0;
        while next < walk.folders.len() {
            let (folder, prefix) = (walk.folders[next].clone(), names[next].clone());
            next += 1;
            let shown = if prefix.is_empty() {
                "."
            } else {
                prefix.trim_end_matches('/')
            };
            let read = |source| OutputError::Unreadable {
                path: shown.to_owned(),
                source,
            };
            for entry in fs::read_dir(&folder).map_err(read)? {
                let entry = entry.map_err(read)?;
                let kind = entry.file_type().map_err(read)?;
                let name = match entry.file_name().into_string() {
                    Ok(name) => format!("{prefix}{name}"),
                    Err(name) => {
                        return Err(OutputError::BadName {
                            path: format!("{prefix}{}", name.to_string_lossy()),
                        });
                    }
                };
                if kind.is_dir() {
                    walk.folders.push(entry.path());
                    names.push(format!("{name}/"));
                } else if kind.is_symlink() {
                    walk.links.push((name, entry.path()));
                } else if kind.is_file() {
                    walk.files.push((name, entry.path()));
                } else {
                    let kind = match kind {
                        kind if kind.is_fifo() => "a pipe",
                        kind if kind.is_socket() => "a socket",
                        _ => "a device",
                    };
                    return Err(OutputError::NotAFile { path: name, kind });
                }
            }
        }
        Ok(walk)
    }
}

/// A link is published as it is, so it must still lead somewhere in its new place.
fn check_link(root: &Path, name: &str, path: &Path) -> Result<String, OutputError> {
    let unreadable = |source| OutputError::Unreadable {
        path: name.to_owned(),
        source,
    };
    let target = fs::read_link(path).map_err(unreadable)?;
    let shown = target.display().to_string();
    let named = |error: fn(String, String) -> OutputError| error(name.to_owned(), shown.clone());
    let Ok(resolved) = path.canonicalize() else {
        return Err(named(|path, target| OutputError::Dangling { path, target }));
    };
    if !resolved.starts_with(root.canonicalize().map_err(unreadable)?) {
        return Err(named(|path, target| OutputError::Outside { path, target }));
    }
    // `../output/model` leads back inside as long as the folder has this name; published, it has another.
    let mut depth = name.matches('/').count() as i64;
    let climbs_out = target.components().any(|component| {
        depth += match component {
            std::path::Component::ParentDir => -1,
            std::path::Component::Normal(_) => 1,
            _ => 0,
        };
        depth < 0
    });
    if climbs_out {
        return Err(named(|path, target| OutputError::Outside { path, target }));
    }
    match target.is_absolute() {
        true => Err(named(|path, target| OutputError::Absolute { path, target })),
        false => Ok(shown),
    }
}

/// A manifest of ours is left by a crash after it was written; anyone else's stops the publication.
fn clear_own_manifest(folder: &Path) -> Result<(), OutputError> {
    let path = folder.join(MANIFEST);
    if path.symlink_metadata().is_ok() {
        let is_ours = fs::read(&path)
            .ok()
            .and_then(|content| serde_json::from_slice::<ManifestFormat>(&content).ok())
            .is_some_and(|manifest| manifest.format == FORMAT);
        if !is_ours {
            return Err(OutputError::ManifestTaken);
        }
    }
    for path in [path, folder.join(DRAFT)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(OutputError::Unwritable(error)),
            _ => {}
        }
    }
    Ok(())
}

fn digest(file: &mut File, buffer: &mut [u8]) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    loop {
        let read = match file.read(buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
    Ok((bytes, hex::encode(&hash.finalize())))
}

/// The files are on disk before the folders that name them, and all of it before the manifest.
fn flush(root: &Path, walk: &Walk, one_by_one: bool, manifest: &Manifest<'_>) -> io::Result<()> {
    if one_by_one {
        walk.folders.iter().rev().try_for_each(|folder| sync_folder(folder))?;
    } else {
        rustix::fs::syncfs(File::open(root)?)?;
    }
    let draft = root.join(DRAFT);
    let mut file = BufWriter::new(File::create(&draft)?);
    serde_json::to_writer_pretty(&mut file, manifest)?;
    file.write_all(b"\n")?;
    file.into_inner()?.sync_all()?;
    fs::rename(&draft, root.join(MANIFEST))?;
    sync_folder(root)?;
    root.parent().map_or(Ok(()), sync_folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Instant;

    use serde_json::{Value, json};

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = folder.path().join("output").join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, content).expect("written");
        }
        folder
    }

    fn manifest(output: &Path) -> Value {
        serde_json::from_slice(&fs::read(output.join(MANIFEST)).expect("there is one")).expect("it is JSON")
    }

    #[test]
    fn an_output_is_listed_the_same_after_a_crash() {
        let folder = folder(&[("model.bin", "abc"), ("plots/a.svg", "")]);
        let output = folder.path().join("output");
        symlink("../model.bin", output.join("plots/model")).expect("linked");
        fs::create_dir(output.join("empty")).expect("a folder");
        let summary = prepare_output(&output).expect("prepared");
        assert_eq!(summary, OutputSummary { files: 2, bytes: 3 });
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let expected = json!({"format": "kingtide-output-1", "files": 2, "bytes": 3, "entries": {
            "model.bin": {"file": {"bytes": 3, "sha256": abc}},
            "plots/a.svg": {"file": {"bytes": 0, "sha256": empty}},
            "plots/model": {"link": {"target": "../model.bin"}},
        }});
        assert_eq!(manifest(&output), expected);

        // A crash after the manifest: prepared again, with the same end.
        fs::write(output.join(DRAFT), "half").expect("written");
        assert_eq!(prepare_output(&output).expect("prepared again"), summary);
        assert_eq!(manifest(&output), expected);
    }

    #[test]
    fn what_would_not_survive_publication_is_refused_in_words() {
        let refused = |prepare: &dyn Fn(&Path)| {
            let folder = folder(&[("a/model.bin", "abc")]);
            let output = folder.path().join("output");
            prepare(&output);
            let error = prepare_output(&output).expect_err("it is refused").to_string();
            assert!(
                !output.join(MANIFEST).is_file() || error.contains(MANIFEST),
                "no manifest beside an error: {error}"
            );
            error
        };
        let link = |target: &'static str| move |output: &Path| symlink(target, output.join("a/link")).expect("linked");
        assert_eq!(
            refused(&link("nowhere")),
            "the output `a/link` links to `nowhere`, which is not there"
        );
        assert!(refused(&link("link")).contains("is not there"));
        assert!(refused(&link("/proc/self/status")).contains("outside of KINGTIDE_OUTPUT"));
        assert!(refused(&link("../..")).contains("outside of KINGTIDE_OUTPUT"));
        assert!(refused(&link("../../output/a/model.bin")).contains("outside of KINGTIDE_OUTPUT"));
        let absolute = |output: &Path| symlink(output.join("a"), output.join("link")).expect("linked");
        assert!(refused(&absolute).contains("link to a relative one"));
        let pipe = |output: &Path| {
            let path = output.join("a/pipe");
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
        };
        assert!(refused(&pipe).starts_with("the output `a/pipe` is a pipe;"));
        let own = |output: &Path| fs::write(output.join(MANIFEST), "{}").expect("written");
        assert!(refused(&own).contains("`manifest.json`, a name that Kingtide needs"));
        let replaced = |output: &Path| {
            fs::rename(output, output.with_extension("elsewhere")).expect("moved");
            symlink("output.elsewhere", output).expect("linked");
        };
        assert!(refused(&replaced).starts_with("KINGTIDE_OUTPUT is no longer"));
        let name = |output: &Path| {
            use std::os::unix::ffi::OsStrExt;
            fs::write(output.join(std::ffi::OsStr::from_bytes(b"\xff")), "").expect("written");
        };
        assert!(refused(&name).contains("not UTF-8"));
    }

    #[test]
    fn many_files_are_prepared_in_one_flush() {
        let folder = folder(&[]);
        let output = folder.path().join("output");
        for index in 0..2_000 {
            if index % 100 == 0 {
                fs::create_dir_all(output.join(format!("{}", index / 100))).expect("a folder");
            }
            fs::write(output.join(format!("{}/{index}", index / 100)), index.to_string()).expect("written");
        }
        let started = Instant::now();
        assert_eq!(prepare_output(&output).expect("prepared").files, 2_000);
        eprintln!("2,000 files were prepared in {:?}", started.elapsed());
    }
}
