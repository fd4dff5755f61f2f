//! Tables of the project file. `table!` declares one once: each key with its documentation, its type and whether it
//! must be there. From that come the struct of what was written, its reader and its JSON Schema.

use serde_json::{Map, Value as Json, json};
use toml::de::DeTable;

use crate::finding::{Finding, Findings};
use crate::project::value::{FromToml, Value, unknown_key, wrong_type};

/// A table with known keys; implemented by `table!` only.
pub(crate) trait Table: Default + FromToml {
    /// How it is called in messages: `a job`.
    const NAME: &'static str;
    const DOC: &'static str;
    const KEYS: &'static [&'static str];
    const REQUIRED: &'static [&'static str];
    /// Keys of the design that this version does not run: findings of their own.
    const LATER: &'static [&'static str];
    /// Reads one of `KEYS`.
    fn set(&mut self, key: &str, value: &Value<'_>, findings: &mut Findings);
    fn properties() -> Map<String, Json>;
}

/// Reads a table, all of it, whatever is wrong.
pub(crate) fn read<T: Table>(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<T> {
    let Some(entries) = value.get_ref().as_table() else {
        let finding = wrong_type::<T>(key, value);
        findings.push(match T::KEYS.contains(&key) {
            true => finding.help(format!(
                "`{key}` is a key of {}: is its name missing one level up?",
                T::NAME
            )),
            false => finding,
        });
        return None;
    };
    for required in T::REQUIRED.iter().filter(|required| !entries.contains_key(**required)) {
        let finding = Finding::error("missing-key", format!("`{key}` lacks `{required}`"));
        let written = match T::properties()[*required]["type"] == "object" {
            true => format!("[{required}]"),
            false => format!("{required} = …"),
        };
        findings.push(finding.at(value.span()).help(format!("{} needs `{written}`", T::NAME)));
    }
    Some(read_entries(entries, findings))
}

/// The same without asking whether what is required is there.
pub(crate) fn read_entries<T: Table>(entries: &DeTable<'_>, findings: &mut Findings) -> T {
    let mut table = T::default();
    for (key, value) in entries {
        let (name, span) = (key.get_ref().as_ref(), key.span());
        if T::KEYS.contains(&name) {
            table.set(name, value, findings);
        } else if T::LATER.contains(&name) {
            let finding = Finding::error("not-yet", format!("this version does not run `{name}` yet")).at(span);
            findings.push(finding.help("remove it: nothing that is written here is silently ignored"));
        } else {
            findings.push(unknown_key(name, span, T::NAME, T::KEYS));
        }
    }
    table
}

/// Its JSON Schema.
pub(crate) fn schema<T: Table>() -> Json {
    let mut schema = json!({
        "type": "object",
        "description": T::DOC.trim(),
        "properties": T::properties(),
        "additionalProperties": false,
    });
    if !T::REQUIRED.is_empty() {
        schema["required"] = json!(T::REQUIRED);
    }
    schema
}

/// A property: the schema of its type and its documentation.
pub(crate) fn property<T: FromToml>(doc: &str) -> Json {
    let mut schema = T::schema();
    schema["description"] = Json::from(doc.trim());
    schema
}

/// Declares a table: `"a job" struct RawJob { /// doc … required command: Vec<Template>, } later ["deadline"]`.
macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        $name:literal struct $Name:ident {
            $( $(#[doc = $key_doc:literal])+ $presence:ident $key:ident: $Type:ty, )*
        }
        later [$($later:literal),* $(,)?]
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct $Name {
            $( $(#[doc = $key_doc])+ pub(crate) $key: Option<toml::Spanned<$Type>>, )*
        }

        impl $crate::project::table::Table for $Name {
            const NAME: &'static str = $name;
            const DOC: &'static str = concat!($($doc),+);
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
            const REQUIRED: &'static [&'static str] = {
                const KEYS: &[(&str, bool)] = &[$((stringify!($key), $crate::project::table::required!($presence))),*];
                const COUNT: usize = $crate::project::table::count_required(KEYS);
                const NAMES: [&str; COUNT] = $crate::project::table::required_names(KEYS);
                &NAMES
            };
            const LATER: &'static [&'static str] = &[$($later),*];

            fn set(
                &mut self,
                key: &str,
                value: &$crate::project::value::Value<'_>,
                findings: &mut $crate::finding::Findings,
            ) {
                match key {
                    $( stringify!($key) => {
                        self.$key = $crate::project::value::FromToml::from_toml(key, value, findings);
                    } )*
                    _ => unreachable!("`{key}` is none of `KEYS`"),
                }
            }

            fn properties() -> serde_json::Map<String, serde_json::Value> {
                let mut properties = serde_json::Map::new();
                $( properties.insert(
                    stringify!($key).to_owned(),
                    $crate::project::table::property::<$Type>(concat!($($key_doc),+)),
                ); )*
                properties
            }
        }

        impl $crate::project::value::FromToml for $Name {
            fn expected() -> String {
                "a table".to_owned()
            }

            fn from_toml(
                key: &str,
                value: &$crate::project::value::Value<'_>,
                findings: &mut $crate::finding::Findings,
            ) -> Option<$Name> {
                $crate::project::table::read(key, value, findings)
            }

            fn schema() -> serde_json::Value {
                $crate::project::table::schema::<$Name>()
            }
        }
    };
}
pub(crate) use table;

macro_rules! required {
    (required) => {
        true
    };
    (optional) => {
        false
    };
}
pub(crate) use required;

pub(crate) const fn count_required(keys: &[(&str, bool)]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < keys.len() {
        if keys[at].1 {
            count += 1;
        }
        at += 1;
    }
    count
}

pub(crate) const fn required_names<const COUNT: usize>(keys: &'static [(&'static str, bool)]) -> [&'static str; COUNT] {
    let mut names = [""; COUNT];
    let (mut at, mut filled) = (0, 0);
    while at < keys.len() {
        if keys[at].1 {
            names[filled] = keys[at].0;
            filled += 1;
        }
        at += 1;
    }
    names
}
