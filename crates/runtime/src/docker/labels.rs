//! What a container is called and what is written on it, so that any later runtime knows it for the project's and can see
//! it through to its end.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use kingtide_core::hex;

use super::container::Plan;
use super::{Context, DockerError};
use crate::random;

/// The project's folder, as its stable hash.
const PROJECT: &str = "kingtide.project";
/// The project's database: one that was deleted and made anew counts runs and epochs from 1 again.
const INSTANCE: &str = "kingtide.instance";
const ATTEMPT: &str = "kingtide.attempt";
const EPOCH: &str = "kingtide.epoch";
const LOG: &str = "kingtide.log";
const LOG_LIMIT: &str = "kingtide.log-limit";
const MEMORY: &str = "kingtide.memory";
const TIMEOUT: &str = "kingtide.timeout-ms";
/// On containers that are no attempt's: a later runtime removes them.
const CHORE: &str = "kingtide.chore";
const STOP_TIMEOUT: &str = "kingtide.stop-timeout-ms";
/// In `.kingtide/`: what its database is told from others by.
const INSTANCE_FILE: &str = "containers.id";
/// Of the project's hash: enough to tell a machine's projects apart.
const SHORT: usize = 12;

/// What all containers of a project have in common.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    project: String,
    instance: String,
    epoch: i64,
}

/// What a container's labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) attempt: String,
    pub(super) epoch: i64,
    /// Of this database.
    pub(super) ours: bool,
    pub(super) plan: Plan,
}

impl Labels {
    /// Gives the database a name of its own where it has none.
    pub(super) fn of(context: &Context) -> Result<Labels, DockerError> {
        let file = context.root.join(INSTANCE_FILE);
        let instance = instance(&file).map_err(|source| DockerError::Files {
            what: format!("write `{}`", file.display()),
            source,
        })?;
        Ok(Labels {
            project: context.project_id.clone(),
            instance,
            epoch: context.epoch,
        })
    }

    /// A container's name: the same for an attempt whoever asks.
    pub(super) fn container(&self, attempt: &str) -> String {
        let short = self.project.get(..SHORT).unwrap_or(&self.project);
        format!("kingtide-{short}-{}", dashed(attempt))
    }

    /// What the engine is asked for to find the project's containers.
    pub(super) fn filters(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{PROJECT}={}", self.project)])])
    }

    /// The labels of an attempt's container.
    pub(super) fn write(&self, attempt: &str, plan: &Plan, root: &Path) -> HashMap<String, String> {
        // Relative where it can be: the project may be moved.
        let log = plan.log.strip_prefix(root).unwrap_or(&plan.log);
        let mut labels = vec![
            (PROJECT, self.project.clone()),
            (INSTANCE, self.instance.clone()),
            (ATTEMPT, attempt.to_owned()),
            (EPOCH, self.epoch.to_string()),
            (LOG, log.to_string_lossy().into_owned()),
            (LOG_LIMIT, plan.log_limit.to_string()),
            (STOP_TIMEOUT, plan.stop_timeout_ms.to_string()),
        ];
        labels.extend(plan.memory.map(|bytes| (MEMORY, bytes.to_string())));
        labels.extend(plan.timeout_ms.map(|timeout| (TIMEOUT, timeout.to_string())));
        labels
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The labels of a container that only does something for another.
    pub(super) fn chore(&self) -> HashMap<String, String> {
        let labels = [(PROJECT, self.project.clone()), (CHORE, "yes".to_owned())];
        labels.map(|(name, value)| (name.to_owned(), value)).into()
    }

    pub(super) fn is_chore(&self, labels: &HashMap<String, String>) -> bool {
        labels.get(PROJECT) == Some(&self.project) && labels.contains_key(CHORE)
    }

    /// `None` when they are not those of a container of this project, or not whole.
    pub(super) fn read(&self, labels: &HashMap<String, String>, root: &Path) -> Option<Tag> {
        let number = |name: &str| labels.get(name)?.parse::<u64>().ok();
        if labels.get(PROJECT) != Some(&self.project) {
            return None;
        }
        Some(Tag {
            attempt: labels.get(ATTEMPT)?.clone(),
            epoch: labels.get(EPOCH)?.parse().ok()?,
            ours: labels.get(INSTANCE) == Some(&self.instance),
            plan: Plan {
                log: root.join(labels.get(LOG)?),
                log_limit: number(LOG_LIMIT)?,
                memory: number(MEMORY),
                timeout_ms: number(TIMEOUT),
                stop_timeout_ms: number(STOP_TIMEOUT)?,
            },
        })
    }
}

/// `12/37/2` as a part of a name.
pub(super) fn dashed(attempt: &str) -> String {
    let allowed = |character: char| match character.is_ascii_alphanumeric() {
        true => character,
        false => '-',
    };
    attempt.chars().map(allowed).collect()
}

/// Only the runtime that holds the project's lease asks, so nobody makes it at the same time.
fn instance(file: &Path) -> io::Result<String> {
    match std::fs::read_to_string(file) {
        Ok(instance) => return Ok(instance.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let instance = hex::encode(&random::bytes::<16>()?);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let whole = file.with_extension("new");
    std::fs::write(&whole, &instance)?;
    std::fs::rename(&whole, file)?;
    Ok(instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(root: &Path) -> Labels {
        let context = Context {
            project_id: "0123456789abcdef".to_owned(),
            epoch: 7,
            root: root.to_owned(),
            secrets: Vec::new(),
            host: None,
            keep: Vec::new(),
        };
        Labels::of(&context).expect("writable")
    }

    #[test]
    fn what_is_written_on_a_container_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let labels = labels(folder.path());
        let plan = Plan {
            log: folder.path().join("logs/retrain-12/37.2.log"),
            log_limit: 65_536,
            memory: Some(1 << 30),
            timeout_ms: None,
            stop_timeout_ms: 10_000,
        };
        assert_eq!(labels.container("12/37/2"), "kingtide-0123456789ab-12-37-2");
        let written = labels.write("12/37/2", &plan, folder.path());
        let moved = Path::new("/elsewhere/.kingtide");
        let tag = labels.read(&written, moved).expect("whole");
        assert_eq!((tag.attempt.as_str(), tag.epoch, tag.ours), ("12/37/2", 7, true));
        assert_eq!(tag.plan.log, moved.join("logs/retrain-12/37.2.log"));
        assert_eq!(labels.read(&written, folder.path()).expect("whole").plan, plan);
    }

    #[test]
    fn another_project_and_another_database_are_told_apart() {
        let (one, other) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("other"));
        let plan = Plan {
            log: "x.log".into(),
            log_limit: 1,
            memory: None,
            timeout_ms: Some(5),
            stop_timeout_ms: 1,
        };
        let written = labels(one.path()).write("1/1/1", &plan, one.path());
        assert!(
            labels(one.path()).read(&written, one.path()).expect("ours").ours,
            "its name is kept"
        );
        assert!(
            !labels(other.path())
                .read(&written, other.path())
                .expect("of this folder")
                .ours
        );
        let mut foreign = labels(one.path());
        foreign.project = "another".to_owned();
        assert_eq!(foreign.read(&written, one.path()), None);
    }
}
