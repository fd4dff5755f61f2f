//! A server for tests that answers whatever a test says, and can hang up.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::client::Client;
use super::credentials::{Credentials, CredentialsError, Provide};
use super::transport::{Surroundings, Transport};

/// One that listens until the test is over.
pub(crate) struct Server {
    address: SocketAddr,
}

/// What was received.
pub(crate) struct Received {
    /// The line and the headers, each with its line's end.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// At the end of an answer: the connection is closed after it.
    pub(crate) const HANG_UP: &'static [u8] = b"\0hang up";

    /// Answers each request with what the closure says; nothing hangs up.
    pub(crate) fn start(answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answer.clone();
                thread::spawn(move || while serve(&stream, &*answer).is_some() {});
            }
        });
        Server { address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An answer, written out.
    pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{text}\r\n{body}").into_bytes()
    }
}

fn serve(mut stream: &TcpStream, answer: &dyn Fn(&Received) -> Vec<u8>) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length:")?
            .trim()
            .parse()
            .ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let answer = answer(&Received { head, body });
    let cut = answer.strip_suffix(Server::HANG_UP);
    stream.write_all(cut.unwrap_or(&answer)).ok()?;
    if answer.is_empty() || cut.is_some() {
        let _ = stream.shutdown(std::net::Shutdown::Both);
        return None;
    }
    Some(())
}

/// A client with keys of its own whose services are all at the server.
pub(crate) fn client(server: &Server) -> Client {
    client_at(server.url())
}

/// The same at a URL.
pub(crate) fn client_at(url: String) -> Client {
    struct Fixed;
    impl Provide for Fixed {
        fn fetch(&self) -> Result<Credentials, CredentialsError> {
            Ok(Credentials {
                access_key: "AKIATEST".to_owned(),
                secret: "secret".to_owned(),
                token: None,
                expires: None,
            })
        }
    }
    let transport = Transport::new(Surroundings::Container);
    Client::new(transport, Box::new(Fixed), "eu-west-1", move |name| {
        (name == "AWS_ENDPOINT_URL").then(|| url.clone())
    })
}
