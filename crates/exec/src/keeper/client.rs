//! The runtime's end of the keeper's socket: find the keeper of a project or start one, say what to do, hear what became
//! of it.

use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::PidfdFlags;

use crate::keeper::listener::socket_address;
use crate::keeper::{BUSY, LIMITS_VARIABLE, MARK, READY};
use crate::wire::{self, FrameError, Frames, Hello, Report, Request, VERSION, Welcome};

/// How long to wait for a keeper that is leaving or just beginning.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many keepers may end while they begin before it is taken for more than an accident.
const MOST_WORDLESS: u32 = 4;
/// Between two looks at such a keeper.
const PAUSE: Duration = Duration::from_millis(5);

/// There is no keeper to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The keeper obeys another runtime, or speaks another version of the protocol. To be told to the user as it is.
    #[error("the keeper refused: {0}")]
    Refused(String),
    #[error("failed to start the keeper: {0}")]
    NotStarted(String),
    /// It has ended, or was ended, before it had said anything.
    #[error("failed to start the keeper: `{} keeper` ended without a word", .0.display())]
    Wordless(PathBuf),
    #[error("failed to start the keeper")]
    Start(#[source] io::Error),
    #[error("failed to speak to the keeper")]
    Talk(#[source] io::Error),
    #[error("the keeper said something that is not the protocol")]
    Protocol(#[source] FrameError),
    /// One holds the lock and does not answer.
    #[error("the keeper does not answer; `.kingtide/keeper.lock` is held by a process that does not listen")]
    Silent,
}

/// A connection on which `Hello` and `Welcome` were said.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    receiver: Receiver,
}

/// Says things to the keeper. Clones share the connection; what one call says stays together.
#[derive(Clone, Debug)]
pub struct Sender {
    socket: Arc<OwnedFd>,
    turn: Arc<std::sync::Mutex<()>>,
}

/// Hears what the keeper says, on a thread of its own.
#[derive(Debug)]
pub struct Receiver {
    socket: Arc<OwnedFd>,
    frames: Frames,
}

/// The connection has broken in the middle.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("failed to hear the keeper")]
    Socket(#[source] io::Error),
    #[error("the keeper said something that is not the protocol")]
    Protocol(#[source] FrameError),
}

/// Finds the keeper of this `.kingtide` folder, or starts `executable keeper <folder>` and waits until it is there.
/// `hello.version` is filled in.
pub fn connect_or_start(
    kingtide_dir: &Path,
    executable: &Path,
    mut hello: Hello,
) -> Result<(Client, Welcome), ConnectError> {
    hello.version = VERSION;
    let request = Request::Hello(hello);
    let deadline = Instant::now() + PATIENCE;
    let mut wordless = 0;
    loop {
        if let Some(connected) = connect(kingtide_dir, &request)? {
            return Ok(connected);
        }
        match start(kingtide_dir, executable) {
            // Somebody has killed it while it began; one that never comes that far is broken.
            Err(ConnectError::Wordless(_)) if wordless < MOST_WORDLESS => wordless += 1,
            started => started?,
        }
        match connect(kingtide_dir, &request)? {
            Some(connected) => return Ok(connected),
            // Another keeper holds the lock and does not listen yet, or not any more: no event tells when that changes.
            None if Instant::now() < deadline => std::thread::sleep(PAUSE),
            None => return Err(ConnectError::Silent),
        }
    }
}

/// `None` if nobody listens, or does not listen any more.
fn connect(kingtide_dir: &Path, hello: &Request) -> Result<Option<(Client, Welcome)>, ConnectError> {
    let talk = |error: Errno| ConnectError::Talk(error.into());
    let (_folder, address) = socket_address(kingtide_dir).map_err(ConnectError::Talk)?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let socket = Arc::new(socket.map_err(talk)?);
    match rustix::net::connect(&*socket, &address) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
        Err(error) => return Err(talk(error)),
    }
    let sender = Sender {
        socket: Arc::clone(&socket),
        turn: Arc::default(),
    };
    let mut receiver = Receiver {
        socket,
        frames: Frames::default(),
    };
    // A keeper that leaves closes the connection without having read it.
    if sender.send(std::slice::from_ref(hello)).is_err() {
        return Ok(None);
    }
    match receiver.next_report() {
        Ok(Some(Report::Welcome(welcome))) => Ok(Some((Client { sender, receiver }, welcome))),
        Ok(Some(Report::Refused { reason, .. })) => Err(ConnectError::Refused(reason)),
        Ok(Some(_)) | Ok(None) => Ok(None),
        Err(ReceiveError::Socket(error)) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(ReceiveError::Socket(error)) => Err(ConnectError::Talk(error)),
        Err(ReceiveError::Protocol(error)) => Err(ConnectError::Protocol(error)),
    }
}

/// Whether a keeper listens that lives: its socket may outlive it in a process that it was about to start.
pub(crate) fn is_listening(kingtide_dir: &Path) -> bool {
    let Ok((_folder, address)) = socket_address(kingtide_dir) else {
        return false;
    };
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let Ok(socket) = socket else { return false };
    if rustix::net::connect(&socket, &address).is_err() {
        return false;
    }
    let keeper = rustix::net::sockopt::socket_peercred(&socket).map(|peer| peer.pid);
    let pidfd = keeper.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    pidfd.is_ok_and(|pidfd| rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&now)) == Ok(0))
}

