//! The AWS JSON protocol, 1.0 and 1.1: the action in `X-Amz-Target`, members as one JSON object.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::document::{Field, Value};
use super::fault::{Code, Fault};
use super::members::{Action, Blob, Item, Items, MOST_ENTRIES, Members, Number, Value as Attribute};

/// What every target of ours begins with.
const SERVICE: &str = "AmazonSQS.";

/// The action that a target names.
pub(super) fn action(target: &[u8]) -> Result<Action, Fault> {
    let target = std::str::from_utf8(target).unwrap_or_default();
    let action = target.strip_prefix(SERVICE).and_then(Action::named);
    action.ok_or_else(|| super::unknown_action(target.strip_prefix(SERVICE).unwrap_or(target)))
}

/// The members of a request. An empty body is an empty object.
pub(super) fn read(body: &[u8]) -> Result<Members, Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Members::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("The body is not the JSON that this operation takes: {error}.");
        Fault::new(Code::Malformed, message)
    })
}

/// The body of an answer.
pub(super) fn write(fields: &[Field<'_>]) -> Vec<u8> {
    let mut to = Vec::with_capacity(256);
    structure(&mut to, fields);
    to
}

/// The body of a fault.
pub(super) fn write_fault(fault: &Fault) -> Vec<u8> {
    let kind = format!("{}#{}", fault.code.namespace(), fault.code.shape());
    let mut to = Vec::with_capacity(256);
    to.extend_from_slice(b"{\"__type\":");
    text(&mut to, &kind);
    to.extend_from_slice(b",\"message\":");
    text(&mut to, &fault.message);
    to.push(b'}');
    to
}

fn text(to: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(to, text).expect("text is written to memory");
}

fn structure(to: &mut Vec<u8>, fields: &[Field<'_>]) {
    to.push(b'{');
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            to.push(b',');
        }
        text(to, field.json);
        to.push(b':');
        value(to, &field.value);
    }
    to.push(b'}');
}

fn value(to: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(of) => text(to, of),
        Value::Number(number) => to.extend_from_slice(number.to_string().as_bytes()),
        Value::Flag(flag) => to.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Blob(bytes) => text(to, &STANDARD.encode(bytes)),
        Value::Structure(fields) => structure(to, fields),
        Value::List(values) => {
            to.push(b'[');
            for (index, of) in values.iter().enumerate() {
                if index > 0 {
                    to.push(b',');
                }
                self::value(to, of);
            }
            to.push(b']');
        }
        Value::Map { entries, .. } => {
            to.push(b'{');
            for (index, (name, of)) in entries.iter().enumerate() {
                if index > 0 {
                    to.push(b',');
                }
                text(to, name);
                to.push(b':');
                self::value(to, of);
            }
            to.push(b'}');
        }
    }
}

/// Reads structures from objects alone; what serde derives would take a list of the values as well.
macro_rules! structures {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                struct Structure;

                impl<'de> Visitor<'de> for Structure {
                    type Value = $name;

                    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                        to.write_str("a structure")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<$name, A::Error> {
                        // The derived one, which stands beside the trait.
                        $name::deserialize(MapAccessDeserializer::new(members))
                    }
                }

                from.deserialize_map(Structure)
            }
        }
    )*};
}

structures! { Members Item Attribute }

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Number, D::Error> {
        from.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        i64::try_from(number)
            .map(Number)
            .map_err(|_| E::custom(format!("the number {number} is too large")))
    }

    /// Languages without whole numbers write `5.0`.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
        // Beyond 2^53 a float is no exact number any more.
        let is_whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        match is_whole {
            true => Ok(Number(number as i64)),
            false => Err(E::custom(format!("{number} is not a whole number"))),
        }
    }

    /// So do some SDKs, and shells.
    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        text.parse()
            .map(Number)
            .map_err(|_| E::custom(format!("{text:?} is not a whole number")))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Blob, D::Error> {
        from.deserialize_str(BlobVisitor)
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("bytes as Base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
        let bytes = STANDARD.decode(text).map(Blob);
        bytes.map_err(|error| E::custom(format!("not Base64: {error}")))
    }
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Items, D::Error> {
        from.deserialize_seq(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Items, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = entries.next_element::<Item>()? {
            if items.len() == MOST_ENTRIES {
                return Err(A::Error::custom(format!("more than {MOST_ENTRIES} entries")));
            }
            items.push(item);
        }
        Ok(Items(items))
    }
}
