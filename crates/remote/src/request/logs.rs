//! Amazon CloudWatch Logs: what a task says while it runs.

use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::endpoint::Service;
use super::errors::RequestError;
use super::json::{JSON_1_1, Protocol};

const LOGS: Protocol = Protocol {
    service: Service::Logs,
    target: "Logs_20140328",
    content_type: JSON_1_1,
};

/// A line.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Line {
    /// Milliseconds since 1970.
    #[serde(rename = "timestamp", default)]
    pub at_ms: i64,
    /// Without the end of the line.
    #[serde(rename = "message", default)]
    pub text: String,
}

/// Lines, and where those that follow begin.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Lines {
    /// In order.
    #[serde(rename = "events", default)]
    pub lines: Vec<Line>,
    /// The same again where nothing has been added.
    #[serde(rename = "nextForwardToken", default)]
    pub next: Option<String>,
}

/// Lines of a stream, the oldest first; from `next` of the page before, or from the start.
///
/// # Errors
/// `NotFound` where there is no such group or stream: nothing was said yet.
pub fn lines(client: &Client, group: &str, stream: &str, next: Option<&str>) -> Result<Lines, RequestError> {
    let mut body = json!({ "logGroupName": group, "logStreamName": stream, "startFromHead": true });
    if let Some(next) = next {
        body["nextToken"] = json!(next);
    }
    LOGS.ask(client, "logs:GetLogEvents", &body)
}
