//! What must hold of every row before anything starts. Rows are shown one by one and not kept: of a million of them sixteen
//! bytes each remain, to find those that come twice.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value as Json;

use crate::contract::{MAX_STRING_BYTES, invocation, parameter_variable};
use crate::finding::{Finding, Findings, Place, suggestion};
use crate::id::RunId;
use crate::message::{MAX_BODY_BYTES, Message};
use crate::project::job::Job;
use crate::project::params::Row;
use crate::template::Template;

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
/// How many lines are named where many rows have the same fault.
const LINES_NAMED: usize = 5;

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

/// A fault of a row's names, said once for all rows that have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Missing { name: String, near: Option<String> },
    Reserved(String),
    Unusable(String),
    Alike { first: String, second: String },
}

#[derive(Clone, Debug, Default)]
struct Seen {
    count: u64,
    lines: Vec<u64>,
    /// What the first such row has.
    names: String,
}

impl Seen {
    fn at(&mut self, line: u64) {
        self.count += 1;
        if self.lines.len() < LINES_NAMED {
            self.lines.push(line);
        }
    }
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
            self.current = faults(self.job, &self.names);
        }
        for fault in &self.current {
            let seen = self.faults.entry(fault.clone()).or_default();
            if seen.count == 0 {
                seen.names = self.names.join(", ");
            }
            seen.at(row.line);
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
        let mut said: Vec<(u64, Finding)> = faults
            .iter()
            .map(|(fault, seen)| (seen.lines[0], self.fault(fault, seen)))
            .collect();
        said.sort_by_key(|(line, _)| *line);
        for (_, finding) in said {
            self.say(finding);
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

    fn fault(&self, fault: &Fault, seen: &Seen) -> Finding {
        let rows = named(seen);
        let finding = match fault {
            Fault::Missing { name, near } => {
                let text = format!("nothing fills the placeholder `{{{name}}}`: {rows} no parameter `{name}`");
                let help = match (near, seen.names.is_empty()) {
                    (Some(near), _) => format!("did you mean `{{{near}}}`?"),
                    (None, true) => "give it as name=value, or name a file with --params".to_owned(),
                    (None, false) => format!("the parameters are {}; write `{{{{` for a brace", seen.names),
                };
                Finding::error("missing-parameter", text).help(help)
            }
            Fault::Reserved(name) => {
                let text = format!("`{name}` is a name of Kingtide's own: {rows} a parameter called so");
                Finding::error("reserved-name", text)
                    .help(format!("call it something else, `{name}_name` for instance"))
            }
            Fault::Unusable(name) => {
                let text = format!("{rows} a parameter called {name:?}");
                Finding::error("bad-header", text).help("a parameter needs a name that people can see")
            }
            Fault::Alike { first, second } => {
                let variable = parameter_variable(first);
                let text = format!("`{first}` and `{second}` are both `{variable}`: {rows} both");
                Finding::warning("alike-names", text)
                    .help(format!("`{variable}` is `{first}`; rename one of them to have both"))
            }
        };
        Finding {
            place: self.place(seen.lines[0]),
            ..finding
        }
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

/// What is wrong with these names.
fn faults(job: &Job, names: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for name in placeholders(job) {
        let missing = Fault::Missing {
            name: name.to_owned(),
            near: suggestion(name, names.iter().map(String::as_str)).map(str::to_owned),
        };
        if !names.iter().any(|known| known == name) && !faults.contains(&missing) {
            faults.push(missing);
        }
    }
    let mut variables: BTreeMap<String, &String> = BTreeMap::new();
    for name in names {
        if name.trim().is_empty() || name.contains('\0') {
            faults.push(Fault::Unusable(name.clone()));
        } else if RESERVED_NAMES.contains(&name.to_ascii_lowercase().as_str()) {
            faults.push(Fault::Reserved(name.clone()));
        } else if let Some(first) = variables.get(&parameter_variable(name)) {
            faults.push(Fault::Alike {
                first: (*first).clone(),
                second: name.clone(),
            });
        } else {
            variables.insert(parameter_variable(name), name);
        }
    }
    faults
}

fn placeholders(job: &Job) -> impl Iterator<Item = &str> {
    job.command
        .iter()
        .chain(job.env.values())
        .flat_map(Template::placeholders)
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

/// `line 3 has`, `lines 3, 4, 5 and 7 more have`.
fn named(seen: &Seen) -> String {
    let rest = seen.count - seen.lines.len() as u64;
    let lines: Vec<String> = seen.lines.iter().map(u64::to_string).collect();
    match (lines.as_slice(), rest) {
        ([line], 0) => format!("row {line} has"),
        ([start @ .., last], 0) => format!("rows {} and {last} have", start.join(", ")),
        (lines, rest) => format!("rows {} and {rest} more have", lines.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::load;
    use crate::project::params::Rows;

    fn job(keys: &str) -> Job {
        let (project, findings) = load(&format!("[project]\nname = \"p\"\n[job.j]\n{keys}"));
        project
            .unwrap_or_else(|| panic!("{findings:?}"))
            .jobs
            .remove("j")
            .expect("it is there")
    }

    fn check(keys: &str, csv: &str) -> Vec<String> {
        let job = job(keys);
        let mut check = RowCheck::new(&job, Some("p.csv"));
        Rows::from_file("p.csv", csv.as_bytes())
            .expect("a CSV file")
            .for_each(|row| check.look(&row));
        check.finish().0.iter().map(shown).collect()
    }

    fn shown(finding: &Finding) -> String {
        let line = match &finding.place {
            Some(Place::Line { line, .. }) => line.to_string(),
            Some(Place::File { .. }) => "file".to_owned(),
            _ => "nowhere".to_owned(),
        };
        let help = finding
            .help
            .as_deref()
            .map_or(String::new(), |help| format!(" [{help}]"));
        format!(
            "{line}: {} {}: {}{help}",
            finding.severity, finding.code, finding.message
        )
    }

    const COMMAND: &str = "command = [\"train\", \"{dest}\"]";

    #[test]
    fn good_rows_are_passed_over() {
        assert_eq!(check(COMMAND, "dest\nBOS\nLAX\n"), [""; 0]);
    }

    #[test]
    fn a_placeholder_without_a_column_is_said_once() {
        assert_eq!(
            check(COMMAND, "dst\nBOS\nLAX\n"),
            [
                "2: error missing-parameter: nothing fills the placeholder `{dest}`: rows 2 and 3 have no parameter `dest` \
              [did you mean `{dst}`?]"
            ]
        );
    }

    #[test]
    fn a_row_that_lacks_what_others_have_is_named() {
        let job = job(COMMAND);
        let mut check = RowCheck::new(&job, None);
        let bodies = [r#"{"dest":"BOS"}"#, r#"{"depth":4}"#, r#"{"dest":"LAX"}"#];
        let messages = bodies.map(|body| Message::parse(body).expect("an object"));
        Rows::inline(&messages).for_each(|row| check.look(&row));
        assert!(check.has_errors());
        let findings = check.finish();
        assert_eq!(findings.0.len(), 1);
        assert!(
            findings.0[0].message.contains("row 2 has no parameter `dest`"),
            "{findings:?}"
        );
    }

    #[test]
    fn our_own_names_are_refused() {
        let said = check("command = [\"x\"]", "Task,a-b,a_b\n1,2,3\n");
        assert!(said[0].starts_with("2: error reserved-name: `Task`"), "{said:?}");
        assert!(
            said[1].starts_with("2: warning alike-names: `a-b` and `a_b`"),
            "{said:?}"
        );
    }

    #[test]
    fn duplicates_are_counted_and_run() {
        let said = check(COMMAND, "dest\nBOS\nLAX\nBOS\nLAX\nLAX\n");
        assert_eq!(
            said,
            ["4: warning duplicate-rows: 3 rows repeat an earlier one, lines 2 and 4 first; all are run"]
        );
    }

    #[test]
    fn nothing_to_run_is_an_error() {
        assert!(check(COMMAND, "dest\n")[0].starts_with("file: error empty-params"));
        assert!(check(COMMAND, "")[0].starts_with("file: error empty-params"));
    }

    #[test]
    fn findings_are_capped() {
        let said = check("command = [\"x\"]", &format!("a,b\n{}", "1\n".repeat(1000)));
        assert_eq!(said.len(), 21);
        assert_eq!(
            said[20],
            "nowhere: error more-findings: and 980 more about the parameters"
        );
    }

    #[test]
    fn what_is_too_long_is_found_before_it_fails() {
        let long = "x".repeat(MAX_STRING_BYTES + 1);
        let said = check(COMMAND, &format!("dest\n{long}\n"));
        assert!(
            said[0].starts_with("2: error parameter-too-large: argument 1 has 131072 bytes"),
            "{said:?}"
        );
        assert_eq!(
            check("command = [\"x\"]", &format!("dest\n{long}\n")),
            [""; 0],
            "it comes in a file"
        );
        let said = check(
            "command = [\"x\"]\nenv = { A = \"{dest}\" }",
            &format!("dest\n{long}\n"),
        );
        assert!(said[0].contains("the variable `A` has"), "{said:?}");
        let said = check(COMMAND, &format!("dest\n{}\n", "x".repeat(MAX_BODY_BYTES)));
        assert!(said[0].starts_with("2: error message-too-large"), "{said:?}");
        let said = check(
            &format!("command = [\"x\"{}]", ", \"{a}\"".repeat(20)),
            &format!("a\n{}\n", "x".repeat(100_000)),
        );
        assert!(said[0].contains("bytes together"), "{said:?}");
    }

    #[test]
    fn a_zero_byte_is_found() {
        let job = job("command = [\"x\"]");
        let mut check = RowCheck::new(&job, None);
        check.look(&Ok(Row {
            line: 1,
            message: Message::parse(r#"{"a":"x\u0000"}"#).expect("an object"),
        }));
        assert_eq!(check.finish().0[0].code, "zero-byte");
    }

    #[test]
    fn a_row_keeps_sixteen_bytes() {
        assert_eq!(size_of::<(i64, u64)>(), 16);
    }
}
