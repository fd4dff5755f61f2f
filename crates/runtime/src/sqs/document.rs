//! An answer laid out, before either protocol writes it down: members with the names that both give them. A list that is empty
//! is left out, as AWS does even where its model calls it required: SDKs take an empty `Failed` for a failure.

use std::borrow::Cow;

use super::address;
use super::digest::{self, Digests};
use super::fault::Fault;
use super::members::Action;
use super::operation::{Answer, Attribute, AttributeValue, Entry, Move, Operation, Received, Sent};

/// One member of a structure.
pub(super) struct Field<'a> {
    /// Its name in JSON.
    pub(super) json: &'static str,
    /// Its name in XML, where a list is told by the name of what is in it.
    pub(super) xml: &'static str,
    pub(super) value: Value<'a>,
}

pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Flag(bool),
    Blob(&'a [u8]),
    Structure(Vec<Field<'a>>),
    List(Vec<Value<'a>>),
    Map {
        /// What a key is called in XML.
        key: &'static str,
        entries: Vec<(&'a str, Value<'a>)>,
    },
}

/// What must be remembered of a request until its answer can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remembered {
    Nothing,
    Sent(Digests),
    SentBatch(Vec<(String, Digests)>),
    /// The attributes that are wanted: of the system, and of the sender.
    Received {
        system: Vec<String>,
        attributes: Vec<String>,
    },
}

impl Remembered {
    pub(super) fn of(operation: &Operation) -> Remembered {
        match operation {
            Operation::SendMessage { message, .. } => Remembered::Sent(Digests::of(message)),
            Operation::SendMessageBatch { entries, .. } => {
                let digests = entries.iter().map(|entry| (entry.id.clone(), Digests::of(&entry.of)));
                Remembered::SentBatch(digests.collect())
            }
            Operation::ReceiveMessage(receive) => Remembered::Received {
                system: receive.system.clone(),
                attributes: receive.attributes.clone(),
            },
            _ => Remembered::Nothing,
        }
    }
}

/// Lays out an answer to an action, for a caller that spoke to `host`.
pub(super) fn lay_out<'a>(
    action: Action,
    answer: &'a Answer,
    remembered: &'a Remembered,
    host: &str,
) -> Vec<Field<'a>> {
    let mut to = Vec::new();
    match answer {
        // Nobody can ask for that over HTTP.
        Answer::Done | Answer::PutBack { .. } => {}
        Answer::Queue(name) => text(&mut to, "QueueUrl", address::url(host, name)),
        Answer::Queues { names, next } => {
            let json = match action {
                // Small in the model of AWS as well.
                Action::ListDeadLetterSourceQueues => "queueUrls",
                _ => "QueueUrls",
            };
            queues(&mut to, json, names, next.as_deref(), host);
        }
        Answer::Attributes(attributes) => {
            let entries = attributes.iter().map(|(name, value)| (name, value.as_str()));
            map(&mut to, "Attributes", "Attribute", "Name", entries);
        }
        Answer::Tags(tags) => {
            let entries = tags.iter().map(|(key, value)| (key, value.as_str()));
            map(&mut to, "Tags", "Tag", "Key", entries);
        }
        Answer::Sent(sent) => {
            let digests = match remembered {
                Remembered::Sent(digests) => Some(digests),
                _ => None,
            };
            self::sent(&mut to, sent, digests);
        }
        Answer::SentBatch(entries) => {
            let known = match remembered {
                Remembered::SentBatch(known) => known.as_slice(),
                _ => &[],
            };
            batch(&mut to, "SendMessageBatchResultEntry", entries, |to, id, sent| {
                let digests = known.iter().find(|(known, _)| known == id);
                self::sent(to, sent, digests.map(|(_, digests)| digests));
            });
        }
        Answer::DoneBatch(entries) => {
            let xml = match action {
                Action::ChangeMessageVisibilityBatch => "ChangeMessageVisibilityBatchResultEntry",
                _ => "DeleteMessageBatchResultEntry",
            };
            batch(&mut to, xml, entries, |_, _, ()| {});
        }
        Answer::Received(messages) => {
            let (system, attributes): (&[String], &[String]) = match remembered {
                Remembered::Received { system, attributes } => (system, attributes),
                _ => (&[], &[]),
            };
            let messages = messages.iter().map(|message| received(message, system, attributes));
            list(&mut to, "Messages", "Message", messages.collect());
        }
        Answer::MoveStarted { handle } => text(&mut to, "TaskHandle", handle.as_str()),
        Answer::MoveCancelled { moved } => number(&mut to, "ApproximateNumberOfMessagesMoved", count(*moved)),
        Answer::Moves(moves) => {
            let moves = moves.iter().map(a_move).collect();
            list(&mut to, "Results", "ListMessageMoveTasksResultEntry", moves);
        }
    }
    to
}

fn text<'a>(to: &mut Vec<Field<'a>>, name: &'static str, value: impl Into<Cow<'a, str>>) {
    to.push(Field {
        json: name,
        xml: name,
        value: Value::Text(value.into()),
    });
}

fn number(to: &mut Vec<Field<'_>>, name: &'static str, value: i64) {
    to.push(Field {
        json: name,
        xml: name,
        value: Value::Number(value),
    });
}

fn count(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

fn list<'a>(to: &mut Vec<Field<'a>>, json: &'static str, xml: &'static str, values: Vec<Value<'a>>) {
    if !values.is_empty() {
        to.push(Field {
            json,
            xml,
            value: Value::List(values),
        });
    }
}

