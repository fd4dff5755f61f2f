//! Requests and answers over HTTP, with TLS by roots that the binary brings along. Connections are kept; bodies may come from a file, and
//! answers are read as they arrive.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use thiserror::Error;
use ureq::http::{Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, AsSendBody, Proxy, SendBody};

use super::names::{NameError, Names};

const CONNECT: Duration = Duration::from_secs(10);
/// A connection on which nothing moves for so long is lost.
const SILENCE: Duration = Duration::from_secs(60);
/// AWS closes connections that idle for about 20 seconds and more.
const IDLE: Duration = Duration::from_secs(15);
const IDLE_CONNECTIONS: usize = 32;
const USER_AGENT: &str = concat!("kingtide/", env!("CARGO_PKG_VERSION"));

/// Who is asked for the addresses of names, and whether a proxy is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surroundings {
    /// A container: the two files of `names.rs`, and no proxy.
    Container,
    /// Somebody's machine: the system, which may know names by other ways, and the proxy that the environment names.
    Machine,
}

/// Connections to all services.
#[derive(Clone, Debug)]
pub struct Transport {
    agent: Agent,
    /// Of this machine and its neighbours: no proxy stands between.
    near: Agent,
}

/// A request as it goes out.
pub struct Call<'a> {
    /// `GET` and so on.
    pub method: &'a str,
    /// All of it, escaped.
    pub url: &'a str,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent.
    pub body: Body<'a>,
    /// For all of it but the answer's body; silence ends that.
    pub patience: Duration,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// As it is.
    Bytes(&'a [u8]),
    /// A part of a file; its position is moved.
    Part {
        /// The file.
        file: &'a File,
        /// The first byte.
        from: u64,
        /// How many.
        length: u64,
    },
}

/// An answer; its body is read as it arrives.
pub struct Answer {
    inner: Response<ureq::Body>,
}

/// Nobody answered.
#[derive(Debug, Error)]
pub enum NoAnswer {
    /// The host's name has no address.
    #[error(transparent)]
    Name(NameError),
    /// No connection, or one that was lost.
    #[error("{0}")]
    Connection(String),
    /// The request itself is not one: asking again would not help.
    #[error("{0}")]
    Request(String),
}

/// Authorities that cannot be trusted, since they cannot be read.
#[derive(Debug, Error)]
#[error("`{path}`, where certificates of authorities should be, cannot be used: {why}")]
pub struct BundleError {
    path: String,
    why: String,
}

impl Transport {
    /// Nothing is connected before the first request.
    pub fn new(surroundings: Surroundings) -> Transport {
        Transport::with(surroundings, &RootCerts::WebPki)
    }

    /// The same, trusting the authorities of a file and no others: where somebody stands between who signs anew, as companies have it.
    ///
    /// # Errors
    /// When the file cannot be read, or has no certificate.
    pub fn trusting(surroundings: Surroundings, bundle: &Path) -> Result<Transport, BundleError> {
        let unusable = |why: String| BundleError {
            path: bundle.display().to_string(),
            why,
        };
        let pem = fs::read(bundle).map_err(|error| unusable(error.to_string()))?;
        let items = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<Certificate<'static>> = items.collect();
        match certificates.is_empty() {
            true => Err(unusable("it has no certificate".to_owned())),
            false => Ok(Transport::with(surroundings, &RootCerts::new_with_certs(&certificates))),
        }
    }

    fn with(surroundings: Surroundings, roots: &RootCerts) -> Transport {
        let config = |proxy| config(proxy, roots.clone());
        match surroundings {
            Surroundings::Container => {
                let agent = Agent::with_parts(config(None), DefaultConnector::default(), Own(Names::of_machine()));
                Transport {
                    near: agent.clone(),
                    agent,
                }
            }
            Surroundings::Machine => Transport {
                near: Agent::new_with_config(config(None)),
                agent: Agent::new_with_config(config(Proxy::try_from_env())),
            },
        }
    }

