//! JSONata, as far as it is written: paths from `$states`, texts, `&`, `=`, `$string` and `$parse`. No crate for it is asked: they take all of
//! JSONata, and `$parse` is Step Functions' own.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value as Json;

/// An expression between `{%` and `%}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    /// Names after `$states`.
    Path(Vec<String>),
    Joined(Vec<Node>),
    Equal(Box<Node>, Box<Node>),
    /// `$string(…)`
    ToText(Box<Node>),
    /// `$parse(…)`
    Parsed(Box<Node>),
}

/// A JSON value with expressions in it.
pub(super) fn evaluate(template: &Json, states: &Json) -> Result<Json, String> {
    match template {
        Json::String(text) => match Expression::of(text)? {
            Some(expression) => expression.value(states),
            None => Ok(template.clone()),
        },
        Json::Array(items) => items.iter().map(|item| evaluate(item, states)).collect(),
        Json::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), evaluate(value, states)?)));
            fields
                .collect::<Result<serde_json::Map<_, _>, String>>()
                .map(Json::Object)
        }
        other => Ok(other.clone()),
    }
}

/// Whether every expression in it can be read.
pub(super) fn check(template: &Json) -> Result<(), String> {
    match template {
        Json::String(text) => Expression::of(text).map(drop),
        Json::Array(items) => items.iter().try_for_each(check),
        Json::Object(fields) => fields.values().try_for_each(check),
        Json::Null | Json::Bool(_) | Json::Number(_) => Ok(()),
    }
}

impl Expression {
    /// Of a string; `None` where it is no expression.
    pub fn of(text: &str) -> Result<Option<Expression>, String> {
        let Some(inner) = text.strip_prefix("{%") else {
            return match text.contains("{%") || text.contains("%}") {
                true => Err(format!("`{text}`: an expression is the whole of a string")),
                false => Ok(None),
            };
        };
        let inner = inner
            .strip_suffix("%}")
            .ok_or_else(|| format!("`{text}` does not end"))?;
        let mut reader = Reader(inner.chars().peekable());
        let node = reader.comparison().map_err(|why| format!("`{text}`: {why}"))?;
        reader.skip();
        match reader.0.next() {
            None => Ok(Some(Expression(node))),
            Some(more) => Err(format!("`{text}`: `{more}` is more than is understood")),
        }
    }

    /// What it comes to; nothing is an error, as it is of Step Functions (`States.QueryEvaluationError`).
    pub fn value(&self, states: &Json) -> Result<Json, String> {
        self.0
            .value(states)?
            .ok_or_else(|| format!("{:?} comes to nothing", self.0))
    }
}

impl Node {
    /// `None` is what is not there.
    fn value(&self, states: &Json) -> Result<Option<Json>, String> {
        match self {
            Node::Text(text) => Ok(Some(Json::String(text.clone()))),
            Node::Path(names) => Ok(names.iter().try_fold(states, |of, name| of.get(name)).cloned()),
            Node::Joined(parts) => {
                let texts = parts
                    .iter()
                    .map(|part| Ok(part.value(states)?.map_or_else(String::new, |of| text(&of))));
                Ok(Some(Json::String(texts.collect::<Result<Vec<_>, String>>()?.concat())))
            }
            // What is not there equals nothing.
            Node::Equal(left, right) => {
                let (left, right) = (left.value(states)?, right.value(states)?);
                Ok(Some(Json::Bool(left.is_some() && left == right)))
            }
            Node::ToText(of) => Ok(of.value(states)?.map(|of| Json::String(text(&of)))),
            Node::Parsed(of) => match of.value(states)? {
                Some(Json::String(text)) => serde_json::from_str(&text).map(Some).map_err(|error| error.to_string()),
                other => Err(format!("$parse takes a text, and not {other:?}")),
            },
        }
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

struct Reader<'a>(Peekable<Chars<'a>>);

impl Reader<'_> {
    fn skip(&mut self) {
        while self.0.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn takes(&mut self, sign: char) -> bool {
        self.skip();
        self.0.next_if_eq(&sign).is_some()
    }

    fn comparison(&mut self) -> Result<Node, String> {
        let left = self.joined()?;
        match self.takes('=') {
            true => Ok(Node::Equal(Box::new(left), Box::new(self.joined()?))),
            false => Ok(left),
        }
    }

    fn joined(&mut self) -> Result<Node, String> {
        let first = self.term()?;
        let mut parts = vec![first];
        while self.takes('&') {
            parts.push(self.term()?);
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(Node::Joined(parts)),
        }
    }

    fn term(&mut self) -> Result<Node, String> {
        if self.takes('\'') {
            let mut text = String::new();
            loop {
                match self.0.next() {
                    Some('\'') => return Ok(Node::Text(text)),
                    Some('\\') | None => return Err("a text that is not understood".to_owned()),
                    Some(c) => text.push(c),
                }
            }
        }
        if !self.takes('$') {
            return Err("a text, or what begins with `$`, is understood".to_owned());
        }
        match self.name().as_str() {
            "states" => {
                let mut names = Vec::new();
                while self.0.next_if_eq(&'.').is_some() {
                    names.push(self.name());
                }
                match names.iter().any(String::is_empty) || names.is_empty() {
                    true => Err("a path has names".to_owned()),
                    false => Ok(Node::Path(names)),
                }
            }
            "string" => Ok(Node::ToText(Box::new(self.argument()?))),
            "parse" => Ok(Node::Parsed(Box::new(self.argument()?))),
            other => Err(format!("`${other}` is not understood")),
        }
    }

    fn argument(&mut self) -> Result<Node, String> {
        if !self.takes('(') {
            return Err("a function is called".to_owned());
        }
        let of = self.comparison()?;
        match self.takes(')') {
            true => Ok(of),
            false => Err("a call has one argument, and ends".to_owned()),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.0.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Result<Json, String> {
        let states = json!({
            "input": { "state": "succeeded", "number": 7 },
            "context": { "Execution": { "Name": "e-1" } },
            "result": { "Body": "{\"state\":\"failed\"}" },
        });
        evaluate(&json!(text), &states)
    }

    #[test]
    fn what_is_written_is_understood() {
        assert_eq!(value("plain"), Ok(json!("plain")));
        assert_eq!(value("{% $states.context.Execution.Name %}"), Ok(json!("e-1")));
        assert_eq!(
            value("{% 'a/' & $states.context.Execution.Name & '/o.json' %}"),
            Ok(json!("a/e-1/o.json"))
        );
        assert_eq!(
            value("{% $string($states.input) %}"),
            Ok(json!("{\"state\":\"succeeded\",\"number\":7}"))
        );
        assert_eq!(
            value("{% $parse($states.result.Body) %}"),
            Ok(json!({ "state": "failed" }))
        );
        assert_eq!(value("{% $states.input.state = 'succeeded' %}"), Ok(json!(true)));
        assert_eq!(value("{% $states.input.none = 'succeeded' %}"), Ok(json!(false)));
        assert_eq!(value("{% 'Kingtide.' & $states.input.none %}"), Ok(json!("Kingtide.")));
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            "{% $states.input.none %}",
            "{% $now() %}",
            "{% 1 + 1 %}",
            "{% $states.input[0] %}",
            "{% $states.input.state ? 1 : 2 %}",
            "{% $states.input.state",
            "a {% $states.input %}",
            "{% $states %}",
            "{% $parse($states.input) %}",
        ] {
            assert!(value(text).is_err(), "{text}: {:?}", value(text));
        }
    }
}
