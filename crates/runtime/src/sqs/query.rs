//! The query protocol: the action and its members as a form, in the body of a POST or in the URL of a GET. Lists are written
//! `AttributeName.1`, maps `Attribute.1.Name` with `Attribute.1.Value`, and structures by the names of their members after a dot.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fault::{Code, Fault};
use super::members::{Action, Blob, Item, Items, MOST_ENTRIES, Members, Number, Value};
use super::percent;

/// Parameters that are read of one request; the largest that SQS accepts, ten entries with ten attributes each, has 500.
const MOST_PARAMETERS: usize = 10_000;

/// Members of a list by their number; they may come in any order and leave some out.
type Numbered<T> = BTreeMap<u32, T>;

/// An entry of a map, while it is read.
#[derive(Default)]
struct Pair<T> {
    key: Option<String>,
    value: T,
}

#[derive(Default)]
struct ItemDraft {
    item: Item,
    attributes: Numbered<Pair<Value>>,
    system_attributes: Numbered<Pair<Value>>,
}

#[derive(Default)]
struct Draft {
    action: Option<String>,
    members: Members,
    attributes: Numbered<Pair<String>>,
    tags: Numbered<Pair<String>>,
    tag_keys: Numbered<String>,
    accounts: Numbered<String>,
    actions: Numbered<String>,
    attribute_names: Numbered<String>,
    system_names: Numbered<String>,
    message_names: Numbered<String>,
    message_attributes: Numbered<Pair<Value>>,
    system_attributes: Numbered<Pair<Value>>,
    items: Numbered<ItemDraft>,
}

/// Whether a form names an action: a browser or a probe that looks at the port does not.
pub(super) fn names_an_action(form: &[u8]) -> bool {
    form.split(|byte| *byte == b'&')
        .any(|pair| pair.starts_with(b"Action="))
}

/// The action and members of a request, from its URL and from its body; what the body says counts.
pub(super) fn read(url: &[u8], body: &[u8]) -> Result<(Action, Members), Fault> {
    let mut draft = Draft::default();
    let pairs = [url, body]
        .into_iter()
        .flat_map(|form| form.split(|byte| *byte == b'&'));
    for (count, pair) in pairs.filter(|pair| !pair.is_empty()).enumerate() {
        if count == MOST_PARAMETERS {
            return Err(malformed(format!("more than {MOST_PARAMETERS} parameters")));
        }
        let split = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = pair.split_at(split.unwrap_or(pair.len()));
        draft.set(&text(name)?, text(value.get(1..).unwrap_or_default())?)?;
    }
    let name = draft.action.take().ok_or_else(|| {
        let message = "The request is missing an action: it must contain the parameter Action.";
        Fault::new(Code::MissingAction, message)
    })?;
    let action = Action::named(&name).ok_or_else(|| super::unknown_action(&name))?;
    Ok((action, draft.finish()?))
}

fn malformed(why: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Malformed, format!("The request could not be read: {why}."))
}

fn text(written: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let decoded = match percent::decode(written, true) {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed),
        Cow::Owned(bytes) => return String::from_utf8(bytes).map(Cow::Owned).map_err(malformed),
    };
    decoded.map_err(malformed)
}

fn number(name: &str, value: &str) -> Result<Option<Number>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    match value.trim().parse() {
        Ok(number) => Ok(Some(Number(number))),
        Err(_) => Err(malformed(format!(
            "{value:?} for the parameter {name} is not a whole number"
        ))),
    }
}

/// Takes `1.Name` apart. What has no number is the first.
fn numbered(rest: &str) -> (u32, &str) {
    let rest = rest.strip_prefix("member.").unwrap_or(rest);
    let (first, after) = rest.split_once('.').unwrap_or((rest, ""));
    match first.parse() {
        Ok(number) => (number, after),
        Err(_) => (1, rest),
    }
}

fn set_pair(pairs: &mut Numbered<Pair<String>>, rest: &str, value: String) {
    let (number, part) = numbered(rest);
    let pair = pairs.entry(number).or_default();
    match part {
        "Name" | "Key" => pair.key = Some(value),
        "Value" => pair.value = value,
        _ => {}
    }
}

fn set_attribute(attributes: &mut Numbered<Pair<Value>>, rest: &str, value: String) -> Result<(), Fault> {
    let (number, part) = numbered(rest);
    let attribute = attributes.entry(number).or_default();
    match part {
        "Name" => attribute.key = Some(value),
        "Value.DataType" => attribute.value.data_type = Some(value),
        "Value.StringValue" => attribute.value.string_value = Some(value),
        "Value.BinaryValue" => {
            let bytes = STANDARD.decode(value).map_err(|error| {
                let name = attribute.key.as_deref().unwrap_or_default();
                malformed(format!(
                    "the binary value of the attribute {name:?} is not Base64: {error}"
                ))
            })?;
            attribute.value.binary_value = Some(Blob(bytes));
        }
        _ => {}
    }
    Ok(())
}

/// The map that numbered pairs make; `None` when there are none.
fn map<T>(of: &str, pairs: Numbered<Pair<T>>) -> Result<Option<BTreeMap<String, T>>, Fault> {
    let mut map = BTreeMap::new();
    for (number, pair) in pairs {
        let key = pair.key.filter(|key| !key.is_empty()).ok_or_else(|| {
            let part = if of == "Tag" { "Key" } else { "Name" };
            let message = format!("The request must contain the parameter {of}.{number}.{part}.");
            Fault::new(Code::MissingParameter, message)
        })?;
        map.insert(key, pair.value);
    }
    Ok((!map.is_empty()).then_some(map))
}

fn list(of: Numbered<String>) -> Option<Vec<String>> {
    (!of.is_empty()).then(|| of.into_values().collect())
}