    /// # Errors
    /// When there was no answer; one that says no is an answer.
    pub fn send(&self, call: &Call<'_>) -> Result<Answer, NoAnswer> {
        let mut request = Request::builder().method(call.method).uri(call.url);
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        request = request.header("content-length", call.body.length());
        let wrong = |error: ureq::http::Error| NoAnswer::Request(error.to_string());
        match call.body {
            Body::Bytes([]) if matches!(call.method, "GET" | "HEAD" | "DELETE") => {
                // Without a body there is no length to say.
                request.headers_mut().map(|headers| headers.remove("content-length"));
                self.run(request.body(()).map_err(wrong)?, call.patience)
            }
            Body::Bytes(bytes) => self.run(request.body(bytes).map_err(wrong)?, call.patience),
            Body::Part { mut file, from, length } => {
                file.seek(SeekFrom::Start(from))
                    .map_err(|error| NoAnswer::Request(format!("the file cannot be read: {error}")))?;
                let mut part = file.take(length);
                let body = SendBody::from_reader(&mut part);
                self.run(request.body(body).map_err(wrong)?, call.patience)
            }
        }
    }

    fn run(&self, request: Request<impl AsSendBody>, patience: Duration) -> Result<Answer, NoAnswer> {
        let agent = if is_near(request.uri().host().unwrap_or_default()) {
            &self.near
        } else {
            &self.agent
        };
        let request = agent
            .configure_request(request)
            .timeout_recv_response(Some(patience))
            .build();
        match agent.run(request) {
            Ok(inner) => Ok(Answer { inner }),
            Err(error) => Err(no_answer(error)),
        }
    }
}

fn config(proxy: Option<Proxy>, roots: RootCerts) -> ureq::config::Config {
    Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .user_agent(USER_AGENT)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .max_idle_age(IDLE)
        .max_idle_connections(IDLE_CONNECTIONS)
        .max_idle_connections_per_host(IDLE_CONNECTIONS)
        .build()
}

/// This machine, and the addresses at which AWS hands out credentials.
fn is_near(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unicast_link_local(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn no_answer(error: ureq::Error) -> NoAnswer {
    match error {
        ureq::Error::Other(other) => match other.downcast::<NameError>() {
            Ok(name) => NoAnswer::Name(*name),
            Err(other) => NoAnswer::Connection(other.to_string()),
        },
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::BodyExceedsLimit(_) => {
            NoAnswer::Request(error.to_string())
        }
        other => NoAnswer::Connection(other.to_string()),
    }
}

impl Body<'_> {
    /// In bytes.
    pub fn length(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Part { length, .. } => *length,
        }
    }
}

impl Answer {
    /// Of HTTP.
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// A header's value; empty where it is not there or no text.
    pub fn header(&self, name: &str) -> &str {
        let value = self.inner.headers().get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// All headers that are texts.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.inner.headers().iter();
        headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// The body as it arrives.
    pub fn into_reader(self) -> impl Read {
        self.inner.into_body().into_with_config().limit(u64::MAX).reader()
    }

    /// All of the body, up to so many bytes.
    ///
    /// # Errors
    /// When it is longer, or the connection was lost.
    pub fn read(mut self, most: u64) -> Result<Vec<u8>, NoAnswer> {
        let body = self.inner.body_mut().with_config().limit(most);
        body.read_to_vec()
            .map_err(|error| NoAnswer::Connection(error.to_string()))
    }
}

/// The resolver of a container.
#[derive(Debug)]
struct Own(Names);

impl Resolver for Own {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("http") => 80,
            _ => 443,
        });
        let deadline = Instant::now() + (*timeout.after).min(CONNECT);
        let found = self.0.look_up(host, deadline);
        let found = found.map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(MOST_ADDRESSES) {
            addresses.push((address, port).into());
        }
        Ok(addresses)
    }
}

/// What ureq has room for.
const MOST_ADDRESSES: usize = 16;
