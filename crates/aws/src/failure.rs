//! Why a request came to nothing, sorted by what its asker does next.

use std::io;

use kingtide_remote::record::DocumentError;
use kingtide_remote::request::{Kind, RequestError};
use kingtide_remote::wire::{Failed, FailureKind};

use crate::credentials::ClientError;

/// What ends the answer to a request.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be said.
    Said(Box<Failed>),
    /// Nobody is there to hear it.
    Gone(io::Error),
}

/// What comes of a step.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure::Said(Box::new(Failed {
            kind,
            message: message.into(),
            causes: Vec::new(),
            help: None,
        }))
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        if let Failure::Said(failed) = &mut self {
            failed.help = Some(help.into());
        }
        self
    }

    pub(crate) fn because(mut self, cause: impl ToString) -> Failure {
        if let Failure::Said(failed) = &mut self {
            failed.causes.push(cause.to_string());
        }
        self
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Gone(error)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Failure {
        let failure = |message: &str, help: &str| {
            let failure = Failure::new(kind(&error), message).because(&error);
            if help.is_empty() { failure } else { failure.help(help) }
        };
        match kind(&error) {
            FailureKind::Credentials => failure(
                "AWS does not know who asks",
                "log in with the AWS command line (`aws configure`, `aws sso login`), or set AWS_PROFILE; a region that the account has not \
                 switched on looks the same",
            ),
            FailureKind::Region => failure(
                "there is no such region, or no way to it",
                "set [aws] region, or AWS_REGION",
            ),
            FailureKind::Denied => failure(
                &format!("`{}` is not allowed", error.operation),
                "whoever deploys needs the permissions of docs/aws.md; `kingtide doctor --on aws` lists those that are missing",
            ),
            FailureKind::Unavailable => failure("AWS did not answer as it should", "try again later"),
            _ => failure(&format!("`{}` was refused", error.operation), ""),
        }
    }
}

fn kind(error: &RequestError) -> FailureKind {
    match error.kind {
        Kind::Denied if is_about_credentials(error) => FailureKind::Credentials,
        Kind::Denied => FailureKind::Denied,
        Kind::NotFound => FailureKind::NotFound,
        Kind::Exhausted => FailureKind::Quota,
        Kind::Unavailable if is_about_names(&error.message) => FailureKind::Region,
        Kind::Unavailable | Kind::Throttled => FailureKind::Unavailable,
        Kind::Invalid | Kind::Exists | Kind::Precondition => FailureKind::Refused,
    }
}

fn is_about_credentials(error: &RequestError) -> bool {
    // Found out before anything was sent.
    if error.code.is_empty() && error.tries == 0 {
        return true;
    }
    let codes = [
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    ];
    codes.contains(&error.code.as_str())
}

/// In a region that does not exist there is no host to ask.
fn is_about_names(message: &str) -> bool {
    ["lookup address", "there is no host", "host not found"]
        .iter()
        .any(|words| message.contains(words))
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Region(error) => Failure::new(FailureKind::Region, error.to_string())
                .help("set [aws] region, AWS_REGION, or a region in the profile"),
            ClientError::Bundle(error) => Failure::new(FailureKind::Refused, error.to_string())
                .help("set AWS_CA_BUNDLE to a file of certificates, or to nothing"),
            ClientError::Runtime(source) => {
                let failure = Failure::new(FailureKind::Unavailable, "the search for credentials cannot be started");
                failure.because(source)
            }
        }
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Failure {
        Failure::new(FailureKind::Refused, error.to_string())
    }
}

/// A file here that cannot be read or written.
pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Failure {
    Failure::new(FailureKind::Refused, format!("`{}` cannot be used", path.display())).because(error)
}
