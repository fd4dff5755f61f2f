//! What constructs write down: the project file that they stand for. It is read as any other is, so that whatever is checked there is checked
//! here, and the types of the core stay its own.

use std::collections::BTreeMap;

use kingtide_core::cloud;
use kingtide_core::project::load;
use serde_json::{Value as Json, json};

use crate::template::{Problem, Refused, Template};

/// A project of one job.
#[derive(Clone, Debug)]
pub(crate) struct File {
    name: String,
    job: BTreeMap<&'static str, Json>,
    aws: BTreeMap<&'static str, Json>,
    alarm: BTreeMap<&'static str, Json>,
}

/// The alarm of a construct has no name of the user's.
const ALARM: &str = "alarm";

impl File {
    pub(crate) fn new(name: &str) -> File {
        File {
            name: name.to_owned(),
            job: BTreeMap::new(),
            aws: BTreeMap::new(),
            alarm: BTreeMap::new(),
        }
    }

    pub(crate) fn job(&mut self, key: &'static str, value: impl Into<Json>) {
        self.job.insert(key, value.into());
    }

    pub(crate) fn aws(&mut self, key: &'static str, value: impl Into<Json>) {
        self.aws.insert(key, value.into());
    }

    pub(crate) fn alarm(&mut self, key: &'static str, value: impl Into<Json>) {
        self.alarm.insert(key, value.into());
        self.job.insert("alarms", json!([ALARM]));
    }

    /// An entry of a table of the job, or of `[aws]`.
    pub(crate) fn entry(table: &mut BTreeMap<&'static str, Json>, key: &'static str, name: &str, value: Json) {
        table.entry(key).or_insert_with(|| json!({}))[name] = value;
    }

    pub(crate) fn job_entry(&mut self, key: &'static str, name: &str, value: impl Into<Json>) {
        File::entry(&mut self.job, key, name, value.into());
    }

    pub(crate) fn aws_entry(&mut self, key: &'static str, name: &str, value: impl Into<Json>) {
        File::entry(&mut self.aws, key, name, value.into());
    }

    /// One more in a list of the job.
    pub(crate) fn job_item(&mut self, key: &'static str, value: impl Into<Json>) {
        if let Some(list) = self.job.entry(key).or_insert_with(|| json!([])).as_array_mut() {
            list.push(value.into());
        }
    }

    /// The file as text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("[project]\nname = {}\n", inline(&json!(self.name)));
        let job = format!("job.{}", inline(&json!(self.name)));
        let alarm = format!("alarm.{ALARM}");
        for (name, table) in [(job.as_str(), &self.job), ("aws", &self.aws), (&alarm, &self.alarm)] {
            if table.is_empty() {
                continue;
            }
            text.push_str(&format!("\n[{name}]\n"));
            for (key, value) in table {
                text.push_str(&format!("{key} = {}\n", inline(value)));
            }
        }
        text
    }

    pub(crate) fn template(&self) -> Result<Template, Refused> {
        let (project, findings) = load(&self.text());
        let Some(project) = project else {
            return Err(Refused::of(&findings));
        };
        match cloud::compile(&project, None) {
            Ok(stack) => Ok(Template {
                json: stack.template(),
                name: stack.name.clone(),
                warnings: findings.0.iter().chain(&stack.warnings.0).map(Problem::of).collect(),
            }),
            Err(findings) => Err(Refused::of(&findings)),
        }
    }
}

/// A value of TOML on one line. Texts, numbers and lists are written as JSON has them.
fn inline(value: &Json) -> String {
    match value {
        Json::Object(entries) => {
            let pairs = entries
                .iter()
                .map(|(name, value)| format!("{} = {}", inline(&json!(name)), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        plain => plain.to_string(),
    }
}
