//! Queue URLs: `http://<host that the caller spoke to>/000000000000/<name>`.

use kingtide_core::contract;

use super::fault::{Code, Fault};

/// The URL of a queue, for a caller that spoke to this host and port.
pub(super) fn url(host: &str, queue: &str) -> String {
    contract::queue_url(&format!("http://{host}"), queue)
}

/// The name of the queue that a URL leads to. Whatever host and account it was made for: programs carry the URLs of
/// the queue that they use elsewhere.
pub(super) fn queue(url: &str) -> Result<String, Fault> {
    let after_scheme = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let path = match after_scheme {
        Some(rest) => rest.split_once('/').map(|(_, path)| path),
        None => url.strip_prefix('/'),
    };
    path.and_then(in_path).map(str::to_owned).ok_or_else(|| {
        let message = format!("The address {url} is not valid for this endpoint.");
        Fault::new(Code::InvalidAddress, message)
    })
}

/// The queue that a request's path names: `/<account>/<name>`.
pub(super) fn queue_of_path(path: &str) -> Option<&str> {
    in_path(path.strip_prefix('/')?)
}

fn in_path(path: &str) -> Option<&str> {
    let (account, name) = path.split_once('/')?;
    let name = name.strip_suffix('/').unwrap_or(name);
    (!account.is_empty() && !name.is_empty() && !name.contains('/')).then_some(name)
}
