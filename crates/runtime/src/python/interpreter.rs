//! Which `uv` and which `python3` are on PATH and what they are, without starting them twice.
//!
//! What a program said about itself is kept under the path, time and size of its file. A version manager's stand-in (a
//! script, or a link to the manager) yields another interpreter in another folder, so there the files and variables that
//! decide it count too, and the interpreter it led to must be as it was.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::PythonError;
use kingtide_core::hex;

/// Raised with every change of what is asked.
const PROBE_FORMAT: u32 = 1;
/// Isolated (`-I -S`) and without any import that may be missing.
const PROBE: &str = r#"
import json, platform, sys, sysconfig
print(json.dumps({
    "format": 1,
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "version": platform.python_version(),
    "description": " ".join([
        platform.python_implementation(), platform.python_version(),
        str(sysconfig.get_config_var("SOABI")), "-".join(platform.libc_ver()), platform.machine()]),
}))
"#;
/// What the stand-ins of pyenv, asdf and mise decide by.
const DECIDING_VARIABLES: [&str; 6] = [
    "PYENV_VERSION",
    "PYENV_ROOT",
    "PYENV_DIR",
    "ASDF_PYTHON_VERSION",
    "MISE_PYTHON_VERSION",
    "HOME",
];
const DECIDING_FILES: [&str; 5] = [
    ".python-version",
    ".tool-versions",
    "mise.toml",
    ".mise.toml",
    ".mise/config.toml",
];

/// What builds an environment.
pub(super) enum Tools {
    Uv {
        uv: PathBuf,
        /// Without one `uv` brings its own.
        python: Option<Interpreter>,
    },
    Pip {
        python: Interpreter,
    },
}

/// A Python interpreter, as it described itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interpreter {
    format: u32,
    /// The interpreter itself, whatever links, stand-ins and environments led to it.
    pub(super) executable: PathBuf,
    pub(super) version: String,
    /// Implementation, version, ABI, C library and machine.
    description: String,
}

/// A tool on PATH, for `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// What it says of itself; `None` when it does not run.
    pub version: Option<String>,
}

/// `uv` and `python3` as they would be used in a folder. Starts them.
pub fn look_up(search_path: &OsStr, folder: &Path) -> (Option<Found>, Option<Found>) {
    let uv = on_path("uv", search_path).map(|path| Found {
        version: ask_uv(&path).ok(),
        path,
    });
    let python = on_path("python3", search_path).map(|path| Found {
        version: ask_python(&path, folder).ok().map(|python| python.version),
        path,
    });
    (uv, python)
}

impl Tools {
    pub(super) fn find(search_path: &OsStr, folder: &Path, probes: &Path) -> Result<Tools, PythonError> {
        let python = on_path("python3", search_path).map(|path| Interpreter::of(&path, folder, probes));
        let uv = on_path("uv", search_path).filter(|path| uv_runs(path, folder, probes));
        match (uv, python) {
            // An interpreter that does not run is no obstacle to uv, which finds or brings another.
            (Some(uv), python) => Ok(Tools::Uv {
                uv,
                python: python.and_then(Result::ok),
            }),
            (None, Some(python)) => Ok(Tools::Pip { python: python? }),
            (None, None) => Err(PythonError::NoPython),
        }
    }

    /// What goes into the hash.
    pub(super) fn identity(&self) -> String {
        let of = |python: &Interpreter| format!("{} {}", python.description, python.executable.display());
        match self {
            Tools::Uv { python, .. } => format!("uv {}", python.as_ref().map_or("its own".to_owned(), of)),
            Tools::Pip { python } => format!("pip {}", of(python)),
        }
    }
}

impl Interpreter {
    fn of(path: &Path, folder: &Path, probes: &Path) -> Result<Interpreter, PythonError> {
        let probe = Probe::of(path, folder, probes);
        if let Some(kept) = probe.kept::<(Interpreter, FileIdentity)>()
            && kept.0.format == PROBE_FORMAT
            && FileIdentity::of(&kept.0.executable).as_ref() == Some(&kept.1)
        {
            return Ok(kept.0);
        }
        let said = ask_python(path, folder)?;
        if let Some(identity) = FileIdentity::of(&said.executable) {
            probe.keep(&(&said, identity));
        }
        Ok(said)
    }
}

/// A stand-in of a version manager may be there although no `uv` is.
fn uv_runs(path: &Path, folder: &Path, probes: &Path) -> bool {
    let probe = Probe::of(path, folder, probes);
    probe.kept().unwrap_or_else(|| {
        let runs = ask_uv(path).is_ok();
        probe.keep(&runs);
        runs
    })
}

fn ask_uv(path: &Path) -> Result<String, PythonError> {
    ask(Command::new(path).arg("--version"), path).map(|said| said.trim_start_matches("uv").trim().to_owned())
}

