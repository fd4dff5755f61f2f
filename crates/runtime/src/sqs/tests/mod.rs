//! The wire from outside: real connections to a listener in front of real queues in a database in memory.
//!
//! `pump.rs` performs what arrives, `golden/` is every action in both protocols.

mod boto;
mod calls;
mod fuzz;
mod golden;
mod pump;

use std::net::{SocketAddr, TcpListener};

use tokio::runtime::Runtime;

use super::Call;
use super::service::{Policy, Queues, limits};
use crate::http::tests::client::{Client, Reply};
use crate::http::{Hosts, Limits, Listener, listen};

/// A listener, and what answers behind it.
struct House {
    address: SocketAddr,
    listener: Option<Listener>,
    tokio: Runtime,
}

impl House {
    /// Everybody is answered, by real queues.
    fn open() -> House {
        House::with(Policy::Loopback, limits(), pump::start())
    }

    fn with(policy: Policy, limits: Limits, hand_over: impl Fn(Call) + Send + Sync + 'static) -> House {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let bound = TcpListener::bind("127.0.0.1:0").expect("a port");
        let service = Queues::new(policy, hand_over);
        let listener = listen(&[tokio.handle().clone()], bound, Hosts::local(), limits, service).expect("listens");
        House {
            address: listener.address(),
            listener: Some(listener),
            tokio,
        }
    }

    fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

/// Asks in the JSON protocol.
fn json(client: &mut Client, action: &str, body: &str) -> Reply {
    let target = format!("AmazonSQS.{action}");
    let headers = [
        ("Content-Type", "application/x-amz-json-1.0"),
        ("X-Amz-Target", target.as_str()),
    ];
    client.request("POST /", &headers, body)
}

/// Asks in the query protocol.
fn query(client: &mut Client, form: &str) -> Reply {
    let headers = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
    client.request("POST /", &headers, form)
}
