//! Limits: who is slow, too large, or says too much.

use std::time::Duration;

use super::House;
use super::client::Client;
use crate::http::Limits;

const SHORT: Duration = Duration::from_millis(100);

fn small() -> Limits {
    Limits {
        body_bytes: 1000,
        ..Limits::default()
    }
}

#[test]
fn headers_that_do_not_come_are_not_awaited() {
    let house = House::open(Limits {
        header_patience: SHORT,
        ..Limits::default()
    });
    let mut slow = house.client();
    slow.write(b"POST / HTTP/1.1\r\nHost: local").expect("written");
    assert!(slow.is_closed());
    // Nor is the next request of a connection that idles.
    let mut idle = house.client();
    assert_eq!(idle.request("GET /", &[], "").status, 200);
    assert!(idle.is_closed());
}

#[test]
fn a_body_that_does_not_come_is_answered_with_408() {
    let house = House::open(Limits {
        body_patience: SHORT,
        ..Limits::default()
    });
    let mut slow = house.client();
    let half = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    slow.write(half).expect("written");
    let reply = slow.reply().expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
    assert_eq!(reply.body, "the body did not arrive in time\n");
    assert!(slow.is_closed());
}

#[test]
fn an_answer_that_nobody_reads_is_given_up() {
    let mut house = House::open(Limits {
        write_patience: SHORT,
        ..Limits::default()
    });
    let mut deaf = house.client();
    deaf.write(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("written");
    // It would never end otherwise.
    assert!(house.close(Duration::from_secs(30)));
}

#[test]
fn a_large_body_is_refused_before_it_is_sent() {
    let house = House::open(small());
    let mut client = house.client();
    let announced = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n";
    client.write(announced).expect("written");
    let reply = client.reply().expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    assert_eq!(reply.body, "the body is larger than 1000 bytes\n");
    assert_eq!(house.client().request("POST /", &[], &"x".repeat(1000)).status, 200);
}

#[test]
fn a_large_body_in_pieces_is_refused_where_it_becomes_too_large() {
    let house = House::open(small());
    let mut client = house.client();
    let start = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write(start.as_bytes()).expect("written");
    client.write(b"3e8\r\n").expect("written");
    client.write(&[b'x'; 1000]).expect("written");
    client.write(b"\r\n1\r\nx\r\n").expect("written");
    assert_eq!(client.reply().expect("an answer").status, 413);
}

#[test]
fn too_many_and_too_large_headers_are_refused() {
    let house = House::open(Limits::default());
    let many: String = (0..101).map(|number| format!("X-{number}: y\r\n")).collect();
    let mut client = house.client();
    client
        .write(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes())
        .expect("written");
    assert_eq!(client.reply().expect("an answer").status, 431);
    let mut client = house.client();
    let large = "y".repeat(40 * 1024);
    client
        .write(format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {large}\r\n\r\n").as_bytes())
        .expect("written");
    assert_eq!(client.reply().expect("an answer").status, 431);
    // A few less are none too many.
    let some: Vec<String> = (0..90).map(|number| format!("X-{number}")).collect();
    let some: Vec<(&str, &str)> = some.iter().map(|name| (name.as_str(), "y")).collect();
    assert_eq!(house.client().request("GET /", &some, "").status, 200);
}

#[test]
fn what_is_no_http_is_refused() {
    let house = House::open(Limits::default());
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"hello\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut client = house.client();
        client.write(noise).expect("written");
        match client.reply() {
            Ok(reply) => assert_eq!(reply.status, 400),
            Err(_) => assert!(client.is_closed()),
        }
    }
}

#[test]
fn large_bodies_wait_for_room() {
    // Room for one of them, and eight come at once.
    let large = 1024 * 1024;
    let house = House::open(Limits {
        body_bytes: large,
        bodies_bytes: large,
        ..Limits::default()
    });
    let body = "x".repeat(large);
    let address = house.address;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(
                    Client::connect(address).request("POST /", &[], &body).body,
                    "POST / 1048576"
                )
            });
        }
    });
}
