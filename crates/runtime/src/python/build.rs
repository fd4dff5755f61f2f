//! Building an environment: `uv` or `venv` and `pip`, their output in a log, and what a failure means.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use super::COMPLETE;
use super::error::{BuildFailure, Cause, PythonError};
use super::interpreter::Tools;
use super::requirements::Requirements;

/// How many lines of output an error shows.
const TAIL_LINES: usize = 12;
/// Set by the user for another purpose, these would install elsewhere or hide what is installed.
const MISLEADING: [&str; 11] = [
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_DRY_RUN",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "UV_SYSTEM_PYTHON",
    "UV_PROJECT_ENVIRONMENT",
];

/// What is to be built, and where.
pub(super) struct Plan<'a> {
    pub(super) requirements: &'a Requirements,
    pub(super) tools: &'a Tools,
    pub(super) root: &'a Path,
    pub(super) log: &'a Path,
}

/// Builds it under the caller's lock. A leftover of an interrupted build is removed first, and after a failure nothing is left
/// but the log.
pub(super) fn build(plan: &Plan<'_>, say: &mut dyn FnMut(String)) -> Result<(), PythonError> {
    let cannot_keep = |source| PythonError::Cache {
        path: plan.root.to_owned(),
        source,
    };
    let started = Instant::now();
    let shown = &plan.requirements.shown;
    let (tool, version) = match plan.tools {
        Tools::Uv { python, .. } => ("uv", python.as_ref().map(|python| python.version.as_str())),
        Tools::Pip { python } => ("pip", Some(python.version.as_str())),
    };
    let python = version.map_or("Python".to_owned(), |version| format!("Python {version}"));
    say(format!(
        "making an environment for {shown} with {python} and {tool}; this happens once"
    ));
    remove(plan.root).map_err(cannot_keep)?;
    let mut log = File::create(plan.log).map_err(|source| PythonError::Cache {
        path: plan.log.to_owned(),
        source,
    })?;
    let built = commands(plan)
        .into_iter()
        .try_for_each(|mut command| run(&mut command, plan, &mut log, say));
    if let Err(error) = built {
        // What is left would never be used: it has no marker. Removing it only saves space.
        let _ = remove(plan.root);
        return Err(error);
    }
    seal(plan.root).map_err(cannot_keep)?;
    say(format!(
        "the environment for {shown} is ready after {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Writes the marker, once everything else is on disk.
fn seal(root: &Path) -> io::Result<()> {
    let folder = File::open(root)?;
    rustix::fs::syncfs(&folder)?;
    let marker = File::create(root.join(COMPLETE))?;
    marker.sync_all()?;
    folder.sync_all()
}

/// Removes an environment, the marker first, so that a half-removed one is no complete one.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    let absent = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(error)
        }
    };
    fs::remove_file(root.join(COMPLETE)).or_else(absent)?;
    fs::remove_dir_all(root).or_else(absent)
}

fn commands(plan: &Plan<'_>) -> [Command; 2] {
    let environment_python = plan.root.join("bin").join("python");
    let (make, install) = match plan.tools {
        Tools::Uv { uv, python } => {
            let mut make = Command::new(uv);
            make.args(["venv", "--no-project"]);
            if let Some(python) = python {
                make.arg("--python").arg(&python.executable);
            }
            make.arg(plan.root);
            let mut install = Command::new(uv);
            // As pip does, so that a hundred tasks do not compile the same files at once.
            install
                .args(["pip", "install", "--compile-bytecode", "--python"])
                .arg(&environment_python);
            (make, install)
        }
        Tools::Pip { python } => {
            let mut make = Command::new(&python.executable);
            make.args(["-m", "venv"]).arg(plan.root);
            // Called as a module: the script's first line may be too long for the kernel, or hold spaces.
            let mut install = Command::new(&environment_python);
            install.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
            (make, install)
        }
    };
    let mut install = install;
    install.arg("-r").arg(&plan.requirements.file);
    [make, install]
}

