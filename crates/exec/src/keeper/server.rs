//! The keeper's main thread: it listens, obeys the runtime with the highest epoch, lets the pools admit, sees off what
//! has ended and says so. Everything it waits for is in one poll.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::image::Environment;
use crate::keeper::connection::Connection;
use crate::keeper::crew::{self, Context, Shared};
use crate::keeper::flight::{Flight, Orphans};
use crate::keeper::outbox::{Ending, Outbox};
use crate::keeper::pool::Pools;
use crate::keeper::state::{KeeperRecord, Reports, State};
use crate::keeper::work::WorkFolders;
use crate::keeper::{LIMITS_VARIABLE, LOCK, READY, SOCKET, ServeError, close_streams, failed, sweep};
use crate::memory::Means;
use crate::redact::Secrets;
use crate::slot::lock;
use crate::stamp::now_ms;
use crate::wire::{Attempt, Hello, Report, Request, Start, StopReason, VERSION, Welcome};

/// What went wrong, should the keeper itself have failed.
const CRASH: &str = "keeper.crash";
/// How long a keeper that was started waits for its first runtime.
const PATIENCE: Duration = Duration::from_secs(30);
/// As much may lie ready to be sent before no more is laid there.
const UNSENT_BYTES: usize = 1024 * 1024;
/// When the reports cannot be written, this is how long to wait before the next try.
const RETRY: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    kingtide_dir: PathBuf,
    lock_file: OwnedFd,
    shared: Arc<Shared>,
    listener: Option<OwnedFd>,
    signals: OwnedFd,
    child_signals: OwnedFd,
    /// Connected and not yet introduced.
    strangers: Vec<Connection>,
    runtime: Option<Connection>,
    state: State,
    flight: Flight,
    /// Ended, with processes that are about to be.
    clearing: Vec<Ending>,
    threads: usize,
    /// Told to leave.
    is_leaving: bool,
    /// Not before then does it leave by itself.
    stays_until: Option<Instant>,
}

impl Server {
    /// Opens everything and says that it is ready.
    pub(crate) fn open(kingtide_dir: &Path, lock_file: OwnedFd) -> Result<Server, ServeError> {
        crate::spawn::block_signals();
        abort_on_panic(kingtide_dir.join(CRASH));
        let mut state = State::read(kingtide_dir);
        sweep::sweep_keepers(&state.keepers).map_err(failed("an earlier keeper's processes cannot be ended"))?;
        let id = format!("{:x}-{:x}", std::process::id(), now_ms());
        let means = match std::env::var(LIMITS_VARIABLE) {
            Ok(limits) if limits == "watch" => Means::Watch,
            _ => Means::detect(&id),
        };
        let group = match &means {
            Means::Cgroup { keeper_group, .. } => Some(keeper_group.clone()),
            Means::Watch => None,
        };
        state.keepers = vec![KeeperRecord { id: id.clone(), group }];
        state
            .write(kingtide_dir)
            .map_err(failed("its folder cannot be written to"))?;
        let mut outbox = Outbox::default();
        let mut work = WorkFolders::open(kingtide_dir).map_err(failed("no work folder can be made"))?;
        let reports = Reports::read(kingtide_dir);
        for report in &reports.ended {
            if let Some(path) = report.result.as_ref().or(report.output.as_ref()) {
                work.adopt(&report.attempt, path);
            }
        }
        outbox.inherit(reports.ended, reports.withdrawn);
        let shared = Shared {
            id: id.clone(),
            pools: Mutex::new(Pools::default()),
            ready: Condvar::new(),
            outbox: Mutex::new(outbox),
            work: Mutex::new(work),
            context: Mutex::default(),
            wake: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(failed("no eventfd"))?,
            means: Arc::new(means),
            processes: Arc::default(),
            removing: AtomicUsize::new(0),
        };
        let server = Server {
            kingtide_dir: kingtide_dir.to_owned(),
            lock_file,
            shared: Arc::new(shared),
            listener: Some(listen(kingtide_dir).map_err(failed("the socket cannot be opened"))?),
            signals: signal_descriptor(&[libc::SIGTERM, libc::SIGINT]).map_err(failed("no signalfd"))?,
            child_signals: signal_descriptor(&[libc::SIGCHLD]).map_err(failed("no signalfd"))?,
            strangers: Vec::new(),
            runtime: None,
            state,
            flight: Flight::new(&id),
            clearing: Vec::new(),
            threads: 0,
            is_leaving: false,
            stays_until: Some(Instant::now() + PATIENCE),
        };
        let mut stdout = io::stdout();
        // Nobody may be listening.
        let _ = writeln!(stdout, "{READY}").and_then(|()| stdout.flush());
        close_streams().map_err(failed("`/dev/null` cannot be opened"))?;
        Ok(server)
    }

