//! What constructs hand over, and what they say when they cannot.

use std::fmt;

use kingtide_core::finding::{Finding, Findings};
use serde_json::Value as Json;

/// A CloudFormation template.
#[derive(Clone, Debug)]
pub struct Template {
    pub(crate) json: Json,
    pub(crate) name: String,
    pub(crate) warnings: Vec<Problem>,
}

/// Something that AWS would refuse, or do otherwise than one might think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable: `fargate-size`. Explained in `docs/findings.md`.
    pub code: String,
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Nothing can be made of it; everything that is wrong, at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    pub problems: Vec<Problem>,
}

impl Template {
    /// The template as JSON, the same bytes for the same construct.
    pub fn json(&self) -> String {
        format!("{:#}\n", self.json)
    }

    /// The same as a value, for programs that go on with it.
    pub fn value(&self) -> &Json {
        &self.json
    }

    /// What the stack is called where nobody says otherwise.
    pub fn stack_name(&self) -> &str {
        &self.name
    }

    /// What whoever deploys it should know.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

impl Problem {
    pub(crate) fn of(finding: &Finding) -> Problem {
        Problem {
            code: finding.code.to_owned(),
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }
}

impl Refused {
    pub(crate) fn of(findings: &Findings) -> Refused {
        Refused {
            problems: findings.0.iter().map(Problem::of).collect(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no template can be made: ")?;
        let problems: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        f.write_str(&problems.join("; "))
    }
}