/// Runs one of them with its output in the log. Ctrl-C reaches it too, as it is in our process group.
fn run(command: &mut Command, plan: &Plan<'_>, log: &mut File, say: &mut dyn FnMut(String)) -> Result<(), PythonError> {
    let program = Path::new(command.get_program()).to_owned();
    let cannot_start = |source| PythonError::Start {
        program: program.clone(),
        source,
    };
    let cannot_log = |source| PythonError::Cache {
        path: plan.log.to_owned(),
        source,
    };
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    writeln!(log, "$ {}", without_secrets(&words.join(" "))).map_err(cannot_log)?;

    let (reader, writer) = io::pipe().map_err(cannot_start)?;
    command.current_dir(&plan.requirements.folder).stdin(Stdio::null());
    command.stdout(writer.try_clone().map_err(cannot_start)?).stderr(writer);
    for name in MISLEADING {
        command.env_remove(name);
    }
    command
        .env("PIP_USER", "0")
        .env("PIP_PROGRESS_BAR", "off")
        .env("PYTHONUNBUFFERED", "1");
    let end_with_us = || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(io::Error::from)
    };
    // SAFETY: it is one system call, which allocates nothing and takes no lock.
    unsafe { command.pre_exec(end_with_us) };
    let mut child = command.spawn().map_err(cannot_start)?;
    // Gives up our ends of the pipe's writing side, else it would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut tail: Vec<String> = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(cannot_log)?;
        let line = without_secrets(String::from_utf8_lossy(&line).trim_end());
        // A log that cannot be written (a full disk) is no reason to break off; pip will say so itself.
        let _ = writeln!(log, "{line}");
        let progress = [
            "Collecting ",
            "Building wheel",
            "Installing collected",
            "Downloading cpython",
            "Resolved ",
        ];
        if progress.iter().any(|start| line.trim_start().starts_with(start)) {
            say(line.trim().to_owned());
        }
        if !line.trim().is_empty() {
            tail.push(line);
        }
        if tail.len() > 400 {
            tail.drain(..200);
        }
    }
    let status = child.wait().map_err(cannot_start)?;
    if status.success() {
        return Ok(());
    }
    let cause = cause(&tail, status);
    tail.drain(..tail.len().saturating_sub(TAIL_LINES));
    let requirements = plan.requirements.shown.clone();
    Err(PythonError::Build(Box::new(BuildFailure {
        requirements,
        cause,
        tail,
        log: plan.log.to_owned(),
    })))
}

/// What the output means; the most telling first, since one failure drags others behind it.
fn cause(output: &[String], status: ExitStatus) -> Cause {
    let text = output.join("\n");
    let says = |texts: &[&str]| texts.iter().any(|part| text.contains(part));
    if status.signal().is_some() || status.code() == Some(130) || says(&["Operation cancelled by user"]) {
        Cause::Interrupted
    } else if says(&["No space left on device", "Disk quota exceeded"]) {
        Cause::DiskFull
    } else if says(&[
        "ensurepip is not available",
        "No module named venv",
        "No module named ensurepip",
        "No module named pip",
    ]) {
        Cause::NoVenv
    } else if says(&["CERTIFICATE_VERIFY_FAILED", "invalid peer certificate", "UnknownIssuer"]) {
        Cause::NoCertificate
    } else if says(&[
        "Failed to establish a new connection",
        "NewConnectionError",
        "NameResolutionError",
        "Temporary failure in name resolution",
        "ConnectTimeoutError",
        "ProxyError",
        "Network is unreachable",
        "dns error",
        "error sending request",
        "Connection refused",
        "Could not connect",
    ]) {
        Cause::NoNetwork
    } else if says(&["DO NOT MATCH THE HASHES", "Hash mismatch"]) {
        Cause::WrongHash
    } else if says(&["Python.h: No such file", "Python.h' file not found"]) {
        Cause::NoPythonHeaders
    } else if output.iter().any(|line| {
        let mentions = ["gcc", "g++", "cc'", "clang", "c++"]
            .iter()
            .any(|name| line.contains(name));
        (mentions && line.contains("No such file or directory")) || line.contains("Unknown compiler(s)")
    }) {
        Cause::NoCompiler
    } else if says(&["ResolutionImpossible", "conflicting dependencies"]) {
        Cause::Conflict
    } else if says(&[
        "No matching distribution found",
        "Could not find a version that satisfies",
        "was not found in",
    ]) {
        Cause::NotFound {
            package: not_found(&text),
        }
    } else if says(&["your requirements are unsatisfiable"]) {
        Cause::Conflict
    } else if says(&[
        "Invalid requirement",
        "InvalidRequirement",
        "Couldn't parse requirement",
        "no such option",
    ]) {
        Cause::NotARequirement
    } else if says(&[
        "subprocess-exited-with-error",
        "Failed building wheel",
        "Failed to build",
        "metadata-generation-failed",
    ]) {
        Cause::CannotBuild {
            package: not_built(&text),
        }
    } else {
        Cause::Other
    }
}

