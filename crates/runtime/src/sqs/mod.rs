//! The Amazon SQS API: what can be asked and answered (`operation.rs`, `fault.rs`, `call.rs`), and the two protocols that carry it. What
//! a queue *does* is `queue/`, who listens is `http/`, and `service.rs` is where the two meet.
//!
//! `json.rs` and `query.rs` read a request into the same `members.rs`, which makes an operation of it. `document.rs` lays out
//! the answer (with `digest.rs`), which `json.rs` and `xml.rs` write down. `address.rs` knows queue URLs, `sigv4.rs` signatures.

mod address;
mod call;
mod digest;
mod document;
pub mod fault;
mod json;
mod members;
pub mod operation;
pub(crate) mod percent;
mod query;
pub mod service;
pub mod sigv4;
mod xml;

pub use call::Call;
use fault::{Code, Fault};

fn unknown_action(name: &str) -> Fault {
    let message = format!("The action {name} is not valid for this endpoint.");
    Fault::new(Code::InvalidAction, message)
}

#[cfg(test)]
mod tests;
