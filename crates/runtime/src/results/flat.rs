//! A JSON object as flat columns: `{"a":{"b":1}}` has a column `a.b`.

use serde_json::{Map, Value};

/// Objects nested deeper than this stay JSON.
const DEPTH_LIMIT: usize = 8;
/// Parts of a key are joined by this, so that `{"a.b":1}` and `{"a":{"b":1}}` are two columns.
const SEPARATOR: char = '\u{0}';

/// Calls `leaf` with the key and the value of every column, in the order in which they were written. Objects without
/// fields and arrays are leaves.
pub(super) fn leaves<'a>(object: &'a Map<String, Value>, leaf: &mut dyn FnMut(&str, &'a Value)) {
    let mut key = String::new();
    descend(object, &mut key, 1, leaf);
}

/// A key as people see it.
pub(super) fn shown(key: &str) -> String {
    key.replace(SEPARATOR, ".")
}

fn descend<'a>(object: &'a Map<String, Value>, key: &mut String, depth: usize, leaf: &mut dyn FnMut(&str, &'a Value)) {
    let length = key.len();
    for (name, value) in object {
        if depth > 1 {
            key.push(SEPARATOR);
        }
        key.push_str(name);
        match value {
            Value::Object(inner) if !inner.is_empty() && depth < DEPTH_LIMIT => descend(inner, key, depth + 1, leaf),
            value => leaf(key, value),
        }
        key.truncate(length);
    }
}
