//! Finding the program that a command names, as a shell would: by `PATH` unless the name holds a `/`.

use std::ffi::CString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FileType};

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why a command names no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    #[error("the command is empty")]
    Empty,
    #[error("no such program `{name}` (looked in PATH: {path})")]
    NotFound { name: String, path: String },
    #[error("`{}` is not executable (`chmod +x` makes it so)", .0.display())]
    NotExecutable(PathBuf),
    #[error("`{}` is a folder, not a program", .0.display())]
    Folder(PathBuf),
}

/// Remembers the last answer: attempts of one job name the same program in the same `PATH`.
#[derive(Debug, Default)]
pub struct Finder {
    last: Option<Found>,
}

#[derive(Debug)]
struct Found {
    name: String,
    path: String,
    /// A relative entry of `PATH` is relative to it.
    workdir: String,
    program: CString,
}

impl Finder {
    /// The path for execve, which is called in `workdir`.
    pub fn find(&mut self, name: &str, path: Option<&str>, workdir: &str) -> Result<CString, ProgramError> {
        let path = path.unwrap_or(DEFAULT_PATH);
        if let Some(last) = &self.last
            && last.name == name
            && last.path == path
            && last.workdir == workdir
        {
            return Ok(last.program.clone());
        }
        if name.is_empty() {
            return Err(ProgramError::Empty);
        }
        let program = if name.contains('/') {
            PathBuf::from(name)
        } else {
            search(name, path, workdir)?
        };
        let program = CString::new(program.into_os_string().into_vec()).map_err(|_| ProgramError::NotFound {
            name: name.replace('\0', "\\0"),
            path: path.to_owned(),
        })?;
        let (name, path, workdir) = (name.to_owned(), path.to_owned(), workdir.to_owned());
        self.last = Some(Found {
            name,
            path,
            workdir,
            program: program.clone(),
        });
        Ok(program)
    }

    /// The answer was wrong: the program has moved since.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

fn search(name: &str, path: &str, workdir: &str) -> Result<PathBuf, ProgramError> {
    let mut near = None;
    for folder in path.split(':') {
        // An empty entry is the working directory, by POSIX; `join` keeps absolute ones as they are.
        let candidate = Path::new(workdir).join(folder).join(name);
        let Ok(status) = rustix::fs::stat(&candidate) else {
            continue;
        };
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            continue;
        }
        if rustix::fs::access(&candidate, Access::EXEC_OK).is_ok() {
            return Ok(candidate);
        }
        near.get_or_insert(candidate);
    }
    match near {
        Some(candidate) => Err(ProgramError::NotExecutable(candidate)),
        None => Err(ProgramError::NotFound {
            name: name.to_owned(),
            path: path.to_owned(),
        }),
    }
}

/// What execve's refusal of an existing path means, in words; `place` is where it was called.
pub(crate) fn refusal(program: &std::ffi::CStr, workdir: &str, error: rustix::io::Errno) -> String {
    use rustix::io::Errno;
    let program = Path::new(std::ffi::OsStr::from_bytes(program.to_bytes()));
    let place = Path::new(workdir).join(program);
    let shown = program.display();
    match error {
        Errno::NOENT | Errno::NOTDIR => match interpreter(&place) {
            Some(interpreter) => format!("`{shown}` wants the interpreter `{interpreter}`, which does not exist"),
            None if place.exists() => {
                format!("`{shown}` wants a loader that does not exist; it was built for another system")
            }
            None if program.is_absolute() => format!("no such program `{shown}`"),
            None => format!("no such program `{shown}` in `{workdir}`"),
        },
        Errno::ACCESS | Errno::PERM if place.is_dir() => ProgramError::Folder(place).to_string(),
        Errno::ACCESS => match interpreter(&place) {
            Some(interpreter) if rustix::fs::access(&place, Access::EXEC_OK).is_ok() => {
                format!("`{shown}` wants the interpreter `{interpreter}`, which is not executable")
            }
            _ => ProgramError::NotExecutable(program.to_owned()).to_string(),
        },
        Errno::NOEXEC => {
            format!("`{shown}` is no program for this machine; a script begins with a line such as `#!/bin/sh`")
        }
        Errno::TOOBIG => {
            "arguments and environment are too large (one string may have 128 KiB, all together a quarter \
                          of the stack limit); `KINGTIDE_MESSAGE` counts"
                .to_owned()
        }
        Errno::TXTBSY => format!("`{shown}` is being written to by another process"),
        Errno::LOOP => format!("`{shown}` leads through too many links or interpreters"),
        other => format!("`{shown}` could not be started: {other}"),
    }
}

/// What stands behind `#!` in the first line.
fn interpreter(program: &Path) -> Option<String> {
    let file = rustix::fs::open(
        program,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    let mut head = [0; 256];
    let length = rustix::io::read(file.ok()?, &mut head).ok()?;
    let line = head[..length]
        .split(|byte| *byte == b'\n')
        .next()?
        .strip_prefix(b"#!")?;
    let text = String::from_utf8_lossy(line);
    text.split_whitespace().next().map(str::to_owned)
}
