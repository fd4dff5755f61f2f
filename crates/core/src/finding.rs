//! What the checker has to say about a project: all of it at once, each with its place and what to do.

use std::fmt;
use std::ops::Range;

/// How bad a finding is. Errors stop a run; warnings are printed and the run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

/// One thing the checker has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable, kebab-case: `unknown-key`. Documented in `docs/findings.md`.
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    pub place: Option<Place>,
    /// What to do about it: one sentence.
    pub help: Option<String>,
}

/// Where in the user's files. A row is that of a parameters file, counted from 1 without a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Bytes of `kingtide.toml`.
    Project(Range<usize>),
    /// A line (from 1) of a file that the project names, relative to the project's folder.
    Line { file: String, line: u64 },
    /// The whole of such a file.
    File { file: String },
}

impl Finding {
    pub fn error(code: &'static str, message: impl Into<String>) -> Finding {
        Finding {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: None,
            help: None,
        }
    }

    pub fn warning(code: &'static str, message: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Warning,
            ..Finding::error(code, message)
        }
    }

    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Finding {
        self.place = Some(Place::Project(span));
        self
    }

    #[must_use]
    pub fn at_line(mut self, file: &str, line: u64) -> Finding {
        self.place = Some(Place::Line {
            file: file.to_owned(),
            line,
        });
        self
    }

    #[must_use]
    pub fn at_file(mut self, file: &str) -> Finding {
        self.place = Some(Place::File { file: file.to_owned() });
        self
    }

    /// Its bytes of `kingtide.toml`, if it is about that file.
    pub fn span(&self) -> Option<Range<usize>> {
        match &self.place {
            Some(Place::Project(span)) => Some(span.clone()),
            Some(Place::Line { .. } | Place::File { .. }) | None => None,
        }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }
}

/// Everything found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    pub fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Line and column, both from 1; columns count characters.
pub fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let before = &source[..source.floor_char_boundary(offset.min(source.len()))];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// The known name nearest to a mistyped one, where one is near enough to be meant.
pub fn suggestion<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .filter(|(distance, name)| *distance <= (name.chars().count().max(written.chars().count()) / 3).max(1))
        .min()
        .map(|(_, name)| name)
}
