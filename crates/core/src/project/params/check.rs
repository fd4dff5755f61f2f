//! What must hold of every row before anything starts. Rows are shown one by one and not kept: of a million of them
//! sixteen bytes each remain, to find those that come twice.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value as Json;

use crate::contract::{MAX_STRING_BYTES, invocation};
use crate::finding::{Finding, Findings, Place};
use crate::id::RunId;
use crate::message::{MAX_BODY_BYTES, Message};
use crate::project::job::Job;
use crate::project::params::Row;
use crate::project::params::fault::{self, Fault, Seen};

/// Names of our own: a parameter of such a name could not be told from what Kingtide says about the task.
pub const RESERVED_NAMES: &[&str] = &[
    "run",
    "job",
    "task",
    "attempt",
    "output",
    "result",
    "message",
    "message_file",
    "cpus",
    "param",
];

/// Findings about single rows beyond these are counted, not said.
const MOST_FINDINGS: usize = 20;
/// Rows beyond these are not compared: sixteen bytes each are kept.
const MOST_COMPARED: usize = 4 * 1024 * 1024;
/// Arguments and variables together; Linux allows 2 MiB by default, what is inherited included.
const MOST_BYTES_TOGETHER: usize = 1536 * 1024;
/// A message whose text may be longer is looked at more closely.
const CLOSER_LOOK_BYTES: usize = 32 * 1024;

/// Looks at every row and says at the end what is wrong with them.
#[derive(Debug)]
pub struct RowCheck<'j> {
    job: &'j Job,
    origin: Origin,
    findings: Findings,
    unsaid: u64,
    rows: u64,
    broken: u64,
    /// The names of the last row: they are checked when they change.
    names: Vec<String>,
    /// What the last row's names were found to lack or to have, by place in `faults`.
    current: Vec<Fault>,
    faults: BTreeMap<Fault, Seen>,
    /// Hash and line of every row.
    hashes: Vec<(i64, u64)>,
}

/// Where the rows come from, for the places of findings.
#[derive(Debug)]
enum Origin {
    File(String),
    /// Bytes of `kingtide.toml`, row by row; the last for all that follow.
    Project(Vec<Range<usize>>),
    CommandLine,
}

