//! Which messages a run is given: checked row by row before anything starts, then read again as they are queued, so that a
//! million of them are never held at once.

use std::path::{Path, PathBuf};

use kingtide_core::finding::{Finding, Findings};
use kingtide_core::message::Message;
use kingtide_core::project::Job;
use kingtide_core::project::params::{Only, Params, Row, RowCheck, Rows, message_from_pairs};

use crate::args::Run;
use crate::commands::send::Spool;
use crate::exit::{Failure, Outcome};
use crate::project::{Place, open};
use crate::select::Pair;

/// What standard input is called in findings.
const STDIN: &str = "standard input";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The job's own.
    Params,
    /// Rows of a file, or of the job's `params`, perhaps only some.
    Rows { file: Option<PathBuf>, only: Vec<Pair> },
    /// One message.
    One(Vec<Pair>),
    /// JSON lines of standard input.
    Lines(Spool),
}

impl Wish {
    pub(crate) fn of(run: &Run) -> Wish {
        if !run.message.is_empty() {
            Wish::One(run.message.clone())
        } else {
            Wish::rows(run.params.as_ref(), &run.only)
        }
    }

    /// Of a file, or of the job's own; all, or only some.
    pub(crate) fn rows(file: Option<&PathBuf>, only: &[Pair]) -> Wish {
        if file.is_none() && only.is_empty() {
            return Wish::Params;
        }
        Wish::Rows {
            file: file.cloned(),
            only: only.to_vec(),
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
    lines: Option<Spool>,
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
        let lines = match &self.lines {
            Some(lines) => Some(Rows::json_lines(STDIN, lines.reader())?),
            None => None,
        };
        let rows = rows.into_iter().chain(lines).flatten();
        Ok(one.into_iter().chain(rows))
    }

    fn of(place: &Place, job: &Job, wish: &Wish) -> Result<Origin, Findings> {
        let nothing = Origin {
            params: None,
            one: None,
            lines: None,
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
            Wish::Lines(lines) => Origin {
                lines: Some(lines.clone()),
                file: Some(STDIN.to_owned()),
                source: STDIN.to_owned(),
                ..nothing
            },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::summary::sample;

    fn pair(name: &str, value: &str) -> Pair {
        Pair {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    /// What is found, and what is handed over.
    fn check(wish: &Wish, rows: &str) -> (Messages, Result<Vec<String>, String>) {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("p.csv"), rows).expect("a file");
        let place = Place {
            folder: folder.path().to_owned(),
            file: folder.path().join("kingtide.toml"),
            stack: None,
        };
        let job = Job {
            params: Some(Params::File("p.csv".to_owned())),
            ..sample::job()
        };
        let handed = Messages::hand_over(&place, &job, wish, |messages| {
            Ok(messages
                .map(|message| message.map(|message| message.label()))
                .collect::<Result<Vec<String>, Finding>>())
        });
        (
            Messages::check(&place, &job, wish),
            handed.map_err(|failure| format!("{failure:?}")),
        )
    }

    #[test]
    fn a_filter_chooses_rows_and_says_when_it_chooses_none() {
        let only = |value| Wish::Rows {
            file: None,
            only: vec![pair("dest", value)],
        };
        let (messages, handed) = check(&only("LAX"), "dest,n\nBOS,1\nLAX,2\nLAX,3\n");
        assert_eq!((messages.count, messages.source.as_str()), (2, "p.csv, only dest=LAX"));
        assert_eq!(handed, Ok(vec!["dest=LAX n=2".to_owned(), "dest=LAX n=3".to_owned()]));
        let (messages, _) = check(&only("SFO"), "dest,n\nBOS,1\n");
        let codes: Vec<&str> = messages.findings.0.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["no-match"], "and not that there are no rows");
    }

    #[test]
    fn a_broken_row_is_found_before_and_stops_the_handing_over() {
        let (messages, handed) = check(&Wish::Params, "dest,n\nBOS,1\nLAX\n");
        assert!(messages.findings.has_errors());
        assert!(handed.is_err_and(|failure| failure.contains("changed while they were read")));
    }

    #[test]
    fn one_message_is_what_was_typed() {
        let (messages, handed) = check(&Wish::One(vec![pair("dest", "BOS"), pair("n", "7")]), "");
        assert_eq!((messages.count, messages.findings.has_errors()), (1, false));
        assert_eq!(handed, Ok(vec!["dest=BOS n=7".to_owned()]));
        let (messages, _) = check(&Wish::One(vec![pair("n", "7")]), "");
        assert!(
            messages.findings.has_errors(),
            "`{{dest}}` has nothing to be filled from"
        );
    }
}
