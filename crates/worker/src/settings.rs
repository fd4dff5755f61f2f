//! What a worker was told by its environment, read once. The names are `kingtide_core::cloud::variables`.

use std::path::PathBuf;
use std::time::Duration;

use kingtide_core::cloud::{document, variables};
use kingtide_core::id::RunId;
use kingtide_core::project::Job;
use kingtide_remote::record::Keys;

/// What it was told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) keys: Keys,
    pub(crate) bucket: String,
    pub(crate) job: Job,
    pub(crate) queue_url: String,
    pub(crate) dead_letters_url: String,
    /// Where messages belong that say nothing themselves.
    pub(crate) run: Option<RunId>,
    /// Where a message goes that needs more memory than there is here.
    pub(crate) next_queue_url: Option<String>,
    /// Of an attempt, in bytes.
    pub(crate) memory: Option<u64>,
    /// Anybody may write there.
    pub(crate) work: PathBuf,
    /// What the image itself starts.
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) is_service: bool,
    pub(crate) log_limit: u64,
    /// Of a receive.
    pub(crate) wait: Duration,
}

/// What it was told is not enough, or not to be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(
        "the variable `{0}` is not set: this binary is started by a task definition that `kingtide deploy` has made"
    )]
    Missing(&'static str),
    #[error("the variable `{name}` is `{value}`, which is not what it should be")]
    Wrong { name: &'static str, value: String },
    #[error("the variable `{}` holds no job", variables::JOB)]
    Job(#[source] document::DocumentError),
}

/// Of a log, where the file says nothing else.
const LOG_LIMIT: u64 = 64 << 20;
/// As long as a queue lets wait.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

impl Settings {
    pub(crate) fn of_environment() -> Result<Settings, SettingsError> {
        Settings::of(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(value: impl Fn(&'static str) -> Option<String>) -> Result<Settings, SettingsError> {
        let needed = |name| value(name).ok_or(SettingsError::Missing(name));
        let number = |name| match value(name) {
            None => Ok(None),
            Some(value) => match value.parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(SettingsError::Wrong { name, value }),
            },
        };
        let words = |name| match value(name) {
            None => Ok(Vec::new()),
            Some(value) => {
                let list = serde_json::from_str::<Option<Vec<String>>>(&value);
                list.map(Option::unwrap_or_default)
                    .map_err(|_| SettingsError::Wrong { name, value })
            }
        };
        let job = document::read(&needed(variables::JOB)?).map_err(SettingsError::Job)?;
        let memory = number(variables::MEMORY)?.or(job.resources.memory);
        Ok(Settings {
            keys: Keys::new(&needed(variables::STACK)?),
            bucket: needed(variables::BUCKET)?,
            queue_url: needed(variables::QUEUE_URL)?,
            dead_letters_url: needed(variables::DEAD_LETTERS_URL)?,
            run: number(variables::RUN)?.map(|run| RunId(i64::try_from(run).unwrap_or(i64::MAX))),
            next_queue_url: value(variables::NEXT_QUEUE_URL),
            memory,
            work: needed(variables::WORK)?.into(),
            entrypoint: words(variables::IMAGE_ENTRYPOINT)?,
            command: words(variables::IMAGE_COMMAND)?,
            is_service: value(variables::SERVICE).is_some_and(|value| value == "true"),
            log_limit: number(variables::LOG_LIMIT)?.unwrap_or(LOG_LIMIT),
            wait: number(variables::WAIT_S)?
                .map_or(LONGEST_WAIT, Duration::from_secs)
                .min(LONGEST_WAIT),
            job,
        })
    }
}

#[cfg(test)]
impl Settings {
    /// Of a job, and nobody to ask.
    pub(crate) fn for_tests(job: Job) -> Settings {
        Settings {
            keys: Keys::new("stack"),
            bucket: "bucket".to_owned(),
            job,
            queue_url: String::new(),
            dead_letters_url: String::new(),
            run: None,
            next_queue_url: None,
            memory: None,
            work: "/work".into(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            is_service: false,
            log_limit: LOG_LIMIT,
            wait: LONGEST_WAIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kingtide_core::project::load;

    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let (project, _) = load("[project]\nname = \"p\"\n[job.j]\ncommand = [\"x\"]\nmemory = \"1GiB\"\n");
        let document = document::write(&project.expect("it is right").jobs["j"]);
        let mut told: BTreeMap<&str, String> = [
            (variables::STACK, "flights"),
            (variables::BUCKET, "b"),
            (variables::QUEUE_URL, "https://q"),
            (variables::DEAD_LETTERS_URL, "https://d"),
            (variables::WORK, "/work"),
            (variables::JOB, &document),
            (variables::IMAGE_COMMAND, r#"["sh","-c"]"#),
            (variables::RUN, "12"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
        let settings = Settings::of(|name| told.get(name).cloned()).expect("all is said");
        assert_eq!((settings.run, settings.memory), (Some(RunId(12)), Some(1 << 30)));
        assert_eq!((settings.command.len(), settings.entrypoint.len()), (2, 0));
        told.insert(variables::RUN, "twelve".to_owned());
        let refused = |told: &BTreeMap<&str, String>| {
            let error = Settings::of(|name| told.get(name).cloned()).expect_err("something is wrong");
            error.to_string()
        };
        assert!(refused(&told).contains("`KINGTIDE_RUN` is `twelve`"));
        told.remove(variables::BUCKET);
        assert!(refused(&told).contains("`KINGTIDE_BUCKET` is not set"));
    }
}