impl<'j> RowCheck<'j> {
    /// For rows of `file`, or of none: inline parameters given on the command line.
    pub fn new(job: &'j Job, file: Option<&str>) -> RowCheck<'j> {
        RowCheck::with_origin(
            job,
            file.map_or(Origin::CommandLine, |file| Origin::File(file.to_owned())),
        )
    }

    /// For rows of the project file, with the place of each.
    pub(crate) fn of_project(job: &'j Job, spans: Vec<Range<usize>>) -> RowCheck<'j> {
        RowCheck::with_origin(job, Origin::Project(spans))
    }

    fn with_origin(job: &'j Job, origin: Origin) -> RowCheck<'j> {
        RowCheck {
            job,
            origin,
            findings: Findings::default(),
            unsaid: 0,
            rows: 0,
            broken: 0,
            names: Vec::new(),
            current: Vec::new(),
            faults: BTreeMap::new(),
            hashes: Vec::new(),
        }
    }

    /// A row, or why it could not be read.
    pub fn look(&mut self, row: &Result<Row, Finding>) {
        match row {
            Ok(row) => self.row(row),
            Err(finding) => {
                self.broken += 1;
                self.say(finding.clone());
            }
        }
    }

    /// How many rows were read.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether an error has been found so far; `finish` may still add to it.
    pub fn has_errors(&self) -> bool {
        self.findings.has_errors() || self.faults.keys().any(|fault| !matches!(fault, Fault::Alike { .. }))
    }

    fn row(&mut self, row: &Row) {
        self.rows += 1;
        let message = &row.message;
        if self.rows == 1 || !message.0.keys().eq(self.names.iter()) {
            self.names = message.0.keys().cloned().collect();
            self.current = fault::faults(self.job, &self.names);
        }
        for fault in &self.current {
            self.faults.entry(fault.clone()).or_default().at(row.line, &self.names);
        }
        for (name, value) in &message.0 {
            if value.as_str().is_some_and(|text| text.contains('\0')) {
                let message = format!("`{name}` contains a zero byte, which no argument or variable can");
                let place = self.place(row.line);
                self.say(Finding {
                    place,
                    ..Finding::error("zero-byte", message)
                });
            }
        }
        if longest_text(message) > CLOSER_LOOK_BYTES {
            self.look_closer(row);
        }
        if self.hashes.len() < MOST_COMPARED {
            self.hashes.push((message.key(), row.line));
        }
    }

    /// Sizes of a long message and of what would be started for it.
    fn look_closer(&mut self, row: &Row) {
        let job = self.job;
        let mut say = |code, text: String, help: &str| {
            let place = self.place(row.line);
            self.say(
                Finding {
                    place,
                    ..Finding::error(code, text)
                }
                .help(help),
            );
        };
        let length = row.message.body().len();
        if length > MAX_BODY_BYTES {
            let text = format!("the message has {length} bytes, at most {MAX_BODY_BYTES} (1 MiB) are allowed");
            say(
                "message-too-large",
                text,
                "put the data into a file and its path into the message",
            );
            return;
        }
        let Ok(invocation) = invocation(job, &row.message, RunId(0).task(0).attempt(0), "", |_| false) else {
            return; // A parameter is missing, which is said elsewhere.
        };
        let help =
            "let the program read KINGTIDE_MESSAGE_FILE, or put the data into a file and its path into the message";
        for (argument, position) in invocation.argv.iter().zip(0..) {
            if argument.len() > MAX_STRING_BYTES {
                let text = format!(
                    "argument {position} has {} bytes, Linux passes {MAX_STRING_BYTES}",
                    argument.len()
                );
                say("parameter-too-large", text, help);
            }
        }
        for (name, value) in invocation.env.iter().filter(|(name, _)| job.env.contains_key(name)) {
            let length = name.len() + 1 + value.len();
            if length > MAX_STRING_BYTES {
                let text = format!("the variable `{name}` has {length} bytes, Linux passes {MAX_STRING_BYTES}");
                say("parameter-too-large", text, help);
            }
        }
        let arguments: usize = invocation.argv.iter().map(String::len).sum();
        let variables: usize = invocation
            .env
            .iter()
            .map(|(name, value)| name.len() + value.len() + 2)
            .sum();
        if arguments + variables > MOST_BYTES_TOGETHER {
            let text = format!(
                "arguments and variables have {} bytes together, Linux passes 2 MiB",
                arguments + variables
            );
            say("parameter-too-large", text, help);
        }
    }

    /// Everything that is wrong with the rows.
    pub fn finish(mut self) -> Findings {
        if self.rows == 0 && self.broken == 0 {
            let place = match &self.origin {
                Origin::File(file) => Some(Place::File { file: file.clone() }),
                Origin::Project(_) => self.place(1),
                Origin::CommandLine => None,
            };
            let finding = Finding::error("empty-params", "the parameters have no rows: there is nothing to run");
            self.findings
                .push(Finding { place, ..finding }.help("add a row, or name another file with --params"));
        }
        let faults = std::mem::take(&mut self.faults);
        // One message of the command line is no row.
        let is_row = !matches!(self.origin, Origin::CommandLine) || self.rows() > 1;
        let mut said: Vec<(u64, Finding)> = faults
            .iter()
            .map(|(fault, seen)| (seen.first(), fault::finding(fault, seen, is_row)))
            .collect();
        said.sort_by_key(|(line, _)| *line);
        for (line, finding) in said {
            let place = self.place(line);
            self.say(Finding { place, ..finding });
        }
        self.duplicates();
        if self.unsaid > 0 {
            let severity = if self.findings.has_errors() {
                Finding::error
            } else {
                Finding::warning
            };
            self.findings.push(severity(
                "more-findings",
                format!("and {} more about the parameters", self.unsaid),
            ));
        }
        self.findings
    }

    /// Rows that come twice are run twice; the user is told once.
    fn duplicates(&mut self) {
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.sort_unstable();
        let mut first: Option<(u64, u64)> = None;
        let mut count = 0;
        for alike in hashes
            .chunk_by(|left, right| left.0 == right.0)
            .filter(|alike| alike.len() > 1)
        {
            count += alike.len() as u64 - 1;
            let pair = (alike[1].1, alike[0].1);
            first = Some(first.map_or(pair, |first| first.min(pair)));
        }
        let Some((second, first)) = first else { return };
        let word = if matches!(self.origin, Origin::File(_)) {
            "lines"
        } else {
            "rows"
        };
        let text = match count {
            1 => format!("a row comes twice: {word} {first} and {second}; both are run"),
            _ => format!("{count} rows repeat an earlier one, {word} {first} and {second} first; all are run"),
        };
        let place = self.place(second);
        self.say(Finding {
            place,
            ..Finding::warning("duplicate-rows", text)
        });
    }

    fn place(&self, line: u64) -> Option<Place> {
        match &self.origin {
            Origin::File(file) => Some(Place::Line {
                file: file.clone(),
                line,
            }),
            Origin::Project(spans) => {
                let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
                spans.get(index).or(spans.last()).cloned().map(Place::Project)
            }
            Origin::CommandLine => None,
        }
    }

    fn say(&mut self, finding: Finding) {
        if self.findings.0.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.unsaid += 1;
        }
    }
}

/// No shorter than the body or anything that is filled from it once; cheap.
fn longest_text(message: &Message) -> usize {
    let value = |value: &Json| match value {
        Json::Null | Json::Bool(_) => 5,
        Json::Number(_) => 32,
        // A control character takes six bytes in JSON.
        Json::String(text) => text.len() * 6 + 2,
        Json::Array(_) | Json::Object(_) => value.to_string().len(),
    };
    message
        .0
        .iter()
        .map(|(name, each)| name.len() * 6 + 4 + value(each))
        .sum::<usize>()
        + 2
}

#[cfg(test)]
mod tests;