    /// Serves until there is nothing left to keep.
    pub(crate) fn run(mut self) {
        loop {
            self.see_off();
            self.speak();
            if self.may_leave() {
                match self.leave() {
                    Ok(()) => return,
                    Err(_) if self.has_folder() => self.stays_until = Some(Instant::now() + RETRY),
                    Err(_) => continue,
                }
            }
            self.wait();
        }
    }

    /// Waits for anything to happen, and sees to it.
    fn wait(&mut self) {
        let deadline = [lock(&self.shared.outbox).due(), self.stays_until]
            .into_iter()
            .flatten()
            .min();
        let timeout = deadline.and_then(|at| Timespec::try_from(at.saturating_duration_since(Instant::now())).ok());
        let is_clearing = !self.clearing.is_empty() || self.flight.has_unmarked();
        let mut ready = vec![
            PollFd::new(&self.shared.wake, PollFlags::IN),
            PollFd::new(&self.signals, PollFlags::IN),
            // Only while somebody waits for it: a signal comes with the end of each attempt.
            PollFd::new(
                &self.child_signals,
                if is_clearing { PollFlags::IN } else { PollFlags::empty() },
            ),
        ];
        let own = ready.len();
        let listener = self.listener.as_ref().map(|listener| listener.as_fd());
        ready.push(PollFd::from_borrowed_fd(
            listener.unwrap_or(self.shared.wake.as_fd()),
            PollFlags::IN,
        ));
        for connection in self.runtime.iter().chain(&self.strangers) {
            let events = if connection.has_unsent() {
                PollFlags::IN | PollFlags::OUT
            } else {
                PollFlags::IN
            };
            ready.push(PollFd::from_borrowed_fd(connection.socket(), events));
        }
        let result = rustix::event::poll(&mut ready, timeout.as_ref());
        if !matches!(result, Ok(1..)) {
            return;
        }
        let fired: Vec<bool> = ready
            .iter()
            .map(|descriptor| !descriptor.revents().is_empty())
            .collect();
        drop(ready);
        if fired[0] {
            let _ = crew::quiet(&self.shared.wake);
        }
        if fired[1] {
            read_signals(&self.signals);
            self.on_terminate();
        }
        if fired[2] {
            read_signals(&self.child_signals);
            self.clear();
        }
        let mut place = own + 1;
        if self.runtime.is_some() {
            if fired[place] {
                self.on_runtime();
            }
            place += 1;
        }
        for number in (0..self.strangers.len()).rev() {
            if fired[place + number] {
                self.on_stranger(number);
            }
        }
        if fired[own] {
            self.accept();
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        while let Ok(socket) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            let peer = rustix::net::sockopt::socket_peercred(&socket);
            if peer.is_ok_and(|peer| peer.uid == rustix::process::geteuid() || peer.uid.is_root()) {
                self.strangers.push(Connection::new(socket));
            }
        }
    }

