//! Files of any size: in one request while that is sensible, else in parts. What fails leaves no parts behind that somebody pays for.

use std::fmt::Write as _;
use std::fs::File;

use super::put::{Condition, digest, put_part_of_file};
use super::{Head, Place, bytes, place, unwritten};
use crate::request::client::{Client, Wish};
use crate::request::errors::RequestError;
use crate::request::transport::Body;
use kingtide_core::hex;

use crate::request::xml;

const OPERATION: &str = "s3:PutObject";
/// Up to here in one request.
const SINGLE: u64 = 64 * 1024 * 1024;
/// The least size of parts; they grow so that there are no more than AWS takes.
const PART: u64 = 32 * 1024 * 1024;
const MOST_PARTS: u64 = 10_000;

/// Writes a file as an object; in parts where it is large.
///
/// # Errors
/// As `put`; `Invalid` where the file cannot be read.
pub fn put_file(
    client: &Client,
    bucket: &str,
    key: &str,
    file: &File,
    condition: Condition<'_>,
) -> Result<Head, RequestError> {
    let length = file.metadata().map_err(|error| unwritten(OPERATION, &error))?.len();
    if length <= SINGLE {
        return put_part_of_file(client, bucket, key, (file, 0, length), condition);
    }
    in_parts(
        client,
        bucket,
        key,
        file,
        length,
        PART.max(length.div_ceil(MOST_PARTS)),
        condition,
    )
}

fn in_parts(
    client: &Client,
    bucket: &str,
    key: &str,
    file: &File,
    length: u64,
    part: u64,
    condition: Condition<'_>,
) -> Result<Head, RequestError> {
    let place = place(client, OPERATION, bucket, key)?;
    let upload = begin(client, &place)?;
    let whole = parts(client, &place, &upload, file, length, part)
        .and_then(|parts| complete(client, &place, &upload, &parts, condition));
    if whole.is_err() {
        // The bucket's lifecycle removes what this does not.
        let _ = client.send(&Wish {
            query: &[("uploadId", &upload)],
            ..place.wish("s3:AbortMultipartUpload", "DELETE")
        });
    }
    whole.map(|etag| Head { etag, size: length })
}

fn begin(client: &Client, place: &Place) -> Result<String, RequestError> {
    let wish = Wish {
        query: &[("uploads", "")],
        ..place.wish(OPERATION, "POST")
    };
    let body = client.ask(&wish)?;
    let text = String::from_utf8_lossy(&body);
    let document = xml::read(&text).map_err(|error| RequestError::odd(OPERATION, error))?;
    let upload = xml::text(document.root_element(), "UploadId");
    match upload.is_empty() {
        true => Err(RequestError::odd(OPERATION, "no id of the upload")),
        false => Ok(upload),
    }
}

/// The parts' tags.
fn parts(
    client: &Client,
    place: &Place,
    upload: &str,
    file: &File,
    length: u64,
    part: u64,
) -> Result<Vec<String>, RequestError> {
    let mut tags = Vec::new();
    let mut from = 0;
    while from < length {
        let size = part.min(length - from);
        let digest = digest(file, from, size).map_err(|error| unwritten(OPERATION, &error))?;
        let hash = hex::encode(&digest);
        let number = (tags.len() + 1).to_string();
        let wish = Wish {
            query: &[("partNumber", &number), ("uploadId", upload)],
            body: Body::Part {
                file,
                from,
                length: size,
            },
            body_hash: Some(&hash),
            ..place.wish(OPERATION, "PUT")
        };
        tags.push(client.send(&wish)?.header("etag").to_owned());
        from += size;
    }
    Ok(tags)
}

fn complete(
    client: &Client,
    place: &Place,
    upload: &str,
    parts: &[String],
    condition: Condition<'_>,
) -> Result<String, RequestError> {
    let mut body = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
    for (index, tag) in parts.iter().enumerate() {
        let number = index + 1;
        let _ = write!(body, "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
    }
    body.push_str("</CompleteMultipartUpload>");
    let headers: Vec<(&str, &str)> = condition.header().into_iter().collect();
    let wish = Wish {
        query: &[("uploadId", upload)],
        headers: &headers,
        body: bytes(body.as_bytes()),
        ..place.wish(OPERATION, "POST")
    };
    // It may say 200 first, and no afterwards.
    let answer = client.ask(&wish)?;
    let text = String::from_utf8_lossy(&answer);
    let document = xml::read(text.trim()).map_err(|error| RequestError::odd(OPERATION, error))?;
    let root = document.root_element();
    match root.tag_name().name() {
        "Error" => Err(RequestError::odd(OPERATION, xml::text(root, "Message"))),
        _ => Ok(xml::text(root, "ETag")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::request::testing::{Server, client};

    #[test]
    fn a_large_file_goes_in_parts_and_what_fails_is_taken_back() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let of_server = seen.clone();
        let server = Server::start(move |request| {
            let line = request.head.lines().next().unwrap_or_default().to_owned();
            let size = request.body.len();
            of_server.lock().expect("seen").push(format!("{line} {size}"));
            match line.as_str() {
                line if line.contains("?uploads=") => Server::answer(
                    200,
                    &[],
                    "<InitiateMultipartUploadResult><UploadId>u 1</UploadId></InitiateMultipartUploadResult>",
                ),
                line if line.contains("partNumber=") => Server::answer(200, &[("ETag", "\"part\"")], ""),
                line if line.starts_with("POST") => Server::answer(
                    200,
                    &[],
                    "<Error><Code>InternalError</Code><Message>Not today.</Message></Error>",
                ),
                _ => Server::answer(204, &[], ""),
            }
        });
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 25]).expect("written");
        let error = in_parts(&client(&server), "b", "k", &file, 25, 10, Condition::Absent).expect_err("not today");
        assert!(error.to_string().contains("Not today."), "{error}");
        let seen = seen.lock().expect("seen").join("\n");
        insta::assert_snapshot!(seen);
    }
}
