//! Listeners from outside, in front of a service that answers with what it was asked. `client.rs` is the other end of a
//! connection, `patience.rs` who is slow or too large, `origin.rs` who is foreign.

pub(crate) mod client;
mod origin;
mod patience;

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use hyper::Response;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use self::client::Client;
use super::{Answer, Hosts, Limits, Listener, Request, Service, listen};

/// Answers with the method, the path and the length of the body. `/wait` is not answered before it is told to, and says when
/// nobody waits any more; `/large` is more than any connection holds unread.
struct Echo {
    waits: mpsc::Sender<&'static str>,
    go: std::sync::Arc<Notify>,
}

/// Says that a future was dropped.
struct Dropped(mpsc::Sender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

impl Service for Echo {
    async fn answer(&self, request: Request) -> Answer {
        let path = request.head.uri.path();
        if path == "/wait" {
            let _dropped = Dropped(self.waits.clone());
            let _ = self.waits.send("waits");
            self.go.notified().await;
        }
        let text = match path {
            "/large" => "x".repeat(64 * 1024 * 1024),
            _ => format!("{} {path} {}", request.head.method, request.body.len()),
        };
        Response::new(text.into_bytes().into())
    }
}

struct House {
    address: SocketAddr,
    listener: Option<Listener>,
    tokio: Runtime,
    said: mpsc::Receiver<&'static str>,
    go: std::sync::Arc<Notify>,
}

impl House {
    fn open(limits: Limits) -> House {
        House::with(limits, Hosts::local())
    }

    fn with(limits: Limits, hosts: Hosts) -> House {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let bound = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (waits, said) = mpsc::channel();
        let go = std::sync::Arc::new(Notify::new());
        let service = Echo {
            waits,
            go: std::sync::Arc::clone(&go),
        };
        let listener = listen(&[tokio.handle().clone()], bound, hosts, limits, service).expect("listens");
        House {
            address: listener.address(),
            listener: Some(listener),
            tokio,
            said,
            go,
        }
    }

    fn client(&self) -> Client {
        Client::connect(self.address)
    }

    #[track_caller]
    fn hear(&self, expected: &str) {
        let said = self
            .said
            .recv_timeout(Duration::from_secs(30))
            .expect("something is said");
        assert_eq!(said, expected);
    }

    /// Whether all connections had ended in time.
    fn close(&mut self, patience: Duration) -> bool {
        let listener = self.listener.take().expect("open");
        self.tokio.block_on(listener.close(patience))
    }
}

#[test]
fn requests_of_a_connection_are_answered_in_order() {
    let house = House::open(Limits::default());
    let mut client = house.client();
    let reply = client.request("POST /a", &[], "abc");
    assert_eq!((reply.status, reply.body.as_str()), (200, "POST /a 3"));
    let one = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    // All before the first answer.
    let pipelined = format!("{}{}{}", one("/b", "1"), one("/c", ""), one("/d", "12"));
    client.write(pipelined.as_bytes()).expect("written");
    for expected in ["POST /b 1", "POST /c 0", "POST /d 2"] {
        assert_eq!(client.reply().expect("an answer").body, expected);
    }
}

#[test]
fn a_body_in_pieces_is_read_whole() {
    let house = House::open(Limits {
        body_bytes: 1024 * 1024,
        ..Limits::default()
    });
    let mut client = house.client();
    let start = "POST /chunks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write(start.as_bytes()).expect("written");
    for _ in 0..100 {
        client.write(b"3e8\r\n").expect("written");
        client.write(&[b'x'; 1000]).expect("written");
        client.write(b"\r\n").expect("written");
    }
    client.write(b"0\r\n\r\n").expect("written");
    assert_eq!(client.reply().expect("an answer").body, "POST /chunks 100000");
    let large = "y".repeat(900_000);
    assert_eq!(client.request("POST /whole", &[], &large).body, "POST /whole 900000");
}

#[test]
fn who_hangs_up_is_not_worked_for_any_more() {
    let house = House::open(Limits::default());
    let mut client = house.client();
    client
        .write(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("written");
    house.hear("waits");
    drop(client);
    house.hear("dropped");
}

#[test]
fn closing_lets_answers_end_and_idlers_go() {
    let mut house = House::open(Limits::default());
    let mut idle = house.client();
    assert_eq!(idle.request("GET /", &[], "").status, 200);
    let mut fresh = house.client();
    let mut waiting = house.client();
    waiting
        .write(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("written");
    house.hear("waits");
    let listener = house.listener.take().expect("open");
    let closing = house.tokio.spawn(listener.close(Duration::from_secs(30)));
    assert!(idle.is_closed());
    assert!(fresh.is_closed());
    house.go.notify_one();
    let reply = waiting.reply().expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(house.tokio.block_on(closing).expect("closed"));
    assert!(std::net::TcpStream::connect(house.address).is_err());
}

#[test]
fn closing_does_not_wait_for_ever() {
    let mut house = House::open(Limits::default());
    let mut waiting = house.client();
    waiting
        .write(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("written");
    house.hear("waits");
    assert!(!house.close(Duration::from_millis(50)));
    house.hear("dropped");
    assert!(waiting.is_closed());
}

#[test]
fn when_it_is_full_those_who_idle_make_room() {
    let house = House::open(Limits {
        connections: 2,
        ..Limits::default()
    });
    let mut busy = house.client();
    busy.write(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("written");
    house.hear("waits");
    let mut idle = house.client();
    assert_eq!(idle.request("GET /", &[], "").status, 200);
    let mut third = house.client();
    assert_eq!(third.request("GET /third", &[], "").body, "GET /third 0");
    assert!(idle.is_closed());
    // The busy one was not disturbed.
    house.go.notify_one();
    assert_eq!(busy.reply().expect("an answer").status, 200);
}
