//! Why a request came to nothing, by what the caller does next.

use thiserror::Error;

/// What a caller does about a request that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// It is not there: make it, or say so.
    NotFound,
    /// Somebody else was first (`If-Match`, `If-None-Match`): read again, and decide again.
    Precondition,
    /// Too much at once, for longer than the retries lasted: later.
    Throttled,
    /// Not allowed, or not known: stop, and say which permission or credential is missing.
    Denied,
    /// The service does not understand what it is asked, or refuses it as it is: stop, and say what it said.
    Invalid,
    /// Something of that name is there already.
    Exists,
    /// There is not enough of it: capacity, or a quota.
    Exhausted,
    /// Nobody answered, or the service was not itself, for longer than the retries lasted: later.
    Unavailable,
}

/// A request that came to nothing.
#[derive(Debug, Error)]
#[error("{operation} failed: {message}{}", code_in_brackets(.code))]
pub struct RequestError {
    /// What the caller does next.
    pub kind: Kind,
    /// `s3:GetObject`, as policies write it.
    pub operation: &'static str,
    /// The service's word for it; empty where nobody answered.
    pub code: String,
    /// What the service said, or why nobody answered; without secrets.
    pub message: String,
    /// By which AWS finds the request; empty where nobody answered.
    pub request_id: String,
}

impl RequestError {
    /// For `result.or_absent()` and the like.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }
}

fn code_in_brackets(code: &str) -> String {
    match code {
        "" => String::new(),
        code => format!(" ({code})"),
    }
}
