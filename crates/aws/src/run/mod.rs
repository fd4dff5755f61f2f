//! Runs: opened (`start.rs`), watched (`watch.rs`), sent to and cancelled (`words.rs`), and what is kept of them fetched: documents (`fetch.rs`),
//! what they have put out (`outputs.rs`), logs (`log.rs`).

mod fetch;
mod log;
mod outputs;
mod start;
mod watch;
mod words;

use kingtide_core::id::{AttemptId, RunId};
use kingtide_remote::record::RunKeys;
use kingtide_remote::request::{Kind, OrAbsent as _, s3};
use kingtide_remote::wire::FailureKind;

use crate::failure::{Failure, Outcome};
use crate::site::Site;

pub(crate) use fetch::fetch;
pub(crate) use log::log;
pub(crate) use start::start;
pub(crate) use watch::watch;
pub(crate) use words::{cancel, send};

/// An attempt by its numbers.
pub(crate) fn attempt(run: i64, seq: i64, number: u32) -> AttemptId {
    RunId(run).task(seq).attempt(number)
}

/// A document of the bucket as text; `None` where it is not there.
fn text(site: &Site<'_>, bucket: &str, key: &str) -> Outcome<Option<String>> {
    let found = s3::get(site.client, bucket, key).or_absent()?;
    Ok(found.map(|found| String::from_utf8_lossy(&found.body).into_owned()))
}

/// `run.json` of a run that is to be there.
fn opened(site: &Site<'_>, bucket: &str, keys: &RunKeys) -> Outcome<String> {
    let key = keys.document();
    text(site, bucket, &key)?.ok_or_else(|| {
        let name = site.short(keys.prefix()).trim_end_matches('/').replace("runs/", "");
        Failure::new(
            FailureKind::NotFound,
            format!("the stack `{}` has no run {name}", site.stack),
        )
        .help("`kingtide history --on aws` lists those that there are")
    })
}

/// Whether somebody else was first.
fn is_taken(error: &kingtide_remote::request::RequestError) -> bool {
    error.is(Kind::Precondition)
}
