//! Pages behind a listener: who may read them, and a few connections to the database.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Reply, Site};
use crate::http::{self, Refusal, Request, Service};
use crate::runtime::now;
use crate::view::Database;

/// Looks at the database at once; others wait for their turn.
const AT_ONCE: usize = 4;
/// Connections that are kept for the next look: each holds a few hundred kilobytes.
const KEPT: usize = 2;

/// The service of the web address.
pub(crate) struct Pages {
    shared: Arc<Shared>,
    turns: Semaphore,
    /// The digest of what `Authorization` must say, where anybody must say something.
    credentials: Option<[u8; 32]>,
}

struct Shared {
    site: Site,
    folder: PathBuf,
    idle: Mutex<Vec<Database>>,
}

impl Pages {
    /// `access_key` is the id and the secret that readers give as user name and password.
    pub(crate) fn new(site: Site, access_key: Option<&(String, String)>) -> Pages {
        Pages {
            shared: Arc::new(Shared {
                folder: site.layout.project().to_owned(),
                site,
                idle: Mutex::default(),
            }),
            turns: Semaphore::new(AT_ONCE),
            credentials: access_key.map(|(id, secret)| digest(format!("{id}:{secret}").as_bytes())),
        }
    }

    /// Digests are compared, so that how long it takes tells nothing of the secret.
    fn is_admitted(&self, head: &Parts) -> bool {
        let Some(credentials) = &self.credentials else {
            return true;
        };
        let given = head
            .headers
            .get(AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let (scheme, given) = given.split_at(given.len().min("basic ".len()));
        let given = STANDARD.decode(given.trim_ascii()).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"basic ") && digest(&given) == *credentials
    }

    async fn look(&self, head: &Parts) -> Reply {
        let _turn = self.turns.acquire().await;
        let shared = Arc::clone(&self.shared);
        let path = head.uri.path().to_owned();
        let query = head.uri.query().map(str::to_owned);
        let looked = tokio::task::spawn_blocking(move || shared.respond(&path, query.as_deref()));
        looked
            .await
            .unwrap_or_else(|_| Reply::error(500, "Kingtide failed to answer; what it works off goes on"))
    }
}

impl Shared {
    fn respond(&self, path: &str, query: Option<&str>) -> Reply {
        let known = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let database = match known.map_or_else(|| Database::open(&self.folder), Ok) {
            Ok(database) => database,
            Err(error) => return Reply::error(503, &kingtide_exec::collect::chain(&error)),
        };
        let reply = self.site.respond(path, query, &database, now());
        // One that could not be read from is opened anew.
        if reply.status != 503 {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEPT {
                idle.push(database);
            }
        }
        reply
    }
}

impl Service for Pages {
    async fn answer(&self, request: Request) -> http::Answer {
        let head = &request.head;
        if !self.is_admitted(head) {
            let mut answer = answer(Reply::error(401, "these pages ask for the access key's id and secret"));
            let ask = HeaderValue::from_static("Basic realm=\"kingtide\", charset=\"UTF-8\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, ask);
            return answer;
        }
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let mut answer = answer(Reply::error(405, "these pages are for reading: GET or HEAD"));
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        answer(self.look(head).await)
    }

    fn refuse(&self, _head: &Parts, refusal: Refusal) -> http::Answer {
        answer(Reply::error(refusal.status().as_u16(), &refusal.to_string()))
    }
}

fn answer(reply: Reply) -> http::Answer {
    let mut answer = Response::new(Bytes::from(reply.body).into());
    *answer.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    // What stands here is of a moment, and is nothing but what it says it is.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
