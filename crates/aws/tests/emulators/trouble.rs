//! What goes wrong before anything is asked: no credentials, no region, nobody there. No emulator is needed.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use kingtide_remote::wire::{Ask, Event, FailureKind, Verdict};

use crate::conversation::Conversation;

#[test]
fn without_credentials_the_sources_that_were_tried_are_said() {
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let mut aws = Conversation::of(&none, "flights");
    let failed = aws
        .try_ask(Ask::Describe { drift: false })
        .expect_err("nobody knows us");
    assert_eq!(failed.kind, FailureKind::Credentials, "{failed:?}");
    for source in [
        "the environment (`AWS_ACCESS_KEY_ID` is not set)",
        "the profile `default`",
        "a web identity",
        "this machine's role",
    ] {
        assert!(failed.causes[0].contains(source), "{source}: {failed:?}");
    }
    let seen = aws.ask(Ask::Doctor {
        images: Vec::new(),
        architecture: "x86_64".to_owned(),
    });
    assert!(
        matches!(&seen[..], [Event::Check(check)] if check.name == "credentials" && check.verdict == Verdict::Wrong),
        "{seen:?}"
    );
}

#[test]
fn without_a_region_that_is_said() {
    let mut aws = Conversation::of(&[("AWS_REGION", "")], "flights");
    let failed = aws.try_ask(Ask::Premises).expect_err("nowhere");
    assert_eq!(
        (failed.kind, failed.message.as_str()),
        (FailureKind::Region, "no region is said")
    );
}

#[test]
fn keys_that_aws_does_not_know_are_told_from_what_they_may_not_do() {
    for (code, kind) in [
        ("InvalidClientTokenId", FailureKind::Credentials),
        ("ExpiredToken", FailureKind::Credentials),
        ("AccessDenied", FailureKind::Denied),
    ] {
        let url = refusing(code);
        let mut aws = Conversation::with(&url, "flights");
        let failed = aws.try_ask(Ask::Describe { drift: false }).expect_err("refused");
        assert_eq!(failed.kind, kind, "{failed:?}");
    }
}

/// A service that says the same to everybody.
fn refusing(code: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let body = format!("<ErrorResponse><Error><Code>{code}</Code><Message>No.</Message></Error></ErrorResponse>");
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 8192];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn authorities_that_cannot_be_read_are_said() {
    let mut aws = Conversation::of(&[("AWS_CA_BUNDLE", "/nonexistent/authorities.pem")], "flights");
    let failed = aws.try_ask(Ask::Premises).expect_err("nobody to trust");
    assert!(failed.message.contains("`/nonexistent/authorities.pem`"), "{failed:?}");
}
