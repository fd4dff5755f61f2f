//! What is another in a template than in the one before: resources that are added, removed, changed or replaced, and what roles and policies
//! allow. Pure, and of templates as they are: the one before may be of an older version of Kingtide, or of somebody else.
//!
//! `replaced.rs` says which properties cannot be changed in place.

mod replaced;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

pub use replaced::SOURCE as REPLACED_SOURCE;

/// All that is another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// In the order of their ids.
    pub resources: Vec<Change>,
    pub statements: Vec<Permission>,
}

/// A resource that is another.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub id: String,
    /// `AWS::SQS::Queue`
    pub kind: String,
    /// The table of the file that it comes from.
    pub origin: Option<String>,
    pub what: What,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Added,
    /// `is_kept`: it stays, and belongs to no stack any more.
    Removed {
        is_kept: bool,
    },
    Changed(Vec<Difference>),
    /// A new one is made, and then the old one removed, or kept.
    Replaced {
        differences: Vec<Difference>,
        is_kept: bool,
    },
}

/// A property that is another.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `RedrivePolicy.maxReceiveCount`
    pub path: String,
    /// `None`: it was not there.
    pub before: Option<Json>,
    /// `None`: it is not there any more.
    pub after: Option<Json>,
    /// It cannot be changed in place.
    pub replaces: bool,
}

/// A statement of a policy that is new, or that is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The role or policy.
    pub id: String,
    pub is_added: bool,
    pub effect: String,
    pub actions: Vec<String>,
    pub resources: Vec<String>,
    /// `None`: the role's own.
    pub principal: Option<String>,
    pub condition: Option<String>,
}

/// A template with the values of its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    pub template: &'a Json,
    pub parameters: &'a BTreeMap<String, String>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.statements.is_empty()
    }

    /// From one to the other; all of a template is added where there was none.
    pub fn between(before: Option<Side<'_>>, after: Side<'_>) -> Changes {
        let none = BTreeMap::new();
        let (old, old_parameters) = match before {
            Some(before) => (resources(before.template), before.parameters),
            None => (BTreeMap::new(), &none),
        };
        let new = resources(after.template);
        let mut changed: BTreeMap<&str, Vec<Difference>> = BTreeMap::new();
        for (id, resource) in &new {
            let differences = match old.get(id) {
                Some(before) => differences(before, resource),
                None => continue,
            };
            if !differences.is_empty() {
                changed.insert(id, differences);
            }
        }
        // What refers to a parameter of another value is another itself, and so is what refers to a resource that is replaced.
        let mut moved: BTreeSet<String> = match before {
            Some(_) => parameters_that_differ(old_parameters, after.parameters),
            None => BTreeSet::new(),
        };
        loop {
            let replaced: BTreeSet<String> = changed
                .iter()
                .filter(|(_, differences)| differences.iter().any(|difference| difference.replaces))
                .map(|(id, _)| (*id).to_owned())
                .collect();
            let before = moved.len();
            moved.extend(replaced);
            let mut has_grown = moved.len() > before;
            for (id, resource) in new.iter().filter(|(id, _)| old.contains_key(*id)) {
                for difference in by_reference(resource, &moved) {
                    let known = changed.entry(id).or_default();
                    if !known.iter().any(|known| known.path == difference.path) {
                        known.push(difference);
                        has_grown = true;
                    }
                }
                if changed.get(id).is_some_and(Vec::is_empty) {
                    changed.remove(id);
                }
            }
            if !has_grown {
                break;
            }
        }
        let mut all: Vec<Change> = Vec::new();
        for (id, resource) in &new {
            if !old.contains_key(id) {
                all.push(change(id, resource, What::Added));
            } else if let Some(differences) = changed.remove(id) {
                let what = match differences.iter().any(|difference| difference.replaces) {
                    true => What::Replaced {
                        differences,
                        is_kept: resource["UpdateReplacePolicy"] == "Retain",
                    },
                    false => What::Changed(differences),
                };
                all.push(change(id, resource, what));
            }
        }
        for (id, resource) in old.iter().filter(|(id, _)| !new.contains_key(*id)) {
            let is_kept = resource["DeletionPolicy"] == "Retain";
            all.push(change(id, resource, What::Removed { is_kept }));
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Changes {
            resources: all,
            statements: permissions(&old, &new),
        }
    }
}

