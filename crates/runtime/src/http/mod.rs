//! Listening for HTTP on this machine: connections, limits, and which callers are refused before anybody reads what they
//! want. It knows nothing of queues; `sqs/service.rs` answers on one port, the web pages' service on another.
//!
//! `listener.rs` accepts and serves, `body.rs` reads what a request carries, `origin.rs` tells foreign hosts and pages,
//! `stream.rs` drops who does not read its answer, `threads.rs` is where all of it happens.

mod body;
mod listener;
mod origin;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod threads;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

pub use listener::{Listener, listen};
pub use origin::Hosts;
pub(crate) use origin::authority;
pub(crate) use threads::threads;

/// An answer, whole.
pub type Answer = Response<http_body_util::Full<Bytes>>;

/// A request that was let in, with all of its body.
#[derive(Debug)]
pub struct Request {
    pub head: Parts,
    pub body: Bytes,
    /// The address that it was sent to.
    pub local: SocketAddr,
    /// Its share of the memory for large bodies.
    _room: Option<OwnedSemaphorePermit>,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the `Host` header names none of this machine's own addresses; only programs on this machine are answered here"
    )]
    ForeignHost,
    #[error("the request comes from a web page of another origin, which may not be answered here")]
    ForeignPage,
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body could not be read")]
    Broken,
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::ForeignHost | Refusal::ForeignPage => StatusCode::FORBIDDEN,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Refusal::Broken => StatusCode::BAD_REQUEST,
        }
    }

    /// In plain words, for a service that has no form of its own for errors.
    pub fn in_words(self) -> Answer {
        let mut answer = Response::new(Bytes::from(format!("{self}\n")).into());
        *answer.status_mut() = self.status();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, plain);
        answer
    }

    /// What is left of the request will not be read, so the connection is of no use any more.
    fn ends_the_connection(self, answer: &mut Answer) {
        if !matches!(self, Refusal::ForeignHost | Refusal::ForeignPage) {
            answer
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Who answers on a port.
pub trait Service: Send + Sync + 'static {
    /// Dropped unfinished when the caller hangs up.
    fn answer(&self, request: Request) -> impl Future<Output = Answer> + Send;

    /// Tells a refusal in the form that this service's callers understand.
    fn refuse(&self, head: &Parts, refusal: Refusal) -> Answer {
        let _ = head;
        refusal.in_words()
    }
}

/// What a listener bears.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once. When there are more, those that idle are closed to make room, and the others wait in the kernel's
    /// queue.
    pub connections: usize,
    /// Bytes of a request's line and headers together; with more the answer is 431.
    pub header_bytes: usize,
    /// Headers of a request; with more the answer is 431.
    pub headers: usize,
    /// Bytes of a body; with more the answer is 413.
    pub body_bytes: usize,
    /// Bytes of large bodies in memory at once, over all connections; further ones wait.
    pub bodies_bytes: usize,
    /// From the end of one answer to the end of the next request's headers; then the connection is closed. So it is also
    /// how long an idle connection is kept.
    pub header_patience: Duration,
    /// For the whole of a body; then the answer is 408.
    pub body_patience: Duration,
    /// How long a caller may leave its answer unread; then the connection is closed.
    pub write_patience: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 512,
            // A session token may be 4 KiB, a presigned request carries it in its line.
            header_bytes: 32 * 1024,
            headers: 100,
            body_bytes: 64 * 1024,
            bodies_bytes: 64 * 1024 * 1024,
            header_patience: Duration::from_secs(60),
            body_patience: Duration::from_secs(30),
            write_patience: Duration::from_secs(30),
        }
    }
}
