//! The JSON Schema of `kingtide.toml`, from the declarations that read it and the defaults that fill it.

use serde_json::{Value as Json, json};

use crate::project::raw::RawProject;
use crate::project::resolve::default_values;
use crate::project::value::FromToml;

const TABLES: &[(&str, &str)] = &[
    ("job", "/properties/job/additionalProperties/properties"),
    ("local", "/properties/local/properties"),
    ("aws", "/properties/aws/properties"),
    ("alarm", "/properties/alarm/additionalProperties/properties"),
];

/// The JSON Schema (draft 2020-12) of `kingtide.toml`, for editors and for `kingtide schema`.
pub fn schema() -> Json {
    let mut schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "kingtide.toml" });
    if let (Some(head), Json::Object(body)) = (schema.as_object_mut(), RawProject::schema()) {
        head.extend(body);
    }
    let defaults = default_values();
    for (table, properties) in TABLES {
        for (key, value) in defaults[*table].as_object().into_iter().flatten() {
            if let Some(property) = schema.pointer_mut(&format!("{properties}/{key}")) {
                property["default"] = value.clone();
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Findings;
    use crate::project::load;
    use toml::Spanned;
    use toml::de::{DeTable, DeValue};

    /// Every key there is.
    const COMPLETE: &str = include_str!("complete.toml");

    /// As much of a validator as the schema needs; says what is wrong, with its path.
    fn validate(schema: &Json, value: &Json, path: &str, wrong: &mut Vec<String>) {
        for (word, rule) in schema.as_object().expect("a schema is an object") {
            match word.as_str() {
                "type" => {
                    let fits = match rule.as_str().expect("a type is a string") {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "boolean" => value.is_boolean(),
                        "number" => value.is_number(),
                        "integer" => value.is_i64() || value.is_u64(),
                        other => panic!("unknown type {other}"),
                    };
                    if !fits {
                        wrong.push(format!("{path}: not a {rule}"));
                    }
                }
                "enum" => {
                    if !rule.as_array().expect("a list").contains(value) {
                        wrong.push(format!("{path}: not one of {rule}"));
                    }
                }
                "minimum" => {
                    if value
                        .as_f64()
                        .is_some_and(|number| number < rule.as_f64().expect("a number"))
                    {
                        wrong.push(format!("{path}: too small"));
                    }
                }
                "maximum" => {
                    if value
                        .as_f64()
                        .is_some_and(|number| number > rule.as_f64().expect("a number"))
                    {
                        wrong.push(format!("{path}: too large"));
                    }
                }
                "required" => {
                    for name in rule.as_array().expect("a list") {
                        if value.is_object() && value.get(name.as_str().expect("a name")).is_none() {
                            wrong.push(format!("{path}: lacks {name}"));
                        }
                    }
                }
                "properties" => {
                    for (name, schema) in rule.as_object().expect("an object") {
                        if let Some(value) = value.get(name) {
                            validate(schema, value, &format!("{path}/{name}"), wrong);
                        }
                    }
                }
                "additionalProperties" => {
                    let others = value.as_object().into_iter().flatten();
                    for (name, value) in others.filter(|(name, _)| schema["properties"].get(name).is_none()) {
                        match rule {
                            Json::Bool(false) => wrong.push(format!("{path}: unknown {name}")),
                            rule => validate(rule, value, &format!("{path}/{name}"), wrong),
                        }
                    }
                }
                "items" => {
                    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                        validate(rule, value, &format!("{path}/{index}"), wrong);
                    }
                }
                "anyOf" => {
                    let fits = |schema| {
                        let mut wrong = Vec::new();
                        validate(schema, value, path, &mut wrong);
                        wrong.is_empty()
                    };
                    if !rule.as_array().expect("a list").iter().any(fits) {
                        wrong.push(format!("{path}: none of anyOf"));
                    }
                }
                "$schema" | "title" | "description" | "default" | "examples" | "pattern" => {}
                other => panic!("unknown word {other}"),
            }
        }
    }

    fn validated(source: &str) -> Vec<String> {
        let document = DeTable::parse(source).expect("it is TOML");
        let root = Spanned::new(0..0, DeValue::Table(document.into_inner()));
        let value = Json::from_toml("", &root, &mut Findings::default()).expect("it has a JSON form");
        let mut wrong = Vec::new();
        validate(&schema(), &value, "", &mut wrong);
        wrong
    }

    #[test]
    fn the_schema_and_the_reader_accept_the_same_file() {
        assert_eq!(validated(COMPLETE), [""; 0]);
        let (project, findings) = load(COMPLETE);
        assert_eq!(findings.0, []);
        assert_eq!(project.expect("no findings").jobs.len(), 7);
    }

    #[test]
    fn the_file_with_every_key_has_every_key() {
        let schema = schema();
        for (_, properties) in TABLES {
            for key in schema
                .pointer(properties)
                .and_then(Json::as_object)
                .expect("a table")
                .keys()
            {
                assert!(
                    COMPLETE.lines().any(|line| line.starts_with(&format!("{key} = "))),
                    "{key} is missing"
                );
            }
        }
    }

    #[test]
    fn the_schema_refuses_what_the_reader_refuses() {
        for (from, to) in [
            ("retries = 5", "retrys = 5"),
            ("retries = 5", "retries = \"5\""),
            ("on_crash = \"fail\"", "on_crash = \"never\""),
            ("cpu = 0.5", "cpu = 0"),
            ("name = \"complete\"", ""),
            ("timeout = \"1h30m\"", "timeout = 90"),
            ("log_limit", "loglimit"),
        ] {
            let source = COMPLETE.replacen(from, to, 1);
            assert_ne!(source, COMPLETE, "{from} is there");
            assert_ne!(validated(&source), [""; 0], "the schema accepts {to}");
            assert_eq!(load(&source).0, None, "the reader accepts {to}");
        }
    }

    #[test]
    fn defaults_and_documentation_are_in_the_schema() {
        let schema = schema();
        let job = schema.pointer(TABLES[0].1).expect("jobs have properties");
        assert_eq!(job["retries"]["default"], 2);
        assert_eq!(job["backoff"]["default"]["max"], "5m");
        for (key, property) in job.as_object().expect("an object") {
            assert!(
                property["description"].as_str().is_some_and(|text| text.len() > 4),
                "{key} has no documentation"
            );
        }
        assert_eq!(
            schema["properties"]["local"]["properties"]["log_limit"]["default"],
            "64MiB"
        );
    }
}
