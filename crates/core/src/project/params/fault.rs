//! Faults of the names that rows have: said once for all rows that share them, not row by row.

use std::collections::BTreeMap;

use crate::contract::parameter_variable;
use crate::finding::{Finding, suggestion};
use crate::project::job::{Job, Mode};
use crate::project::params::RESERVED_NAMES;
use crate::template::Template;

/// How many lines are named where many rows have the same fault.
const LINES_NAMED: usize = 5;

/// A fault of a row's names, said once for all rows that have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Missing { name: String, near: Option<String> },
    Reserved(String),
    Unusable(String),
    Alike { first: String, second: String },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    count: u64,
    lines: Vec<u64>,
    /// What the first such row has.
    names: String,
}

impl Seen {
    /// The first line that has it.
    pub(super) fn first(&self) -> u64 {
        self.lines.first().copied().unwrap_or_default()
    }

    /// A row with these names has the fault.
    pub(super) fn at(&mut self, line: u64, names: &[String]) {
        if self.count == 0 {
            self.names = names.join(", ");
        }
        self.count += 1;
        if self.lines.len() < LINES_NAMED {
            self.lines.push(line);
        }
    }
}

/// What is wrong with these names.
pub(super) fn faults(job: &Job, names: &[String]) -> Vec<Fault> {
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
    // A consumer's are filled with its queue, and never with a message.
    let takes_messages = job.mode == Mode::Task;
    job.command
        .iter()
        .chain(job.env.values())
        .filter(move |_| takes_messages)
        .flat_map(Template::placeholders)
}

/// The finding about all rows that have the fault; its place is for the caller to say.
/// `is_row` is false for the one message of the command line.
pub(super) fn finding(fault: &Fault, seen: &Seen, is_row: bool) -> Finding {
    let rows = match is_row {
        true => named(seen),
        false => "the message has".to_owned(),
    };
    match fault {
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
            Finding::error("reserved-name", text).help(format!("call it something else, `{name}_name` for instance"))
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
    }
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
