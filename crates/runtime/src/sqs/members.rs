//! What a request says, as either protocol has read it, and the operation that it means. A member is called the same and
//! means the same in every action, so one list of them serves all.

use std::collections::BTreeMap;

use super::address;
use super::fault::{Code, Fault};
use super::operation::{Attribute, AttributeValue, Entry, Operation, Page, Receive, Send};

/// The most entries of a batch that are read; SQS refuses more than ten, in words.
pub(super) const MOST_ENTRIES: usize = 1000;

macro_rules! actions {
    ($($name:ident)*) => {
        /// The actions of Amazon SQS.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Action { $($name,)* }

        impl Action {
            #[cfg(test)]
            pub(super) const ALL: &[Action] = &[$(Action::$name,)*];

            pub(super) fn named(name: &str) -> Option<Action> {
                match name {
                    $(stringify!($name) => Some(Action::$name),)*
                    _ => None,
                }
            }

            pub(super) fn name(self) -> &'static str {
                match self { $(Action::$name => stringify!($name),)* }
            }

            /// Whether there is more to answer than that it was done.
            pub(super) fn has_result(self) -> bool {
                use Action as A;
                !matches!(
                    self,
                    A::AddPermission
                        | A::ChangeMessageVisibility
                        | A::DeleteMessage
                        | A::DeleteQueue
                        | A::PurgeQueue
                        | A::RemovePermission
                        | A::SetQueueAttributes
                        | A::TagQueue
                        | A::UntagQueue
                )
            }
        }
    };
}

actions! {
    AddPermission CancelMessageMoveTask ChangeMessageVisibility ChangeMessageVisibilityBatch CreateQueue DeleteMessage
    DeleteMessageBatch DeleteQueue GetQueueAttributes GetQueueUrl ListDeadLetterSourceQueues ListMessageMoveTasks
    ListQueueTags ListQueues PurgeQueue ReceiveMessage RemovePermission SendMessage SendMessageBatch SetQueueAttributes
    StartMessageMoveTask TagQueue UntagQueue
}

/// A number, however the caller wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(pub(super) i64);

/// Bytes that travel as Base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob(pub(super) Vec<u8>);

/// An attribute of a message. Lists of values are reserved by SQS and not implemented, there as here.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default, remote = "Self")]
pub(super) struct Value {
    pub(super) data_type: Option<String>,
    pub(super) string_value: Option<String>,
    pub(super) binary_value: Option<Blob>,
}

