//! Writing an object in one request: on a condition, and with its checksum, so that what arrives is what was sent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::{Head, place, unwritten};
use crate::request::client::{Client, Wish};
use crate::request::errors::RequestError;
use crate::request::transport::Body;
use kingtide_core::hex;

/// On what condition an object is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition<'a> {
    /// Over whatever is there.
    Always,
    /// If there is none.
    Absent,
    /// Over the one that has this tag, as `Head` says it.
    Match(&'a str),
}

impl<'a> Condition<'a> {
    pub(super) fn header(self) -> Option<(&'static str, &'a str)> {
        match self {
            Condition::Always => None,
            Condition::Absent => Some(("if-none-match", "*")),
            Condition::Match(etag) => Some(("if-match", etag)),
        }
    }
}

/// Writes an object.
///
/// # Errors
/// `Precondition` where the condition did not hold; after a second try (`tries`) it may have been this very write that got there first, so whoever
/// wants to know reads the object. `NotFound` where it was to be replaced and is gone.
pub fn put(
    client: &Client,
    bucket: &str,
    key: &str,
    body: &[u8],
    condition: Condition<'_>,
) -> Result<Head, RequestError> {
    let digest = Sha256::digest(body);
    put_body(client, bucket, key, Body::Bytes(body), &digest, condition)
}

/// The same with a part of a file, which is read twice: for its checksum, and to be sent.
///
/// # Errors
/// As `put`; `Invalid` where the file cannot be read.
pub fn put_part_of_file(
    client: &Client,
    bucket: &str,
    key: &str,
    (file, from, length): (&File, u64, u64),
    condition: Condition<'_>,
) -> Result<Head, RequestError> {
    let digest = digest(file, from, length).map_err(|error| unwritten("s3:PutObject", &error))?;
    put_body(
        client,
        bucket,
        key,
        Body::Part { file, from, length },
        &digest,
        condition,
    )
}

fn put_body(
    client: &Client,
    bucket: &str,
    key: &str,
    body: Body<'_>,
    digest: &[u8],
    condition: Condition<'_>,
) -> Result<Head, RequestError> {
    const OPERATION: &str = "s3:PutObject";
    let place = place(client, OPERATION, bucket, key)?;
    let checksum = STANDARD.encode(digest);
    let mut headers = vec![("x-amz-checksum-sha256", checksum.as_str())];
    headers.extend(condition.header());
    let hash = hex::encode(digest);
    let wish = Wish {
        headers: &headers,
        body,
        body_hash: Some(&hash),
        ..place.wish(OPERATION, "PUT")
    };
    let answer = client.send(&wish)?;
    Ok(Head {
        size: body.length(),
        ..Head::of(&answer)
    })
}

/// SHA-256 of a part of a file.
pub(super) fn digest(mut file: &File, from: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut hasher = Sha256::new();
    let mut part = file.take(length);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match part.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    match part.limit() {
        0 => Ok(hasher.finalize().to_vec()),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter")),
    }
}

/// As the header wants it.
pub(super) fn checksum(body: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(body))
}
