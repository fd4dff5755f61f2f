//! Who answers on the port of the queues: reads a request in its protocol, finds out who asks, hands the operation to whoever
//! performs it, and writes down the answer. Digests are computed here, on the connection's task, and not where operations are
//! performed, which is one after the other.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::sync::oneshot;

use super::document::{Remembered, lay_out};
use super::fault::{Code, Fault};
use super::members::Action;
use super::operation::{Answer, Caller, Operation};
use super::{json, sigv4};
use crate::http::{self, Refusal, Request, Service};

const TARGET: &str = "x-amz-target";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// An operation on its way to whoever performs it.
#[derive(Debug)]
pub struct Call {
    pub caller: Caller,
    pub operation: Operation,
    /// Closed when the caller has hung up. One that is dropped unsaid is answered with `ServiceUnavailable`.
    pub reply: oneshot::Sender<Result<Answer, Fault>>,
}

/// Who is answered.
pub enum Policy {
    /// Everybody who reaches the port; a signature is not verified.
    Loopback,
    /// Whoever signs with a key that is known: the secret of an access key id.
    Signed(Box<dyn Fn(&str) -> Option<String> + Send + Sync>),
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

    fn caller(&self, head: &Parts, _body: &Bytes) -> Result<Caller, Fault> {
        match &self.policy {
            Policy::Loopback => Ok(Caller {
                access_key: sigv4::claimed_access_key(head),
            }),
            Policy::Signed(_secret) => Err(Fault::new(Code::AccessDenied, "not yet")),
        }
    }

    async fn handle(&self, request: Request) -> Result<(Action, Answer, Remembered, String), Fault> {
        let Request { head, body, local, .. } = request;
        let caller = self.caller(&head, &body)?;
        let target = head.headers.get(TARGET).map(HeaderValue::as_bytes).unwrap_or_default();
        let action = json::action(target)?;
        let operation = json::read(&body)?.operation(action, head.uri.path())?;
        // A long poll does not hold on to the body that asked for it.
        drop(body);
        let host = http::authority(&head).map_or_else(|| local.to_string(), |authority| authority.to_string());
        drop(head);
        let remembered = Remembered::of(&operation);
        let answer = self.perform(caller, operation).await?;
        Ok((action, answer, remembered, host))
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
    let body = json::write_fault(fault);
    let mut response = response(protocol, request_id, status, body);
    let whose = if fault.is_senders() { "Sender" } else { "Receiver" };
    if let Ok(code) = HeaderValue::from_str(&format!("{};{whose}", fault.code.query())) {
        response.headers_mut().insert(QUERY_ERROR, code);
    }
    response
}

impl<F: Fn(Call) + Send + Sync + 'static> Service for Queues<F> {
    async fn answer(&self, request: Request) -> http::Answer {
        if request.head.method == Method::GET && matches!(request.head.uri.path(), "/" | "/healthz") {
            return Response::new(Bytes::from_static(b"ok\n").into());
        }
        let protocol = Protocol::of(&request.head);
        let request_id = self.request_id();
        match self.handle(request).await {
            Ok((action, answer, remembered, host)) => {
                let body = json::write(&lay_out(action, &answer, &remembered, &host));
                response(protocol, &request_id, StatusCode::OK, body)
            }
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
