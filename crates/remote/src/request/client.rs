//! One client for all services: signs, sends, and asks again where that helps.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::credentials::{Container, Credentials, Keeper, Provide};
use super::endpoint::{Endpoint, EndpointError, Environment, Service};
use super::errors::{Kind, RequestError, kind_of};
use super::fault::Fault;
use super::percent;
use super::retry::{Budget, Next, Tries, Trouble};
use super::sigv4::{self, Covered, Signer};
use super::transport::{Answer, Body, Call, NoAnswer, Surroundings, Transport};
use kingtide_core::hex;

/// For the head of an answer, where a service does not wait by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// More is no answer of a service's own.
const MOST_SAID: u64 = 32 * 1024 * 1024;

/// Asks AWS; cheap to clone, and shared by threads.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Transport,
    keeper: Keeper,
    region: String,
    env: Box<Environment>,
    /// How many seconds the services' clocks are ahead of this machine's, as far as that matters.
    ahead_s: AtomicI64,
    budget: Mutex<Budget>,
}

/// What a client is made of cannot be told.
#[derive(Debug, Error)]
#[error("no region is said: set `AWS_REGION`, or `region` in `[aws]`")]
pub struct NoRegion;

/// What is asked, before it is signed.
pub(super) struct Wish<'a> {
    pub(super) service: Service,
    /// `sqs:SendMessage`.
    pub(super) operation: &'static str,
    pub(super) method: &'static str,
    /// In front of the endpoint's host: a bucket.
    pub(super) host_prefix: &'a str,
    /// Escaped, with a slash in front.
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// Lower-case names.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: Body<'a>,
    /// SHA-256 of the body in hexadecimal, where it is known.
    pub(super) body_hash: Option<&'a str>,
    /// Beyond the usual, where the service waits.
    pub(super) waits: Duration,
}

impl<'a> Wish<'a> {
    pub(super) fn post(service: Service, operation: &'static str, body: &'a [u8]) -> Wish<'a> {
        Wish {
            service,
            operation,
            method: "POST",
            host_prefix: "",
            path: "/",
            query: &[],
            headers: &[],
            body: Body::Bytes(body),
            body_hash: None,
            waits: Duration::ZERO,
        }
    }
}

