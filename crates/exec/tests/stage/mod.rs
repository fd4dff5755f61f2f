//! A keeper in a folder of its own, and a runtime that speaks to it.

#![expect(
    dead_code,
    unreachable_pub,
    reason = "every test binary has it as a module and uses a part of it"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kingtide_exec::keeper::client::{Client, ConnectError, Receiver, Sender, connect_or_start};
use kingtide_exec::processes::{self, Table};
use kingtide_exec::wire::{End, Exited, Hello, Report, Request, Start, StopReason, Welcome};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

/// Processes of a test are known by it.
const STAGE: &str = "KINGTIDE_TEST_STAGE";
/// Longer than anything takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(30);

pub struct Stage {
    folder: tempfile::TempDir,
    pub secrets: Vec<String>,
    pub env: BTreeMap<String, String>,
}

/// A connected runtime.
pub struct Runtime {
    pub sender: Sender,
    receiver: Receiver,
    pub welcome: Welcome,
    stage: PathBuf,
    /// Said and not asked for yet.
    heard: Vec<Report>,
}

impl Stage {
    pub fn new() -> Stage {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(".kingtide")).expect("a new folder");
        let mut env: BTreeMap<String, String> = std::env::vars().collect();
        env.insert(STAGE.into(), folder.path().to_string_lossy().into_owned());
        Stage {
            folder,
            secrets: Vec::new(),
            env,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn kingtide_dir(&self) -> PathBuf {
        self.path(".kingtide")
    }

    pub fn runtime(&self, epoch: i64) -> Runtime {
        self.try_runtime(epoch).expect("a keeper")
    }

    pub fn try_runtime(&self, epoch: i64) -> Result<Runtime, ConnectError> {
        let hello = Hello {
            epoch,
            env: self.env.clone(),
            secrets: self.secrets.clone(),
            ..Hello::default()
        };
        self.connect(hello)
    }

    pub fn connect(&self, hello: Hello) -> Result<Runtime, ConnectError> {
        let (client, welcome): (Client, Welcome) = connect_or_start(&self.kingtide_dir(), &keeper_executable(), hello)?;
        let (sender, receiver) = client.split();
        let stage = self.folder.path().to_owned();
        Ok(Runtime {
            sender,
            receiver,
            welcome,
            stage,
            heard: Vec::new(),
        })
    }

    /// Forbids the keeper of this stage to use cgroups. It must not have been started.
    pub fn watch_only(&self) {
        let status = std::process::Command::new(keeper_executable())
            .arg("keeper")
            .arg(self.kingtide_dir())
            .env(kingtide_exec::keeper::LIMITS_VARIABLE, "watch")
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.expect("the keeper's executable").success());
    }

    /// Writes an executable file.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).expect("a writable folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
        path
    }

    /// A pipe with a name: a program says a line there and the test waits for it.
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a new pipe");
        path
    }

    /// Programs and other processes that were started here and live.
    pub fn processes(&self) -> Vec<i32> {
        let stage = self.folder.path().to_string_lossy().into_owned();
        let table = Table::read().expect("/proc");
        let mut found = Vec::new();
        for process in table.iter().filter(|process| !process.is_zombie) {
            if processes::variable(process.pid, STAGE).is_some_and(|value| value == stage) {
                found.push(process.pid);
            }
        }
        found
    }

    #[track_caller]
    pub fn assert_empty(&self) {
        let left = self.processes();
        assert!(left.is_empty(), "still there: {left:?}");
    }

    /// Waits until none of its processes is left.
    #[track_caller]
    pub fn await_empty(&self) {
        let deadline = Instant::now() + LONG;
        loop {
            let pids = self.processes();
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                await_end(pid, deadline);
            }
        }
    }

    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a log")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A failed test leaves nothing behind; these processes carry the name of a folder that is this test's alone.
        for pid in self.processes() {
            if let Some(process) = Table::read().ok().and_then(|table| table.get(pid).copied()) {
                processes::kill(&process);
            }
        }
    }
}

impl Runtime {
    /// An order for `argv` in the pool `p`; the log is `<task>.log`.
    pub fn order(&self, attempt: &str, argv: &[&str]) -> Start {
        let task = attempt.split('/').nth(1).expect("run/task/attempt");
        Start {
            attempt: attempt.to_owned(),
            pool: "p".into(),
            limit: 2,
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            workdir: self.stage.to_string_lossy().into_owned(),
            env: Vec::new(),
            memory: None,
            timeout_ms: None,
            stop_timeout_ms: 10_000,
            log: self.stage.join(format!("{task}.log")).to_string_lossy().into_owned(),
            log_limit: 1 << 20,
        }
    }

