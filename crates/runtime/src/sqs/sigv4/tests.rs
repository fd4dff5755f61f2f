//! Signatures that AWS publishes (its signing test suite, version 4), what is refused and in which words. That SDKs' own
//! signatures hold is seen in `sqs/tests/boto.rs`.

use std::time::{Duration, SystemTime};

use hyper::Request;
use hyper::http::request::Parts;

use super::{moment, verify, verify_for, written};
use crate::sqs::fault::{Code, Fault};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20150830T123600Z";
const CREDENTIAL: &str = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";

/// A header's name and value.
type Header<'a> = (&'a str, &'a str);

fn now() -> SystemTime {
    moment(DATE).expect("a date")
}

fn head(line: &str, headers: &[Header<'_>]) -> Parts {
    let (method, uri) = line.split_once(' ').expect("method and path");
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn secret(key: &str) -> Option<String> {
    (key == KEY).then(|| SECRET.to_owned())
}

/// The suite's own service, at the suite's own time.
fn check(head: &Parts, body: &[u8]) -> Result<String, Fault> {
    verify_for("service", head, body, now(), secret)
}

fn signed(line: &str, more: &[Header<'_>], signed_headers: &str, signature: &str) -> Parts {
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders={signed_headers}, Signature={signature}");
    let mut headers = vec![
        ("Host", "example.amazonaws.com"),
        ("X-Amz-Date", DATE),
        ("Authorization", authorization.as_str()),
    ];
    headers.extend(more);
    head(line, &headers)
}

#[test]
fn the_published_signatures_hold() {
    const PLAIN: &str = "host;x-amz-date";
    let cases: &[(&str, &[Header<'_>], &str, &str)] = &[
        // get-vanilla-query-order-key-case
        (
            "GET /?Param2=value2&Param1=value1",
            &[],
            PLAIN,
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        // get-vanilla-query-order-encoded
        (
            "GET /?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            &[],
            PLAIN,
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        // get-vanilla-empty-query-key
        (
            "GET /?Param1=value1",
            &[],
            PLAIN,
            "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        ),
        // get-vanilla-utf8-query, as it goes over the wire
        (
            "GET /?%E1%88%B4=bar",
            &[],
            PLAIN,
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        // get-header-value-trim
        (
            "GET /",
            &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
            "host;my-header1;my-header2;x-amz-date",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        // get-header-value-order
        (
            "GET /",
            &[
                ("My-Header1", "value4"),
                ("My-Header1", "value1"),
                ("My-Header1", "value3"),
                ("My-Header1", "value2"),
            ],
            "host;my-header1;x-amz-date",
            "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ),
        // get-slashes-normalized
        (
            "GET //example//",
            &[],
            PLAIN,
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        // get-vanilla-with-session-token
        (
            "GET /",
            &[(
                "X-Amz-Security-Token",
                "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
            )],
            "host;x-amz-date;x-amz-security-token",
            "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
        ),
    ];
    for (line, more, signed_headers, signature) in cases {
        let head = signed(line, more, signed_headers, signature);
        assert_eq!(check(&head, b""), Ok(KEY.to_owned()), "{line}");
    }
}

#[test]
fn a_published_signature_over_a_body_holds_for_that_body() {
    let form = signed(
        "POST /",
        &[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", "13"),
            (
                "x-amz-content-sha256",
                "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
            ),
        ],
        "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    );
    assert_eq!(check(&form, b"Param1=value1"), Ok(KEY.to_owned()));
    let refused = check(&form, b"Param1=value2").expect_err("another body");
    assert_eq!(refused.code, Code::SignatureDoesNotMatch);
    assert!(refused.message.contains("x-amz-content-sha256"), "{refused}");
}

const PRESIGNED: &str = "GET /?Param2=value2&Param1=value1&X-Amz-Algorithm=AWS4-HMAC-SHA256&\
    X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request&X-Amz-Date=20150830T123600Z&\
    X-Amz-SignedHeaders=host&X-Amz-Expires=3600&\
    X-Amz-Signature=86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5";

#[test]
fn a_published_presigned_request_holds_until_it_expires() {
    let head = head(PRESIGNED, &[("Host", "example.amazonaws.com"), ("X-Amz-Date", DATE)]);
    assert_eq!(check(&head, b""), Ok(KEY.to_owned()));
    let at = |seconds| verify_for("service", &head, b"", now() + Duration::from_secs(seconds), secret);
    assert_eq!(at(3600), Ok(KEY.to_owned()));
    let refused = at(3601).expect_err("expired");
    assert_eq!(refused.code, Code::RequestExpired);
    let words = "Request has expired: it was signed at 20150830T123600Z to be good for 3600 seconds, and now it is \
                 20150830T133601Z.";
    assert_eq!(refused.message, words);
}

const GOOD: &str = "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb";

fn good() -> Parts {
    signed("GET /?Param1=value1", &[], "host;x-amz-date", GOOD)
}

#[test]
fn clocks_may_differ_by_five_minutes_and_more_is_explained() {
    let head = good();
    let at = |now| verify_for("service", &head, b"", now, secret);
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert!(at(now() + minutes(5)).is_ok());
    assert!(at(now() - minutes(5)).is_ok());
    let late = at(now() + minutes(20)).expect_err("too late");
    assert_eq!(late.code, Code::SignatureDoesNotMatch);
    assert_eq!(
        late.message,
        "Signature expired: 20150830T123600Z is now earlier than 20150830T125100Z (20150830T125600Z - 5 min.). The clocks of \
         the caller and of this machine differ by 20 minutes: set the wrong one."
    );
    let early = at(now() - minutes(6)).expect_err("too early");
    assert!(
        early
            .message
            .starts_with("Signature not yet current: 20150830T123600Z is still later than 20150830T123500Z")
    );
}

#[test]
fn another_request_is_not_what_was_signed() {
    let moved = signed("GET /?Param1=value2", &[], "host;x-amz-date", GOOD);
    assert_eq!(check(&moved, b"").expect_err("moved").code, Code::SignatureDoesNotMatch);
    assert_eq!(
        check(&good(), b"x").expect_err("a body").code,
        Code::SignatureDoesNotMatch
    );
    // A target that was not signed would let one signature stand for every action.
    let target = signed(
        "GET /?Param1=value1",
        &[("X-Amz-Target", "AmazonSQS.PurgeQueue")],
        "host;x-amz-date",
        GOOD,
    );
    let refused = check(&target, b"").expect_err("unsigned target");
    assert_eq!(
        refused.message,
        "'x-amz-target' must be a signed header in the AWS signature."
    );
}

#[test]
fn whoever_is_refused_is_told_why() {
    let refusal = |head: &Parts| {
        let fault = verify(head, b"", now(), secret).expect_err("refused");
        (fault.code, fault.message)
    };
    let authorized = |authorization: &str| {
        let headers = [
            ("Host", "example.amazonaws.com"),
            ("X-Amz-Date", DATE),
            ("Authorization", authorization),
        ];
        refusal(&head("POST /", &headers))
    };
    assert_eq!(refusal(&head("POST /", &[])).0, Code::MissingAuthenticationToken);
    let (code, words) = refusal(&good());
    assert_eq!(code, Code::SignatureDoesNotMatch);
    assert_eq!(
        words,
        "Credential should be scoped to correct service: 'sqs', and not to 'service'."
    );
    let (code, words) = authorized("AWS AKID:c2lnbmF0dXJl");
    assert_eq!(code, Code::IncompleteSignature);
    assert!(words.starts_with("Unsupported AWS 'algorithm': 'AWS'"), "{words}");
    let (code, words) = authorized("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/sqs/aws4_request");
    assert_eq!(code, Code::IncompleteSignature);
    assert!(words.contains("requires 'SignedHeaders' parameter"), "{words}");
    let (code, words) = authorized("AWS4-HMAC-SHA256 Credential=AKID, SignedHeaders=host;x-amz-date, Signature=00");
    assert_eq!(code, Code::IncompleteSignature);
    assert!(words.contains("exactly 5 slash-delimited elements"), "{words}");
    let scoped = |scope: &str, signature: &str| {
        authorized(&format!(
            "AWS4-HMAC-SHA256 Credential={scope}/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        ))
    };
    assert_eq!(
        scoped("AKIDEXAMPLE/20150831/us-east-1/sqs", "00").0,
        Code::SignatureDoesNotMatch
    );
    assert_eq!(
        scoped("OTHER/20150830/us-east-1/sqs", "00").0,
        Code::InvalidClientTokenId
    );
    for no_signature in ["", "00", "zz", &GOOD[1..]] {
        let (code, _) = scoped("AKIDEXAMPLE/20150830/us-east-1/sqs", no_signature);
        assert_eq!(code, Code::SignatureDoesNotMatch, "{no_signature}");
    }
}

#[test]
fn dates_there_and_back() {
    assert_eq!(written(now()), DATE);
    for wrong in [
        "",
        "20150830T123600",
        "2015-08-30T12:36:00Z",
        "20159930T123600Z",
        "2015083éT12360Z",
    ] {
        assert_eq!(moment(wrong), None, "{wrong}");
    }
}
