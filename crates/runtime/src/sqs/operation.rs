//! What can be asked of the queues and what they answer: the operations of Amazon SQS as plain data, without a protocol.
//!
//! Both protocols (`json.rs`, `query.rs`) read into these types and write from them; `queue/` performs them. A queue is
//! named here by its name: its URL is the listener's business, since it carries the host that the caller spoke to. Commands of
//! this machine send these types themselves, over the control socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// One request. Names and fields as in the Amazon SQS API reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    AddPermission {
        queue: String,
        label: String,
        accounts: Vec<String>,
        actions: Vec<String>,
    },
    RemovePermission {
        queue: String,
        label: String,
    },
    CreateQueue {
        name: String,
        attributes: BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    },
    DeleteQueue {
        queue: String,
    },
    GetQueueUrl {
        name: String,
    },
    ListQueues {
        prefix: Option<String>,
        page: Page,
    },
    ListDeadLetterSourceQueues {
        queue: String,
        page: Page,
    },
    GetQueueAttributes {
        queue: String,
        names: Vec<String>,
    },
    SetQueueAttributes {
        queue: String,
        attributes: BTreeMap<String, String>,
    },
    TagQueue {
        queue: String,
        tags: BTreeMap<String, String>,
    },
    UntagQueue {
        queue: String,
        keys: Vec<String>,
    },
    ListQueueTags {
        queue: String,
    },
    PurgeQueue {
        queue: String,
    },
    SendMessage {
        queue: String,
        message: Send,
    },
    SendMessageBatch {
        queue: String,
        entries: Vec<Entry<Send>>,
    },
    ReceiveMessage(Receive),
    DeleteMessage {
        queue: String,
        receipt: String,
    },
    DeleteMessageBatch {
        queue: String,
        entries: Vec<Entry<String>>,
    },
    ChangeMessageVisibility {
        queue: String,
        receipt: String,
        /// Seconds from now.
        visibility: i64,
    },
    ChangeMessageVisibilityBatch {
        queue: String,
        /// Receipt and seconds; absent seconds are the caller's mistake and are told per entry.
        entries: Vec<Entry<(String, Option<i64>)>>,
    },
    StartMessageMoveTask {
        /// The ARN of a dead-letter queue.
        source: String,
        /// An ARN; back to where each came from when absent.
        destination: Option<String>,
        /// Messages a second.
        rate: Option<i64>,
    },
    CancelMessageMoveTask {
        handle: String,
    },
    ListMessageMoveTasks {
        source: String,
        limit: Option<i64>,
    },
    /// Not of SQS, and in neither protocol: chosen dead letters go back where they came from, at once.
    PutBack {
        queue: String,
        /// Their numbers, as a look into the queue tells them.
        letters: Vec<i64>,
    },
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub limit: Option<i64>,
    pub token: Option<String>,
}

/// One of a batch, with the caller's name for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry<T> {
    pub id: String,
    pub of: T,
}

/// A message to be sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Send {
    pub body: String,
    /// Seconds; the queue's own delay when absent.
    pub delay: Option<i64>,
    pub attributes: BTreeMap<String, Attribute>,
    pub system_attributes: BTreeMap<String, Attribute>,
    pub group: Option<String>,
    pub deduplication: Option<String>,
}

/// A value that travels beside a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, with the user's own label after a dot.
    pub data_type: String,
    pub value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttributeValue {
    Text(String),
    Binary(Vec<u8>),
    /// The caller gave none, or a list, which SQS has reserved and never implemented.
    Missing,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receive {
    pub queue: String,
    /// At most; 1 when absent.
    pub max: Option<i64>,
    /// Seconds.
    pub visibility: Option<i64>,
    /// Seconds of long polling.
    pub wait: Option<i64>,
    /// Of FIFO queues: the same attempt again within five minutes is answered with the same messages.
    pub attempt: Option<String>,
    /// System attributes to return, `All` included.
    pub system: Vec<String>,
    /// User attributes to return: names, `All`, `.*`, and prefixes such as `foo.*`.
    pub attributes: Vec<String>,
}

/// What a successful operation answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing but success.
    Done,
    /// The name of a queue, whose URL is returned.
    Queue(String),
    Queues {
        names: Vec<String>,
        next: Option<String>,
    },
    /// Attributes of a queue.
    Attributes(BTreeMap<String, String>),
    Tags(BTreeMap<String, String>),
    Sent(Sent),
    SentBatch(Vec<Entry<Result<Sent, Fault>>>),
    /// At most what was asked for; empty when there was nothing in time.
    Received(Vec<Received>),
    DoneBatch(Vec<Entry<Result<(), Fault>>>),
    MoveStarted {
        handle: String,
    },
    MoveCancelled {
        moved: u64,
    },
    /// Told over HTTP alone.
    #[serde(skip)]
    Moves(Vec<Move>),
    /// Not of SQS.
    PutBack {
        moved: u64,
        /// Their queue is gone, or nobody knows which it was.
        stayed: u64,
    },
}

/// What is said of a message that was sent. Digests are computed from the request by the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub message_id: String,
    /// Of FIFO queues.
    pub sequence: Option<String>,
}

/// A message as it is delivered, with all its attributes; the protocol leaves out what was not asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    pub message_id: String,
    pub receipt: String,
    pub body: String,
    pub attributes: BTreeMap<String, Attribute>,
    /// `SentTimestamp`, `ApproximateReceiveCount` and kin, as text.
    pub system: BTreeMap<String, String>,
}

/// A message move task as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Only of one that runs.
    pub handle: Option<String>,
    /// `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub status: &'static str,
    pub source: String,
    pub destination: Option<String>,
    pub rate: Option<i64>,
    pub moved: u64,
    pub to_move: Option<u64>,
    pub failure: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub started_at: i64,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The access key id of the request's signature, whether or not it had to be verified: it tells which instance of a
    /// consumer asks.
    pub access_key: Option<String>,
}
