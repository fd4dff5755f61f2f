//! What a request is about: a stack in a region, and whom to tell.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use kingtide_core::cloud::template::LogicalId;
use kingtide_remote::record::Keys;
use kingtide_remote::request::Client;
use kingtide_remote::request::cloudformation::{self, Stack};
use kingtide_remote::wire::{Event, FailureKind};

use crate::failure::{Failure, Outcome};

/// A stack, whoever may be asked about it, and who hears of it.
pub(crate) struct Site<'a> {
    pub(crate) client: &'a Client,
    pub(crate) account: &'a str,
    pub(crate) stack: &'a str,
    say: &'a mut dyn FnMut(Event) -> io::Result<()>,
}

impl<'a> Site<'a> {
    pub(crate) fn new(
        client: &'a Client,
        account: &'a str,
        stack: &'a str,
        say: &'a mut dyn FnMut(Event) -> io::Result<()>,
    ) -> Site<'a> {
        Site {
            client,
            account,
            stack,
            say,
        }
    }

    pub(crate) fn say(&mut self, event: Event) -> Outcome {
        Ok((self.say)(event)?)
    }

    pub(crate) fn keys(&self) -> Keys {
        Keys::new(self.stack)
    }

    /// A key of the bucket without the stack's name.
    pub(crate) fn short<'k>(&self, key: &'k str) -> &'k str {
        let rest = key.strip_prefix(self.stack);
        rest.and_then(|rest| rest.strip_prefix('/')).unwrap_or(key)
    }

    /// The stack, which is to be there.
    pub(crate) fn deployed(&self) -> Outcome<Stack> {
        let found = cloudformation::describe(self.client, self.stack)?;
        found
            .filter(|stack| stack.status != "REVIEW_IN_PROGRESS")
            .ok_or_else(|| {
                let message = format!(
                    "there is no stack `{}` in {} (account {})",
                    self.stack,
                    self.client.region(),
                    self.account
                );
                Failure::new(FailureKind::Stack, message).help("`kingtide deploy` makes it")
            })
    }

    /// The bucket of the stack.
    pub(crate) fn bucket(&self) -> Outcome<String> {
        let stack = self.deployed()?;
        output(&stack, "Bucket").map(str::to_owned)
    }
}

/// What a stack says of itself.
pub(crate) fn output<'s>(stack: &'s Stack, name: &str) -> Outcome<&'s str> {
    stack.outputs.get(name).map(String::as_str).ok_or_else(|| {
        let message = format!("the stack has no `{name}`: its last deploy is not whole, or of another version");
        Failure::new(FailureKind::Stack, message).help("`kingtide deploy` mends it")
    })
}

/// What a stack says of a job.
pub(crate) fn of_job<'s>(stack: &'s Stack, job: &str, kind: &str) -> Outcome<&'s str> {
    let name = LogicalId::of(job, kind);
    stack.outputs.get(name.as_str()).map(String::as_str).ok_or_else(|| {
        let message = format!(
            "the stack that is deployed has no job `{job}` that could do this (`{}`)",
            name.as_str()
        );
        Failure::new(FailureKind::NotFound, message).help("`kingtide deploy` brings it up to date")
    })
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A moment as services write it, in milliseconds since 1970; 0 where it is none.
pub(crate) fn moment_ms(text: &str) -> i64 {
    kingtide_exec::stamp::moment(text).unwrap_or_default()
}
