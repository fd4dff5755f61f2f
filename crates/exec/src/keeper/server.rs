//! The keeper's main thread: it listens, obeys the runtime with the highest epoch, lets the pools admit, sees off what
//! has ended and says so. Everything it waits for is in one poll.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::SocketFlags;

use crate::image::Environment;
use crate::keeper::connection::Connection;
use crate::keeper::crew::{self, Context, Shared};
use crate::keeper::flight::{Flight, Orphans};
use crate::keeper::outbox::Ending;
use crate::keeper::signals;
use crate::keeper::state::State;
use crate::redact::Secrets;
use crate::slot::lock;
use crate::wire::{Attempt, Hello, Report, Request, Start, VERSION, Welcome};

/// As much may lie ready to be sent before no more is laid there.
const UNSENT_BYTES: usize = 1024 * 1024;
/// When the reports cannot be written, this is how long to wait before the next try.
const RETRY: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    pub(super) kingtide_dir: PathBuf,
    pub(super) lock_file: OwnedFd,
    pub(super) shared: Arc<Shared>,
    pub(super) listener: Option<OwnedFd>,
    pub(super) signals: OwnedFd,
    pub(super) child_signals: OwnedFd,
    /// Connected and not yet introduced.
    pub(super) strangers: Vec<Connection>,
    pub(super) runtime: Option<Connection>,
    pub(super) state: State,
    pub(super) flight: Flight,
    /// Ended, with processes that are about to be.
    pub(super) clearing: Vec<Ending>,
    pub(super) threads: usize,
    /// Told to leave.
    pub(super) is_leaving: bool,
    /// Not before then does it leave by itself.
    pub(super) stays_until: Option<Instant>,
}

impl Server {
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
            signals::quiet(&self.signals);
            self.on_terminate();
        }
        if fired[2] {
            signals::quiet(&self.child_signals);
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

    pub(super) fn withdrawn(&self, attempts: Vec<Attempt>) {
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
    pub(super) fn clear(&mut self) {
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
            let is_settled = |ending: &mut Ending| !left.unknown && !left.attempts.contains(&ending.exited.attempt);
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
}
