//! Requests, answered one after the other by whoever can.

use std::collections::BTreeMap;
use std::io;

use kingtide_remote::request::{Client, sts};
use kingtide_remote::wire::{Ask, Event, Request};

use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::site::Site;
use crate::{doctor, premises, prices, run, stack};

/// Whoever asks stays the same from one request to the next.
#[derive(Default)]
pub struct Session {
    /// By the region that was asked for.
    known: BTreeMap<Option<String>, Known>,
}

struct Known {
    client: Client,
    account: String,
}

impl Session {
    /// Says all events of the answer, the last of which is `done` or `failed`.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub fn answer(&mut self, request: Request, say: &mut dyn FnMut(Event) -> io::Result<()>) -> io::Result<()> {
        match self.answer_or_fail(request, say) {
            Ok(()) => say(Event::Done),
            Err(Failure::Said(failed)) => say(Event::Failed(*failed)),
            Err(Failure::Gone(error)) => Err(error),
        }
    }

    fn answer_or_fail(&mut self, request: Request, say: &mut dyn FnMut(Event) -> io::Result<()>) -> Outcome {
        let Request { target, ask } = request;
        // What is wrong with the credentials is its answer.
        if let Ask::Doctor { images, architecture } = &ask {
            let client = credentials::client(target.region.as_deref());
            return doctor::look(client, &target.stack, images, architecture, say);
        }
        let known = self.known(target.region)?;
        let mut site = Site::new(&known.client, &known.account, &target.stack, say);
        let site = &mut site;
        match ask {
            Ask::Describe { drift } => stack::describe(site, drift),
            Ask::Registry { base, repositories } => stack::registry(site, &base, &repositories),
            Ask::Deploy(deploy) => stack::deploy(site, &deploy),
            Ask::Contents => stack::contents(site),
            Ask::Destroy { with_data } => stack::destroy(site, with_data),
            Ask::Premises => premises::premises(site),
            Ask::Start(start) => run::start(site, &start),
            Ask::Watch { run } => run::watch(site, run),
            Ask::Send { job, messages } => run::send(site, &job, &messages),
            Ask::Cancel { run, by } => run::cancel(site, run, &by),
            Ask::Fetch(fetch) => run::fetch(site, &fetch),
            Ask::Log {
                run,
                seq,
                attempt,
                follow,
            } => run::log(site, run::attempt(run, seq, attempt), follow),
            Ask::Doctor { .. } => Ok(()),
            Ask::Prices { regions } => prices::prices(site, &regions),
        }
    }

    fn known(&mut self, region: Option<String>) -> Outcome<&Known> {
        if !self.known.contains_key(&region) {
            let client = credentials::client(region.as_deref())?;
            let account = sts::identity(&client)?.account;
            self.known.insert(region.clone(), Known { client, account });
        }
        Ok(&self.known[&region])
    }
}
