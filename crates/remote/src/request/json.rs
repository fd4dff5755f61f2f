//! The protocol of services that speak JSON: one path, the operation in a header.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{Client, Wish};
use super::endpoint::Service;
use super::errors::RequestError;

/// A service's protocol.
pub(super) struct Protocol {
    pub(super) service: Service,
    /// In front of the operation's name in the header.
    pub(super) target: &'static str,
    pub(super) content_type: &'static str,
}

/// What most of them call their content.
pub(super) const JSON_1_1: &str = "application/x-amz-json-1.1";
pub(super) const JSON_1_0: &str = "application/x-amz-json-1.0";

impl Protocol {
    /// `operation` has the service in front: `sqs:SendMessageBatch`.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        client: &Client,
        operation: &'static str,
        body: &Value,
    ) -> Result<T, RequestError> {
        self.ask_waiting(client, operation, body, Duration::ZERO)
    }

    pub(super) fn ask_waiting<T: DeserializeOwned>(
        &self,
        client: &Client,
        operation: &'static str,
        body: &Value,
        waits: Duration,
    ) -> Result<T, RequestError> {
        let name = operation.rsplit(':').next().unwrap_or_default();
        let target = format!("{}.{name}", self.target);
        let body = body.to_string();
        let wish = Wish {
            headers: &[("content-type", self.content_type), ("x-amz-target", &target)],
            waits,
            ..Wish::post(self.service, operation, body.as_bytes())
        };
        let answer = client.ask(&wish)?;
        // Some answer with nothing at all where there is nothing to say.
        let answer: &[u8] = if answer.is_empty() { b"{}" } else { &answer };
        serde_json::from_slice(answer).map_err(|error| RequestError::odd(operation, error))
    }
}

/// Where nothing in the answer matters.
#[derive(serde::Deserialize)]
pub(super) struct Nothing {}
