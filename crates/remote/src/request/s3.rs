//! Amazon S3: objects and lists of them. Conditional writes decide who was first; bodies may come from files and go into files.
//!
//! `s3/put.rs` writes, `s3/multipart.rs` what is large, `s3/list.rs` lists, `s3/bucket.rs` is about versions, and buckets as a whole.

mod bucket;
mod list;
mod multipart;
mod put;

use std::fs::File;
use std::io::{self, Read};

use super::client::{Client, Wish};
use super::endpoint::{Endpoint, Service};
use super::errors::{Kind, RequestError};
use super::percent;
use super::retry::{Next, Tries, Trouble};
use super::transport::{Answer, Body};

pub use self::bucket::{BucketState, Version, bucket, delete_bucket, delete_versions, versions};
pub use self::list::{Listing, Object, list, list_page};
pub use self::multipart::put_file;
pub use self::put::{Condition, put, put_part_of_file};

/// What is known of an object without its body.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Head {
    /// For `If-Match`, with its quotes.
    pub etag: String,
    /// In bytes.
    pub size: u64,
}

/// An object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// What is known of it.
    pub head: Head,
    /// All of it, or the range that was asked for.
    pub body: Vec<u8>,
}

/// Where an object is: the host's prefix and the path.
pub(super) struct Place {
    pub(super) host_prefix: String,
    pub(super) path: String,
}

/// A bucket in the host's name, or in the path: where the endpoint is somebody's own, or its name has dots (which TLS does not like).
pub(super) fn place(client: &Client, operation: &'static str, bucket: &str, key: &str) -> Result<Place, RequestError> {
    let endpoint = endpoint(client, operation)?;
    let key = percent::encode_path(key);
    Ok(match endpoint.is_given || bucket.contains('.') {
        true if key.is_empty() => Place {
            host_prefix: String::new(),
            path: format!("/{bucket}"),
        },
        true => Place {
            host_prefix: String::new(),
            path: format!("/{bucket}/{key}"),
        },
        false => Place {
            host_prefix: format!("{bucket}."),
            path: format!("/{key}"),
        },
    })
}

fn endpoint(client: &Client, operation: &'static str) -> Result<Endpoint, RequestError> {
    client.endpoint(Service::S3).map_err(|error| RequestError {
        kind: Kind::Invalid,
        operation,
        code: String::new(),
        message: error.to_string(),
        request_id: String::new(),
        tries: 0,
    })
}

impl Place {
    pub(super) fn wish<'a>(&'a self, operation: &'static str, method: &'static str) -> Wish<'a> {
        Wish {
            method,
            host_prefix: &self.host_prefix,
            path: &self.path,
            ..Wish::post(Service::S3, operation, &[])
        }
    }
}

impl Head {
    pub(super) fn of(answer: &Answer) -> Head {
        Head {
            etag: answer.header("etag").to_owned(),
            size: answer.header("content-length").parse().unwrap_or_default(),
        }
    }
}

/// Where an object lies, as CloudFormation wants to be told.
///
/// # Errors
/// When the environment's address of S3 is none.
pub fn url(client: &Client, bucket: &str, key: &str) -> Result<String, RequestError> {
    let place = place(client, "s3:GetObject", bucket, key)?;
    let endpoint = endpoint(client, "s3:GetObject")?;
    Ok(format!(
        "{}://{}{}{}{}",
        endpoint.scheme, place.host_prefix, endpoint.host, endpoint.path, place.path
    ))
}

/// An object as a whole; for those that fit into memory.
///
/// # Errors
/// `NotFound` where there is none (`Denied`, where listing is not allowed either).
pub fn get(client: &Client, bucket: &str, key: &str) -> Result<Found, RequestError> {
    get_wish(client, bucket, key, None)
}

/// A part of an object: from the first byte, up to so many.
///
/// # Errors
/// `NotFound` where there is none; `Invalid` where it is not as long as that.
pub fn get_range(client: &Client, bucket: &str, key: &str, first: u64, length: u64) -> Result<Found, RequestError> {
    let range = format!("bytes={first}-{}", first + length.max(1) - 1);
    get_wish(client, bucket, key, Some(&range))
}