fn resources(template: &Json) -> BTreeMap<&str, &Json> {
    let all = template["Resources"].as_object().into_iter().flatten();
    all.map(|(id, resource)| (id.as_str(), resource)).collect()
}

fn change(id: &str, resource: &Json, what: What) -> Change {
    Change {
        id: id.to_owned(),
        kind: kind(resource).to_owned(),
        origin: resource["Metadata"]["kingtide"]["from"].as_str().map(str::to_owned),
        what,
    }
}

fn kind(resource: &Json) -> &str {
    resource["Type"].as_str().unwrap_or_default()
}

/// What differs in the properties of two resources of one id.
fn differences(before: &Json, after: &Json) -> Vec<Difference> {
    if kind(before) != kind(after) {
        return vec![Difference {
            path: "Type".to_owned(),
            before: Some(before["Type"].clone()),
            after: Some(after["Type"].clone()),
            replaces: true,
        }];
    }
    let empty = Map::new();
    let properties = |of: &Json| of["Properties"].as_object().cloned().unwrap_or_else(|| empty.clone());
    let mut found = Vec::new();
    walk(
        "",
        Some(&Json::Object(properties(before))),
        Some(&Json::Object(properties(after))),
        &mut found,
    );
    for difference in &mut found {
        difference.replaces = replaced::replaces(kind(after), &difference.path);
    }
    found
}

/// Into objects, and into lists of the same length; what is text that holds JSON is looked into as well.
fn walk(path: &str, before: Option<&Json>, after: Option<&Json>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match (before, after) {
        (Some(Json::Object(old)), Some(Json::Object(new))) if !is_function(old) && !is_function(new) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                walk(&below(name), old.get(name), new.get(name), found);
            }
        }
        (Some(Json::Array(old)), Some(Json::Array(new))) if old.len() == new.len() => {
            for (number, (old, new)) in old.iter().zip(new).enumerate() {
                walk(&below(&number.to_string()), Some(old), Some(new), found);
            }
        }
        (Some(Json::String(old)), Some(Json::String(new))) if inside(old).is_some() && inside(new).is_some() => {
            walk(path, inside(old).as_ref(), inside(new).as_ref(), found);
        }
        (before, after) => found.push(Difference {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
            replaces: false,
        }),
    }
}

/// A definition of a state machine, for instance.
fn inside(text: &str) -> Option<Json> {
    let is_object = text.starts_with('{') && text.ends_with('}');
    is_object.then(|| serde_json::from_str(text).ok()).flatten()
}

/// `{"Ref": …}`, `{"Fn::GetAtt": …}`
fn is_function(object: &Map<String, Json>) -> bool {
    object.len() == 1 && object.keys().all(|key| key == "Ref" || key.starts_with("Fn::"))
}

fn parameters_that_differ(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeSet<String> {
    let differ = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    differ.map(|(name, _)| name.clone()).collect()
}

/// Properties, by their first name, that refer to one of these.
fn by_reference(resource: &Json, moved: &BTreeSet<String>) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, value) in resource["Properties"].as_object().into_iter().flatten() {
        let mut names = BTreeSet::new();
        references(value, &mut names);
        if let Some(target) = names.intersection(moved).next() {
            found.push(Difference {
                path: name.clone(),
                before: None,
                after: Some(serde_json::json!({ "Ref": target })),
                replaces: replaced::replaces(kind(resource), name),
            });
        }
    }
    found
}