fn map<'a>(
    to: &mut Vec<Field<'a>>,
    json: &'static str,
    xml: &'static str,
    key: &'static str,
    entries: impl Iterator<Item = (&'a String, &'a str)>,
) {
    let entries: Vec<_> = entries
        .map(|(name, value)| (name.as_str(), Value::Text(value.into())))
        .collect();
    if !entries.is_empty() {
        let value = Value::Map { key, entries };
        to.push(Field { json, xml, value });
    }
}

fn queues<'a>(to: &mut Vec<Field<'a>>, json: &'static str, names: &[String], next: Option<&'a str>, host: &str) {
    let urls = names.iter().map(|name| Value::Text(address::url(host, name).into()));
    let value = Value::List(urls.collect());
    // The one that the model calls required stays when it is empty.
    if !names.is_empty() || json == "queueUrls" {
        let xml = "QueueUrl";
        to.push(Field { json, xml, value });
    }
    if let Some(token) = next {
        text(to, "NextToken", token);
    }
}

fn sent<'a>(to: &mut Vec<Field<'a>>, sent: &'a Sent, digests: Option<&'a Digests>) {
    text(to, "MessageId", sent.message_id.as_str());
    if let Some(digests) = digests {
        text(to, "MD5OfMessageBody", digests.body.as_str());
        if let Some(attributes) = &digests.attributes {
            text(to, "MD5OfMessageAttributes", attributes.as_str());
        }
        if let Some(attributes) = &digests.system_attributes {
            text(to, "MD5OfMessageSystemAttributes", attributes.as_str());
        }
    }
    if let Some(sequence) = &sent.sequence {
        text(to, "SequenceNumber", sequence.as_str());
    }
}

fn batch<'a, T>(
    to: &mut Vec<Field<'a>>,
    xml: &'static str,
    entries: &'a [Entry<Result<T, Fault>>],
    of: impl Fn(&mut Vec<Field<'a>>, &str, &'a T),
) {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        let mut fields = Vec::new();
        text(&mut fields, "Id", entry.id.as_str());
        match &entry.of {
            Ok(value) => {
                of(&mut fields, &entry.id, value);
                successful.push(Value::Structure(fields));
            }
            Err(fault) => {
                fields.push(Field {
                    json: "SenderFault",
                    xml: "SenderFault",
                    value: Value::Flag(fault.is_senders()),
                });
                text(&mut fields, "Code", fault.code.query());
                text(&mut fields, "Message", fault.message.as_str());
                failed.push(Value::Structure(fields));
            }
        }
    }
    list(to, "Successful", xml, successful);
    list(to, "Failed", "BatchResultErrorEntry", failed);
}

/// Whether an attribute is among the wanted: by name, all of them (`All`, `.*`), or by the beginning of its name (`foo.*`).
fn is_wanted(name: &str, wanted: &[String]) -> bool {
    wanted.iter().any(|wanted| match wanted.strip_suffix(".*") {
        Some(prefix) => name.starts_with(prefix),
        None => wanted == name || wanted == "All",
    })
}

fn received<'a>(message: &'a Received, system: &[String], wanted: &[String]) -> Value<'a> {
    let mut to = Vec::with_capacity(7);
    text(&mut to, "MessageId", message.message_id.as_str());
    text(&mut to, "ReceiptHandle", message.receipt.as_str());
    text(&mut to, "MD5OfBody", digest::of_text(&message.body));
    text(&mut to, "Body", message.body.as_str());
    let system = message
        .system
        .iter()
        .filter(|(name, _)| system.iter().any(|wanted| wanted == *name || wanted == "All"));
    let system = system.map(|(name, value)| (name, value.as_str()));
    map(&mut to, "Attributes", "Attribute", "Name", system);
    let attributes = || message.attributes.iter().filter(|(name, _)| is_wanted(name, wanted));
    if let Some(digest) = digest::of_attributes(attributes()) {
        text(&mut to, "MD5OfMessageAttributes", digest);
        let entries = attributes().map(|(name, attribute)| (name.as_str(), self::attribute(attribute)));
        to.push(Field {
            json: "MessageAttributes",
            xml: "MessageAttribute",
            value: Value::Map {
                key: "Name",
                entries: entries.collect(),
            },
        });
    }
    Value::Structure(to)
}

fn attribute(attribute: &Attribute) -> Value<'_> {
    let mut to = Vec::with_capacity(2);
    match &attribute.value {
        AttributeValue::Text(value) => text(&mut to, "StringValue", value.as_str()),
        AttributeValue::Binary(bytes) => to.push(Field {
            json: "BinaryValue",
            xml: "BinaryValue",
            value: Value::Blob(bytes),
        }),
        AttributeValue::Missing => {}
    }
    text(&mut to, "DataType", attribute.data_type.as_str());
    Value::Structure(to)
}

fn a_move(of: &Move) -> Value<'_> {
    let mut to = Vec::new();
    let optional = |to: &mut Vec<Field<'_>>, name, value: Option<i64>| {
        if let Some(value) = value {
            number(to, name, value);
        }
    };
    if let Some(handle) = &of.handle {
        text(&mut to, "TaskHandle", handle.as_str());
    }
    text(&mut to, "Status", of.status);
    text(&mut to, "SourceArn", of.source.as_str());
    if let Some(destination) = &of.destination {
        text(&mut to, "DestinationArn", destination.as_str());
    }
    optional(&mut to, "MaxNumberOfMessagesPerSecond", of.rate);
    number(&mut to, "ApproximateNumberOfMessagesMoved", count(of.moved));
    optional(&mut to, "ApproximateNumberOfMessagesToMove", of.to_move.map(count));
    if let Some(failure) = &of.failure {
        text(&mut to, "FailureReason", failure.as_str());
    }
    number(&mut to, "StartedTimestamp", of.started_at);
    Value::Structure(to)
}
