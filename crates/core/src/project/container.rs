//! The keys of a job that runs in containers, as written, and what they mean. Whether they make sense is
//! `check/container.rs`.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::finding::Findings;
use crate::project::job::{Build, Container, ImageSource, Mount, Program};
use crate::project::raw::RawJob;
use crate::project::table::table;
use crate::project::value::{Entries, FromToml, Value, wrong_type};

/// The name of the file where `dockerfile` says nothing else.
const DOCKERFILE: &str = "Dockerfile";

table! {
    /// An image to be built.
    "build" struct RawBuildTable {
        /// The folder that is sent to be built, relative to the project's.
        required context: String,
        /// The Dockerfile, relative to the context.
        optional dockerfile: String,
        /// Values of its ARGs.
        optional args: Entries<String>,
        /// The stage to build; the last by default.
        optional target: String,
    }
    later ["secrets", "platform", "cache_from"]
}

table! {
    /// A folder or file that a container sees.
    "a mount" struct RawMountTable {
        /// On this machine, relative to the project's folder.
        required source: String,
        /// In the container, absolute.
        required target: String,
        /// Whether the container may not write there.
        optional read_only: bool,
    }
    later []
}

/// `build`, as a folder or a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawBuild {
    Folder(String),
    Table(Box<RawBuildTable>),
}

impl FromToml for RawBuild {
    fn expected() -> String {
        "a folder or a table".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<RawBuild> {
        match value.get_ref() {
            DeValue::String(folder) => Some(RawBuild::Folder(folder.to_string())),
            DeValue::Table(_) => {
                RawBuildTable::from_toml(key, value, findings).map(|table| RawBuild::Table(Box::new(table)))
            }
            _ => {
                findings.push(wrong_type::<RawBuild>(key, value));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [String::schema(), RawBuildTable::schema()] })
    }
}

/// One of `mounts`, as a text or a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawMount {
    Text(String),
    Table(Box<RawMountTable>),
}

impl FromToml for RawMount {
    fn expected() -> String {
        "a text such as \"./data:/data:ro\" or a table".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<RawMount> {
        match value.get_ref() {
            DeValue::String(text) => Some(RawMount::Text(text.to_string())),
            DeValue::Table(_) => {
                RawMountTable::from_toml(key, value, findings).map(|table| RawMount::Table(Box::new(table)))
            }
            _ => {
                findings.push(wrong_type::<RawMount>(key, value));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [String::schema(), RawMountTable::schema()] })
    }
}

impl RawMount {
    /// What it means; `Err` says what is wrong with a text.
    pub(crate) fn mount(&self) -> Result<Mount, String> {
        match self {
            RawMount::Text(text) => {
                let parts: Vec<&str> = text.split(':').collect();
                let (source, target, mode) = match parts[..] {
                    [source, target] => (source, target, "rw"),
                    [source, target, mode] => (source, target, mode),
                    _ => return Err(format!("`{text}` is no mount")),
                };
                let read_only = match mode {
                    "ro" => true,
                    "rw" => false,
                    other => return Err(format!("`{other}` is no way to mount")),
                };
                Ok(Mount {
                    source: source.to_owned(),
                    target: target.to_owned(),
                    read_only,
                })
            }
            RawMount::Table(table) => {
                let text = |written: &Option<Spanned<String>>| written.as_ref().map(|text| text.get_ref().clone());
                Ok(Mount {
                    source: text(&table.source).unwrap_or_default(),
                    target: text(&table.target).unwrap_or_default(),
                    read_only: table.read_only.as_ref().is_some_and(|read_only| *read_only.get_ref()),
                })
            }
        }
    }
}

impl RawBuild {
    pub(crate) fn build(&self) -> Build {
        match self {
            RawBuild::Folder(folder) => Build {
                context: folder.clone(),
                dockerfile: DOCKERFILE.to_owned(),
                args: BTreeMap::new(),
                target: None,
            },
            RawBuild::Table(table) => {
                let text = |written: &Option<Spanned<String>>| written.as_ref().map(|text| text.get_ref().clone());
                let args: &[_] = table.args.as_ref().map_or(&[], |args| &args.get_ref().0);
                Build {
                    context: text(&table.context).unwrap_or_default(),
                    dockerfile: text(&table.dockerfile).unwrap_or_else(|| DOCKERFILE.to_owned()),
                    args: args
                        .iter()
                        .map(|(name, value)| (name.get_ref().clone(), value.get_ref().clone()))
                        .collect(),
                    target: text(&table.target),
                }
            }
        }
    }
}

/// `None` when what was written cannot be meant.
pub(crate) fn program(raw: &RawJob) -> Option<Program> {
    let image = match (&raw.image, &raw.build) {
        (None, None) => return Some(Program::Process),
        (Some(image), _) => ImageSource::Named(image.get_ref().clone()),
        (None, Some(build)) => ImageSource::Built(build.get_ref().build()),
    };
    let mounts: &[Spanned<RawMount>] = raw.mounts.as_ref().map_or(&[], |mounts| mounts.get_ref());
    let entrypoint = raw.entrypoint.as_ref().map(|entrypoint| {
        let parts = entrypoint.get_ref().iter();
        parts.map(|part| part.get_ref().clone()).collect()
    });
    Some(Program::Container(Container {
        image,
        entrypoint,
        mounts: mounts
            .iter()
            .map(|mount| mount.get_ref().mount().ok())
            .collect::<Option<_>>()?,
        user: raw.user.as_ref().map(|user| user.get_ref().clone()),
        shm_size: raw.shm_size.as_ref().map(|size| size.get_ref().0),
    }))
}