    pub fn shell(&self, attempt: &str, script: &str) -> Start {
        self.order(attempt, &["/bin/sh", "-c", script])
    }

    pub fn say(&self, requests: &[Request]) {
        self.sender.send(requests).expect("a keeper that listens");
    }

    pub fn start(&self, start: Start) {
        self.say(&[Request::Start(Box::new(start))]);
    }

    /// Starts it and waits for its end.
    pub fn run(&mut self, start: Start) -> Exited {
        let attempt = start.attempt.clone();
        self.start(start);
        self.exited(&attempt)
    }

    pub fn run_shell(&mut self, attempt: &str, script: &str) -> Exited {
        self.run(self.shell(attempt, script))
    }

    pub fn stop(&self, attempt: &str, reason: StopReason) {
        self.say(&[Request::Stop {
            attempts: vec![attempt.to_owned()],
            reason,
        }]);
    }

    pub fn acknowledge(&self, attempt: &str) {
        self.say(&[Request::Acknowledge {
            attempts: vec![attempt.to_owned()],
        }]);
    }

    /// The first report that `wanted` makes something of.
    #[track_caller]
    pub fn hear<T>(&mut self, wanted: impl Fn(&Report) -> Option<T>) -> T {
        if let Some((place, found)) = self
            .heard
            .iter()
            .enumerate()
            .find_map(|(place, report)| Some((place, wanted(report)?)))
        {
            self.heard.remove(place);
            return found;
        }
        loop {
            let report = self
                .receiver
                .next_report()
                .expect("the protocol")
                .expect("a keeper that lives");
            if let Some(found) = wanted(&report) {
                return found;
            }
            self.heard.push(report);
        }
    }

    #[track_caller]
    pub fn exited(&mut self, attempt: &str) -> Exited {
        self.hear(|report| match report {
            Report::Exited(exited) if exited.attempt == attempt => Some((**exited).clone()),
            _ => None,
        })
    }

    #[track_caller]
    pub fn started(&mut self, attempt: &str) -> i32 {
        self.hear(|report| match report {
            Report::Started {
                attempt: started, pid, ..
            } if started == attempt => Some(pid.cast_signed()),
            _ => None,
        })
    }

    /// Waits for the keeper to hang up; answers what it said before.
    pub fn until_hung_up(mut self) -> Vec<Report> {
        while let Ok(Some(report)) = self.receiver.next_report() {
            self.heard.push(report);
        }
        self.heard
    }

    pub fn keeper(&self) -> i32 {
        self.welcome.pid.cast_signed()
    }

    pub fn guard(&self) -> i32 {
        Table::read()
            .expect("/proc")
            .get(self.keeper())
            .expect("a keeper that lives")
            .parent
    }
}

/// Built with the tests, beside them.
pub fn keeper_executable() -> PathBuf {
    let own = std::env::current_exe().expect("this executable");
    let folder = own.parent().and_then(Path::parent).expect("target/<profile>/deps");
    folder.join("examples/keeper")
}

/// Waits for a line in a named pipe.
pub fn read_line(fifo: &Path) -> String {
    let mut text = String::new();
    std::fs::File::open(fifo)
        .expect("a pipe")
        .read_to_string(&mut text)
        .expect("text");
    text.trim().to_owned()
}

pub fn open(pid: i32) -> Option<OwnedFd> {
    rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

pub fn kill(pid: i32) {
    let pidfd = open(pid).expect("a process that lives");
    rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).expect("a process of ours");
}

/// Waits for the end of a process that need not be a child.
#[track_caller]
pub fn await_end(pid: i32, deadline: Instant) {
    let Some(pidfd) = open(pid) else { return };
    let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).expect("a short time");
    let ended = rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)).expect("poll");
    assert_eq!(ended, 1, "process {pid} is still there");
}

pub fn is_alive(pid: i32) -> bool {
    Table::read()
        .expect("/proc")
        .get(pid)
        .is_some_and(|process| !process.is_zombie)
}

#[track_caller]
pub fn assert_not_started(exited: &Exited, words: &str) {
    match &exited.end {
        End::NotStarted(text) => assert!(text.contains(words), "{text}"),
        other => panic!("{other:?}"),
    }
}
