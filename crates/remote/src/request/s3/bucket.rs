//! A bucket as a whole: whether it is there, and all versions of all that is in it, which have to go before it does.

use std::fmt::Write as _;

use super::{bytes, place};
use crate::request::client::{Client, Wish};
use crate::request::errors::{Kind, RequestError};
use crate::request::{percent, xml};

/// Whether a bucket is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BucketState {
    /// It is, and may be looked at.
    There,
    /// It is not.
    Absent,
    /// It is somebody else's, or may not be looked at.
    Foreign,
}

/// A version of an object, or the mark that it was deleted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Version {
    /// All of its name.
    pub key: String,
    /// `null` where the bucket keeps no versions.
    pub id: String,
}

/// As many as one request removes.
const BATCH: usize = 1000;

/// Looks whether a bucket is there.
///
/// # Errors
/// When that cannot be told.
pub fn bucket(client: &Client, bucket: &str) -> Result<BucketState, RequestError> {
    const OPERATION: &str = "s3:ListBucket";
    let place = place(client, OPERATION, bucket, "")?;
    match client.send(&place.wish(OPERATION, "HEAD")) {
        Ok(_) => Ok(BucketState::There),
        Err(error) => match error.kind {
            Kind::NotFound => Ok(BucketState::Absent),
            Kind::Denied => Ok(BucketState::Foreign),
            _ => Err(error),
        },
    }
}

/// The first thousand versions and marks below a prefix.
///
/// # Errors
/// Of any kind.
pub fn versions(client: &Client, bucket: &str, prefix: &str) -> Result<Vec<Version>, RequestError> {
    const OPERATION: &str = "s3:ListBucketVersions";
    let place = place(client, OPERATION, bucket, "")?;
    let wish = Wish {
        query: &[("encoding-type", "url"), ("prefix", prefix), ("versions", "")],
        ..place.wish(OPERATION, "GET")
    };
    let body = client.ask(&wish)?;
    let text = String::from_utf8_lossy(&body);
    let document = xml::read(&text).map_err(|error| RequestError::odd(OPERATION, error))?;
    let root = document.root_element();
    let is_escaped = xml::text(root, "EncodingType") == "url";
    let found = root
        .children()
        .filter(|node| matches!(node.tag_name().name(), "Version" | "DeleteMarker"));
    let versions = found.map(|node| {
        let key = xml::text(node, "Key");
        Version {
            key: if is_escaped { percent::decode(&key) } else { key },
            id: xml::text(node, "VersionId"),
        }
    });
    Ok(versions.collect())
}

/// Removes versions for good.
///
/// # Errors
/// When one of them cannot be removed.
pub fn delete_versions(client: &Client, bucket: &str, versions: &[Version]) -> Result<(), RequestError> {
    const OPERATION: &str = "s3:DeleteObjectVersion";
    let place = place(client, OPERATION, bucket, "")?;
    for versions in versions.chunks(BATCH) {
        let mut body = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>".to_owned();
        for version in versions {
            let (key, id) = (escaped(&version.key), escaped(&version.id));
            let _ = write!(body, "<Object><Key>{key}</Key><VersionId>{id}</VersionId></Object>");
        }
        body.push_str("</Delete>");
        let checksum = super::put::checksum(body.as_bytes());
        let wish = Wish {
            query: &[("delete", "")],
            // S3 takes no list of what to remove without one.
            headers: &[("x-amz-checksum-sha256", &checksum)],
            body: bytes(body.as_bytes()),
            ..place.wish(OPERATION, "POST")
        };
        let answer = client.ask(&wish)?;
        let text = String::from_utf8_lossy(&answer);
        let document = xml::read(&text).map_err(|error| RequestError::odd(OPERATION, error))?;
        if let Some(error) = xml::find(&document, "Error") {
            return Err(RequestError {
                kind: Kind::Denied,
                operation: OPERATION,
                code: xml::text(error, "Code"),
                message: format!("`{}`: {}", xml::text(error, "Key"), xml::text(error, "Message")),
                request_id: String::new(),
                tries: 1,
            });
        }
    }
    Ok(())
}

/// Removes a bucket, which is to be empty.
///
/// # Errors
/// `NotFound` where it is gone already.
pub fn delete_bucket(client: &Client, bucket: &str) -> Result<(), RequestError> {
    const OPERATION: &str = "s3:DeleteBucket";
    let place = place(client, OPERATION, bucket, "")?;
    client.send(&place.wish(OPERATION, "DELETE")).map(drop)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // What XML reads as spaces otherwise, or not at all.
            letter if letter.is_control() => {
                let _ = write!(escaped, "&#{};", u32::from(letter));
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}
