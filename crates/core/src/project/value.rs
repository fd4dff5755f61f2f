//! From TOML values to typed ones. One trait says what a type accepts, how it is described to people, and how it looks
//! in the JSON Schema, so that the three cannot drift apart. Tables are declared with `table!` (see `table.rs`);
//! quantities with units live in `quantity.rs`.
//!
//! Nothing here stops at the first mistake: what cannot be read becomes a finding and `None`, and reading goes on.

use std::ops::Range;

use serde_json::{Map, Value as Json, json};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::finding::{Finding, Findings, suggestion};
use crate::message::Message;
use crate::template::Template;

/// A parsed TOML value with its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// What can stand in the project file.
pub(crate) trait FromToml: Sized {
    /// What to write, as the end of the sentence "expected …".
    fn expected() -> String;
    /// Reads the value of `key`; what is wrong becomes findings.
    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Self>;
    /// Its JSON Schema.
    fn schema() -> Json;
}

/// `wrong-type`: what was expected and what is there.
pub(crate) fn wrong_type<T: FromToml>(key: &str, value: &Value<'_>) -> Finding {
    expected(&T::expected(), key, value)
}

/// The same for an expectation in words.
pub(crate) fn expected(what: &str, key: &str, value: &Value<'_>) -> Finding {
    let found = kind(value.get_ref());
    let finding = Finding::error("wrong-type", format!("expected {what} for `{key}`, found {found}")).at(value.span());
    match value.get_ref().as_str() {
        Some(text) if what.contains("number") && text.parse::<f64>().is_ok_and(f64::is_finite) => {
            finding.help(format!("write it without quotes: {key} = {text}"))
        }
        _ => finding,
    }
}

