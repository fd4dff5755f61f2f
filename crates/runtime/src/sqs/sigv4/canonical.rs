//! What a signature covers: the request in the one way of writing it that both ends agree on.

use std::fmt::Write as _;

use hyper::header::{HOST, HeaderMap};
use hyper::http::request::Parts;
use sha2::{Digest as _, Sha256};

use super::CONTENT_HASH;
use crate::sqs::fault::{Code, Fault};
use crate::sqs::percent;
use kingtide_core::hex;

pub(super) struct Covered<'a> {
    pub(super) head: &'a Parts,
    pub(super) body: &'a [u8],
    /// Names with semicolons between them, as the caller wrote them.
    pub(super) signed_headers: &'a str,
    pub(super) presigned: bool,
}

impl Covered<'_> {
    /// The hash of the canonical request.
    pub(super) fn hash(&self) -> Result<[u8; 32], Fault> {
        let mut text = String::with_capacity(512);
        text.push_str(self.head.method.as_str());
        text.push('\n');
        path(&mut text, self.head.uri.path());
        text.push('\n');
        query(&mut text, self.head.uri.query().unwrap_or_default(), self.presigned);
        text.push('\n');
        for name in self.signed_headers.split(';') {
            header(&mut text, self.head, name);
        }
        text.push('\n');
        text.push_str(self.signed_headers);
        text.push('\n');
        text.push_str(&self.body_hash()?);
        Ok(Sha256::digest(text).into())
    }

    /// What the caller says of its body must be true: there is no TLS here that would vouch for an unsigned one.
    fn body_hash(&self) -> Result<String, Fault> {
        let hash = hex::encode(&Sha256::digest(self.body));
        match self.head.headers.get(CONTENT_HASH) {
            Some(said) if !said.as_bytes().eq_ignore_ascii_case(hash.as_bytes()) => Err(Fault::new(
                Code::SignatureDoesNotMatch,
                "The provided 'x-amz-content-sha256' header does not match what was computed; an unsigned payload is not \
                 accepted.",
            )),
            _ => Ok(hash),
        }
    }
}

/// The path without its dot segments and doubled slashes, and each segment escaped once more.
fn path(to: &mut String, path: &str) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        to.push('/');
        percent::encode(to, segment.as_bytes());
    }
    let is_folder = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    if segments.is_empty() || is_folder {
        to.push('/');
    }
}

/// The parameters in the order of their escaped names and values, without the signature itself.
fn query(to: &mut String, query: &str, presigned: bool) {
    let escaped = |text: &str| {
        let mut escaped = String::with_capacity(text.len());
        percent::encode(&mut escaped, &percent::decode(text.as_bytes(), false));
        escaped
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| !(presigned && *name == "X-Amz-Signature"))
        .map(|(name, value)| (escaped(name), escaped(value)))
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            to.push('&');
        }
        let _ = write!(to, "{name}={value}");
    }
}

/// One line: the name, and its values with single spaces and commas between them.
fn header(to: &mut String, head: &Parts, name: &str) {
    to.push_str(name);
    to.push(':');
    if name == HOST.as_str() && !head.headers.contains_key(HOST) {
        // A request whose line names the host need not repeat it.
        to.push_str(head.uri.authority().map_or("", |authority| authority.as_str()));
    }
    values(to, &head.headers, name);
    to.push('\n');
}

fn values(to: &mut String, headers: &HeaderMap, name: &str) {
    for (index, value) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            to.push(',');
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        for (index, word) in value.split([' ', '\t']).filter(|word| !word.is_empty()).enumerate() {
            if index > 0 {
                to.push(' ');
            }
            to.push_str(word);
        }
    }
}