fn get_wish(client: &Client, bucket: &str, key: &str, range: Option<&str>) -> Result<Found, RequestError> {
    const OPERATION: &str = "s3:GetObject";
    let place = place(client, OPERATION, bucket, key)?;
    let headers: Vec<(&str, &str)> = range.iter().map(|range| ("range", *range)).collect();
    let wish = Wish {
        headers: &headers,
        ..place.wish(OPERATION, "GET")
    };
    let mut tries = Tries::default();
    loop {
        let answer = client.send(&wish)?;
        let head = Head::of(&answer);
        match answer.read(u64::MAX) {
            Ok(body) => return Ok(Found { head, body }),
            Err(lost) => client.again_or(&mut tries, &lost, OPERATION)?,
        }
    }
}

/// Writes an object into a file, from its start; what a lost connection left is gone on with.
///
/// # Errors
/// `NotFound` where there is none; `Precondition` where it was replaced meanwhile; `Invalid` where the file cannot be written.
pub fn get_file(client: &Client, bucket: &str, key: &str, into: &mut File) -> Result<Head, RequestError> {
    const OPERATION: &str = "s3:GetObject";
    let place = place(client, OPERATION, bucket, key)?;
    let mut head: Option<Head> = None;
    let mut written: u64 = 0;
    let mut tries = Tries::default();
    loop {
        let range = format!("bytes={written}-");
        let etag = head.as_ref().map(|head| head.etag.clone());
        let mut headers: Vec<(&str, &str)> = Vec::new();
        if let Some(etag) = &etag {
            headers.extend([("if-match", etag.as_str()), ("range", range.as_str())]);
        }
        let wish = Wish {
            headers: &headers,
            ..place.wish(OPERATION, "GET")
        };
        let answer = client.send(&wish)?;
        let known = head.get_or_insert_with(|| Head::of(&answer)).clone();
        match pour(answer.into_reader(), into) {
            Ok(bytes) => written += bytes,
            Err(Spilt::Reading(bytes)) => written += bytes,
            Err(Spilt::Writing(error)) => return Err(unwritten(OPERATION, &error)),
        }
        if written >= known.size {
            return Ok(known);
        }
        match client.next(&mut tries, &Trouble::NoAnswer) {
            Next::After(pause) => super::client::wait(pause),
            _ => return Err(RequestError::odd(OPERATION, "the connection is lost again and again")),
        }
    }
}

/// Why not all was copied.
enum Spilt {
    /// So much was.
    Reading(u64),
    Writing(io::Error),
}

fn pour(mut from: impl Read, into: &mut File) -> Result<u64, Spilt> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total: u64 = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(length) => {
                io::Write::write_all(into, &buffer[..length]).map_err(Spilt::Writing)?;
                total += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Spilt::Reading(total)),
        }
    }
}

pub(super) fn unwritten(operation: &'static str, error: &io::Error) -> RequestError {
    RequestError {
        kind: Kind::Invalid,
        operation,
        code: String::new(),
        message: format!("the file here: {error}"),
        request_id: String::new(),
        tries: 0,
    }
}

/// What is known of an object without its body.
///
/// # Errors
/// `NotFound` where there is none (`Denied`, where listing is not allowed either).
pub fn head(client: &Client, bucket: &str, key: &str) -> Result<Head, RequestError> {
    const OPERATION: &str = "s3:GetObject";
    let place = place(client, OPERATION, bucket, key)?;
    let answer = client.send(&place.wish(OPERATION, "HEAD"))?;
    Ok(Head::of(&answer))
}

/// Removes an object; one that is not there is no error.
///
/// # Errors
/// Of any kind.
pub fn delete(client: &Client, bucket: &str, key: &str) -> Result<(), RequestError> {
    const OPERATION: &str = "s3:DeleteObject";
    let place = place(client, OPERATION, bucket, key)?;
    client.send(&place.wish(OPERATION, "DELETE")).map(drop)
}

/// A body, for those beside.
pub(super) fn bytes(body: &[u8]) -> Body<'_> {
    Body::Bytes(body)
}
