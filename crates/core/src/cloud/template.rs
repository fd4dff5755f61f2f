//! A CloudFormation template as data: resources with references to one another, and how that is written. One order, so that the same stack
//! is the same bytes.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::finding::Findings;

/// What a resource is called within its template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogicalId(String);

/// One resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// `AWS::SQS::Queue`
    pub kind: &'static str,
    pub properties: Json,
    /// Beyond those that it refers to.
    pub depends_on: Vec<LogicalId>,
    /// It stays when the stack goes.
    pub is_kept: bool,
    /// The table of the file that it comes from: `job.retrain`.
    pub origin: String,
    /// What is to be known of it, for its metadata: what it costs while nothing runs, or why it may do what it may.
    pub notes: BTreeMap<&'static str, String>,
}

/// What whoever deploys hands over.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub description: String,
    /// What it must look like.
    pub pattern: Option<&'static str>,
    pub default: Option<String>,
    /// Nobody is ever shown it.
    pub is_secret: bool,
    /// What stands for it in the file, `${OPS_WEBHOOK}`: whoever deploys reads it from the environment.
    pub written: Option<String>,
}

/// What others may build upon.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub description: String,
    pub value: Json,
}

/// Everything that is deployed together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stack {
    /// What it is called where nobody says otherwise.
    pub name: String,
    pub description: String,
    pub parameters: BTreeMap<String, Parameter>,
    pub resources: BTreeMap<LogicalId, Resource>,
    pub outputs: BTreeMap<String, Output>,
    /// What whoever deploys it should know; nothing of it is an error.
    pub warnings: Findings,
}

impl LogicalId {
    /// Of a kind of resource and the name of what it belongs to in the file: never of a place in it. Names that differ in other characters
    /// than letters and digits differ here, too. At most 255 characters, letters and digits.
    pub fn of(name: &str, kind: &str) -> LogicalId {
        let words = name
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty());
        let mut id: String = words
            .map(|word| {
                let (first, rest) = word.split_at(1);
                first.to_ascii_uppercase() + rest
            })
            .collect();
        // What was lost of the name.
        if id.to_ascii_lowercase() != name || name.starts_with(|c: char| c.is_ascii_digit()) {
            id.push_str(&format!("{:04x}", hash(name) & 0xffff));
        }
        LogicalId(id + kind)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its physical name, or whatever stands for it.
    pub fn reference(&self) -> Json {
        json!({ "Ref": self.0 })
    }

    pub fn get(&self, attribute: &str) -> Json {
        json!({ "Fn::GetAtt": [self.0, attribute] })
    }

    pub fn arn(&self) -> Json {
        self.get("Arn")
    }
}

/// FNV-1a, 32 bits.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// `Fn::Sub`: `${AWS::Region}`, `${Queue}`, `${Queue.Arn}`.
pub fn sub(text: &str) -> Json {
    json!({ "Fn::Sub": text })
}

/// A parameter's value.
pub fn parameter(name: &str) -> Json {
    json!({ "Ref": name })
}

impl Stack {
    /// Adds a resource; its id, to refer to it.
    ///
    /// # Panics
    /// When there is one of that id: two things of the file would be one on AWS.
    pub fn add(&mut self, id: LogicalId, resource: Resource) -> LogicalId {
        let before = self.resources.insert(id.clone(), resource);
        assert!(before.is_none(), "two resources are called {}", id.0);
        id
    }

    /// As CloudFormation takes it.
    pub fn template(&self) -> Json {
        let mut template = Map::new();
        template.insert("AWSTemplateFormatVersion".to_owned(), json!("2010-09-09"));
        template.insert("Description".to_owned(), json!(self.description));
        if !self.parameters.is_empty() {
            let parameters = self.parameters.iter().map(|(name, of)| (name.clone(), of.json()));
            template.insert("Parameters".to_owned(), Json::Object(parameters.collect()));
        }
        let resources = self.resources.iter().map(|(id, of)| (id.0.clone(), of.json()));
        template.insert("Resources".to_owned(), Json::Object(resources.collect()));
        if !self.outputs.is_empty() {
            let outputs = self.outputs.iter().map(|(name, of)| {
                let value = json!({ "Description": of.description, "Value": of.value });
                (name.clone(), value)
            });
            template.insert("Outputs".to_owned(), Json::Object(outputs.collect()));
        }
        Json::Object(template)
    }
}

impl Resource {
    pub fn new(kind: &'static str, origin: &str, properties: Json) -> Resource {
        Resource {
            kind,
            properties,
            depends_on: Vec::new(),
            is_kept: false,
            origin: origin.to_owned(),
            notes: BTreeMap::new(),
        }
    }

    /// With something that is to be known of it.
    pub fn noted(mut self, what: &'static str, text: impl Into<String>) -> Resource {
        self.notes.insert(what, text.into());
        self
    }

    /// It stays when the stack goes, and when it is replaced.
    pub fn kept(self) -> Resource {
        Resource { is_kept: true, ..self }
    }

    pub fn after(mut self, other: &LogicalId) -> Resource {
        self.depends_on.push(other.clone());
        self
    }

    fn json(&self) -> Json {
        let mut json = Map::new();
        json.insert("Type".to_owned(), json!(self.kind));
        if !self.depends_on.is_empty() {
            let ids: Vec<&str> = self.depends_on.iter().map(LogicalId::as_str).collect();
            json.insert("DependsOn".to_owned(), json!(ids));
        }
        if self.is_kept {
            json.insert("DeletionPolicy".to_owned(), json!("Retain"));
            json.insert("UpdateReplacePolicy".to_owned(), json!("Retain"));
        }
        let mut about = json!({ "from": self.origin });
        for (what, text) in &self.notes {
            about[*what] = json!(text);
        }
        json.insert("Metadata".to_owned(), json!({ "kingtide": about }));
        json.insert("Properties".to_owned(), self.properties.clone());
        Json::Object(json)
    }
}

impl Parameter {
    fn json(&self) -> Json {
        let mut json = json!({ "Type": "String", "Description": self.description });
        if let Some(pattern) = self.pattern {
            json["AllowedPattern"] = json!(pattern);
        }
        if let Some(default) = &self.default {
            json["Default"] = json!(default);
        }
        if self.is_secret {
            json["NoEcho"] = json!(true);
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_letters_and_digits_and_never_the_same_for_two_names() {
        let id = |name| LogicalId::of(name, "Queue").0;
        assert_eq!(id("retrain"), "RetrainQueue");
        let alike = ["load-db", "load_db", "loaddb", "loadDb", "LoadDb"].map(id);
        for (place, one) in alike.iter().enumerate() {
            assert!(one.chars().all(|c| c.is_ascii_alphanumeric()), "{one}");
            assert!(alike.iter().skip(place + 1).all(|other| other != one), "{alike:?}");
        }
    }
}
