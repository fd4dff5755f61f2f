//! Against a server that fails in the ways in which services do.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::request::credentials::{Credentials, CredentialsError, Provide};
use crate::request::errors::Kind;
use crate::request::testing::{Server, client};
use crate::request::{Client, s3, sqs};

use super::*;

/// A server that says one thing after the other, and the last for ever; and what it was asked.
fn saying(answers: Vec<Vec<u8>>) -> (Server, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let of_server = heads.clone();
    let server = Server::start(move |request| {
        let mut heads = of_server.lock().expect("heads");
        heads.push(request.head.to_ascii_lowercase());
        answers[(heads.len() - 1).min(answers.len() - 1)].clone()
    });
    (server, heads)
}

fn no(status: u16, code: &str) -> Vec<u8> {
    Server::answer(
        status,
        &[],
        &format!("{{\"__type\":\"com.amazonaws.sqs#{code}\",\"message\":\"Said.\"}}"),
    )
}

fn yes() -> Vec<u8> {
    Server::answer(200, &[], "{}")
}

fn delete(client: &Client) -> Result<(), RequestError> {
    sqs::delete(client, "https://sqs/1/q", "r")
}

#[test]
fn what_passes_is_asked_again_until_it_is_answered() {
    // The empty answer is a connection that is cut.
    let (server, heads) = saying(vec![
        no(503, "ServiceUnavailable"),
        Vec::new(),
        no(400, "RequestThrottled"),
        yes(),
    ]);
    delete(&client(&server)).expect("at last");
    assert_eq!(heads.lock().expect("heads").len(), 4);
}

#[test]
fn what_is_meant_is_not_asked_again_and_says_what_to_do() {
    for (status, code, kind) in [
        (400, "QueueDoesNotExist", Kind::NotFound),
        (403, "AccessDeniedException", Kind::Denied),
        (400, "InvalidAttributeValue", Kind::Invalid),
    ] {
        let (server, heads) = saying(vec![no(status, code)]);
        let error = delete(&client(&server)).expect_err("no");
        assert_eq!((error.kind, error.tries), (kind, 1), "{error}");
        assert_eq!(error.to_string(), format!("sqs:DeleteMessage failed: Said. ({code})"));
        assert_eq!(heads.lock().expect("heads").len(), 1, "{code}");
    }
}

#[test]
fn a_body_that_is_cut_is_fetched_again() {
    let whole = Server::answer(200, &[("ETag", "\"e\"")], "0123456789");
    let cut = whole[..whole.len() - 6].to_vec();
    let hung_up = Server::start({
        let asked = AtomicU32::new(0);
        move |request| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => [cut.clone(), Server::HANG_UP.to_vec()].concat(),
            // What is missing, and no more.
            _ => {
                assert!(request.head.contains("range: bytes=4-") && request.head.contains("if-match: \"e\""));
                Server::answer(206, &[("ETag", "\"e\"")], "456789")
            }
        }
    });
    let mut file = tempfile::tempfile().expect("a file");
    let head = s3::get_file(&client(&hung_up), "b", "k", &mut file).expect("whole");
    assert_eq!((head.size, head.etag.as_str()), (10, "\"e\""));
    let mut text = String::new();
    std::io::Seek::rewind(&mut file).expect("read");
    std::io::Read::read_to_string(&mut file, &mut text).expect("read");
    assert_eq!(text, "0123456789");
}

#[test]
fn a_clock_that_is_off_is_corrected_for_all_that_follows() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    let skewed = Server::answer(
        403,
        &[("Date", &date)],
        "<Error><Code>RequestTimeTooSkewed</Code><Message>Too late.</Message></Error>",
    );
    let (server, heads) = saying(vec![skewed, yes()]);
    let client = client(&server);
    delete(&client).expect("with the other clock");
    delete(&client).expect("at once");
    let heads = heads.lock().expect("heads");
    let hours: Vec<u64> = heads.iter().map(|head| ahead_of_now(head)).collect();
    assert_eq!(hours, [0, 1, 1]);
}

/// By how many hours the signature's date is later than now.
fn ahead_of_now(head: &str) -> u64 {
    let (_, date) = head.split_once("x-amz-date: ").expect("a date");
    let of = |from: usize, to: usize| &date[from..to];
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        of(0, 4),
        of(4, 6),
        of(6, 8),
        of(9, 11),
        of(11, 13),
        of(13, 15)
    );
    let at = humantime::parse_rfc3339(&text).expect("a date");
    let ahead = (at + Duration::from_secs(60)).duration_since(SystemTime::now());
    ahead.expect("not long ago").as_secs() / 3600
}

#[test]
fn credentials_that_have_expired_are_fetched_anew() {
    struct Counting(AtomicU32);
    impl Provide for Counting {
        fn fetch(&self) -> Result<Credentials, CredentialsError> {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Credentials {
                access_key: format!("KEY{number}"),
                secret: "secret".to_owned(),
                token: Some("token".to_owned()),
                expires: None,
            })
        }
    }
    let (server, heads) = saying(vec![no(400, "ExpiredToken"), yes()]);
    let url = server.url();
    let transport = Transport::new(Surroundings::Container);
    let source = Box::new(Counting(AtomicU32::new(0)));
    let client = Client::new(transport, source, "eu-west-1", move |_| Some(url.clone()));
    delete(&client).expect("with the new ones");
    let heads = heads.lock().expect("heads");
    assert!(heads[0].contains("credential=key0/") && heads[1].contains("credential=key1/"));
    assert!(heads[1].contains("x-amz-security-token: token"));
}

#[test]
fn nobody_there_is_an_error_that_says_so() {
    let client = crate::request::testing::client_at("http://127.0.0.1:9".to_owned());
    let error = delete(&client).expect_err("nobody");
    assert_eq!((error.kind, error.tries), (Kind::Unavailable, 8), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("sqs:DeleteMessage failed: io: Connection refused"),
        "{error}"
    );
}
