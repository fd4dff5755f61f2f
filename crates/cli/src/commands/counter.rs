//! What all verbs about queues have in common: the project they are about, who listens, what is said when nobody could be asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kingtide_core::finding::suggestion;
use kingtide_core::project::{Job, Project};
use kingtide_runtime::asker::{AskError, Asker};
use kingtide_runtime::endpoints::Endpoints;
use kingtide_runtime::sqs::operation::{Answer, Operation};
use kingtide_runtime::store::LeaseError;
use kingtide_runtime::view::{Database, Lease, MessageQueue, OpenError as ViewError};
use kingtide_runtime::{OpenError, sqs};

use super::run::launch;
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::output::text::now;
use crate::project::{Checked, Needs, Place};
use crate::settings::Settings;

/// A project, asked about its queues.
pub(crate) struct Counter {
    pub(crate) place: Place,
    /// Of the file, if it says them well.
    pub(crate) jobs: BTreeMap<String, Job>,
}

impl Counter {
    pub(crate) fn open(settings: &Settings) -> Outcome<Counter> {
        let place = Place::find(settings)?;
        let jobs = place.peek().map(|project| project.jobs).unwrap_or_default();
        Ok(Counter { place, jobs })
    }

    /// The project, to change something of it: its file must be sound.
    pub(crate) fn project(&self, settings: &Settings) -> Outcome<Project> {
        Checked::read(&self.place, Needs::All)?.usable(settings)
    }

    pub(crate) fn check_writable(&self) -> Outcome<()> {
        launch::check_writable(&self.place)
    }

    /// `None` when nothing has run here and nothing was sent.
    pub(crate) fn database(&self) -> Outcome<Option<Database>> {
        match Database::open(&self.place.folder) {
            Ok(database) => Ok(Some(database)),
            Err(ViewError::Missing) => Ok(None),
            Err(error) => {
                let help = error.help();
                Err(Failure::from(error).help(help))
            }
        }
    }

    /// The queue of this name, or what may have been meant.
    pub(crate) fn queue(&self, name: &str) -> Outcome<MessageQueue> {
        let mut names = Vec::new();
        let found = match self.database()? {
            Some(database) => {
                let snapshot = database.snapshot()?;
                let found = snapshot.message_queue(name, &self.jobs, now())?;
                if found.is_none() {
                    let all = snapshot.queues(&self.jobs, now(), "", MOST_NAMES)?;
                    names.extend(all.into_iter().map(|queue| queue.name));
                }
                found
            }
            None => {
                let mut all = MessageQueue::of_jobs(&self.jobs);
                let place = all.iter().position(|queue| queue.name == name);
                let found = place.map(|place| all.swap_remove(place));
                names.extend(all.into_iter().map(|queue| queue.name));
                found
            }
        };
        found.ok_or_else(|| {
            let failure = Failure::usage(format!("there is no queue `{name}`"));
            match suggestion(name, names.iter().map(String::as_str)) {
                Some(near) => failure.help(format!("did you mean `{near}`?")),
                None => failure.help("`kingtide queue ls` lists them, `kingtide queue create NAME` makes one"),
            }
        })
    }

    /// Has one operation performed.
    pub(crate) fn ask(&self, project: &Project, operation: Operation) -> Outcome<Answer> {
        self.check_writable()?;
        let mut asker = Asker::new(self.place.folder.clone(), project);
        let answer = asker.ask(vec![operation]).map_err(unasked)?.pop();
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(fault)) => Err(refused(fault)),
            None => Err(Failure::new("no answer came")),
        }
    }

    /// Where the runtime listens that keeps this project alive, if one does.
    pub(crate) fn listens(&self) -> Outcome<Option<Endpoints>> {
        let Some(endpoints) = Endpoints::read(self.place.layout().root()) else {
            return Ok(None);
        };
        let Some(database) = self.database()? else {
            return Ok(None);
        };
        let lease = database.snapshot()?.lease()?;
        let lives = lease
            .as_ref()
            .is_some_and(|lease| lease.pid == endpoints.pid && Lease::is_held(lease));
        Ok(Some(endpoints).filter(|_| lives))
    }
}

/// Names that are looked through for the one that was meant.
const MOST_NAMES: usize = 1000;

/// An address that a program on this machine can use.
pub(crate) fn url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let home: std::net::IpAddr = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(home);
    }
    format!("http://{address}")
}

/// What was asked and refused, by the caller's mistake.
pub(crate) fn refused(fault: sqs::fault::Fault) -> Failure {
    let code = fault.code.shape();
    let failure = match fault.is_senders() {
        true => Failure::usage(fault.message),
        false => Failure::new(fault.message),
    };
    failure.help(format!("Amazon SQS calls this {code}"))
}

/// Nobody could be asked.
pub(crate) fn unasked(error: AskError) -> Failure {
    match error {
        AskError::Open(OpenError::Lease(error @ LeaseError::Busy { pid })) => {
            Failure::from(error).help(format!("it does not answer: try again, or `kill {pid}` ends it"))
        }
        AskError::Perform(error) => launch::failed(error),
        other => Failure::from(other),
    }
}

/// An answer to another question.
pub(crate) fn unexpected(answer: &Answer) -> Failure {
    Failure::new(format!("the answer is of another kind: {answer:?}"))
        .help("is the Kingtide that lives here another version?")
}

/// Commands that come next, for people.
pub(crate) fn next(commands: &[String], settings: &Settings) {
    if settings.quiet || settings.json || commands.is_empty() {
        return;
    }
    let style = settings.err;
    let commands: Vec<String> = commands.iter().map(|command| style.bold(command)).collect();
    output::say(&format!("{} {}", style.cyan("next:"), commands.join("   ")));
}