fn not_found(text: &str) -> Option<String> {
    let after = |start: &str, end: [char; 2]| {
        let rest = &text[text.find(start)? + start.len()..];
        Some(rest[..rest.find(end).unwrap_or(rest.len())].trim().to_owned())
    };
    after("No matching distribution found for ", ['\n', ';'])
        .or_else(|| after("satisfies the requirement ", ['\n', '(']))
        .or_else(|| after("Because ", [' ', '\n']))
        .filter(|name| !name.is_empty())
}

fn not_built(text: &str) -> Option<String> {
    [
        "Failed building wheel for ",
        "Failed to build installable wheels for some pyproject.toml based projects (",
        "Failed to build `",
    ]
    .iter()
    .find_map(|start| {
        let rest = &text[text.find(start)? + start.len()..];
        Some(rest[..rest.find(['\n', ')', '`', ' ']).unwrap_or(rest.len())].to_owned())
    })
    .filter(|name| !name.is_empty())
}

/// Replaces what stands before the `@` of an address.
fn without_secrets(line: &str) -> String {
    let mut result = String::new();
    let mut rest = line;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        result.push_str(before);
        let end = after
            .find(['/', ' ', '\t', '"', '\'', '`', '?', '#'])
            .unwrap_or(after.len());
        rest = after;
        if let Some(at) = after[..end].rfind('@') {
            result.push_str("***");
            rest = &after[at..];
        }
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_not_shown() {
        let shown = |text: &str| without_secrets(text);
        assert_eq!(
            shown("Looking in indexes: https://user:pa@ss@host/simple, http://token@other:80/x y@z"),
            "Looking in indexes: https://***@host/simple, http://***@other:80/x y@z"
        );
        assert_eq!(shown("pkg @ https://host/a@1.whl"), "pkg @ https://host/a@1.whl");
    }

    #[test]
    fn what_a_failure_means() {
        let meaning = |text: &str| {
            cause(
                &text.lines().map(str::to_owned).collect::<Vec<_>>(),
                ExitStatus::from_raw(256),
            )
        };
        assert_eq!(
            meaning(
                "ERROR: Could not find a version that satisfies the requirement nosuch==1 (from versions: none)\nERROR: No matching distribution found for nosuch==1"
            ),
            Cause::NotFound {
                package: Some("nosuch==1".into())
            }
        );
        assert_eq!(
            meaning(
                "  × No solution found\n  ╰─▶ Because nosuch was not found in the package registry and you require nosuch, we can conclude that your requirements are unsatisfiable."
            ),
            Cause::NotFound {
                package: Some("nosuch".into())
            }
        );
        assert_eq!(
            meaning("WARNING: Retrying: NewConnectionError('x')\nERROR: No matching distribution found for numpy"),
            Cause::NoNetwork
        );
        assert_eq!(
            meaning("The virtual environment was not created successfully because ensurepip is not available."),
            Cause::NoVenv
        );
        assert_eq!(
            meaning("error: command 'gcc' failed: No such file or directory\nFailed building wheel for x"),
            Cause::NoCompiler
        );
        assert_eq!(meaning("OSError: [Errno 28] No space left on device"), Cause::DiskFull);
        assert_eq!(
            meaning("  Failed building wheel for fast\n"),
            Cause::CannotBuild {
                package: Some("fast".into())
            }
        );
        assert_eq!(meaning("something else"), Cause::Other);
        assert_eq!(cause(&[], ExitStatus::from_raw(2)), Cause::Interrupted);
    }
}