fn ask_python(path: &Path, folder: &Path) -> Result<Interpreter, PythonError> {
    let said = ask(
        Command::new(path).args(["-I", "-S", "-c", PROBE]).current_dir(folder),
        path,
    )?;
    serde_json::from_str(&said).map_err(|_| PythonError::Interpreter {
        path: path.to_owned(),
        said: format!("it answered `{}`", said.lines().next().unwrap_or_default()),
    })
}

fn ask(command: &mut Command, path: &Path) -> Result<String, PythonError> {
    command
        .env_remove("PYTHONHOME")
        .env_remove("PYTHONPATH")
        .stdin(Stdio::null());
    let output = command.output().map_err(|source| PythonError::Start {
        program: path.to_owned(),
        source,
    })?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let said = match complaint.lines().rfind(|line| !line.trim().is_empty()) {
            Some(line) => line.trim().to_owned(),
            None => output.status.to_string(),
        };
        return Err(PythonError::Interpreter {
            path: path.to_owned(),
            said,
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The first executable file of that name in the folders of a PATH.
pub(super) fn on_path(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search_path)
        // A relative entry would mean another program in another folder.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0))
}

/// Whether a file is the one it was.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileIdentity {
    path: PathBuf,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl FileIdentity {
    fn of(path: &Path) -> Option<FileIdentity> {
        let path = path.canonicalize().ok()?;
        let file = fs::metadata(&path).ok()?;
        Some(FileIdentity {
            size: file.len(),
            seconds: file.mtime(),
            nanoseconds: file.mtime_nsec(),
            path,
        })
    }
}

/// Where the answer of a program is kept. Keeping is a saving only: when it fails, the program is asked again.
struct Probe {
    file: PathBuf,
}

impl Probe {
    fn of(path: &Path, folder: &Path, probes: &Path) -> Probe {
        let mut key = Sha256::new();
        let mut add = |part: &[u8]| {
            key.update((part.len() as u64).to_le_bytes());
            key.update(part);
        };
        let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        add(path.as_os_str().as_bytes());
        add(std::env::consts::ARCH.as_bytes());
        add(&serde_json::to_vec(&FileIdentity::of(&resolved)).expect("numbers and a path in a struct"));
        if is_stand_in(&resolved, path) {
            for name in DECIDING_VARIABLES {
                add(std::env::var_os(name).unwrap_or_default().as_bytes());
            }
            for folder in folder.ancestors().chain(path.ancestors()) {
                for name in DECIDING_FILES {
                    add(&fs::read(folder.join(name)).unwrap_or_default());
                }
                // `~/.pyenv/version`, beside the folder of its stand-ins.
                add(&fs::read(folder.join("version")).unwrap_or_default());
            }
        }
        Probe {
            file: probes.join(format!("{}.json", hex::encode(&key.finalize()[..16]))),
        }
    }

    fn kept<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&fs::read(&self.file).ok()?).ok()
    }

    fn keep(&self, answer: &impl Serialize) {
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(self.file.parent().unwrap_or(Path::new("/")))?;
            // Under a name of its own first, so that nobody reads half an answer.
            let draft = self.file.with_extension(format!("{}.draft", std::process::id()));
            fs::File::create(&draft)?.write_all(&serde_json::to_vec(answer)?)?;
            fs::rename(&draft, &self.file)
        };
        let _ = write();
    }
}

/// A script, or a link to a program of another name.
fn is_stand_in(resolved: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut start = [0; 2];
    let is_script =
        fs::File::open(resolved).is_ok_and(|mut file| file.read_exact(&mut start).is_ok() && &start == b"#!");
    let of_its_kind = ["python", "pypy", "graalpy"]
        .iter()
        .any(|kind| name(resolved).starts_with(kind));
    is_script || !(of_its_kind || name(resolved) == name(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_can_be_executed_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        fs::create_dir_all(first.join("uv")).expect("a folder named like the program");
        fs::create_dir_all(&second).expect("a folder");
        let search_path = std::env::join_paths([&first, &second]).expect("no colon in it");
        assert_eq!(on_path("uv", &search_path), None);
        fs::write(second.join("uv"), "").expect("written");
        assert_eq!(on_path("uv", &search_path), None);
        fs::set_permissions(second.join("uv"), fs::Permissions::from_mode(0o755)).expect("made executable");
        assert_eq!(on_path("uv", &search_path), Some(second.join("uv")));
    }

    #[test]
    fn an_interpreter_that_does_not_run_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let python = folder.path().join("python3");
        fs::write(
            &python,
            "#!/bin/sh\necho 'version 3.99 is not installed' >&2\nexit 127\n",
        )
        .expect("written");
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("made executable");
        let error = Tools::find(folder.path().as_os_str(), folder.path(), &folder.path().join("probes"))
            .err()
            .expect("it does not run");
        assert!(
            error
                .to_string()
                .ends_with("does not run: version 3.99 is not installed"),
            "{error}"
        );
        let nothing = Tools::find(OsStr::new(""), folder.path(), folder.path())
            .err()
            .expect("nothing on PATH");
        assert!(matches!(nothing, PythonError::NoPython));
    }
}
