//! Dockerfiles that need BuildKit (`RUN --mount`, here-documents): the engine's own builder does not understand them, and BuildKit
//! is spoken with over gRPC. `docker build` does that, where the `docker` program is installed with its buildx.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use kingtide_core::project::Build;

use super::engine::Engine;

/// Whether the engine refused a Dockerfile for want of BuildKit.
pub(super) fn is_needed(why: &str) -> bool {
    // It says so of options; a here-document looks like an instruction to it that nobody knows.
    why.contains("BuildKit") || why.contains("nknown instruction")
}

/// Builds; `Err` says why that was not possible. What it says is handed on line by line. Blocks.
pub(super) fn build(
    engine: &Engine,
    reference: &str,
    label: (&str, &str),
    build: &Build,
    folder: &Path,
    say: &mut dyn FnMut(String),
) -> Result<(), String> {
    let mut command = Command::new("docker");
    command
        .arg("--host")
        .arg(format!("unix://{}", engine.path().display()))
        .args(["build", "--progress", "plain", "--tag", reference])
        .args(["--label", &format!("{}={}", label.0, label.1)])
        .arg("--file")
        .arg(folder.join(&build.dockerfile));
    for (name, value) in &build.args {
        command.args(["--build-arg", &format!("{name}={value}")]);
    }
    command.args(build.target.iter().flat_map(|target| ["--target", target]));
    command
        .arg(folder)
        .env("DOCKER_BUILDKIT", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| format!("it needs BuildKit, and `docker build` cannot be started: {error}"))?;
    if let Some(stderr) = child.stderr.take() {
        lines(stderr, say);
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`docker build` has failed ({status})")),
        Err(error) => Err(format!("`docker build` cannot be waited for: {error}")),
    }
}

fn lines(from: impl Read, say: &mut dyn FnMut(String)) {
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if !line.is_empty() {
            say(line.to_owned());
        }
    }
}
