//! A message: one JSON object of parameters.

use serde_json::{Map, Value};

use crate::hash;

/// The longest body of a message in bytes, as of Amazon SQS since 2025.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// One JSON object of parameters, in the order the user wrote them.
#[derive(Clone, Debug, PartialEq)]
pub struct Message(pub Map<String, Value>);

impl Message {
    /// Reads a body; `None` when it is not a JSON object.
    pub fn parse(body: &str) -> Option<Message> {
        match serde_json::from_str(body) {
            Ok(Value::Object(map)) => Some(Message(map)),
            _ => None,
        }
    }

    /// Of any body: what is no JSON object, which a consumer may be sent, is one parameter `body`.
    pub fn of_body(body: &str) -> Message {
        Message::parse(body).unwrap_or_else(|| Message(Map::from_iter([("body".to_owned(), Value::from(body))])))
    }

    /// The body as it is stored and handed to the program in `KINGTIDE_MESSAGE`.
    pub fn body(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// The text of a parameter: a string as it is, everything else as JSON.
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).map(value_text)
    }

    /// `k=v k=v`, as people write a message on the command line.
    pub fn label(&self) -> String {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={}", value_text(value)))
            .collect();
        pairs.join(" ")
    }

    /// The same for the same parameters whatever their order: the key under which durations are remembered.
    /// It must never change between versions.
    pub fn key(&self) -> i64 {
        let mut names: Vec<&String> = self.0.keys().collect();
        names.sort();
        let mut bytes = Vec::new();
        for name in names {
            for part in [name.as_bytes(), self.0[name].to_string().as_bytes()] {
                bytes.extend_from_slice(part);
                // In no text: one part ends here.
                bytes.push(0xff);
            }
        }
        hash::fnv1a(&bytes) as i64
    }
}

/// A value as it is put into a command line: a string bare, everything else as JSON.
pub fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
