//! Who answers on the port of the queues: reads a request in its protocol, finds out who asks, hands the operation to whoever
//! performs it, and writes down the answer. Digests are computed here, on the connection's task, and not where operations are
//! performed, which is one after the other.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::sync::oneshot;

use super::document::{Remembered, lay_out};
use super::fault::{Code, Fault};
use super::members::{Action, Members};
use super::operation::{Answer, Caller, Operation};
use super::{Call, json, query, sigv4, xml};
use crate::http::{self, Limits, Refusal, Request, Service};

const TARGET: &str = "x-amz-target";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// The largest body that is read: a batch of 1 MiB in which each byte is written as six (`\u003c`, as some encoders write every
/// `<`), with as much again for attributes' names, receipt handles and what else is around them. A form needs less: three bytes for
/// one, four where the value is Base64.
const BODY_BYTES: usize = 7 * 1024 * 1024;

/// What a listener in front of this service should bear.
pub fn limits() -> Limits {
    Limits {
        body_bytes: BODY_BYTES,
        ..Limits::default()
    }
}

/// The secret of an access key id that is known.
pub type Secrets = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Who is answered.
pub enum Policy {
    /// Everybody who reaches the port; a signature is not verified.
    Loopback,
    /// Whoever signs with a key that is known: the secret of an access key id.
    Signed(Secrets),
}

/// The service of one port.
pub struct Queues<F> {
    policy: Policy,
    hand_over: F,
    requests: AtomicU64,
    /// Of this service's request ids.
    seed: u64,
}

/// Which protocol a request speaks, with what of it answers repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Json(&'static str),
    Query,
}

impl Protocol {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Protocol::Json(kind) => kind,
            Protocol::Query => "text/xml",
        })
    }

    /// Told from the headers alone, so that a refusal can be put in it before anything is read.
    fn of(head: &Parts) -> Protocol {
        let kind = head
            .headers
            .get(CONTENT_TYPE)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let is = |name: &str| {
            kind.get(..name.len())
                .is_some_and(|kind| kind.eq_ignore_ascii_case(name.as_bytes()))
        };
        if is("application/x-amz-json-1.1") {
            Protocol::Json("application/x-amz-json-1.1")
        } else if is("application/x-amz-json-1.0") || head.headers.contains_key(TARGET) {
            Protocol::Json("application/x-amz-json-1.0")
        } else {
            Protocol::Query
        }
    }
}

impl<F: Fn(Call) + Send + Sync + 'static> Queues<F> {
    /// `hand_over` gives a call to whoever performs operations; it must not wait.
    pub fn new(policy: Policy, hand_over: F) -> Queues<F> {
        Queues {
            policy,
            hand_over,
            requests: AtomicU64::new(0),
            seed: RandomState::new().build_hasher().finish(),
        }
    }

    /// Looks like those of AWS, and is never the same twice.
    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (self.seed, number);
        let mut id = String::with_capacity(36);
        let _ = write!(
            id,
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            (high >> 4) & 0xfff,
            (low >> 48) & 0xfff,
            low & 0xffff_ffff_ffff
        );
        id
    }

    async fn perform(&self, caller: Caller, operation: Operation) -> Result<Answer, Fault> {
        let (reply, answer) = oneshot::channel();
        (self.hand_over)(Call {
            caller,
            operation,
            reply,
        });
        answer.await.unwrap_or_else(|_| {
            let message = "Kingtide is leaving and performs nothing more; try again when it is back.";
            Err(Fault::new(Code::ServiceUnavailable, message))
        })
    }

    fn caller(&self, head: &Parts, body: &[u8]) -> Result<Caller, Fault> {
        let access_key = match &self.policy {
            Policy::Loopback => sigv4::claimed_access_key(head),
            Policy::Signed(secret) => Some(sigv4::verify(head, body, SystemTime::now(), secret)?),
        };
        Ok(Caller { access_key })
    }

    async fn handle(&self, protocol: Protocol, request: Request, request_id: &str) -> Result<Vec<u8>, Fault> {
        let caller = self.caller(&request.head, &request.body)?;
        let (action, members) = read(protocol, &request)?;
        let operation = members.operation(action, request.head.uri.path())?;
        let host = http::authority(&request.head);
        let host = host.map_or_else(|| request.local.to_string(), |authority| authority.to_string());
        // A long poll does not hold on to what asked for it.
        drop(request);
        let remembered = Remembered::of(&operation);
        let answer = self.perform(caller, operation).await?;
        let fields = lay_out(action, &answer, &remembered, &host);
        Ok(match protocol {
            Protocol::Json(_) => json::write(&fields),
            Protocol::Query => xml::write(action, &fields, request_id),
        })
    }
}

fn read(protocol: Protocol, request: &Request) -> Result<(Action, Members), Fault> {
    let Request { head, body, .. } = request;
    match protocol {
        Protocol::Json(_) => {
            let target = head.headers.get(TARGET).map(HeaderValue::as_bytes).unwrap_or_default();
            Ok((json::action(target)?, json::read(body)?))
        }
        Protocol::Query => query::read(head.uri.query().unwrap_or_default().as_bytes(), body),
    }
}

fn response(protocol: Protocol, request_id: &str, status: StatusCode, body: Vec<u8>) -> http::Answer {
    let mut response = Response::new(Bytes::from(body).into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, protocol.content_type());
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

fn fault_response(protocol: Protocol, request_id: &str, fault: &Fault) -> http::Answer {
    let status = StatusCode::from_u16(fault.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match protocol {
        Protocol::Json(_) => json::write_fault(fault),
        Protocol::Query => xml::write_fault(fault, request_id),
    };
    let mut response = response(protocol, request_id, status, body);
    if protocol == Protocol::Query {
        return response;
    }
    let whose = if fault.is_senders() { "Sender" } else { "Receiver" };
    if let Ok(code) = HeaderValue::from_str(&format!("{};{whose}", fault.code.query())) {
        response.headers_mut().insert(QUERY_ERROR, code);
    }
    response
}

/// Somebody only looks whether there is an answer.
fn is_probe(head: &Parts) -> bool {
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    let names_nothing = || !query::names_an_action(head.uri.query().unwrap_or_default().as_bytes());
    is_read && matches!(head.uri.path(), "/" | "/healthz") && !head.headers.contains_key(TARGET) && names_nothing()
}

impl<F: Fn(Call) + Send + Sync + 'static> Service for Queues<F> {
    async fn answer(&self, request: Request) -> http::Answer {
        if is_probe(&request.head) {
            return Response::new(Bytes::from_static(b"ok\n").into());
        }
        let protocol = Protocol::of(&request.head);
        let request_id = self.request_id();
        match self.handle(protocol, request, &request_id).await {
            Ok(body) => response(protocol, &request_id, StatusCode::OK, body),
            Err(fault) => fault_response(protocol, &request_id, &fault),
        }
    }

    fn refuse(&self, head: &Parts, refusal: Refusal) -> http::Answer {
        let code = match refusal {
            Refusal::ForeignHost | Refusal::ForeignPage => Code::AccessDenied,
            Refusal::TooLarge(_) => Code::RequestTooLarge,
            Refusal::TooSlow => Code::RequestTimeout,
            Refusal::Broken => Code::Malformed,
        };
        let fault = Fault::new(code, refusal.to_string());
        fault_response(Protocol::of(head), &self.request_id(), &fault)
    }
}