/// `unknown-key`, with the nearest of the known ones or all of them.
pub(crate) fn unknown_key(written: &str, span: Range<usize>, inside: &str, known: &[&str]) -> Finding {
    let help = match suggestion(written, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Finding::error("unknown-key", format!("{inside} knows no key `{written}`"))
        .at(span)
        .help(help)
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl FromToml for String {
    fn expected() -> String {
        "a string".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<String> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            let finding = wrong_type::<String>(key, value);
            findings.push(match scalar_text(value.get_ref()) {
                Some(text) => finding.help(format!("put it in quotes: \"{text}\"")),
                None => finding,
            });
        }
        text.map(str::to_owned)
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

impl FromToml for Template {
    fn expected() -> String {
        String::expected()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Template> {
        let text = String::from_toml(key, value, findings)?;
        match Template::parse(&text) {
            Ok(template) => Some(template),
            Err(error) => {
                let finding = Finding::error("bad-placeholder", error.to_string()).at(value.span());
                findings.push(finding.help("a placeholder is written `{name}`; a brace itself `{{` or `}}`"));
                // Left where it stands: without it the arguments behind would be taken for others than they are.
                Some(Template::literal(&text))
            }
        }
    }

    fn schema() -> Json {
        String::schema()
    }
}

impl FromToml for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<bool> {
        let found = value.get_ref().as_bool();
        if found.is_none() {
            findings.push(wrong_type::<bool>(key, value));
        }
        found
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

impl FromToml for u32 {
    fn expected() -> String {
        "a whole number".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<u32> {
        let Some(written) = value.get_ref().as_integer() else {
            findings.push(wrong_type::<u32>(key, value));
            return None;
        };
        let number = integer(written).and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            let message = format!("`{key}` must lie between 0 and {}, but is {written}", u32::MAX);
            findings.push(Finding::error("out-of-range", message).at(value.span()));
        }
        number
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
    }
}

impl FromToml for f64 {
    fn expected() -> String {
        "a number".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(written) => integer(written).map(|number| number as f64),
            DeValue::Float(written) => written.as_str().parse().ok(),
            _ => {
                findings.push(wrong_type::<f64>(key, value));
                return None;
            }
        };
        let finite = number.filter(|number: &f64| number.is_finite());
        if finite.is_none() {
            findings.push(Finding::error("out-of-range", format!("`{key}` must be a finite number")).at(value.span()));
        }
        finite
    }

    fn schema() -> Json {
        json!({ "type": "number" })
    }
}

impl<T: FromToml> FromToml for Spanned<T> {
    fn expected() -> String {
        T::expected()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Spanned<T>> {
        T::from_toml(key, value, findings).map(|inner| Spanned::new(value.span(), inner))
    }

    fn schema() -> Json {
        T::schema()
    }
}

/// A list; an item that cannot be read is left out beside its finding.
impl<T: FromToml> FromToml for Vec<T> {
    fn expected() -> String {
        "a list".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Vec<T>> {
        let Some(items) = value.get_ref().as_array() else {
            let finding = wrong_type::<Vec<T>>(key, value);
            findings.push(match value.get_ref().as_str() {
                Some(text) => finding.help(format!(
                    "write a list of strings: {}",
                    Json::from_iter(text.split_whitespace())
                )),
                None => finding,
            });
            return None;
        };
        Some(
            items
                .iter()
                .filter_map(|item| T::from_toml(key, item, findings))
                .collect(),
        )
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// A table whose keys are the user's own, in the order written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entries<T>(pub(crate) Vec<(Spanned<String>, Spanned<T>)>);

impl<T> Default for Entries<T> {
    fn default() -> Entries<T> {
        Entries(Vec::new())
    }
}

impl<T: FromToml> FromToml for Entries<T> {
    fn expected() -> String {
        "a table".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Entries<T>> {
        let table = as_table::<Entries<T>>(key, value, findings)?;
        let entries = table.iter().filter_map(|(name, value)| {
            let read = Spanned::<T>::from_toml(name.get_ref(), value, findings)?;
            Some((Spanned::new(name.span(), name.get_ref().to_string()), read))
        });
        Some(Entries(entries.collect()))
    }

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

/// The table in `value`, or a finding.
pub(crate) fn as_table<'v, 'i, T: FromToml>(
    key: &str,
    value: &'v Value<'i>,
    findings: &mut Findings,
) -> Option<&'v DeTable<'i>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        findings.push(wrong_type::<T>(key, value));
    }
    table
}

impl FromToml for Message {
    fn expected() -> String {
        "a table of parameters".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Message> {
        let table = as_table::<Message>(key, value, findings)?;
        object(table, findings).map(Message)
    }

    fn schema() -> Json {
        json!({ "type": "object" })
    }
}

/// The value of a parameter.
impl FromToml for Json {
    fn expected() -> String {
        "a value".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Json> {
        Some(match value.get_ref() {
            DeValue::String(text) => Json::from(text.as_ref()),
            DeValue::Boolean(truth) => Json::from(*truth),
            DeValue::Datetime(time) => Json::from(time.to_string()),
            DeValue::Integer(written) => match integer(written).and_then(|number| i64::try_from(number).ok()) {
                Some(number) => Json::from(number),
                None => {
                    let message = format!("`{key}` is beyond 64 bits");
                    findings.push(
                        Finding::error("out-of-range", message)
                            .at(value.span())
                            .help("put it in quotes"),
                    );
                    return None;
                }
            },
            DeValue::Float(_) => Json::from(f64::from_toml(key, value, findings)?),
            DeValue::Array(items) => items
                .iter()
                .map(|item| Json::from_toml(key, item, findings))
                .collect::<Option<Vec<Json>>>()?
                .into(),
            DeValue::Table(table) => Json::Object(object(table, findings)?),
        })
    }

    fn schema() -> Json {
        json!({})
    }
}

fn object(table: &DeTable<'_>, findings: &mut Findings) -> Option<Map<String, Json>> {
    let mut complete = true;
    let mut map = Map::new();
    for (name, value) in table {
        match Json::from_toml(name.get_ref(), value, findings) {
            Some(value) => drop(map.insert(name.get_ref().to_string(), value)),
            None => complete = false,
        }
    }
    complete.then_some(map)
}

pub(crate) fn integer(written: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(written.as_str(), written.radix()).ok()
}

pub(crate) fn scalar_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(written) => Some(written.to_string()),
        DeValue::Float(written) => Some(written.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Declares how the words of a closed set are written.
macro_rules! choice {
    ($Name:ident { $($word:literal => $variant:ident),+ $(,)? }) => {
        impl $crate::project::value::FromToml for $Name {
            fn expected() -> String {
                let words = [$(concat!("\"", $word, "\"")),+].join(", ");
                match words.rsplit_once(", ") {
                    Some((start, last)) => format!("{start} or {last}"),
                    None => words,
                }
            }

            fn from_toml(
                key: &str,
                value: &$crate::project::value::Value<'_>,
                findings: &mut $crate::finding::Findings,
            ) -> Option<$Name> {
                const WORDS: &[(&str, $Name)] = &[$(($word, $Name::$variant)),+];
                $crate::project::value::choose(key, value, WORDS, findings)
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),+] })
            }
        }
    };
}
pub(crate) use choice;

/// One word of a closed set.
pub(crate) fn choose<T: FromToml + Copy>(
    key: &str,
    value: &Value<'_>,
    words: &[(&str, T)],
    findings: &mut Findings,
) -> Option<T> {
    let Some(written) = value.get_ref().as_str() else {
        findings.push(wrong_type::<T>(key, value));
        return None;
    };
    let found = words.iter().find(|(word, _)| *word == written);
    if found.is_none() {
        let message = format!("expected {} for `{key}`, found \"{written}\"", T::expected());
        let finding = Finding::error("unknown-value", message).at(value.span());
        findings.push(match suggestion(written, words.iter().map(|(word, _)| *word)) {
            Some(near) => finding.help(format!("did you mean \"{near}\"?")),
            None => finding,
        });
    }
    found.map(|(_, choice)| *choice)
}
