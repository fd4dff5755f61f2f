//! How people name runs and tasks.

use std::convert::Infallible;
use std::str::FromStr;

use kingtide_core::finding::suggestion;
use kingtide_core::id::RunId;
use kingtide_runtime::view::{Filter, Run, Snapshot, Task};

use crate::exit::Failure;

/// `name=value`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Pair {
    type Err = String;
    fn from_str(text: &str) -> Result<Pair, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Pair {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected a parameter and its value, for instance `dest=BOS`".to_owned()),
        }
    }
}

/// A task, by a parameter or by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Param(Pair),
    Seq(i64),
}

impl FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Target, String> {
        match text.parse() {
            Ok(seq) => Ok(Target::Seq(seq)),
            Err(_) => text.parse().map(Target::Param),
        }
    }
}

/// A run as it is typed: `last`, `12`, `retrain-12`, `retrain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunName {
    Last,
    Id(i64),
    Named(String),
}

impl FromStr for RunName {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<RunName, Infallible> {
        Ok(match (text, text.parse()) {
            ("last", _) => RunName::Last,
            (_, Ok(id)) => RunName::Id(id),
            (name, Err(_)) => RunName::Named(name.to_owned()),
        })
    }
}

impl RunName {
    /// The run that is meant, or what to type instead.
    pub(crate) fn find(&self, snapshot: &Snapshot<'_>) -> Result<Run, Failure> {
        match self {
            RunName::Last => snapshot
                .last_run(None)?
                .ok_or_else(|| Failure::usage("nothing has run here yet").help("start a job with `kingtide run JOB`")),
            RunName::Id(id) => snapshot.run(RunId(*id))?.ok_or_else(|| unknown(&id.to_string())),
            RunName::Named(name) => {
                if let Some((job, id)) = name.rsplit_once('-')
                    && let Some(run) = id.parse().ok().map(|id| snapshot.run(RunId(id))).transpose()?.flatten()
                    && run.job == job
                {
                    return Ok(run);
                }
                if let Some(run) = snapshot.last_run(Some(name))? {
                    return Ok(run);
                }
                let jobs = snapshot.jobs()?;
                let base = name.rsplit_once('-').map_or(name.as_str(), |(job, _)| job);
                let near = suggestion(name, jobs.iter().map(String::as_str))
                    .or_else(|| suggestion(base, jobs.iter().map(String::as_str)));
                Err(match near {
                    Some(job) => unknown(name).help(format!("did you mean `{job}`, for its last run?")),
                    None => unknown(name),
                })
            }
        }
    }
}

fn unknown(name: &str) -> Failure {
    Failure::usage(format!("there is no run `{name}`")).help("`kingtide history` lists the runs")
}

/// The one task of a run that is meant; an error that lists the first few when there are several.
pub(crate) fn task(snapshot: &Snapshot<'_>, run: &Run, targets: &[Target]) -> Result<Task, Failure> {
    let mut filter = Filter::default();
    for target in targets {
        match target {
            Target::Param(pair) => filter.params.push((pair.name.clone(), pair.value.clone())),
            Target::Seq(seq) => {
                return snapshot.task(run.id.task(*seq))?.ok_or_else(|| {
                    Failure::usage(format!("{} has no task {seq}", run.name()))
                        .help(format!("its tasks are 1 to {}", run.counts.total))
                });
            }
        }
    }
    let mut found = snapshot.tasks(run.id, &filter, 6)?;
    if found.len() > 1 {
        // More parameters cannot tell duplicates of one row apart.
        let listed: Vec<String> = found
            .iter()
            .take(5)
            .map(|task| {
                format!(
                    "{} ({})",
                    task.id.seq,
                    crate::output::text::cut(&task.message.label(), 60)
                )
            })
            .collect();
        let more = if found.len() > 5 { ", …" } else { "" };
        return Err(Failure::usage(format!(
            "several tasks of {} match: {}{more}",
            run.name(),
            listed.join(", ")
        ))
        .help("name more of its parameters, or its number"));
    }
    found.pop().ok_or_else(|| {
        let asked: Vec<String> = filter
            .params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Failure::usage(format!("no task of {} has {}", run.name(), asked.join(" ")))
            .help(format!("`kingtide results {}` lists them all", run.name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed() {
        assert_eq!("last".parse(), Ok(RunName::Last));
        assert_eq!("12".parse(), Ok(RunName::Id(12)));
        assert_eq!("retrain-12".parse(), Ok(RunName::Named("retrain-12".to_owned())));
        assert_eq!(
            "a=b=c".parse(),
            Ok(Pair {
                name: "a".to_owned(),
                value: "b=c".to_owned()
            })
        );
        assert!("=b".parse::<Pair>().is_err());
        assert_eq!("7".parse(), Ok(Target::Seq(7)));
        assert!("BOS".parse::<Target>().is_err());
    }
}
