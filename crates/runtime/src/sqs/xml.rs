//! Answers of the query protocol, as XML.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::document::{Field, Value};
use super::fault::Fault;
use super::members::Action;

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";
const DECLARATION: &str = "<?xml version=\"1.0\"?>";

/// The body of an answer to an action.
pub(super) fn write(action: Action, fields: &[Field<'_>], request_id: &str) -> Vec<u8> {
    let name = action.name();
    let mut to = String::with_capacity(512);
    to.push_str(DECLARATION);
    open_with_namespace(&mut to, &format!("{name}Response"));
    if action.has_result() {
        element(&mut to, &format!("{name}Result"), |to| structure(to, fields));
    }
    element(&mut to, "ResponseMetadata", |to| text(to, "RequestId", request_id));
    close(&mut to, &format!("{name}Response"));
    to.into_bytes()
}

/// The body of a fault.
pub(super) fn write_fault(fault: &Fault, request_id: &str) -> Vec<u8> {
    let mut to = String::with_capacity(512);
    to.push_str(DECLARATION);
    open_with_namespace(&mut to, "ErrorResponse");
    element(&mut to, "Error", |to| {
        text(to, "Type", if fault.is_senders() { "Sender" } else { "Receiver" });
        text(to, "Code", fault.code.query());
        text(to, "Message", &fault.message);
        to.push_str("<Detail/>");
    });
    text(&mut to, "RequestId", request_id);
    close(&mut to, "ErrorResponse");
    to.into_bytes()
}

fn open_with_namespace(to: &mut String, name: &str) {
    to.push('<');
    to.push_str(name);
    to.push_str(" xmlns=\"");
    to.push_str(NAMESPACE);
    to.push_str("\">");
}

fn close(to: &mut String, name: &str) {
    to.push_str("</");
    to.push_str(name);
    to.push('>');
}

fn element(to: &mut String, name: &str, inside: impl FnOnce(&mut String)) {
    to.push('<');
    to.push_str(name);
    to.push('>');
    inside(to);
    close(to, name);
}

fn text(to: &mut String, name: &str, value: &str) {
    element(to, name, |to| escape(to, value));
}

fn structure(to: &mut String, fields: &[Field<'_>]) {
    for Field { xml, value, .. } in fields {
        match value {
            // Lists and maps are flat: each of their members stands where the list would.
            Value::List(values) => values.iter().for_each(|of| element(to, xml, |to| self::value(to, of))),
            Value::Map { key, entries } => entries.iter().for_each(|(name, of)| {
                element(to, xml, |to| {
                    text(to, key, name);
                    element(to, "Value", |to| self::value(to, of));
                });
            }),
            of => element(to, xml, |to| self::value(to, of)),
        }
    }
}

fn value(to: &mut String, value: &Value<'_>) {
    match value {
        Value::Text(text) => escape(to, text),
        Value::Number(number) => to.push_str(&number.to_string()),
        Value::Flag(flag) => to.push_str(if *flag { "true" } else { "false" }),
        Value::Blob(bytes) => STANDARD.encode_string(bytes, to),
        Value::Structure(fields) => structure(to, fields),
        // Nothing of SQS holds a list in a list.
        Value::List(values) => values.iter().for_each(|of| self::value(to, of)),
        Value::Map { entries, .. } => entries.iter().for_each(|(_, of)| self::value(to, of)),
    }
}

/// Writes text so that a reader finds the same again: a bare carriage return would be read as a line feed. What XML cannot
/// hold, which only a fault that repeats the caller's words may contain, becomes U+FFFD.
fn escape(to: &mut String, text: &str) {
    let mut from = 0;
    for (at, character) in text.char_indices() {
        let escaped = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\r' => "&#13;",
            '\t' | '\n' => continue,
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => "\u{fffd}",
            _ => continue,
        };
        to.push_str(&text[from..at]);
        to.push_str(escaped);
        from = at + character.len_utf8();
    }
    to.push_str(&text[from..]);
}