impl Client {
    /// With everything given; `env` says where endpoints are.
    pub fn new(
        transport: Transport,
        source: Box<dyn Provide>,
        region: impl Into<String>,
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Client {
        let inner = Inner {
            transport,
            keeper: Keeper::new(source),
            region: region.into(),
            env: Box::new(env),
            ahead_s: AtomicI64::new(0),
            budget: Mutex::default(),
        };
        Client { inner: Arc::new(inner) }
    }

    /// As a container finds itself: region and credentials of its environment.
    ///
    /// # Errors
    /// When the environment names no region.
    pub fn of_container() -> Result<Client, NoRegion> {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region = env("AWS_REGION")
            .or_else(|| env("AWS_DEFAULT_REGION"))
            .ok_or(NoRegion)?;
        let transport = Transport::new(Surroundings::Container);
        let source = Container::new(transport.clone(), env);
        Ok(Client::new(transport, Box::new(source), region, env))
    }

    /// The region that is asked.
    pub fn region(&self) -> &str {
        &self.inner.region
    }

    pub(super) fn endpoint(&self, service: Service) -> Result<Endpoint, EndpointError> {
        service.endpoint(&self.inner.region, &*self.inner.env)
    }

    /// Asks, and asks again where that helps.
    pub(super) fn send(&self, wish: &Wish<'_>) -> Result<Answer, RequestError> {
        let mine = |message: String, kind| RequestError {
            kind,
            operation: wish.operation,
            code: String::new(),
            message,
            request_id: String::new(),
            tries: 0,
        };
        let endpoint = self
            .endpoint(wish.service)
            .map_err(|error| mine(error.to_string(), Kind::Invalid))?;
        let hash = match (wish.body_hash, wish.body) {
            (Some(hash), _) => hash.to_owned(),
            (None, Body::Bytes(bytes)) => hex::encode(&Sha256::digest(bytes)),
            // Whoever sends a file has read it before.
            (None, Body::Part { .. }) => "UNSIGNED-PAYLOAD".to_owned(),
        };
        let mut tries = Tries::default();
        loop {
            let now = SystemTime::now();
            let credentials = self
                .inner
                .keeper
                .get(now)
                .map_err(|error| mine(error.to_string(), Kind::Denied))?;
            let sent = self.send_once(wish, &endpoint, &hash, &credentials, now);
            let (trouble, error) = match sent {
                Ok(answer) if (200..300).contains(&answer.status()) => {
                    let mut budget = self.inner.budget.lock().unwrap_or_else(PoisonError::into_inner);
                    budget.give_back();
                    return Ok(answer);
                }
                Ok(answer) => refusal(wish.operation, answer, now),
                Err(NoAnswer::Request(message)) => return Err(mine(message, Kind::Invalid)),
                Err(lost) => (Trouble::NoAnswer, unanswered(wish.operation, &lost, 0)),
            };
            match self.next(&mut tries, &trouble) {
                Next::After(pause) => wait(pause),
                Next::Clock(ahead_s) => self.inner.ahead_s.store(ahead_s, Ordering::Relaxed),
                Next::Refresh => self.inner.keeper.forget(&credentials),
                Next::Stop => {
                    let tries = tries.made();
                    return Err(RequestError { tries, ..error });
                }
            }
        }
    }

    /// The answer's body as well, and again where the connection is lost in the middle of it.
    pub(super) fn ask(&self, wish: &Wish<'_>) -> Result<Vec<u8>, RequestError> {
        let mut tries = Tries::default();
        loop {
            let answer = self.send(wish)?;
            match answer.read(MOST_SAID) {
                Ok(body) => return Ok(body),
                Err(lost) => self.again_or(&mut tries, &lost, wish.operation)?,
            }
        }
    }

    /// What lies at a URL that carries its own permission.
    pub(super) fn plain(
        &self,
        operation: &'static str,
        url: &str,
        patience: Duration,
    ) -> Result<Vec<u8>, RequestError> {
        let call = Call {
            method: "GET",
            url,
            headers: &[],
            body: Body::Bytes(&[]),
            patience,
        };
        let answer = self
            .inner
            .transport
            .send(&call)
            .map_err(|lost| unanswered(operation, &lost, 1))?;
        if answer.status() != 200 {
            return Err(refusal(operation, answer, SystemTime::now()).1);
        }
        answer.read(MOST_SAID).map_err(|lost| unanswered(operation, &lost, 1))
    }

    /// Waits before a further try, or says that there is none.
    pub(super) fn again_or(
        &self,
        tries: &mut Tries,
        lost: &NoAnswer,
        operation: &'static str,
    ) -> Result<(), RequestError> {
        match self.next(tries, &Trouble::NoAnswer) {
            Next::After(pause) => {
                wait(pause);
                Ok(())
            }
            _ => Err(unanswered(operation, lost, tries.made())),
        }
    }

    pub(super) fn next(&self, tries: &mut Tries, trouble: &Trouble) -> Next {
        let mut budget = self.inner.budget.lock().unwrap_or_else(PoisonError::into_inner);
        tries.after(trouble, &mut budget, fastrand::f64())
    }

    fn send_once(
        &self,
        wish: &Wish<'_>,
        endpoint: &Endpoint,
        hash: &str,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Answer, NoAnswer> {
        let ahead_s = self.inner.ahead_s.load(Ordering::Relaxed);
        let shift = Duration::from_secs(ahead_s.unsigned_abs());
        let at = if ahead_s < 0 { now - shift } else { now + shift };
        let host = format!("{}{}", wish.host_prefix, endpoint.host);
        let path = format!("{}{}", endpoint.path, wish.path);
        let query = percent::query(wish.query);
        let date = sigv4::date(at);
        let mut headers: Vec<(&str, &str)> = vec![("host", &host), ("x-amz-date", &date)];
        headers.extend(wish.headers);
        if wish.service == Service::S3 {
            headers.push(("x-amz-content-sha256", hash));
        }
        if let Some(token) = &credentials.token {
            headers.push(("x-amz-security-token", token));
        }
        headers.sort_unstable();
        let signer = Signer {
            access_key: &credentials.access_key,
            secret: &credentials.secret,
            region: &endpoint.region,
            service: wish.service.signing_name(),
            at,
        };
        let authorization = signer.authorization(&Covered {
            method: wish.method,
            path: &path,
            query: &query,
            headers: &headers,
            body_hash: hash,
        });
        headers.push(("authorization", &authorization));
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}://{host}{path}{mark}{query}", endpoint.scheme);
        self.inner.transport.send(&Call {
            method: wish.method,
            url: &url,
            headers: &headers,
            body: wish.body,
            patience: PATIENCE + wish.waits,
        })
    }
}

/// An answer that says no, read.
fn refusal(operation: &'static str, answer: Answer, now: SystemTime) -> (Trouble, RequestError) {
    let status = answer.status();
    let ahead_s = httpdate::parse_http_date(answer.header("date")).ok().map(|there| {
        let seconds = |of: Duration| i64::try_from(of.as_secs()).unwrap_or(i64::MAX);
        match there.duration_since(now) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        }
    });
    let Fault {
        code,
        message,
        request_id,
    } = Fault::read(answer);
    let error = RequestError {
        kind: kind_of(status, &code),
        operation,
        code: code.clone(),
        message,
        request_id,
        tries: 0,
    };
    (Trouble::Refused { status, code, ahead_s }, error)
}

fn unanswered(operation: &'static str, lost: &NoAnswer, tries: u32) -> RequestError {
    RequestError {
        kind: Kind::Unavailable,
        operation,
        code: String::new(),
        message: lost.to_string(),
        request_id: String::new(),
        tries,
    }
}

pub(super) fn wait(pause: Duration) {
    // The other side said to come back later, and tells nobody when.
    thread::sleep(pause);
}

#[cfg(test)]
mod tests;