/// Starts a keeper and waits until it listens, or has found that another does.
fn start(kingtide_dir: &Path, executable: &Path) -> Result<(), ConnectError> {
    let mut command = Command::new(executable);
    command
        .arg("keeper")
        .arg(kingtide_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // The environment of the programs comes with `Hello`; the keeper's own needs nothing but this.
    command.env_clear();
    for name in [MARK, LIMITS_VARIABLE] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let mut child = command.spawn().map_err(ConnectError::Start)?;
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it was asked to be a pipe");
    let said = BufReader::new(stdout).read_line(&mut line);
    // It has left its successors behind and ends at once.
    let _ = child.wait();
    said.map_err(ConnectError::Start)?;
    match line.trim_end() {
        READY | BUSY => Ok(()),
        "" => Err(ConnectError::Wordless(executable.to_owned())),
        reason => Err(ConnectError::NotStarted(reason.to_owned())),
    }
}

impl Client {
    /// Says all of it in one write.
    pub fn send(&self, requests: &[Request]) -> io::Result<()> {
        self.sender.send(requests)
    }

    /// The two halves, for two threads.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}

impl Sender {
    /// Says all of it in one write.
    pub fn send(&self, requests: &[Request]) -> io::Result<()> {
        let mut frames = Vec::new();
        for request in requests {
            wire::encode(request, &mut frames);
        }
        let _turn = crate::slot::lock(&self.turn);
        wire::write_all(&*self.socket, &frames)
    }

    /// Ends the connection: the receiver hears that there is nothing more.
    pub fn hang_up(&self) {
        let _ = rustix::net::shutdown(&*self.socket, rustix::net::Shutdown::Both);
    }
}

impl Receiver {
    /// The next thing the keeper says; `None` when it is gone or has hung up.
    pub fn next_report(&mut self) -> Result<Option<Report>, ReceiveError> {
        loop {
            if let Some(report) = self.frames.next_message().map_err(ReceiveError::Protocol)? {
                return Ok(Some(report));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Waits for something and takes all that is there. Empty when the keeper is gone or has hung up.
    pub fn next_batch(&mut self) -> Result<Vec<Report>, ReceiveError> {
        let mut reports = Vec::new();
        loop {
            while let Some(report) = self.frames.next_message().map_err(ReceiveError::Protocol)? {
                reports.push(report);
            }
            if !reports.is_empty() || !self.read()? {
                return Ok(reports);
            }
        }
    }

    fn read(&mut self) -> Result<bool, ReceiveError> {
        loop {
            match self.frames.read_from(&*self.socket) {
                Ok(length) => return Ok(length > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(ReceiveError::Socket(error.into())),
            }
        }
    }
}
