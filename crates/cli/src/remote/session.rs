//! A conversation with `kingtide-aws`: found, started, asked; it goes when this end does. What it says went wrong becomes a failure with its
//! causes here, in one place.

use std::fmt;
use std::io::BufReader;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use kingtide_remote::wire::{self, Ask, Event, Failed, FailureKind, PROTOCOL, Request, Target};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::departure::Departure;
use crate::exit::{Exit, Failure, Outcome};

/// Names it in place of the one that is looked for.
pub(crate) const VARIABLE: &str = "KINGTIDE_AWS";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Somebody to ask. Ends the other process when it goes.
#[derive(Debug)]
pub(crate) struct Session {
    child: Child,
    requests: ChildStdin,
    events: BufReader<ChildStdout>,
    target: Target,
}

impl Drop for Session {
    fn drop(&mut self) {
        // The end of its input would do; this does not wait for what it is at.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Session {
    /// Starts the second binary and hears who it is.
    pub(crate) fn open(target: Target) -> Outcome<Session> {
        let executable = find()?;
        let mut command = Command::new(&executable);
        // A group of its own: Ctrl-C here is ours to answer.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| {
            Failure::new(format!("failed to start `{}`", executable.display()))
                .because(error)
                .help(build_it())
        })?;
        let piped = "its input and output are piped";
        let requests = child.stdin.take().expect(piped);
        let events = BufReader::new(child.stdout.take().expect(piped));
        let mut session = Session {
            child,
            requests,
            events,
            target,
        };
        let greeting: Option<Event> = wire::read(&mut session.events).unwrap_or(None);
        let Some(Event::Hello(hello)) = greeting else {
            return Err(Failure::new(format!(
                "`{}` is not what it should be: it has not said who it is",
                executable.display()
            ))
            .help(build_it()));
        };
        if hello.protocol != PROTOCOL || hello.version != VERSION {
            return Err(Failure::new(format!(
                "`{}` is of version {}, and this is {VERSION}",
                executable.display(),
                hello.version
            ))
            .help(build_it()));
        }
        Ok(session)
    }

    /// Asks, and hands over each event up to the end of the answer.
    pub(crate) fn ask(&mut self, ask: Ask, mut on: impl FnMut(Event) -> Outcome<()>) -> Outcome<()> {
        let request = Request {
            target: self.target.clone(),
            ask,
        };
        if let Err(error) = wire::write(&mut self.requests, &request) {
            return Err(self.gone(Some(error)));
        }
        loop {
            match wire::read(&mut self.events) {
                Ok(Some(Event::Done)) => return Ok(()),
                Ok(Some(Event::Failed(failed))) => return Err(failure(failed)),
                Ok(Some(event)) => on(event)?,
                Ok(None) => return Err(self.gone(None)),
                Err(error) => return Err(self.gone(Some(error))),
            }
        }
    }

    /// Asks for one thing.
    pub(crate) fn one<T>(&mut self, ask: Ask, pick: impl Fn(Event) -> Option<T>) -> Outcome<T> {
        let mut found = None;
        self.ask(ask, |event| {
            if let Some(event) = pick(event) {
                found = Some(event);
            }
            Ok(())
        })?;
        found.ok_or_else(|| Failure::new("`kingtide-aws` has not answered what was asked").help(build_it()))
    }

    /// Asks for as long as nobody wants to leave; whether somebody did.
    pub(crate) fn ask_until(
        &mut self,
        departure: &Departure,
        ask: Ask,
        on: impl FnMut(Event) -> Outcome<()>,
    ) -> Outcome<bool> {
        let pid = Pid::from_child(&self.child);
        let bell = departure.clone();
        std::thread::spawn(move || {
            let mut bells = [PollFd::from_borrowed_fd(bell.bell(), PollFlags::IN)];
            // Whoever reads what it says finds its end.
            if poll(&mut bells, None).is_ok() {
                let _ = kill_process(pid, Signal::TERM);
            }
        });
        match self.ask(ask, on) {
            Ok(()) => Ok(false),
            Err(_) if departure.is_wanted() => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// It has ended in the middle of an answer, or says what nobody understands.
    fn gone(&mut self, error: Option<std::io::Error>) -> Failure {
        let ended = self.child.try_wait().ok().flatten();
        let said = match ended {
            Some(status) => format!("`kingtide-aws` has ended in the middle of an answer ({status})"),
            None => "`kingtide-aws` has ended its answer in the middle".to_owned(),
        };
        let failure = Failure::new(said).help("what was started on AWS goes on; the same command again takes it up");
        match error {
            Some(error) => failure.because(error),
            None => failure,
        }
    }
}

/// Named by a variable, beside this executable, or in `PATH`.
fn find() -> Outcome<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(named));
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|ours| Some(ours.parent()?.join(wire::EXECUTABLE)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = beside
        .into_iter()
        .chain(std::env::split_paths(&path).map(|folder| folder.join(wire::EXECUTABLE)));
    all.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Failure::new("there is no `kingtide-aws`, neither beside this executable nor in PATH: it is what asks AWS")
            .help(build_it())
    })
}

fn build_it() -> String {
    format!("build it beside `kingtide` from the sources of {VERSION}: cargo build --release --package kingtide-aws")
}

/// What went wrong there, said here.
fn failure(failed: Failed) -> Failure {
    let help = failed.help.or_else(|| {
        let help = match failed.kind {
            FailureKind::Credentials => {
                "log in (`aws sso login`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `kingtide doctor --on aws` looks at all of it"
            }
            FailureKind::Region => "name one: [aws] region = \"eu-west-1\" in the file, or AWS_REGION",
            FailureKind::Denied => "docs/aws.md has the policy that whoever deploys and runs needs",
            FailureKind::Quota => "ask for more in the console: Service Quotas, AWS Fargate",
            FailureKind::Unavailable => "the same command again takes it up",
            FailureKind::Stack | FailureKind::NameTaken | FailureKind::NotFound | FailureKind::Refused => return None,
        };
        Some(help.to_owned())
    });
    let exit = match failed.kind {
        FailureKind::NotFound => Exit::Usage,
        _ => Exit::Ours,
    };
    let mut failure = match exit {
        Exit::Usage => Failure::usage(failed.message),
        _ => Failure::new(failed.message),
    };
    if let Some(causes) = Cause::chain(failed.causes) {
        failure = failure.because(causes);
    }
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// A cause in words, with what lies below it.
#[derive(Debug)]
struct Cause {
    text: String,
    source: Option<Box<Cause>>,
}

impl Cause {
    fn chain(texts: Vec<String>) -> Option<Cause> {
        texts.into_iter().rev().fold(None, |below, text| {
            Some(Cause {
                text,
                source: below.map(Box::new),
            })
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}
