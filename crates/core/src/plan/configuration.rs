//! What is told of a task before it runs: which configuration it is, and its numbers.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::message::Message;

/// The parameters of a task, as far as its duration may depend on them.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The same for the same parameters: `Message::key`.
    pub key: i64,
    /// The same for the same parameters but for those that are numbers: last week's sales of Boston and this week's are kin.
    pub kin: i64,
    /// The same for messages with parameters of the same names: what was learned of others says nothing about it.
    pub shape: i64,
    /// Parameters that are numbers, or texts of one.
    pub numbers: BTreeMap<String, f64>,
}

impl Configuration {
    pub fn of(message: &Message) -> Configuration {
        let mut numbers = BTreeMap::new();
        let (mut rest, mut names) = (Map::new(), Map::new());
        for (name, value) in &message.0 {
            match number(value) {
                Some(number) => {
                    numbers.insert(name.clone(), number);
                }
                None => {
                    rest.insert(name.clone(), value.clone());
                }
            }
            names.insert(name.clone(), Value::Null);
        }
        Configuration {
            key: message.key(),
            kin: Message(rest).key(),
            shape: Message(names).key(),
            numbers,
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        // A code with a leading zero is a name.
        Value::String(text) if text.len() > 1 && text.starts_with('0') && !text.starts_with("0.") => None,
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Configuration {
        Configuration::of(&Message::parse(body).expect("an object"))
    }

    #[test]
    fn numbers_are_told_from_names() {
        let boston = of(r#"{"dest":"BOS","rows":15508,"share":"0.5","zip":"02108"}"#);
        let numbers: Vec<(&str, f64)> = boston.numbers.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(numbers, [("rows", 15508.0), ("share", 0.5)]);
        let next_week = of(r#"{"dest":"BOS","rows":16001,"share":"0.5","zip":"02108"}"#);
        assert!(boston.kin == next_week.kin && boston.key != next_week.key && boston.shape == next_week.shape);
        let other = of(r#"{"dest":"BOS","lines":15508,"share":"0.5","zip":"02108"}"#);
        assert!(other.shape != boston.shape);
        assert!(of(r#"{"dest":"LAX","rows":15508,"share":"0.5","zip":"02108"}"#).kin != boston.kin);
    }
}