/// A member of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default, remote = "Self")]
pub(super) struct Item {
    pub(super) id: Option<String>,
    pub(super) receipt_handle: Option<String>,
    pub(super) visibility_timeout: Option<Number>,
    pub(super) message_body: Option<String>,
    pub(super) delay_seconds: Option<Number>,
    pub(super) message_attributes: Option<BTreeMap<String, Value>>,
    pub(super) message_system_attributes: Option<BTreeMap<String, Value>>,
    pub(super) message_deduplication_id: Option<String>,
    pub(super) message_group_id: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Items(pub(super) Vec<Item>);

/// Everything that any action takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default, remote = "Self")]
pub(super) struct Members {
    pub(super) queue_url: Option<String>,
    pub(super) queue_name: Option<String>,
    pub(super) queue_name_prefix: Option<String>,
    pub(super) next_token: Option<String>,
    pub(super) max_results: Option<Number>,
    pub(super) attributes: Option<BTreeMap<String, String>>,
    /// Small in `CreateQueue`, in the model of AWS as well.
    #[serde(alias = "tags")]
    pub(super) tags: Option<BTreeMap<String, String>>,
    pub(super) tag_keys: Option<Vec<String>>,
    pub(super) label: Option<String>,
    #[serde(rename = "AWSAccountIds")]
    pub(super) aws_account_ids: Option<Vec<String>>,
    pub(super) actions: Option<Vec<String>>,
    pub(super) attribute_names: Option<Vec<String>>,
    pub(super) message_system_attribute_names: Option<Vec<String>>,
    pub(super) message_attribute_names: Option<Vec<String>>,
    pub(super) max_number_of_messages: Option<Number>,
    pub(super) wait_time_seconds: Option<Number>,
    pub(super) receive_request_attempt_id: Option<String>,
    pub(super) receipt_handle: Option<String>,
    pub(super) visibility_timeout: Option<Number>,
    pub(super) message_body: Option<String>,
    pub(super) delay_seconds: Option<Number>,
    pub(super) message_attributes: Option<BTreeMap<String, Value>>,
    pub(super) message_system_attributes: Option<BTreeMap<String, Value>>,
    pub(super) message_deduplication_id: Option<String>,
    pub(super) message_group_id: Option<String>,
    pub(super) entries: Option<Items>,
    pub(super) source_arn: Option<String>,
    pub(super) destination_arn: Option<String>,
    pub(super) max_number_of_messages_per_second: Option<Number>,
    pub(super) task_handle: Option<String>,
}

fn missing(name: &str) -> Fault {
    let message = format!("The request must contain the parameter {name}.");
    Fault::new(Code::MissingParameter, message)
}

fn needed<T>(name: &str, member: Option<T>) -> Result<T, Fault> {
    member.ok_or_else(|| missing(name))
}

fn number(member: Option<Number>) -> Option<i64> {
    member.map(|Number(number)| number)
}

impl Value {
    fn into_attribute(self) -> Attribute {
        let data_type = self.data_type.unwrap_or_default();
        let is_binary = data_type.starts_with("Binary");
        let value = match (self.string_value, self.binary_value) {
            (_, Some(Blob(bytes))) if is_binary => AttributeValue::Binary(bytes),
            (Some(text), _) => AttributeValue::Text(text),
            (None, Some(Blob(bytes))) => AttributeValue::Binary(bytes),
            (None, None) => AttributeValue::Missing,
        };
        Attribute { data_type, value }
    }
}

fn attributes(values: Option<BTreeMap<String, Value>>) -> BTreeMap<String, Attribute> {
    let values = values.unwrap_or_default().into_iter();
    values.map(|(name, value)| (name, value.into_attribute())).collect()
}

impl Items {
    /// What each entry lacks is told per entry, by whoever performs the operation.
    fn entries<T>(items: Option<Items>, of: impl Fn(Item) -> T) -> Vec<Entry<T>> {
        let items = items.unwrap_or_default().0.into_iter();
        items
            .map(|mut item| Entry {
                id: item.id.take().unwrap_or_default(),
                of: of(item),
            })
            .collect()
    }
}

impl Item {
    fn into_message(self) -> Send {
        Send {
            body: self.message_body.unwrap_or_default(),
            delay: number(self.delay_seconds),
            attributes: attributes(self.message_attributes),
            system_attributes: attributes(self.message_system_attributes),
            group: self.message_group_id,
            deduplication: self.message_deduplication_id,
        }
    }
}

impl Members {
    /// The operation that is meant. `path` is the request's: it names the queue where the members do not.
    pub(super) fn operation(mut self, action: Action, path: &str) -> Result<Operation, Fault> {
        use Action as A;
        let page = Page {
            limit: number(self.max_results),
            token: self.next_token.take(),
        };
        let named_by_url = self.queue_url.take();
        let queue = || match (&named_by_url, address::queue_of_path(path)) {
            (Some(url), _) if !url.is_empty() => address::queue(url),
            (_, Some(name)) => Ok(name.to_owned()),
            _ => Err(missing("QueueUrl")),
        };
        Ok(match action {
            A::SendMessage => Operation::SendMessage {
                queue: queue()?,
                message: Send {
                    body: needed("MessageBody", self.message_body)?,
                    delay: number(self.delay_seconds),
                    attributes: attributes(self.message_attributes),
                    system_attributes: attributes(self.message_system_attributes),
                    group: self.message_group_id,
                    deduplication: self.message_deduplication_id,
                },
            },
            A::ReceiveMessage => Operation::ReceiveMessage(Receive {
                queue: queue()?,
                max: number(self.max_number_of_messages),
                visibility: number(self.visibility_timeout),
                wait: number(self.wait_time_seconds),
                attempt: self.receive_request_attempt_id,
                system: {
                    let mut system = self.attribute_names.unwrap_or_default();
                    system.extend(self.message_system_attribute_names.unwrap_or_default());
                    system
                },
                attributes: self.message_attribute_names.unwrap_or_default(),
            }),
            A::DeleteMessage => Operation::DeleteMessage {
                queue: queue()?,
                receipt: needed("ReceiptHandle", self.receipt_handle)?,
            },
            A::ChangeMessageVisibility => Operation::ChangeMessageVisibility {
                queue: queue()?,
                receipt: needed("ReceiptHandle", self.receipt_handle)?,
                visibility: needed("VisibilityTimeout", number(self.visibility_timeout))?,
            },
            A::SendMessageBatch => Operation::SendMessageBatch {
                queue: queue()?,
                entries: Items::entries(self.entries, Item::into_message),
            },
            A::DeleteMessageBatch => Operation::DeleteMessageBatch {
                queue: queue()?,
                entries: Items::entries(self.entries, |item| item.receipt_handle.unwrap_or_default()),
            },
            A::ChangeMessageVisibilityBatch => Operation::ChangeMessageVisibilityBatch {
                queue: queue()?,
                entries: Items::entries(self.entries, |item| {
                    let receipt = item.receipt_handle.unwrap_or_default();
                    (receipt, number(item.visibility_timeout))
                }),
            },
            A::CreateQueue => Operation::CreateQueue {
                name: needed("QueueName", self.queue_name)?,
                attributes: self.attributes.unwrap_or_default(),
                tags: self.tags.unwrap_or_default(),
            },
            A::GetQueueUrl => Operation::GetQueueUrl {
                name: needed("QueueName", self.queue_name)?,
            },
            A::ListQueues => Operation::ListQueues {
                prefix: self.queue_name_prefix,
                page,
            },
            A::DeleteQueue => Operation::DeleteQueue { queue: queue()? },
            A::PurgeQueue => Operation::PurgeQueue { queue: queue()? },
            A::GetQueueAttributes => Operation::GetQueueAttributes {
                queue: queue()?,
                names: self.attribute_names.unwrap_or_default(),
            },
            A::SetQueueAttributes => Operation::SetQueueAttributes {
                queue: queue()?,
                attributes: needed("Attributes", self.attributes)?,
            },
            A::ListDeadLetterSourceQueues => Operation::ListDeadLetterSourceQueues { queue: queue()?, page },
            A::TagQueue => Operation::TagQueue {
                queue: queue()?,
                tags: needed("Tags", self.tags)?,
            },
            A::UntagQueue => Operation::UntagQueue {
                queue: queue()?,
                keys: needed("TagKeys", self.tag_keys)?,
            },
            A::ListQueueTags => Operation::ListQueueTags { queue: queue()? },
            A::AddPermission => Operation::AddPermission {
                queue: queue()?,
                label: needed("Label", self.label)?,
                accounts: needed("AWSAccountIds", self.aws_account_ids)?,
                actions: needed("Actions", self.actions)?,
            },
            A::RemovePermission => Operation::RemovePermission {
                queue: queue()?,
                label: needed("Label", self.label)?,
            },
            A::StartMessageMoveTask => Operation::StartMessageMoveTask {
                source: needed("SourceArn", self.source_arn)?,
                destination: self.destination_arn,
                rate: number(self.max_number_of_messages_per_second),
            },
            A::CancelMessageMoveTask => Operation::CancelMessageMoveTask {
                handle: needed("TaskHandle", self.task_handle)?,
            },
            A::ListMessageMoveTasks => Operation::ListMessageMoveTasks {
                source: needed("SourceArn", self.source_arn)?,
                limit: number(self.max_results),
            },
        })
    }
}
