//! Pages over a connection: methods, headers, who is admitted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::House;
use crate::http::{Hosts, Limits, Listener, listen};
use crate::web::{Pages, Site};

struct Open {
    _house: House,
    _runtime: tokio::runtime::Runtime,
    listener: Listener,
}

fn open(access_key: Option<(&str, &str)>) -> Open {
    let house = House::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let access_key = access_key.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
    let site = Site::new("p", &house.site.jobs, &house.site.layout);
    let pages = Pages::new(site, access_key.as_ref());
    let listener = listen(
        &[runtime.handle().clone()],
        socket,
        Hosts::local(),
        Limits::default(),
        pages,
    )
    .expect("listens");
    Open {
        _house: house,
        _runtime: runtime,
        listener,
    }
}

/// The whole answer as it came.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(stream, "{request}\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_page_is_served_and_its_head_alone() {
    let open = open(None);
    let address = open.listener.address();
    let answer = ask(address, "GET /api/v1/runs?limit=1 HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for header in [
        "content-type: application/json\r\n",
        "cache-control: no-store\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(answer.contains(header), "{answer}");
    }
    assert!(answer.ends_with("\"next\":2}\n"), "{answer}");
    let head = ask(address, "HEAD /metrics HTTP/1.1");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(ask(address, "GET /nowhere HTTP/1.1").starts_with("HTTP/1.1 404 "));
}

#[test]
fn nothing_but_reading() {
    let open = open(None);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = ask(open.listener.address(), &format!("{method} /api/v1/runs HTTP/1.1"));
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(
            answer.contains("allow: GET, HEAD\r\n") && answer.contains("\"error\":"),
            "{answer}"
        );
    }
}

#[test]
fn pages_of_others_are_refused_in_json() {
    let open = open(None);
    let answer = ask(open.listener.address(), "GET / HTTP/1.1\r\nOrigin: http://evil.example");
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("\"error\":"),
        "{answer}"
    );
}

#[test]
fn where_a_key_is_demanded_it_is_user_name_and_password() {
    let open = open(Some(("me", "very secret indeed")));
    let address = open.listener.address();
    let with = |credentials: &str| {
        ask(
            address,
            &format!("GET /healthz HTTP/1.1\r\nAuthorization: {credentials}"),
        )
    };
    // `me:very secret indeed`
    assert!(with("Basic bWU6dmVyeSBzZWNyZXQgaW5kZWVk").starts_with("HTTP/1.1 200 "));
    assert!(with("basic bWU6dmVyeSBzZWNyZXQgaW5kZWVk").starts_with("HTTP/1.1 200 "));
    for wrong in [
        "Basic bWU6dmVyeQ==",
        "Basic",
        "Bearer bWU6dmVyeSBzZWNyZXQgaW5kZWVk",
        "Basic !",
        "",
    ] {
        let answer = with(wrong);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{wrong}: {answer}");
        assert!(
            answer.contains("www-authenticate: Basic realm=\"kingtide\""),
            "{answer}"
        );
    }
    assert!(ask(address, "GET /metrics HTTP/1.1").starts_with("HTTP/1.1 401 "));
}

#[test]
fn many_readers_at_once_are_all_answered() {
    let open = open(None);
    let address = open.listener.address();
    let readers: Vec<_> = (0..32)
        .map(|_| std::thread::spawn(move || ask(address, "GET /metrics HTTP/1.1")))
        .collect();
    for reader in readers {
        assert!(reader.join().expect("no panic").starts_with("HTTP/1.1 200 "));
    }
}