impl ItemDraft {
    fn set(&mut self, name: &str, value: String) -> Result<(), Fault> {
        let item = &mut self.item;
        match name {
            "Id" => item.id = Some(value),
            "ReceiptHandle" => item.receipt_handle = Some(value),
            "MessageBody" => item.message_body = Some(value),
            "MessageDeduplicationId" => item.message_deduplication_id = Some(value),
            "MessageGroupId" => item.message_group_id = Some(value),
            "VisibilityTimeout" => item.visibility_timeout = number(name, &value)?,
            "DelaySeconds" => item.delay_seconds = number(name, &value)?,
            _ => match name.split_once('.') {
                Some(("MessageAttribute", rest)) => set_attribute(&mut self.attributes, rest, value)?,
                Some(("MessageSystemAttribute", rest)) => set_attribute(&mut self.system_attributes, rest, value)?,
                _ => {}
            },
        }
        Ok(())
    }

    fn finish(self) -> Result<Item, Fault> {
        Ok(Item {
            message_attributes: map("MessageAttribute", self.attributes)?,
            message_system_attributes: map("MessageSystemAttribute", self.system_attributes)?,
            ..self.item
        })
    }
}

impl Draft {
    /// Takes one parameter. Those of no action, such as `Version` and a presigned URL's, are passed over.
    fn set(&mut self, name: &str, value: Cow<'_, str>) -> Result<(), Fault> {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        match first {
            "AttributeName" | "AttributeNames" => insert(&mut self.attribute_names, rest, value),
            "MessageSystemAttributeName" | "MessageSystemAttributeNames" => {
                insert(&mut self.system_names, rest, value);
            }
            "MessageAttributeName" | "MessageAttributeNames" => insert(&mut self.message_names, rest, value),
            "AWSAccountId" | "AWSAccountIds" => insert(&mut self.accounts, rest, value),
            "ActionName" | "Actions" => insert(&mut self.actions, rest, value),
            "TagKey" | "TagKeys" => insert(&mut self.tag_keys, rest, value),
            "Attribute" | "Attributes" if !rest.is_empty() => {
                set_pair(&mut self.attributes, rest, value.into_owned());
            }
            "Tag" | "Tags" | "tags" if !rest.is_empty() => set_pair(&mut self.tags, rest, value.into_owned()),
            "MessageAttribute" if !rest.is_empty() => {
                set_attribute(&mut self.message_attributes, rest, value.into_owned())?;
            }
            "MessageSystemAttribute" if !rest.is_empty() => {
                set_attribute(&mut self.system_attributes, rest, value.into_owned())?;
            }
            "SendMessageBatchRequestEntry"
            | "DeleteMessageBatchRequestEntry"
            | "ChangeMessageVisibilityBatchRequestEntry"
            | "Entries"
                if !rest.is_empty() =>
            {
                let (number, part) = numbered(rest);
                self.items.entry(number).or_default().set(part, value.into_owned())?;
                if self.items.len() > MOST_ENTRIES {
                    return Err(malformed(format!("more than {MOST_ENTRIES} entries")));
                }
            }
            _ if rest.is_empty() => self.set_member(name, value.into_owned())?,
            _ => {}
        }
        Ok(())
    }

    fn set_member(&mut self, name: &str, value: String) -> Result<(), Fault> {
        let to = &mut self.members;
        match name {
            "Action" => self.action = Some(value),
            "QueueUrl" => to.queue_url = Some(value),
            "QueueName" => to.queue_name = Some(value),
            "QueueNamePrefix" => to.queue_name_prefix = Some(value),
            "NextToken" => to.next_token = Some(value),
            "Label" => to.label = Some(value),
            "ReceiveRequestAttemptId" => to.receive_request_attempt_id = Some(value),
            "ReceiptHandle" => to.receipt_handle = Some(value),
            "MessageBody" => to.message_body = Some(value),
            "MessageDeduplicationId" => to.message_deduplication_id = Some(value),
            "MessageGroupId" => to.message_group_id = Some(value),
            "SourceArn" => to.source_arn = Some(value),
            "DestinationArn" => to.destination_arn = Some(value),
            "TaskHandle" => to.task_handle = Some(value),
            "MaxResults" => to.max_results = number(name, &value)?,
            "MaxNumberOfMessages" => to.max_number_of_messages = number(name, &value)?,
            "WaitTimeSeconds" => to.wait_time_seconds = number(name, &value)?,
            "VisibilityTimeout" => to.visibility_timeout = number(name, &value)?,
            "DelaySeconds" => to.delay_seconds = number(name, &value)?,
            "MaxNumberOfMessagesPerSecond" => to.max_number_of_messages_per_second = number(name, &value)?,
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Members, Fault> {
        let items: Result<Vec<Item>, Fault> = self.items.into_values().map(ItemDraft::finish).collect();
        Ok(Members {
            attributes: map("Attribute", self.attributes)?,
            tags: map("Tag", self.tags)?,
            tag_keys: list(self.tag_keys),
            aws_account_ids: list(self.accounts),
            actions: list(self.actions),
            attribute_names: list(self.attribute_names),
            message_system_attribute_names: list(self.system_names),
            message_attribute_names: list(self.message_names),
            message_attributes: map("MessageAttribute", self.message_attributes)?,
            message_system_attributes: map("MessageSystemAttribute", self.system_attributes)?,
            entries: Some(Items(items?)),
            ..self.members
        })
    }
}

/// An empty list is written as its bare name with nothing behind it.
fn insert(list: &mut Numbered<String>, rest: &str, value: Cow<'_, str>) {
    if !(rest.is_empty() && value.is_empty()) {
        list.insert(numbered(rest).0, value.into_owned());
    }
}