/// Everything that a value refers to.
fn references(value: &Json, names: &mut BTreeSet<String>) {
    match value {
        Json::Object(object) => {
            if let Some(name) = object.get("Ref").and_then(Json::as_str) {
                names.insert(name.to_owned());
            }
            if let Some(name) = object.get("Fn::GetAtt").and_then(|of| of[0].as_str()) {
                names.insert(name.to_owned());
            }
            if let Some(text) = object.get("Fn::Sub").and_then(Json::as_str) {
                let parts = text.split("${").skip(1).filter_map(|part| part.split_once('}'));
                names.extend(parts.map(|(name, _)| name.split('.').next().unwrap_or(name).to_owned()));
            }
            object.values().for_each(|value| references(value, names));
        }
        Json::Array(list) => list.iter().for_each(|value| references(value, names)),
        _ => {}
    }
}

/// What is allowed or denied that was not before, and the other way round.
fn permissions(old: &BTreeMap<&str, &Json>, new: &BTreeMap<&str, &Json>) -> Vec<Permission> {
    let before: BTreeSet<Permission> = old.iter().flat_map(|(id, of)| statements(id, of)).collect();
    let after: BTreeSet<Permission> = new.iter().flat_map(|(id, of)| statements(id, of)).collect();
    let gone = before
        .difference(&after)
        .cloned()
        .map(|of| Permission { is_added: false, ..of });
    let mut all: Vec<Permission> = gone.chain(after.difference(&before).cloned()).collect();
    all.sort();
    all
}

/// Every statement of a role or of a policy.
fn statements(id: &str, resource: &Json) -> Vec<Permission> {
    let properties = &resource["Properties"];
    let mut documents = vec![&properties["AssumeRolePolicyDocument"], &properties["PolicyDocument"]];
    for policy in properties["Policies"].as_array().into_iter().flatten() {
        documents.push(&policy["PolicyDocument"]);
    }
    let all = documents
        .into_iter()
        .flat_map(|document| document["Statement"].as_array().into_iter().flatten());
    let statement = |of: &Json| Permission {
        id: id.to_owned(),
        is_added: true,
        effect: of["Effect"].as_str().unwrap_or_default().to_owned(),
        actions: texts(&of["Action"]),
        resources: texts(&of["Resource"]),
        principal: (!of["Principal"].is_null()).then(|| short(&of["Principal"])),
        condition: (!of["Condition"].is_null()).then(|| short(&of["Condition"])),
    };
    let mut statements: Vec<Permission> = all.map(statement).collect();
    for arn in properties["ManagedPolicyArns"].as_array().into_iter().flatten() {
        statements.push(Permission {
            id: id.to_owned(),
            is_added: true,
            effect: "Allow".to_owned(),
            actions: vec![format!("all of {}", short(arn))],
            resources: vec!["*".to_owned()],
            principal: None,
            condition: None,
        });
    }
    statements
}

fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::Array(list) => list.iter().map(short).collect(),
        Json::Null => Vec::new(),
        other => vec![short(other)],
    }
}

/// A value as people write it: `${Queue.Arn}` for what refers to something.
pub fn short(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Object(object) if is_function(object) => {
            if let Some(name) = object.get("Ref").and_then(Json::as_str) {
                return format!("${{{name}}}");
            }
            if let Some(list) = object.get("Fn::GetAtt").and_then(Json::as_array) {
                let parts: Vec<&str> = list.iter().filter_map(Json::as_str).collect();
                return format!("${{{}}}", parts.join("."));
            }
            if let Some(text) = object.get("Fn::Sub").and_then(Json::as_str) {
                return text.to_owned();
            }
            if let Some(parts) = object.get("Fn::Join").and_then(|join| join[1].as_array()) {
                let separator = object["Fn::Join"][0].as_str().unwrap_or_default();
                return parts.iter().map(short).collect::<Vec<_>>().join(separator);
            }
            value.to_string()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
