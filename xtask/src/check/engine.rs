//! The container engine that tests use: the one that is named or runs already, else a `dockerd` of our own, started as root
//! with its data in a temporary folder and ended with the suite. Where there can be none, tests of containers say that they
//! were skipped, and so do we.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::suite::Deadline;

/// Tells tests where the engine listens.
pub(crate) const VARIABLE: &str = "KINGTIDE_TEST_DOCKER";
const USUAL_SOCKET: &str = "/var/run/docker.sock";
/// An engine on a slow disk.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// It ends what still runs first.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// A `dockerd` of our own; it ends with this.
pub(crate) struct Engine {
    child: Child,
    folder: tempfile::TempDir,
}

/// Starts one where none runs. `None` when tests find another by themselves, or there is none to be had.
pub(crate) fn start(limit: &Deadline) -> Option<Engine> {
    let named = [VARIABLE, "DOCKER_HOST"]
        .into_iter()
        .find(|name| std::env::var_os(name).is_some());
    if let Some(name) = named {
        println!("container engine: the one that {name} names");
        return None;
    }
    if UnixStream::connect(USUAL_SOCKET).is_ok() {
        println!("container engine: the one at {USUAL_SOCKET}");
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        println!("container engine: none, and only root can start one; tests of containers are skipped");
        return None;
    }
    match Engine::start(limit) {
        Ok(engine) => {
            println!("container engine: our own at {}", engine.host());
            Some(engine)
        }
        Err(error) => {
            println!("container engine: none ({error:#}); tests of containers are skipped");
            None
        }
    }
}

impl Engine {
    fn start(limit: &Deadline) -> anyhow::Result<Engine> {
        let folder = tempfile::Builder::new().prefix("kingtide-dockerd-").tempdir()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let path = |name: &str| folder.path().join(name);
        let child = Command::new("dockerd")
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("--host")
            .arg(format!("unix://{}", path("docker.sock").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("failed to start `dockerd`")?;
        let mut engine = Engine { child, folder };
        let until = Instant::now() + START_PATIENCE.min(limit.left());
        while !engine.answers() {
            if let Some(status) = engine.child.try_wait()? {
                bail!("`dockerd` has ended ({status}): {}", engine.last_line());
            }
            if Instant::now() > until {
                bail!(
                    "`dockerd` has not answered within {} s: {}",
                    START_PATIENCE.as_secs(),
                    engine.last_line()
                );
            }
            // Nothing tells when it does.
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(engine)
    }

    /// As `DOCKER_HOST` has it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// It listens some time before it answers.
    fn answers(&self) -> bool {
        let ping = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ping().is_ok_and(|answer| answer.starts_with("HTTP/1.0 200"))
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn last_line(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().next_back().unwrap_or("it has said nothing").to_owned()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It is our child and not waited for, so the number is still its own.
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + STOP_PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.child.kill();
            }
            // The standard library waits for a child with a limit in no other way.
            std::thread::sleep(Duration::from_millis(50));
        }
        // What it has mounted of its own goes with it, unless it had to be killed.
        unmount_below(self.folder.path());
    }
}

/// Mounts that a killed engine has left would keep the folder from being removed.
fn unmount_below(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut below: Vec<&str> = places.filter(|place| Path::new(place).starts_with(folder)).collect();
    below.sort_by_key(|place| std::cmp::Reverse(place.len()));
    for place in below {
        let _ = Command::new("umount").arg("--lazy").arg(place).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_an_engine_of_our_own_answers_and_leaves_nothing() {
        if !rustix::process::geteuid().is_root() || Command::new("dockerd").arg("--version").output().is_err() {
            eprintln!("skipped: only root can start `dockerd`, where it is installed");
            return;
        }
        let engine = match Engine::start(&Deadline::after(Duration::from_secs(60))) {
            Ok(engine) => engine,
            Err(error) => {
                eprintln!("skipped: {error:#}");
                return;
            }
        };
        let folder = engine.folder.path().to_owned();
        assert_eq!(
            engine.host(),
            format!("unix://{}", folder.join("docker.sock").display())
        );
        assert!(UnixStream::connect(engine.socket()).is_ok());
        drop(engine);
        assert!(!folder.exists(), "its data went with it");
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("readable");
        assert!(!mounts.contains(&*folder.to_string_lossy()));
    }
}
