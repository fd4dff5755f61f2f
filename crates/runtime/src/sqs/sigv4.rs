//! AWS Signature Version 4: who signed a request, and whether the signature holds.

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;

/// The access key id that a request names, whether or not it could prove it.
pub(super) fn claimed_access_key(head: &Parts) -> Option<String> {
    let header = head.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (_, rest) = header.split_once("Credential=")?;
    let (key, _) = rest.split_once('/')?;
    Some(key.to_owned())
}