    /// Somebody who has not introduced himself has spoken.
    fn on_stranger(&mut self, number: usize) {
        let mut requests = self.strangers[number].receive().into_iter();
        match requests.next() {
            Some(Request::Hello(hello)) => {
                let mut connection = self.strangers.swap_remove(number);
                if let Some(reason) = self.refusal(&hello) {
                    connection.say(&Report::Refused {
                        version: VERSION,
                        reason,
                    });
                    connection.flush();
                    return;
                }
                self.welcome(connection, hello);
                for request in requests {
                    self.on_request(request);
                }
                self.admit();
            }
            Some(_) => drop(self.strangers.swap_remove(number)),
            None if self.strangers[number].is_closed() => drop(self.strangers.swap_remove(number)),
            None => {}
        }
    }

    fn refusal(&self, hello: &Hello) -> Option<String> {
        if hello.version != VERSION {
            let (theirs, ours) = (hello.version, VERSION);
            return Some(format!(
                "the keeper that runs here speaks version {ours} of the protocol and you speak {theirs}; it leaves when \
                 its programs have ended"
            ));
        }
        (hello.epoch < self.state.epoch).then(|| "another runtime has taken over this project".to_owned())
    }

    fn welcome(&mut self, mut connection: Connection, hello: Hello) {
        if let Some(mut older) = self.runtime.take() {
            older.say(&Report::Refused {
                version: VERSION,
                reason: "another runtime has taken over this project".into(),
            });
            older.flush();
        }
        if hello.epoch > self.state.epoch {
            self.state.epoch = hello.epoch;
            // Should it not be possible now, this keeper still remembers.
            let _ = self.state.write(&self.kingtide_dir);
        }
        let context = Context {
            environment: Environment::new(&hello.env),
            secrets: Arc::new(Secrets::new(&hello.secrets)),
        };
        *lock(&self.shared.context) = Arc::new(context);
        let (waiting, running, ended, withdrawn) = {
            let pools = lock(&self.shared.pools);
            let (mut ended, withdrawn) = lock(&self.shared.outbox).begin();
            ended.extend(self.clearing.iter().map(|ending| ending.exited.attempt.clone()));
            (pools.waiting(), pools.running().into_iter().collect(), ended, withdrawn)
        };
        let limits = self.shared.means.name().to_owned();
        let pid = std::process::id();
        connection.say(&Report::Welcome(Welcome {
            version: VERSION,
            pid,
            limits,
            waiting,
            running,
            ended,
            withdrawn,
        }));
        self.runtime = Some(connection);
        self.stays_until = None;
        let stale = lock(&self.shared.work).clear(&hello.keep);
        self.shared.remove_folders(stale);
    }

    fn on_runtime(&mut self) {
        let Some(runtime) = &mut self.runtime else { return };
        let requests = runtime.receive();
        let is_closed = runtime.is_closed();
        for request in requests {
            self.on_request(request);
        }
        if is_closed {
            self.runtime = None;
            let withdrawn = lock(&self.shared.pools).withdraw(None);
            let mut outbox = lock(&self.shared.outbox);
            outbox.withdraw(withdrawn);
            outbox.quiet();
        }
        self.admit();
    }

    fn on_request(&mut self, request: Request) {
        match request {
            // Introduced already.
            Request::Hello(_) => {}
            Request::Start(start) => self.on_start(start),
            Request::Limit { pool, limit } => lock(&self.shared.pools).limit(&pool, limit),
            Request::Withdraw { pool } => {
                let withdrawn = lock(&self.shared.pools).withdraw(pool.as_deref());
                self.withdrawn(withdrawn);
            }
            Request::Stop { attempts, reason } => {
                let mut pools = lock(&self.shared.pools);
                let withdrawn = attempts
                    .into_iter()
                    .filter(|attempt| pools.stop(attempt, reason))
                    .collect();
                drop(pools);
                self.withdrawn(withdrawn);
            }
            Request::Acknowledge { attempts } => self.on_acknowledge(&attempts),
        }
    }

