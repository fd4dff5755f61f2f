//! A job as it is handed to its worker and its dispatcher: JSON in a variable of their containers, written by `write` and read by `read`. The
//! keys are those of the file, each with what is meant: no default is left to whoever reads. What only the deployment needs (schedules,
//! triggers) stays out, and of secrets there are names and no values.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::message::Message;
use crate::project::params::{Matrix, Params};
use crate::project::{
    Build, Cloud, Container, Deadline, ExitAction, ImageSource, Job, Mode, Mount, OnCrash, Program, Secret, Tolerance,
    load,
};
use crate::template::Template;
use crate::time::milliseconds;

/// Raised with every change that an earlier worker would misread.
const FORMAT: u64 = 1;

/// What a worker was handed is not a job.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("the job is no JSON")]
    NotJson(#[source] serde_json::Error),
    #[error(
        "the job was written by a later Kingtide (format {0}, and this one reads {FORMAT}): deploy it with one version"
    )]
    Later(u64),
    #[error("the job's `{0}` is missing, or is not what it should be")]
    Wrong(&'static str),
}

/// The document of a job.
pub fn write(job: &Job) -> String {
    let mut entries = Map::new();
    let mut put = |name: &str, value: Json| {
        let is_nothing = match &value {
            Json::Null => true,
            Json::Array(items) => items.is_empty(),
            Json::Object(entries) => entries.is_empty(),
            _ => false,
        };
        if !is_nothing {
            entries.insert(name.to_owned(), value);
        }
    };
    put("format", json!(FORMAT));
    put("name", json!(job.name));
    if let Some(container) = job.container() {
        put("container", of_container(container));
    }
    put(
        "command",
        job.command.iter().map(|argument| argument.source()).collect(),
    );
    put("workdir", json!(job.workdir));
    let env = job
        .env
        .iter()
        .map(|(name, value)| (name.clone(), json!(value.source())));
    put("env", env.collect::<Map<_, _>>().into());
    let secrets = job
        .secrets
        .iter()
        .map(|secret| (secret.name.clone(), json!(secret.file)));
    put("secrets", secrets.collect::<Map<_, _>>().into());
    put("python", json!(job.python));
    put("params", job.params.as_ref().map_or(Json::Null, of_params));
    put("cpu_milli", json!(job.resources.cpu_milli));
    put("memory", json!(job.resources.memory));
    put("gpus", json!(job.resources.gpus));
    put("memory_max", json!(job.memory_max));
    put("timeout_ms", of_duration(job.timeout));
    put("max_duration_ms", of_duration(job.max_duration));
    put("deadline", json!(job.deadline.as_ref().map(Deadline::source)));
    put("confidence", json!(job.confidence));
    put("expected_ms", of_duration(job.expected));
    put("alarms", json!(job.cloud.alarms));
    put("service", json!(job.cloud.service));
    put("max_cost", json!(job.cloud.max_cost));
    put("stop_timeout_ms", of_duration(Some(job.stop_timeout)));
    put("retries", json!(job.retries));
    let backoff = json!({
        "first_ms": milliseconds(job.backoff.first),
        "factor": job.backoff.factor,
        "max_ms": milliseconds(job.backoff.max),
        "jitter": job.backoff.jitter,
    });
    put("backoff", backoff);
    let exits = job
        .on_exit
        .iter()
        .map(|(code, action)| (code.to_string(), json!(exit_word(*action))));
    put("on_exit", exits.collect::<Map<_, _>>().into());
    put("consumer", json!(job.mode == Mode::Consumer));
    put("heartbeat", json!(job.heartbeat));
    put("max_workers", json!(job.max_workers));
    put("run_idle_ms", of_duration(Some(job.run_idle)));
    let tolerated = match job.tolerate_failures {
        Tolerance::Count(count) => json!({ "count": count }),
        Tolerance::Percent(percent) => json!({ "percent": percent }),
    };
    put("tolerate_failures", tolerated);
    put("fail_on_crash", json!(job.on_crash == OnCrash::Fail));
    Json::Object(entries).to_string()
}

