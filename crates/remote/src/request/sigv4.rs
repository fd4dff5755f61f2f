//! AWS Signature Version 4, in the `Authorization` header. Pure: time and keys are arguments.
//!
//! The queues here verify what callers sign (`runtime/src/sqs/sigv4`), from the request as it was received and for one service; the two
//! meet in a test only, since the runtime does without TLS and what else hangs on this crate.

use std::fmt::Write as _;
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

use kingtide_core::hex;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";

/// What a signature is made with.
pub struct Signer<'a> {
    /// The public half.
    pub access_key: &'a str,
    /// The secret half.
    pub secret: &'a str,
    /// The region that the request is for.
    pub region: &'a str,
    /// The service, as signatures call it.
    pub service: &'a str,
    /// When it is signed.
    pub at: SystemTime,
}

/// What a signature covers.
pub struct Covered<'a> {
    /// `GET` and so on.
    pub method: &'a str,
    /// As it is sent: escaped, and of S3 or `/`, since other services want it escaped once more.
    pub path: &'a str,
    /// As it is sent, without the question mark: escaped, and in order.
    pub query: &'a str,
    /// Lower-case names and their values, in order of their names, `host` and `x-amz-date` among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// SHA-256 of the body, in hexadecimal.
    pub body_hash: &'a str,
}

impl Signer<'_> {
    /// The value of the header `Authorization`.
    pub fn authorization(&self, covered: &Covered<'_>) -> String {
        let date = date(self.at);
        let day = &date[..8];
        let scope = format!("{day}/{}/{}/{TERMINATOR}", self.region, self.service);
        let names: Vec<&str> = covered.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let hash = hex::encode(&Sha256::digest(covered.canonical(&names)));
        let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{hash}");
        let mut key = keyed(format!("AWS4{}", self.secret).as_bytes(), day.as_bytes());
        for part in [self.region, self.service, TERMINATOR] {
            key = keyed(&key, part.as_bytes());
        }
        let signature = hex::encode(&keyed(&key, to_sign.as_bytes()));
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        )
    }
}

impl Covered<'_> {
    fn canonical(&self, names: &str) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.method, self.path, self.query);
        for (name, value) in self.headers {
            let _ = write!(text, "{name}:");
            // Words with single spaces between them.
            for (index, word) in value.split_ascii_whitespace().enumerate() {
                let space = if index > 0 { " " } else { "" };
                let _ = write!(text, "{space}{word}");
            }
            text.push('\n');
        }
        let _ = write!(text, "\n{names}\n{}", self.body_hash);
        text
    }
}

/// As signatures and the header `x-amz-date` write it: `20150830T123600Z`.
pub fn date(at: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.replace(['-', ':'], "")
}

fn keyed(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of AWS's signing test suite, version 4.
    fn signature(method: &str, path: &str, query: &str, more: &[(&str, &str)], body: &str) -> String {
        let at = humantime::parse_rfc3339("2015-08-30T12:36:00Z").expect("a date");
        let signer = Signer {
            access_key: "AKIDEXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
            at,
        };
        let mut headers = vec![("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        headers.extend(more);
        headers.sort_unstable();
        let hash = hex::encode(&Sha256::digest(body));
        let header = signer.authorization(&Covered {
            method,
            path,
            query,
            headers: &headers,
            body_hash: &hash,
        });
        let (head, signature) = header.split_once("Signature=").expect("a signature");
        assert!(head.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "));
        signature.to_owned()
    }

    #[test]
    fn signatures_are_those_that_aws_publishes() {
        // get-vanilla
        assert_eq!(
            signature("GET", "/", "", &[], ""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        // get-vanilla-query-order-key-case
        assert_eq!(
            signature("GET", "/", "Param1=value1&Param2=value2", &[], ""),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        );
        // get-utf8
        assert_eq!(
            signature("GET", "/%E1%88%B4", "", &[], ""),
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"
        );
        // get-header-value-trim
        assert_eq!(
            signature(
                "GET",
                "/",
                "",
                &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
                ""
            ),
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
        );
        // post-x-www-form-urlencoded
        assert_eq!(
            signature(
                "POST",
                "/",
                "",
                &[("content-type", "application/x-www-form-urlencoded")],
                "Param1=value1"
            ),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }
}
