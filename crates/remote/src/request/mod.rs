//! Signed requests to AWS: signature, credentials, retries, and the few calls of each service that a run needs. Blocking, and small.
//!
//! `client.rs` is what services are asked through: it signs (`sigv4.rs`, `credentials.rs`), sends (`transport.rs`, `names.rs`) to where the
//! service is (`endpoint.rs`), and asks again where that helps (`retry.rs`). The others are a file for each service, functions of the client.

pub mod client;
pub mod cloudformation;
pub mod cloudwatch;
pub mod credentials;
pub mod ec2;
pub mod ecr;
pub mod ecs;
pub mod endpoint;
pub mod errors;
pub mod events;
mod fault;
pub mod iam;
mod json;
pub mod logs;
pub mod names;
mod percent;
pub mod pricing;
mod query;
pub mod quotas;
pub mod retry;
pub mod s3;
pub mod sigv4;
pub mod sqs;
pub mod states;
pub mod sts;
#[cfg(test)]
pub(crate) mod testing;
pub mod transport;
mod xml;

pub use client::Client;
pub use errors::{Kind, OrAbsent, RequestError};
