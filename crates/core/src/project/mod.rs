//! The project file: `kingtide.toml` → `RawProject` (what the user wrote, with spans) → `Project` (what is meant).
//!
//! [`load`] does all of it and says everything it has to say at once. What only the machine can answer (is the program
//! there? is the secret set?) is asked in two steps that keep this crate pure: [`wanted`] lists the questions, the
//! shell answers with [`Surroundings`], and [`check_surroundings`] judges. The rows of the parameters are read and
//! checked in [`params`].

pub mod aws;
mod check;
mod container;
mod deadline;
pub mod job;
pub mod params;
mod quantity;
mod raw;
mod resolve;
mod schema;
mod surroundings;
mod table;
mod value;

use std::collections::BTreeMap;

use aws::{Alarm, Aws};
pub use deadline::{BadDeadline, Deadline, Surprise};
pub use job::{
    Backoff, Build, Cloud, Container, Cost, ExitAction, ImageSource, Job, Local, Mode, Mount, OnCrash, Program,
    Resources, Secret, Tolerance,
};
pub use resolve::DEFAULTS;
pub use schema::schema;
pub use surroundings::{Kind, Surroundings, Wanted, check_surroundings, wanted};

use crate::finding::{Finding, Findings};

/// The name of the file.
pub const FILE: &str = "kingtide.toml";

/// Broken bytes beyond these say nothing new.
const MOST_BAD_BYTES: usize = 10;

/// A project as it is meant: names resolved, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    pub name: String,
    pub jobs: BTreeMap<String, Job>,
    pub local: Local,
    /// Where it is deployed when no environment is named.
    pub aws: Aws,
    /// The same for each `[env.<name>]`.
    pub environments: BTreeMap<String, Aws>,
    pub alarms: BTreeMap<String, Alarm>,
}

/// Reads `kingtide.toml` and says everything there is to say about it. A project only when nothing of it is an error.
pub fn load(source: &str) -> (Option<Project>, Findings) {
    let mut findings = Findings::default();
    let raw = raw::parse(source, &mut findings);
    check::check(&raw, &mut findings);
    findings
        .0
        .sort_by_key(|finding| finding.span().map_or(usize::MAX, |span| span.start));
    let project = if findings.has_errors() {
        None
    } else {
        resolve::resolve(raw)
    };
    (project, findings)
}

/// As much of a file with errors as could be understood, so that the machine can be asked about the rest of it at once.
/// Nothing is ever run from it.
pub fn load_partly(source: &str) -> Project {
    resolve::resolve_partly(raw::parse(source, &mut Findings::default()))
}

/// [`load`] from bytes. Places are those in `String::from_utf8_lossy(bytes)`, which is also what to print.
pub fn load_bytes(bytes: &[u8]) -> (Option<Project>, Findings) {
    if let Ok(source) = std::str::from_utf8(bytes) {
        return load(source);
    }
    let mut findings = Findings::default();
    let mut offset = 0;
    for chunk in bytes.utf8_chunks() {
        offset += chunk.valid().len();
        if !chunk.invalid().is_empty() {
            let replacement = char::REPLACEMENT_CHARACTER.len_utf8();
            if findings.0.len() < MOST_BAD_BYTES {
                let finding = Finding::error("bad-utf8", format!("not UTF-8: {}", hex(chunk.invalid())));
                findings.push(finding.at(offset..offset + replacement).help("save the file as UTF-8"));
            }
            offset += replacement;
        }
    }
    (None, findings)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}