/// The job of a document.
///
/// # Errors
/// When it is none, or a later version's.
pub fn read(document: &str) -> Result<Job, DocumentError> {
    let json: Json = serde_json::from_str(document).map_err(DocumentError::NotJson)?;
    let of = Reader(&json);
    let format: u64 = of.needed("format", Json::as_u64)?;
    if format > FORMAT {
        return Err(DocumentError::Later(format));
    }
    let mut job = unwritten();
    job.name = of.text("name")?.ok_or(DocumentError::Wrong("name"))?;
    if let Some(container) = json.get("container") {
        job.program = Program::Container(container_of(&Reader(container))?);
    }
    job.command = of.list("command", template)?;
    job.workdir = of.text("workdir")?;
    job.env = of.entries("env", template)?.into_iter().collect();
    let secrets = of.entries("secrets", |file| match file {
        Json::Null => Some(None),
        file => file.as_str().map(|file| Some(file.to_owned())),
    })?;
    job.secrets = secrets.into_iter().map(|(name, file)| Secret { name, file }).collect();
    job.python = of.text("python")?;
    job.params = of.maybe("params", params_of)?;
    job.resources.cpu_milli = of.needed("cpu_milli", number)?;
    job.resources.memory = of.maybe("memory", Json::as_u64)?;
    job.resources.gpus = of.needed("gpus", number)?;
    job.memory_max = of.maybe("memory_max", Json::as_u64)?;
    job.timeout = of.maybe("timeout_ms", duration)?;
    job.max_duration = of.maybe("max_duration_ms", duration)?;
    job.deadline = of.maybe("deadline", |written| Deadline::parse(written.as_str()?).ok())?;
    job.confidence = of.needed("confidence", Json::as_f64)?;
    job.expected = of.maybe("expected_ms", duration)?;
    job.cloud = Cloud {
        alarms: of.list("alarms", text)?,
        service: of.needed("service", Json::as_bool)?,
        max_cost: of.maybe("max_cost", Json::as_f64)?,
        ..Cloud::default()
    };
    job.stop_timeout = of.needed("stop_timeout_ms", duration)?;
    job.retries = of.needed("retries", number)?;
    let backoff = Reader(json.get("backoff").ok_or(DocumentError::Wrong("backoff"))?);
    job.backoff.first = backoff.needed("first_ms", duration)?;
    job.backoff.factor = backoff.needed("factor", Json::as_f64)?;
    job.backoff.max = backoff.needed("max_ms", duration)?;
    job.backoff.jitter = backoff.needed("jitter", Json::as_f64)?;
    let exits = of.entries("on_exit", |word| exit_of(word.as_str()?))?.into_iter();
    let exits = exits.map(|(code, action)| Ok((code.parse().map_err(|_| DocumentError::Wrong("on_exit"))?, action)));
    job.on_exit = exits.collect::<Result<_, DocumentError>>()?;
    job.mode = match of.needed("consumer", Json::as_bool)? {
        true => Mode::Consumer,
        false => Mode::Task,
    };
    job.heartbeat = of.needed("heartbeat", Json::as_bool)?;
    job.max_workers = of.maybe("max_workers", number)?;
    job.run_idle = of.needed("run_idle_ms", duration)?;
    job.tolerate_failures = of.needed("tolerate_failures", |tolerated| {
        let count = tolerated.get("count").and_then(Json::as_u64).map(Tolerance::Count);
        count.or_else(|| tolerated.get("percent")?.as_f64().map(Tolerance::Percent))
    })?;
    job.on_crash = match of.needed("fail_on_crash", Json::as_bool)? {
        true => OnCrash::Fail,
        false => OnCrash::Retry,
    };
    Ok(job)
}

/// A job that says nothing; everything in it is read over.
fn unwritten() -> Job {
    let (project, _) = load("[project]\nname = \"p\"\n[job.j]\ncommand = [\"true\"]\n");
    let jobs = project.map(|project| project.jobs.into_values());
    jobs.and_then(|mut jobs| jobs.next()).expect("these lines are a job")
}

/// Values of an object, by name.
struct Reader<'a>(&'a Json);

impl Reader<'_> {
    fn maybe<T>(&self, name: &'static str, read: impl Fn(&Json) -> Option<T>) -> Result<Option<T>, DocumentError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or(DocumentError::Wrong(name)),
        }
    }

    fn needed<T>(&self, name: &'static str, read: impl Fn(&Json) -> Option<T>) -> Result<T, DocumentError> {
        self.maybe(name, read)?.ok_or(DocumentError::Wrong(name))
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, DocumentError> {
        self.maybe(name, text)
    }

    fn list<T>(&self, name: &'static str, read: impl Fn(&Json) -> Option<T>) -> Result<Vec<T>, DocumentError> {
        let list = self.maybe(name, |list| list.as_array()?.iter().map(&read).collect())?;
        Ok(list.unwrap_or_default())
    }

    /// In the order in which they stand there.
    fn entries<T>(
        &self,
        name: &'static str,
        read: impl Fn(&Json) -> Option<T>,
    ) -> Result<Vec<(String, T)>, DocumentError> {
        let entries = self.maybe(name, |entries| {
            let entries = entries.as_object()?.iter();
            entries
                .map(|(name, value)| Some((name.clone(), read(value)?)))
                .collect()
        })?;
        Ok(entries.unwrap_or_default())
    }
}

fn text(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

fn number(json: &Json) -> Option<u32> {
    u32::try_from(json.as_u64()?).ok()
}

fn template(json: &Json) -> Option<Template> {
    Template::parse(json.as_str()?).ok()
}

fn duration(json: &Json) -> Option<Duration> {
    json.as_u64().map(Duration::from_millis)
}

fn of_duration(duration: Option<Duration>) -> Json {
    json!(duration.map(milliseconds))
}

fn exit_word(action: ExitAction) -> &'static str {
    match action {
        ExitAction::Skip => "skip",
        ExitAction::Release => "release",
        ExitAction::Reject => "reject",
    }
}

