//! A stack while it changes: on a terminal a tree of what it is made of, elsewhere a line for each thing that is done. A failure is explained
//! by the first that failed of itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

use kingtide_remote::wire::Resource;
use serde_json::Value as Json;

use crate::output::live::Size;
use crate::output::style::Style;
use crate::output::text::{cut, tame};

/// CloudFormation says so of those that it gave up because another failed.
const FOLLOWED: [&str; 3] = ["cancelled", "Resource creation cancelled", "Resource update cancelled"];
const REASON_COLUMNS: usize = 160;

/// What is known of the resources so far.
#[derive(Debug)]
pub(crate) struct Events {
    style: Style,
    is_live: bool,
    is_quiet: bool,
    /// By logical id, the table of the file that it comes from.
    origins: BTreeMap<String, String>,
    /// In the order of the tree: by origin, then by id.
    states: BTreeMap<(String, String), Resource>,
    root: Option<Resource>,
    /// Lines of the tree that stand there now.
    drawn: usize,
}

impl Events {
    pub(crate) fn new(template: &Json, style: Style, is_live: bool, is_quiet: bool) -> Events {
        let resources = template["Resources"].as_object().into_iter().flatten();
        let origin = |of: &Json| {
            of["Metadata"]["kingtide"]["from"]
                .as_str()
                .unwrap_or("stack")
                .to_owned()
        };
        Events {
            style,
            is_live,
            is_quiet,
            origins: resources
                .map(|(id, of)| (id.clone(), table_of(&origin(of)).to_owned()))
                .collect(),
            states: BTreeMap::new(),
            root: None,
            drawn: 0,
        }
    }

    pub(crate) fn take(&mut self, event: Resource) {
        if self.root.is_none() && is_failed(&event.status) && !is_followed(&event) {
            self.root = Some(event.clone());
        }
        let origin = self.origins.get(&event.logical_id).cloned();
        let origin = origin.unwrap_or_else(|| "stack".to_owned());
        let line = self.line(&event);
        let is_worth_a_line = !event.status.ends_with("IN_PROGRESS");
        self.states.insert((origin, event.logical_id.clone()), event);
        match (self.is_quiet, self.is_live) {
            (true, _) => {}
            (false, true) => self.draw(),
            (false, false) if is_worth_a_line => crate::output::say(&line),
            (false, false) => {}
        }
    }

    /// The first that failed of itself, in words.
    pub(crate) fn root(&self) -> Option<String> {
        let root = self.root.as_ref()?;
        let reason = root.reason.as_deref().unwrap_or("no reason was given");
        Some(format!("{} ({}): {}", root.logical_id, root.kind, tame(reason)))
    }

    fn line(&self, event: &Resource) -> String {
        let mut line = format!(
            "{:<28} {} {}",
            words(&event.status),
            event.logical_id,
            self.style.dim(&event.kind)
        );
        if is_failed(&event.status)
            && let Some(reason) = &event.reason
        {
            let _ = write!(line, ": {}", cut(&tame(reason), REASON_COLUMNS));
        }
        line
    }

    /// Over what stood there before. Where the terminal is too short for all, what is done is counted only.
    fn draw(&mut self) {
        let size = Size::of(std::io::stderr());
        let (rows, columns) = size.map_or((24, 100), |size| (size.rows, size.columns));
        let lines = self.tree(rows.saturating_sub(2).max(4), columns);
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A\x1b[J", self.drawn);
        }
        for line in &lines {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.len();
        // A terminal that has gone away is no reason to stop.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    fn tree(&self, rows: usize, columns: usize) -> Vec<String> {
        let mut groups: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
        for ((origin, _), state) in &self.states {
            groups.entry(origin).or_default().push(state);
        }
        let is_long = self.states.len() + groups.len() > rows;
        let mut lines = Vec::new();
        for (origin, states) in groups {
            let done = states
                .iter()
                .filter(|state| state.status.ends_with("_COMPLETE"))
                .count();
            lines.push(format!("{} {done}/{}", self.style.bold(origin), states.len()));
            let shown = states
                .iter()
                .filter(|state| !is_long || !state.status.ends_with("_COMPLETE"));
            for state in shown {
                let text = format!(
                    "  {} {}  {}",
                    mark(&state.status),
                    state.logical_id,
                    words(&state.status)
                );
                let text = cut(&text, columns.saturating_sub(1));
                lines.push(match state.status.as_str() {
                    status if is_failed(status) => self.style.red(&text),
                    status if status.ends_with("_COMPLETE") => self.style.green(&text),
                    _ => text,
                });
            }
        }
        lines.truncate(rows);
        lines
    }
}

/// `job.retrain` of `job.retrain (why)`.
fn table_of(origin: &str) -> &str {
    origin.split(' ').next().unwrap_or(origin)
}

fn is_failed(status: &str) -> bool {
    status.ends_with("_FAILED")
}

fn is_followed(event: &Resource) -> bool {
    let reason = event.reason.as_deref().unwrap_or_default();
    FOLLOWED.iter().any(|words| reason.contains(words))
}

fn mark(status: &str) -> char {
    match status {
        status if is_failed(status) => '✗',
        status if status.ends_with("_COMPLETE") => '✓',
        _ => '…',
    }
}

/// `create in progress`
fn words(status: &str) -> String {
    status.to_ascii_lowercase().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(id: &str, status: &str, reason: Option<&str>) -> Resource {
        Resource {
            at_ms: 0,
            logical_id: id.to_owned(),
            kind: "AWS::SQS::Queue".to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn a_tree_by_the_tables_of_the_file_and_the_root_of_a_failure() {
        let from = |origin: &str| json!({ "Metadata": { "kingtide": { "from": origin } } });
        let template = json!({ "Resources": {
            "RetrainQueue": from("job.retrain"),
            "RetrainRole": from("job.retrain (ecr knows no resources)"),
            "Bucket": from("aws"),
        }});
        let mut events = Events::new(&template, Style::plain(), false, true);
        for event in [
            event("flights", "CREATE_IN_PROGRESS", None),
            event("Bucket", "CREATE_COMPLETE", None),
            event("RetrainQueue", "CREATE_FAILED", Some("Resource creation cancelled")),
            event(
                "RetrainRole",
                "CREATE_FAILED",
                Some("not authorized to perform: iam:CreateRole"),
            ),
        ] {
            events.take(event);
        }
        assert_eq!(
            events.root().as_deref(),
            Some("RetrainRole (AWS::SQS::Queue): not authorized to perform: iam:CreateRole")
        );
        assert_eq!(
            events.tree(20, 80),
            [
                "aws 1/1",
                "  ✓ Bucket  create complete",
                "job.retrain 0/2",
                "  ✗ RetrainQueue  create failed",
                "  ✗ RetrainRole  create failed",
                "stack 0/1",
                "  … flights  create in progress",
            ]
        );
        assert_eq!(events.tree(6, 80).len(), 6, "a short terminal is told less");
    }
}
