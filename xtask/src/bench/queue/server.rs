//! Who answers in the queues' benchmark: Kingtide, two peers that only run in memory, and the server of fixed answers. Each is started
//! for the benchmark on a port of its own and ended with it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::super::peers::empty_folder;
use super::tools::Tools;

/// From start to the first answer; the peers import much.
const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A server that listens. It ends with this.
pub(super) struct Server {
    child: Child,
    /// `http://…`
    pub(super) url: String,
}

impl Server {
    /// `kingtide up` in a new project.
    pub(super) fn kingtide(binary: &Path, folder: &Path) -> anyhow::Result<Server> {
        empty_folder(folder)?;
        let project = "[project]\nname = \"bench\"\n\n[job.bench]\ncommand = [\"/bin/true\"]\n";
        std::fs::write(folder.join("kingtide.toml"), project).context("failed to write the project")?;
        let mut command = Command::new(binary);
        command.args(["up", "--sqs", "127.0.0.1:0", "--web", "127.0.0.1:0", "--json"]);
        Server::that_tells(command.current_dir(folder), |line| {
            let told: serde_json::Value = serde_json::from_str(line).ok()?;
            told["sqs"].as_str().map(str::to_owned)
        })
    }

    /// The server of fixed answers, for so many messages a call.
    pub(super) fn null(tools: &Tools, batch: usize) -> anyhow::Result<Server> {
        let mut command = Command::new(&tools.null);
        Server::that_tells(command.arg(batch.to_string()), |line| Some(line.to_owned()))
    }

    /// moto's stand-alone server.
    pub(super) fn moto(tools: &Tools, folder: &Path) -> anyhow::Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(tools.peer("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        Server::that_answers(command, port, folder)
    }

    /// ministack with nothing but SQS.
    pub(super) fn ministack(tools: &Tools, folder: &Path) -> anyhow::Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(tools.peer("ministack"));
        command
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("SERVICES", "sqs")
            .env("LOG_LEVEL", "ERROR")
            // It keeps its files there.
            .env("TMPDIR", folder);
        Server::that_answers(command, port, folder)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One whose first line that `read` understands says where it listens.
    fn that_tells(command: &mut Command, read: impl Fn(&str) -> Option<String>) -> anyhow::Result<Server> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start `{name}`"))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut server = Server {
            child,
            url: String::new(),
        };
        let url = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| read(&line));
        server.url = url.with_context(|| format!("`{name}` has ended before it said where it listens"))?;
        Ok(server)
    }

    /// One that has to be asked until it listens.
    fn that_answers(mut command: Command, port: u16, folder: &Path) -> anyhow::Result<Server> {
        empty_folder(folder)?;
        let name = command.get_program().to_string_lossy().into_owned();
        let log = File::create(folder.join("log")).context("failed to make a log")?;
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start `{name}`"))?;
        let mut server = Server {
            child,
            url: format!("http://127.0.0.1:{port}"),
        };
        let until = Instant::now() + START_PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("`{name}` has ended ({status})");
            }
            if Instant::now() > until {
                bail!("`{name}` does not listen after {} s", START_PATIENCE.as_secs());
            }
            // Nothing tells when it does.
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It is our child and not waited for, so the number is still its own.
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + STOP_PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.child.kill();
            }
            // The standard library waits for a child with a limit in no other way.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// One that is free now; nobody else asks for it meanwhile.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// What a process holds in memory, in MiB.
pub(super) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the server has gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok())
        .context("the kernel does not say what the server holds")?;
    Ok(kib / 1024.0)
}

/// How often threads of a process have gone to sleep since they began: each time, something had woken them.
pub(super) fn switches(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("the server has gone")? {
        let status: PathBuf = task?.path().join("status");
        let status = std::fs::read_to_string(status)?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line
            .and_then(|line| line.trim().parse::<u64>().ok())
            .context("the kernel does not count context switches")?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_ourselves() {
        let ourselves = std::process::id();
        assert!(resident_mib(ourselves).expect("we live") > 1.0);
        let before = switches(ourselves).expect("we live");
        // To go to sleep is what is counted.
        std::thread::sleep(Duration::from_millis(1));
        assert!(switches(ourselves).expect("we live") > before);
        assert!(resident_mib(u32::MAX).is_err());
    }

    #[test]
    fn a_server_that_says_nothing_is_an_error() {
        let silent = Server::that_tells(&mut Command::new("/bin/true"), |line| Some(line.to_owned()));
        assert!(silent.is_err());
        let mut talks = Command::new("sh");
        talks.args(["-c", "echo noise; echo http://here; exec sleep 100"]);
        let server = Server::that_tells(&mut talks, |line| line.starts_with("http").then(|| line.to_owned()));
        assert_eq!(server.expect("it tells").url, "http://here");
    }
}
