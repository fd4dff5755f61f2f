//! Which messages a run is given: checked row by row before anything starts, then read again as they are queued, so that a
//! million of them are never held at once.

use std::path::{Path, PathBuf};

use kingtide_core::finding::{Finding, Findings};
use kingtide_core::message::Message;
use kingtide_core::project::Job;
use kingtide_core::project::params::{Only, Params, Row, RowCheck, message_from_pairs};

use crate::args::Run;
use crate::exit::{Failure, Outcome};
use crate::project::{Place, open};
use crate::select::Pair;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The job's own.
    Params,
    /// Rows of a file, or of the job's `params`, perhaps only some.
    Rows { file: Option<PathBuf>, only: Vec<Pair> },
    /// One message.
    One(Vec<Pair>),
}

impl Wish {
    pub(crate) fn of(run: &Run) -> Wish {
        if !run.message.is_empty() {
            Wish::One(run.message.clone())
        } else if run.params.is_some() || !run.only.is_empty() {
            Wish::Rows {
                file: run.params.clone(),
                only: run.only.clone(),
            }
        } else {
            Wish::Params
        }
    }
}

/// What was found when all rows were read once.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    /// Those that will run.
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) first: Option<Message>,
    pub(crate) findings: Findings,
    /// Where they come from, in words.
    pub(crate) source: String,
}

/// Rows of a wish: where they come from and which of them.
struct Origin {
    params: Option<Params>,
    one: Option<Message>,
    only: Vec<String>,
    file: Option<String>,
    source: String,
    /// Whether the rows stand in the project file.
    is_checked: bool,
}

impl Messages {
    /// Reads all rows of a wish and keeps the first.
    pub(crate) fn check(place: &Place, job: &Job, wish: &Wish) -> Messages {
        let mut messages = Messages {
            count: 0,
            first: None,
            findings: Findings::default(),
            source: String::new(),
        };
        if let Err(findings) = messages.read(place, job, wish) {
            messages.findings.0.extend(findings.0);
        }
        messages
    }

    fn read(&mut self, place: &Place, job: &Job, wish: &Wish) -> Result<(), Findings> {
        let origin = Origin::of(place, job, wish)?;
        self.source.clone_from(&origin.source);
        let mut only = Only::parse(&origin.only)?;
        let mut check = RowCheck::new(job, origin.file.as_deref());
        for row in origin.rows(place).map_err(|finding| Findings(vec![finding]))? {
            if row.as_ref().is_ok_and(|row| !only.accepts(&row.message)) {
                continue;
            }
            // Rows that stand in the project file were looked at with it.
            if !origin.is_checked {
                check.look(&row);
            }
            if let Ok(row) = row {
                self.count += 1;
                self.first.get_or_insert(row.message);
            }
        }
        // Where the filter lets nothing through, it has more to say about it than that there are no rows.
        let of_filter = only.finish();
        if !origin.is_checked && !of_filter.has_errors() {
            self.findings.0.extend(check.finish().0);
        }
        self.findings.0.extend(of_filter.0);
        Ok(())
    }

    /// Hands the messages of a wish that was checked to `submit`, one by one. A row that cannot be read any more, because the
    /// file has changed since, stops it: nothing is then submitted.
    pub(crate) fn hand_over<T>(
        place: &Place,
        job: &Job,
        wish: &Wish,
        submit: impl FnOnce(&mut dyn Iterator<Item = Result<Message, Finding>>) -> Outcome<Result<T, Finding>>,
    ) -> Outcome<T> {
        let changed = |why: &str| {
            Failure::new(format!("the messages of `{}` changed while they were read", job.name)).because(why.to_owned())
        };
        let origin = Origin::of(place, job, wish).map_err(|_| changed("they are no longer sound"))?;
        let mut only = Only::parse(&origin.only).map_err(|_| changed("they are no longer sound"))?;
        let rows = origin.rows(place).map_err(|finding| changed(&finding.message))?;
        let mut messages = rows
            .map(|row| row.map(|row| row.message))
            .filter(|message| message.as_ref().map_or(true, |message| only.accepts(message)));
        submit(&mut messages)?.map_err(|finding| changed(&finding.message))
    }
}

impl Origin {
    fn rows(&self, place: &Place) -> Result<impl Iterator<Item = Result<Row, Finding>> + '_, Finding> {
        let rows = match &self.params {
            Some(params) => Some(params.rows(|file| open(&place.folder, file))?),
            None => None,
        };
        let one = self.one.clone().map(|message| Ok(Row { line: 1, message }));
        Ok(one.into_iter().chain(rows.into_iter().flatten()))
    }

    fn of(place: &Place, job: &Job, wish: &Wish) -> Result<Origin, Findings> {
        let nothing = Origin {
            params: None,
            one: None,
            only: Vec::new(),
            file: None,
            source: String::new(),
            is_checked: false,
        };
        let of_params = |params: Option<&Params>| match params {
            Some(Params::File(file)) => (Some(file.clone()), file.clone()),
            Some(_) => (None, "params".to_owned()),
            None => (None, "no parameters".to_owned()),
        };
        Ok(match wish {
            Wish::Params => match &job.params {
                Some(params) => {
                    let (file, source) = of_params(Some(params));
                    Origin {
                        params: Some(params.clone()),
                        is_checked: file.is_none(),
                        file,
                        source,
                        ..nothing
                    }
                }
                None => Origin {
                    one: Some(Message(serde_json::Map::new())),
                    source: "no parameters".to_owned(),
                    ..nothing
                },
            },
            Wish::One(pairs) => {
                let message = message_from_pairs(&texts(pairs))?;
                Origin {
                    one: Some(message),
                    source: "the command line".to_owned(),
                    ..nothing
                }
            }
            Wish::Rows { file, only } => {
                let params = match file {
                    Some(file) => Some(Params::File(relative(&place.folder, file))),
                    None => job.params.clone(),
                };
                let (file, mut source) = of_params(params.as_ref());
                let only = texts(only);
                if !only.is_empty() {
                    source.push_str(&format!(", only {}", only.join(" ")));
                }
                Origin {
                    params,
                    is_checked: file.is_none(),
                    file,
                    only,
                    source,
                    ..nothing
                }
            }
        })
    }
}

fn texts(pairs: &[Pair]) -> Vec<String> {
    pairs
        .iter()
        .map(|pair| format!("{}={}", pair.name, pair.value))
        .collect()
}

/// A file named on the command line is relative to the current folder, one in the project to the project's.
fn relative(folder: &Path, file: &Path) -> String {
    let absolute = std::env::current_dir().map_or_else(|_| file.to_owned(), |here| here.join(file));
    absolute
        .strip_prefix(folder)
        .unwrap_or(&absolute)
        .to_string_lossy()
        .into_owned()
}
