//! Objects by bucket and key, and what S3 does with them.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::http::{Answer, Request, encode};

/// A page of a list has no more.
const MOST_KEYS: usize = 1000;

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) body: Vec<u8>,
    etag: String,
}

/// A multipart upload that is not complete: where it goes, and its parts.
type Upload = (String, String, BTreeMap<u32, Vec<u8>>);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Objects {
    objects: BTreeMap<(String, String), Object>,
    uploads: BTreeMap<String, Upload>,
    next_upload: u32,
}

impl Objects {
    pub(super) fn get(&self, bucket: &str, key: &str) -> Option<&Object> {
        self.objects.get(&(bucket.to_owned(), key.to_owned()))
    }

    /// Answers its tag: the same for the same bytes, as there.
    pub(super) fn put(&mut self, bucket: &str, key: &str, body: Vec<u8>) -> String {
        let etag = tag(&body);
        let object = Object {
            body,
            etag: etag.clone(),
        };
        self.objects.insert((bucket.to_owned(), key.to_owned()), object);
        etag
    }

    pub(super) fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let keys = self.objects.keys();
        let keys = keys.filter(|(of, key)| of == bucket && key.starts_with(prefix));
        keys.map(|(_, key)| key.clone()).collect()
    }

    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        if !is_whole(request) {
            return Answer::refused(400, "XAmzContentSHA256Mismatch");
        }
        let has = |name: &str| request.query.contains_key(name);
        match request.method.as_str() {
            "GET" if request.key.is_empty() => self.list(request),
            "GET" | "HEAD" => self.read(request),
            "PUT" if has("partNumber") => self.part(request),
            "PUT" => self.write(request),
            "POST" if has("uploads") => self.begin(request),
            "POST" if has("uploadId") => self.complete(request),
            "DELETE" if has("uploadId") => {
                self.uploads.remove(&request.query["uploadId"]);
                empty(204)
            }
            "DELETE" => {
                self.objects.remove(&place(request));
                empty(204)
            }
            _ => Answer::refused(501, "NotImplemented"),
        }
    }

    fn read(&self, request: &Request) -> Answer {
        let Some(object) = self.objects.get(&place(request)) else {
            return Answer::refused(404, "NoSuchKey");
        };
        if request.headers.get("if-match").is_some_and(|etag| *etag != object.etag) {
            return Answer::refused(412, "PreconditionFailed");
        }
        let whole = Answer::ok(object.body.clone()).with("etag", object.etag.clone());
        let Some(range) = request.headers.get("range") else {
            return whole;
        };
        let bounds = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
        let Some((first, last)) = bounds else { return whole };
        let length = object.body.len();
        let first: usize = first.parse().unwrap_or(0);
        let end = last.parse::<usize>().map_or(length, |last| (last + 1).min(length));
        if first >= length {
            return Answer::refused(416, "InvalidRange");
        }
        let total = format!("bytes {first}-{}/{length}", end - 1);
        Answer {
            status: 206,
            body: object.body[first..end].to_vec(),
            ..whole
        }
        .with("content-range", total)
    }

    /// Why it may not be written, if it may not.
    fn condition(&self, request: &Request) -> Option<Answer> {
        let there = self.objects.get(&place(request));
        let refused = || Some(Answer::refused(412, "PreconditionFailed"));
        match (
            request.headers.get("if-match"),
            request.headers.get("if-none-match"),
            there,
        ) {
            (Some(_), _, None) => Some(Answer::refused(404, "NoSuchKey")),
            (Some(etag), _, Some(there)) if *etag != there.etag => refused(),
            (_, Some(_), Some(_)) => refused(),
            _ => None,
        }
    }

    fn write(&mut self, request: &Request) -> Answer {
        if let Some(refused) = self.condition(request) {
            return refused;
        }
        let etag = self.put(&request.bucket, &request.key, request.body.clone());
        empty(200).with("etag", etag)
    }

    fn begin(&mut self, request: &Request) -> Answer {
        self.next_upload += 1;
        let id = format!("upload {}", self.next_upload);
        let (bucket, key) = place(request);
        self.uploads.insert(id.clone(), (bucket, key, BTreeMap::new()));
        Answer::ok(
            format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>").into(),
        )
    }

    fn part(&mut self, request: &Request) -> Answer {
        let upload = self.uploads.get_mut(&request.query["uploadId"]);
        let Some((_, _, parts)) = upload else {
            return Answer::refused(404, "NoSuchUpload");
        };
        let number = request.query["partNumber"].parse().unwrap_or(0);
        parts.insert(number, request.body.clone());
        empty(200).with("etag", tag(&request.body))
    }

    fn complete(&mut self, request: &Request) -> Answer {
        if let Some(refused) = self.condition(request) {
            return refused;
        }
        let Some((bucket, key, parts)) = self.uploads.remove(&request.query["uploadId"]) else {
            return Answer::refused(404, "NoSuchUpload");
        };
        let etag = self.put(&bucket, &key, parts.into_values().flatten().collect());
        Answer::ok(
            format!(
                "<CompleteMultipartUploadResult><ETag>{}</ETag></CompleteMultipartUploadResult>",
                etag.replace('"', "&quot;")
            )
            .into(),
        )
    }

    fn list(&self, request: &Request) -> Answer {
        let of = |name: &str| request.query.get(name).map_or("", String::as_str);
        let (prefix, delimiter) = (of("prefix"), of("delimiter"));
        let after = match of("continuation-token") {
            "" => of("start-after"),
            token => token,
        };
        let most = of("max-keys").parse().unwrap_or(MOST_KEYS).min(MOST_KEYS);
        let mut folders = BTreeSet::new();
        let (mut contents, mut count, mut last) = (String::new(), 0, String::new());
        let mut is_truncated = false;
        for key in self
            .keys(&request.bucket, prefix)
            .into_iter()
            .filter(|key| key.as_str() > after)
        {
            if count == most {
                is_truncated = true;
                break;
            }
            let folder = match delimiter {
                "" => None,
                delimiter => key[prefix.len()..]
                    .find(delimiter)
                    .map(|at| prefix.len() + at + delimiter.len()),
            };
            last.clone_from(&key);
            if let Some(end) = folder {
                count += usize::from(folders.insert(key[..end].to_owned()));
                continue;
            }
            count += 1;
            let object = self.get(&request.bucket, &key).expect("it is listed");
            contents.push_str(&format!(
                "<Contents><Key>{}</Key><Size>{}</Size><ETag>{}</ETag><LastModified>2026-11-24T22:00:00.000Z</LastModified></Contents>",
                encode(&key),
                object.body.len(),
                object.etag.replace('"', "&quot;")
            ));
        }
        let folders: String = folders
            .iter()
            .map(|folder| format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", encode(folder)))
            .collect();
        let token = match is_truncated {
            true => format!("<NextContinuationToken>{}</NextContinuationToken>", encode(&last)),
            false => String::new(),
        };
        Answer::ok(
            format!(
                "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{is_truncated}</IsTruncated>{token}{contents}{folders}</ListBucketResult>"
            )
            .into(),
        )
    }
}

fn place(request: &Request) -> (String, String) {
    (request.bucket.clone(), request.key.clone())
}

fn empty(status: u16) -> Answer {
    Answer {
        status,
        ..Answer::default()
    }
}

fn tag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let digits: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Whether the body is the one that was signed.
fn is_whole(request: &Request) -> bool {
    let Some(signed) = request.headers.get("x-amz-content-sha256") else {
        return true;
    };
    let digest: String = Sha256::digest(&request.body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    signed == "UNSIGNED-PAYLOAD" || *signed == digest
}