    fn on_start(&mut self, start: Box<Start>) {
        let attempt = start.attempt.clone();
        let mut pools = lock(&self.shared.pools);
        let is_known = lock(&self.shared.outbox).holds(&attempt)
            || self.clearing.iter().any(|ending| ending.exited.attempt == attempt);
        let is_accepted = is_known || pools.accept(start);
        drop(pools);
        if !is_accepted {
            self.withdrawn(vec![attempt]);
        }
    }

    fn withdrawn(&self, attempts: Vec<Attempt>) {
        if !attempts.is_empty() {
            lock(&self.shared.outbox).withdraw(attempts);
        }
    }

    fn on_acknowledge(&self, attempts: &[Attempt]) {
        let mut outbox = lock(&self.shared.outbox);
        let mut work = lock(&self.shared.work);
        let mut folders = Vec::new();
        for attempt in attempts {
            outbox.acknowledge(attempt);
            folders.extend(work.forget(attempt));
        }
        drop((outbox, work));
        self.shared.remove_folders(folders);
    }

    /// Lets the pools admit what they may, with threads enough for it.
    fn admit(&mut self) {
        let mut pools = lock(&self.shared.pools);
        let missing = pools.admit();
        for _ in 0..missing {
            if crew::add_thread(&self.shared, self.threads).is_err() {
                break;
            }
            self.threads += 1;
            pools.add_thread();
        }
        if self.threads == 0 && missing > 0 {
            let withdrawn = pools.withdraw_ready();
            drop(pools);
            self.withdrawn(withdrawn);
            return;
        }
        drop(pools);
        self.shared.ready.notify_all();
    }

    /// Looks at attempts that have ended: whether a process of theirs has fled.
    fn see_off(&mut self) {
        let due = lock(&self.shared.outbox).take_due(Instant::now());
        if due.is_empty() {
            return;
        }
        if self.clearing.is_empty() && self.flight.reap() == Orphans::None {
            // None has, ever: what their slots saw in their folders holds.
            self.settle(due);
            return;
        }
        self.clearing.extend(due);
        self.clear();
    }

    /// Ends fled processes of attempts that have ended, and settles those that have none left.
    fn clear(&mut self) {
        loop {
            self.flight.reap();
            let shared = &self.shared;
            let Ok(left) = self.flight.kill_left_behind(|| lock(&shared.pools).running()) else {
                return;
            };
            if self.flight.reap() == Orphans::Reaped {
                // It may have handed its children to us after we looked for them.
                continue;
            }
            let is_settled = |ending: &mut Ending| !left.contains(&ending.exited.attempt);
            let mut settled: Vec<Ending> = self.clearing.extract_if(.., is_settled).collect();
            for ending in &mut settled {
                if let Some((folder, left)) = &mut ending.folder {
                    *left = folder.look();
                }
            }
            self.settle(settled);
            return;
        }
    }

    fn settle(&self, endings: Vec<Ending>) {
        let mut outbox = lock(&self.shared.outbox);
        let mut work = lock(&self.shared.work);
        for Ending { mut exited, folder } in endings {
            if let Some((folder, left)) = folder {
                exited.result = left.result.then(|| folder.result.clone());
                exited.output = left.output.then(|| folder.output.clone());
                work.put_back(&exited.attempt, folder, left);
            }
            outbox.settle(exited);
        }
    }

    /// Says what there is to say, as far as the runtime takes it.
    fn speak(&mut self) {
        let Some(runtime) = &mut self.runtime else { return };
        lock(&self.shared.outbox).fill(&mut runtime.unsent, UNSENT_BYTES);
        runtime.flush();
    }

    fn on_terminate(&mut self) {
        self.is_leaving = true;
        self.stays_until = None;
        let mut pools = lock(&self.shared.pools);
        pools.close();
        let withdrawn = pools.withdraw(None);
        pools.stop_all(StopReason::Release);
        drop(pools);
        self.withdrawn(withdrawn);
    }

