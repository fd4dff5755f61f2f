//! Why a request came to nothing, by what the caller does next.

use thiserror::Error;

use super::retry;

/// What a caller does about a request that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// It is not there: make it, or say so.
    NotFound,
    /// Somebody else was first (`If-Match`, `If-None-Match`), or an earlier try of the same request was (`tries`): read again, and decide
    /// again.
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
#[derive(Clone, Debug, Error)]
#[error("{operation} failed: {message}{}", in_brackets(.code))]
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
    /// How often it was sent.
    pub tries: u32,
}

impl RequestError {
    /// Whether this is what the caller does next.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    /// An answer that is not one of the service.
    pub(super) fn odd(operation: &'static str, why: impl ToString) -> RequestError {
        RequestError {
            kind: Kind::Unavailable,
            operation,
            code: String::new(),
            message: format!("the answer is not understood: {}", why.to_string()),
            request_id: String::new(),
            tries: 1,
        }
    }
}

/// For asking whether something is there.
pub trait OrAbsent<T> {
    /// `None` where it is not.
    ///
    /// # Errors
    /// All others.
    fn or_absent(self) -> Result<Option<T>, RequestError>;
}

impl<T> OrAbsent<T> for Result<T, RequestError> {
    fn or_absent(self) -> Result<Option<T>, RequestError> {
        match self {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is(Kind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn in_brackets(code: &str) -> String {
    match code {
        "" => String::new(),
        code => format!(" ({code})"),
    }
}

/// By the service's word for it, else by the status.
pub(super) fn kind_of(status: u16, code: &str) -> Kind {
    if retry::is_throttling(status, code) {
        return Kind::Throttled;
    }
    let ends = |endings: &[&str]| endings.iter().any(|ending| code.ends_with(ending));
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| code.starts_with(beginning));
    match code {
        "PreconditionFailed" | "ConditionalRequestConflict" => Kind::Precondition,
        "AWS.SimpleQueueService.NonExistentQueue" | "NoSuchEntity" => Kind::NotFound,
        "AuthFailure" | "InvalidClientTokenId" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "OptInRequired" => {
            Kind::Denied
        }
        "UnrecognizedClientException" | "InvalidSignatureException" | "MissingAuthenticationToken" => Kind::Denied,
        "IncompleteSignature" | "RequestTimeTooSkewed" | "TokenRefreshRequired" => Kind::Denied,
        _ if begins(&["AccessDenied", "ExpiredToken", "Unauthorized", "NotAuthorized"]) => Kind::Denied,
        _ if begins(&["NoSuch"]) || ends(&["NotFound", "NotFoundException", "DoesNotExist"]) => Kind::NotFound,
        _ if begins(&["BucketAlready"]) || ends(&["AlreadyExists", "AlreadyExistsException"]) => Kind::Exists,
        _ if begins(&["ServiceQuotaExceeded", "LimitExceeded", "OverLimit"]) => Kind::Exhausted,
        _ => match status {
            404 => Kind::NotFound,
            412 => Kind::Precondition,
            401 | 403 => Kind::Denied,
            500.. => Kind::Unavailable,
            _ => Kind::Invalid,
        },
    }
}
