//! Lists of objects: what begins with a prefix, in the order of the keys, a thousand at a time.

use super::place;
use crate::request::client::{Client, Wish};
use crate::request::errors::RequestError;
use crate::request::{percent, xml};

const OPERATION: &str = "s3:ListBucket";

/// An object in a list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Object {
    /// All of its name.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// For `If-Match`, with its quotes.
    pub etag: String,
    /// As the service writes it: `2026-11-24T22:00:00.000Z`.
    pub modified: String,
}

/// A page of a list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listing {
    /// In the order of their keys.
    pub objects: Vec<Object>,
    /// Where a delimiter is given: what stands before it, once each, with it.
    pub folders: Vec<String>,
    /// There is more after the last.
    pub is_truncated: bool,
}

/// All objects below a prefix whose keys come after `after` (which may be empty).
///
/// # Errors
/// `NotFound` where there is no such bucket.
pub fn list(client: &Client, bucket: &str, prefix: &str, after: &str) -> Result<Vec<Object>, RequestError> {
    let mut objects: Vec<Object> = Vec::new();
    let mut after = after.to_owned();
    loop {
        let page = list_page(client, bucket, prefix, &after, "", 1000)?;
        let last = page.objects.last().map(|object| object.key.clone());
        objects.extend(page.objects);
        match last {
            Some(last) if page.is_truncated => after = last,
            _ => return Ok(objects),
        }
    }
}

/// One page of up to `most` keys that come after `after`.
///
/// # Errors
/// `NotFound` where there is no such bucket.
pub fn list_page(
    client: &Client,
    bucket: &str,
    prefix: &str,
    after: &str,
    delimiter: &str,
    most: u32,
) -> Result<Listing, RequestError> {
    let place = place(client, OPERATION, bucket, "")?;
    let most = most.to_string();
    // Keys are escaped: XML has no way of writing some of what they may hold.
    let mut query = vec![
        ("encoding-type", "url"),
        ("list-type", "2"),
        ("max-keys", most.as_str()),
        ("prefix", prefix),
    ];
    let optional = [("delimiter", delimiter), ("start-after", after)];
    query.extend(optional.iter().filter(|(_, value)| !value.is_empty()));
    let wish = Wish {
        query: &query,
        ..place.wish(OPERATION, "GET")
    };
    let body = client.ask(&wish)?;
    read(&String::from_utf8_lossy(&body)).map_err(|error| RequestError::odd(OPERATION, error))
}

fn read(text: &str) -> Result<Listing, roxmltree::Error> {
    let document = xml::read(text)?;
    let root = document.root_element();
    let is_escaped = xml::text(root, "EncodingType") == "url";
    let plain = |text: String| if is_escaped { percent::decode(&text) } else { text };
    let mut listing = Listing {
        is_truncated: xml::text(root, "IsTruncated") == "true",
        ..Listing::default()
    };
    for node in root.children() {
        match node.tag_name().name() {
            "Contents" => listing.objects.push(Object {
                key: plain(xml::text(node, "Key")),
                size: xml::text(node, "Size").parse().unwrap_or_default(),
                etag: xml::text(node, "ETag"),
                modified: xml::text(node, "LastModified"),
            }),
            "CommonPrefixes" => listing.folders.push(plain(xml::text(node, "Prefix"))),
            _ => {}
        }
    }
    Ok(listing)
}