    fn may_leave(&self) -> bool {
        let is_alone = self.runtime.is_none() && self.strangers.is_empty();
        if !(self.is_leaving || is_alone) || self.stays_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        let is_idle = lock(&self.shared.pools).is_idle();
        is_idle
            && self.clearing.is_empty()
            && !lock(&self.shared.outbox).has_fresh()
            && self.shared.removing.load(Ordering::Acquire) == 0
    }

    /// Writes what nobody has acknowledged and clears away what is its own. Whoever connects meanwhile finds the
    /// connection closed, and starts another keeper as soon as the lock is free.
    fn leave(&mut self) -> io::Result<()> {
        // Unmarked processes belong to no attempt any more.
        self.clear();
        if !self.has_folder() {
            // Nobody will ask for reports; what is there under the same name by now is another keeper's.
            self.remove_group();
            return Ok(());
        }
        let (ended, withdrawn) = {
            let outbox = lock(&self.shared.outbox);
            let (ended, withdrawn) = outbox.unacknowledged();
            (
                ended.into_iter().cloned().collect(),
                withdrawn.into_iter().cloned().collect(),
            )
        };
        Reports { ended, withdrawn }.write(&self.kingtide_dir)?;
        if self.remove_group() {
            self.state.keepers.clear();
        }
        let _ = self.state.write(&self.kingtide_dir);
        let _ = std::fs::remove_file(self.kingtide_dir.join(SOCKET));
        self.listener = None;
        lock(&self.shared.work).leave();
        Ok(())
    }
}

impl Server {
    /// Whether the project is still where it was: its user may have removed it.
    fn has_folder(&self) -> bool {
        let there = rustix::fs::stat(self.kingtide_dir.join(LOCK));
        let ours = rustix::fs::fstat(&self.lock_file);
        matches!((there, ours), (Ok(there), Ok(ours)) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino))
    }

    /// False if something of it stays, for the next keeper to sweep.
    fn remove_group(&self) -> bool {
        match &*self.shared.means {
            Means::Cgroup { keeper_group, .. } => crate::cgroup::sweep(keeper_group).is_ok(),
            Means::Watch => true,
        }
    }
}

/// A thread that is gone would leave its attempt without an end. So a panic ends the keeper, the guard ends its programs,
/// and what happened is written down, since nobody sees its standard error.
fn abort_on_panic(note: PathBuf) {
    std::panic::set_hook(Box::new(move |panic| {
        let _ = std::fs::write(&note, format!("{panic}\n"));
        std::process::abort();
    }));
}

/// A path of a socket may have 107 bytes; through a descriptor of its folder every folder will do.
pub(crate) fn socket_address(kingtide_dir: &Path) -> io::Result<(OwnedFd, SocketAddrUnix)> {
    let folder = rustix::fs::open(
        kingtide_dir,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))?;
    Ok((folder, address))
}

fn listen(kingtide_dir: &Path) -> io::Result<OwnedFd> {
    debug_assert!(kingtide_dir.join(LOCK).exists(), "the lock is held");
    let (_folder, address) = socket_address(kingtide_dir)?;
    match std::fs::remove_file(kingtide_dir.join(SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &address)?;
    rustix::fs::chmod(kingtide_dir.join(SOCKET), Mode::from_raw_mode(0o600))?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}

/// A descriptor from which these signals are read; they are blocked already.
fn signal_descriptor(signals: &[libc::c_int]) -> io::Result<OwnedFd> {
    // SAFETY: the set is our own, and the descriptor is new.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

fn read_signals(signals: &OwnedFd) {
    let mut buffer = [0_u8; 1024];
    while matches!(rustix::io::read(signals, &mut buffer), Ok(1..) | Err(Errno::INTR)) {}
}
