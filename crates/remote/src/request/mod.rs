//! Signed requests to AWS: signature, credentials, retries, and the few calls of each service that a run needs.

pub mod errors;