fn exit_of(word: &str) -> Option<ExitAction> {
    let actions = [ExitAction::Skip, ExitAction::Release, ExitAction::Reject];
    actions.into_iter().find(|action| exit_word(*action) == word)
}

fn of_container(container: &Container) -> Json {
    let image = match &container.image {
        ImageSource::Named(name) => json!(name),
        ImageSource::Built(build) => json!({
            "context": build.context,
            "dockerfile": build.dockerfile,
            "args": build.args,
            "target": build.target,
        }),
    };
    let mount = |mount: &Mount| json!([mount.source, mount.target, mount.read_only]);
    json!({
        "image": image,
        "entrypoint": container.entrypoint,
        "mounts": container.mounts.iter().map(mount).collect::<Vec<_>>(),
        "user": container.user,
        "shm_size": container.shm_size,
    })
}

fn container_of(of: &Reader<'_>) -> Result<Container, DocumentError> {
    let given = |value: &Json| !value.is_null();
    let text_or_null = |json: &Json| match given(json) {
        true => text(json).map(Some),
        false => Some(None),
    };
    let image = of.needed("image", |image| match image {
        Json::String(name) => Some(ImageSource::Named(name.clone())),
        built => {
            let args = built.get("args")?.as_object()?.iter();
            Some(ImageSource::Built(Build {
                context: text(built.get("context")?)?,
                dockerfile: text(built.get("dockerfile")?)?,
                args: args
                    .map(|(name, value)| Some((name.clone(), text(value)?)))
                    .collect::<Option<_>>()?,
                target: text_or_null(built.get("target")?)?,
            }))
        }
    })?;
    let entrypoint = of.needed("entrypoint", |entrypoint| match entrypoint {
        Json::Null => Some(None),
        words => words.as_array()?.iter().map(text).collect::<Option<Vec<_>>>().map(Some),
    })?;
    let mounts = of.list("mounts", |mount| {
        Some(Mount {
            source: text(mount.get(0)?)?,
            target: text(mount.get(1)?)?,
            read_only: mount.get(2)?.as_bool()?,
        })
    })?;
    Ok(Container {
        image,
        entrypoint,
        mounts,
        user: of.needed("user", text_or_null)?,
        shm_size: of.needed("shm_size", |size| match given(size) {
            true => size.as_u64().map(Some),
            false => Some(None),
        })?,
    })
}

fn of_params(params: &Params) -> Json {
    match params {
        Params::File(file) => json!({ "file": file }),
        Params::Inline(rows) => {
            json!({ "rows": rows.iter().map(|row| Json::Object(row.0.clone())).collect::<Vec<_>>() })
        }
        Params::Matrix(Matrix(lists)) => json!({ "matrix": lists }),
    }
}

fn params_of(json: &Json) -> Option<Params> {
    if let Some(file) = json.get("file") {
        return text(file).map(Params::File);
    }
    if let Some(rows) = json.get("rows") {
        let rows = rows.as_array()?.iter();
        let rows = rows.map(|row| row.as_object().map(|row| Message(row.clone())));
        return rows.collect::<Option<_>>().map(Params::Inline);
    }
    let lists = json.get("matrix")?.as_array()?.iter();
    let list = |list: &Json| Some((text(list.get(0)?)?, list.get(1)?.as_array()?.clone()));
    lists
        .map(list)
        .collect::<Option<_>>()
        .map(|lists| Params::Matrix(Matrix(lists)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whatever_the_job_says() {
        let (project, findings) = load(include_str!("../project/complete.toml"));
        let project = project.unwrap_or_else(|| panic!("{findings:?}"));
        assert!(project.jobs.len() > 4);
        for mut job in project.jobs.into_values() {
            let document = write(&job);
            // These start it, and are over when it is read.
            job.cloud.schedule = None;
            job.cloud.triggers.clear();
            job.cloud.doorbell = None;
            job.cloud.policies.clear();
            job.cloud.disk = None;
            assert_eq!(read(&document).expect("it is a job"), job, "{document}");
        }
    }

    #[test]
    fn what_is_no_job_says_what_is_wrong() {
        let refused = |document: &str| read(document).expect_err("it is none").to_string();
        assert_eq!(refused("{"), "the job is no JSON");
        assert!(refused(r#"{"format":2}"#).contains("a later Kingtide (format 2"));
        let (project, _) = load("[project]\nname = \"p\"\n[job.j]\ncommand = [\"x\"]\n");
        let document = write(&project.expect("it is right").jobs["j"]);
        let broken = document.replace("\"retries\":2", "\"retries\":-2");
        assert!(refused(&broken).contains("`retries`"), "{document}");
    }
}
