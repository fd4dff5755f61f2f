//! Amazon SQS: sending, receiving, and being done with what was received.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::endpoint::Service;
use super::errors::{Kind, RequestError, kind_of};
use super::json::{JSON_1_0, Nothing, Protocol};

const SQS: Protocol = Protocol {
    service: Service::Sqs,
    target: "AmazonSQS",
    content_type: JSON_1_0,
};

/// As many as go into one request.
pub const BATCH: usize = 10;
/// A message with its attributes is not larger, and neither is a batch.
pub const MOST_BYTES: usize = 1024 * 1024;

/// What is sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Letter {
    /// Text; a message of a job is JSON.
    pub body: String,
    /// Texts by name.
    pub attributes: BTreeMap<String, String>,
    /// Hidden for so long.
    pub delay: Duration,
    /// Of a FIFO queue: what is kept in order.
    pub group: Option<String>,
    /// Of a FIFO queue: what is taken once.
    pub deduplication: Option<String>,
}

/// What was received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The service's own.
    pub id: String,
    /// By which it is extended and deleted.
    pub receipt: String,
    /// As it was sent.
    pub body: String,
    /// Texts by name.
    pub attributes: BTreeMap<String, String>,
    /// How often it was received, this time included.
    pub receives: u32,
    /// When it was sent, in milliseconds since 1970.
    pub sent_ms: i64,
}

/// A letter of a batch that was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Untaken {
    /// Its place in the batch.
    pub index: usize,
    /// What the caller does next.
    pub kind: Kind,
    /// What the service says.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchAnswer {
    #[serde(default)]
    failed: Vec<Failed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    id: String,
    code: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    sender_fault: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveAnswer {
    #[serde(default)]
    messages: Option<Vec<Received>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    message_id: String,
    receipt_handle: String,
    body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Attribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    #[serde(default)]
    string_value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributesAnswer {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// Sends up to ten; says which were not taken. A request that was tried twice may have sent them twice.
///
/// # Errors
/// When none was taken.
pub fn send(client: &Client, queue_url: &str, letters: &[Letter]) -> Result<Vec<Untaken>, RequestError> {
    let entries: Vec<Value> = letters
        .iter()
        .enumerate()
        .map(|(index, letter)| letter.entry(index))
        .collect();
    let body = json!({ "QueueUrl": queue_url, "Entries": entries });
    let answer: BatchAnswer = SQS.ask(client, "sqs:SendMessageBatch", &body)?;
    let untaken = answer.failed.into_iter().map(|failed| Untaken {
        index: failed.id.parse().unwrap_or_default(),
        kind: kind_of(if failed.sender_fault { 400 } else { 500 }, &failed.code),
        message: failed.message.unwrap_or(failed.code),
    });
    Ok(untaken.collect())
}

impl Letter {
    fn entry(&self, index: usize) -> Value {
        let mut entry = json!({ "Id": index.to_string(), "MessageBody": self.body });
        if !self.attributes.is_empty() {
            let attributes = self.attributes.iter();
            entry["MessageAttributes"] = attributes
                .map(|(name, value)| (name.clone(), json!({ "DataType": "String", "StringValue": value })))
                .collect();
        }
        if !self.delay.is_zero() {
            entry["DelaySeconds"] = json!(self.delay.as_secs());
        }
        if let Some(group) = &self.group {
            entry["MessageGroupId"] = json!(group);
        }
        if let Some(id) = &self.deduplication {
            entry["MessageDeduplicationId"] = json!(id);
        }
        entry
    }
}

/// Receives up to ten, which are hidden for `visibility`; waits up to twenty seconds for the first.
///
/// # Errors
/// Of any kind; `NotFound` where there is no such queue.
pub fn receive(
    client: &Client,
    queue_url: &str,
    most: usize,
    visibility: Duration,
    waits: Duration,
) -> Result<Vec<Message>, RequestError> {
    let body = json!({
        "QueueUrl": queue_url,
        "MaxNumberOfMessages": most.clamp(1, BATCH),
        "VisibilityTimeout": visibility.as_secs(),
        "WaitTimeSeconds": waits.as_secs(),
        "MessageAttributeNames": ["All"],
        // The old name beside the new one: queues that are younger than it know both.
        "AttributeNames": ["All"],
        "MessageSystemAttributeNames": ["All"],
    });
    let answer: ReceiveAnswer = SQS.ask_waiting(client, "sqs:ReceiveMessage", &body, waits)?;
    let messages = answer.messages.unwrap_or_default().into_iter().map(Message::of);
    Ok(messages.collect())
}

impl Message {
    fn of(received: Received) -> Message {
        let system = |name: &str| received.attributes.get(name).and_then(|text| text.parse::<i64>().ok());
        let receives = system("ApproximateReceiveCount").and_then(|count| u32::try_from(count).ok());
        let attributes = received.message_attributes.iter();
        Message {
            receives: receives.unwrap_or(1),
            sent_ms: system("SentTimestamp").unwrap_or_default(),
            attributes: attributes
                .filter_map(|(name, value)| Some((name.clone(), value.string_value.clone()?)))
                .collect(),
            id: received.message_id,
            receipt: received.receipt_handle,
            body: received.body,
        }
    }
}

/// Hides a message for so long from now; zero makes it visible.
///
/// # Errors
/// `Invalid` or `NotFound` where the receipt no longer holds: somebody else may have the message.
pub fn change_visibility(
    client: &Client,
    queue_url: &str,
    receipt: &str,
    visibility: Duration,
) -> Result<(), RequestError> {
    let body = json!({ "QueueUrl": queue_url, "ReceiptHandle": receipt, "VisibilityTimeout": visibility.as_secs() });
    let Nothing {} = SQS.ask(client, "sqs:ChangeMessageVisibility", &body)?;
    Ok(())
}

/// Is done with a message; one that is gone already is no error.
///
/// # Errors
/// Of any kind.
pub fn delete(client: &Client, queue_url: &str, receipt: &str) -> Result<(), RequestError> {
    let body = json!({ "QueueUrl": queue_url, "ReceiptHandle": receipt });
    let Nothing {} = SQS.ask(client, "sqs:DeleteMessage", &body)?;
    Ok(())
}

/// The queue's attributes by their names; counts in them are approximate.
///
/// # Errors
/// `NotFound` where there is no such queue.
pub fn attributes(client: &Client, queue_url: &str) -> Result<BTreeMap<String, String>, RequestError> {
    let body = json!({ "QueueUrl": queue_url, "AttributeNames": ["All"] });
    let answer: AttributesAnswer = SQS.ask(client, "sqs:GetQueueAttributes", &body)?;
    Ok(answer.attributes)
}
