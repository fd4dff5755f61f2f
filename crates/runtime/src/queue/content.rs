//! What may be sent: bodies, message attributes and ids, by characters and size.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{invalid, limits, missing};
use crate::sqs::fault::{Code, Fault};
use crate::sqs::operation::{Attribute, AttributeValue, Send};
use kingtide_core::hex;

/// The characters that XML 1.0 can carry.
fn is_legal(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

const CHARACTERS: &str = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to \
                          #xFFFD | #x10000 to #x10FFFF";

/// The only attribute that senders may give the system.
pub(super) const TRACE: &str = "AWSTraceHeader";

/// Bytes that count against the limit: body and attributes with their names and types. Those for the system do not count.
pub(super) fn size(message: &Send) -> usize {
    let attribute = |(name, attribute): (&String, &Attribute)| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Binary(bytes) => bytes.len(),
            AttributeValue::Missing => 0,
        };
        name.len() + attribute.data_type.len() + value
    };
    message.body.len() + message.attributes.iter().map(attribute).sum::<usize>()
}

/// Whether a queue takes the message that takes so many bytes.
pub(super) fn check(message: &Send, max_bytes: usize) -> Result<(), Fault> {
    if message.body.is_empty() {
        return Err(missing("MessageBody"));
    }
    if size(message) > max_bytes {
        return Err(invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
        )));
    }
    if !message.body.chars().all(is_legal) {
        return Err(Fault::new(Code::InvalidMessageContents, CHARACTERS));
    }
    if message.attributes.len() > limits::MESSAGE_ATTRIBUTES {
        return Err(invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{}].",
            message.attributes.len(),
            limits::MESSAGE_ATTRIBUTES
        )));
    }
    for (name, attribute) in &message.attributes {
        check_name(name)?;
        check_value(name, attribute)?;
    }
    for (name, attribute) in &message.system_attributes {
        if name != TRACE {
            return Err(invalid(format!("Message system attribute name '{name}' is invalid.")));
        }
        check_value(name, attribute)?;
        if attribute.data_type != "String" {
            return Err(invalid(format!(
                "The type of message (system) attribute '{name}' is invalid. You must use only the type String."
            )));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(invalid(
            "The request must contain non-empty message (user) attribute names.",
        ));
    }
    if name.len() >= limits::ATTRIBUTE_NAME_BYTES {
        return Err(invalid("Message (user) attribute name must be shorter than 256 bytes."));
    }
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    if !name.chars().all(is_allowed) {
        return Err(invalid(
            "Message (user) attributes name can only contain upper and lower score characters, digits, periods, hyphens \
             and underscores. ",
        ));
    }
    let lower = name.to_ascii_lowercase();
    let is_reserved = lower.starts_with("aws.") || lower.starts_with("amazon.");
    if is_reserved || name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Err(invalid(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for \
             internal use. Additionally, they cannot start or end with '.' or contain successive '.'.",
        ));
    }
    Ok(())
}

fn check_value(name: &str, attribute: &Attribute) -> Result<(), Fault> {
    let kind = attribute.data_type.split('.').next().unwrap_or_default();
    if attribute.data_type.is_empty() {
        return Err(invalid(format!(
            "The message (user) attribute '{name}' must contain a non-empty message attribute type."
        )));
    }
    if matches!(attribute.data_type.as_str(), "StringList" | "BinaryList") {
        return Err(Fault::new(
            Code::UnsupportedOperation,
            "Message attribute list values in SendMessage operation are not supported.",
        ));
    }
    if attribute.data_type.len() >= limits::ATTRIBUTE_NAME_BYTES {
        return Err(invalid("Message (user) attribute type must be shorter than 256 bytes."));
    }
    if !matches!(kind, "String" | "Number" | "Binary") {
        return Err(invalid(format!(
            "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type \
             prefixes: Binary, Number, String."
        )));
    }
    let empty = || {
        invalid(format!(
            "Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
        ))
    };
    match (&attribute.value, kind) {
        (AttributeValue::Missing, _) => Err(invalid(format!(
            "The message (user) attribute '{name}' must contain a non-empty message attribute value."
        ))),
        (AttributeValue::Binary(bytes), "Binary") if bytes.is_empty() => Err(empty()),
        (AttributeValue::Binary(_), "Binary") => Ok(()),
        (AttributeValue::Text(text), "String" | "Number") if text.is_empty() => Err(empty()),
        (AttributeValue::Text(text), "String") if !text.chars().all(is_legal) => Err(invalid(CHARACTERS)),
        (AttributeValue::Text(text), "Number") if !is_number(text) => Err(invalid(format!(
            "Can't cast the value of message (user) attribute '{name}' to a number."
        ))),
        (AttributeValue::Text(_), "String" | "Number") => Ok(()),
        (AttributeValue::Text(_) | AttributeValue::Binary(_), _) => Err(invalid(format!(
            "The message (user) attribute '{name}' with type '{kind}' must use field '{}'.",
            if kind == "Binary" { "Binary" } else { "String" }
        ))),
    }
}

/// Up to 38 digits of precision, between 10^-128 and 10^+126.
fn is_number(text: &str) -> bool {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse::<f64>().ok().filter(|_| is_plain);
    number.is_some_and(|number| number == 0.0 || (1e-128..=1e126).contains(&number.abs()))
}

/// Of a message group, a deduplication or a receive attempt.
pub(super) fn check_id(parameter: &str, id: &str) -> Result<(), Fault> {
    let is_allowed = |character: char| character.is_ascii_graphic();
    if (1..=limits::ID_CHARACTERS).contains(&id.len()) && id.chars().all(is_allowed) {
        return Ok(());
    }
    Err(invalid(format!(
        "Value {id} for parameter {parameter} is invalid. Reason: {parameter} can only include alphanumeric and \
         punctuation characters. 1 to 128 in length."
    )))
}

/// How attributes are kept: `{"name": [type, text]}`, and bytes in hexadecimal as a third.
pub(super) fn write(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let value = |attribute: &Attribute| match &attribute.value {
        AttributeValue::Text(text) => serde_json::json!([attribute.data_type, text]),
        AttributeValue::Binary(bytes) => {
            serde_json::json!([attribute.data_type, null, hex::encode(bytes)])
        }
        AttributeValue::Missing => serde_json::json!([attribute.data_type]),
    };
    let map: Map<String, Value> = attributes
        .iter()
        .map(|(name, attribute)| (name.clone(), value(attribute)))
        .collect();
    Some(Value::Object(map).to_string())
}

/// From how they are kept.
pub(crate) fn read(text: Option<&str>) -> BTreeMap<String, Attribute> {
    let Some(Ok(Value::Object(map))) = text.map(serde_json::from_str) else {
        return BTreeMap::new();
    };
    let attribute = |value: &Value| {
        let data_type = value.get(0).and_then(Value::as_str).unwrap_or_default().to_owned();
        let value = match (
            value.get(1).and_then(Value::as_str),
            value.get(2).and_then(Value::as_str),
        ) {
            (Some(text), _) => AttributeValue::Text(text.to_owned()),
            (None, Some(digits)) => AttributeValue::Binary(hex::decode(digits).unwrap_or_default()),
            (None, None) => AttributeValue::Missing,
        };
        Attribute { data_type, value }
    };
    map.iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}
