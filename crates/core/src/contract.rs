//! What a program is told and what its end means: the same here and on AWS.
//!
//! A message reaches the program in three ways, take whichever is easiest: as placeholders in its arguments and
//! environment, as `KINGTIDE_PARAM_<NAME>`, and as JSON in `KINGTIDE_MESSAGE`. Linux passes no single argument or
//! variable of 128 KiB or more, so a longer message comes as a file instead: `KINGTIDE_MESSAGE_FILE` names it and
//! `KINGTIDE_MESSAGE` is not set; a parameter that long is left out of `KINGTIDE_PARAM_…`.
//!
//! The keeper adds `KINGTIDE_RESULT` and `KINGTIDE_OUTPUT`, the runtime the secrets and, where asked for, the file of
//! the message.

use crate::id::{AttemptId, InstanceId};
use crate::message::{Message, value_text};
use crate::project::{ExitAction, Job};

/// The longest argument, or variable with its name and `=`, that Linux passes on (`MAX_ARG_STRLEN` less the closing
/// zero).
pub const MAX_STRING_BYTES: usize = 128 * 1024 - 1;

/// What numeric libraries read to size their thread pools; they follow `cpu` unless the user has set them.
pub const THREAD_VARIABLES: &[&str] = &[
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "JULIA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
];

/// How one attempt is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    pub argv: Vec<String>,
    /// On top of what is inherited; no name comes twice.
    pub env: Vec<(String, String)>,
    /// The body is too long for a variable: write it to a file and name that in `KINGTIDE_MESSAGE_FILE`.
    pub message_file: bool,
}

/// The message lacks what the command or its environment asks for. The checker finds that before anything starts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has no parameter `{name}`")]
pub struct MissingParameter {
    pub name: String,
}

/// What the end of an attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Success,
    /// Nothing to do for this message.
    Skip,
    /// Back to the queue at no cost.
    Release,
    /// Failed for good, by its own word.
    Reject,
    /// Tried again while retries last.
    Failure,
}

/// What to run for `message` as `attempt` of the run called `run` (`retrain-12`). `inherits` says whether a variable
/// will be inherited anyway.
pub fn invocation(
    job: &Job,
    message: &Message,
    attempt: AttemptId,
    run: &str,
    inherits: impl Fn(&str) -> bool,
) -> Result<Invocation, MissingParameter> {
    let missing = |name| MissingParameter { name };
    let argv = job
        .command
        .iter()
        .map(|argument| argument.fill(message).map_err(missing))
        .collect::<Result<_, _>>()?;
    let cores = cores(job).to_string();

    let mut env = default_variables(job, &cores, inherits);
    for (name, value) in &job.env {
        env.push((name.clone(), value.fill(message).map_err(missing)?));
    }
    for (name, value) in parameter_variables(message) {
        if name.len() + 1 + value.len() <= MAX_STRING_BYTES {
            env.push((name, value));
        }
    }
    let mut ours = |name: &str, value: String| env.push((format!("KINGTIDE_{name}"), value));
    ours("RUN", run.to_owned());
    ours("JOB", job.name.clone());
    ours("TASK", attempt.task.seq.to_string());
    ours("ATTEMPT", attempt.number.to_string());
    ours("CPUS", cores);
    let body = message.body();
    let message_file = "KINGTIDE_MESSAGE=".len() + body.len() > MAX_STRING_BYTES;
    if !message_file {
        ours("MESSAGE", body);
    }
    Ok(Invocation {
        argv,
        env,
        message_file,
    })
}

/// Where a consumer finds its queue.
#[derive(Clone, Copy, Debug)]
pub struct Queue<'a> {
    pub name: &'a str,
    /// `http://127.0.0.1:9324`
    pub endpoint: &'a str,
    pub region: &'a str,
    pub access_key: &'a str,
    pub secret: &'a str,
}

/// The account that is in every queue's URL and ARN here.
pub const ACCOUNT: &str = "000000000000";

/// The URL of a queue at an endpoint (`http://127.0.0.1:9324`).
pub fn queue_url(endpoint: &str, queue: &str) -> String {
    format!("{endpoint}/{ACCOUNT}/{queue}")
}

/// How an instance of a consumer is started: its program reads the queue itself. `{queue_url}` and `{queue_name}` are filled in
/// its command and environment; every AWS SDK finds the queue by its own variables, and `QUEUE_NAME` is what CDK's pattern sets.
/// What the job sets itself is left as it is.
pub fn consumer(
    job: &Job,
    instance: InstanceId,
    queue: &Queue<'_>,
    inherits: impl Fn(&str) -> bool,
) -> Result<Invocation, MissingParameter> {
    let missing = |name| MissingParameter { name };
    let url = queue_url(queue.endpoint, queue.name);
    let mut message = Message(serde_json::Map::new());
    for (name, value) in [("queue_url", url.as_str()), ("queue_name", queue.name)] {
        message.0.insert(name.to_owned(), value.into());
    }
    let argv = job
        .command
        .iter()
        .map(|argument| argument.fill(&message).map_err(missing));
    let argv = argv.collect::<Result<_, _>>()?;
    let cores = cores(job).to_string();
    let mut env = default_variables(job, &cores, inherits);
    let ours = [
        ("QUEUE_NAME", queue.name),
        ("QUEUE_URL", &url),
        ("AWS_ENDPOINT_URL_SQS", queue.endpoint),
        ("AWS_REGION", queue.region),
        ("AWS_DEFAULT_REGION", queue.region),
        ("AWS_ACCESS_KEY_ID", queue.access_key),
        ("AWS_SECRET_ACCESS_KEY", queue.secret),
    ];
    let is_secret = |name: &str| job.secrets.iter().any(|secret| secret.name == name);
    for (name, value) in ours {
        if !job.env.contains_key(name) && !is_secret(name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    for (name, value) in &job.env {
        env.push((name.clone(), value.fill(&message).map_err(missing)?));
    }
    for (name, value) in [
        ("KINGTIDE_JOB", job.name.clone()),
        ("KINGTIDE_INSTANCE", instance.to_string()),
        ("KINGTIDE_CPUS", cores),
    ] {
        env.push((name.to_owned(), value));
    }
    Ok(Invocation {
        argv,
        env,
        message_file: false,
    })
}

/// What numeric libraries and Python are told unless somebody has told them already.
fn default_variables(job: &Job, cores: &str, inherits: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let defaults = THREAD_VARIABLES
        .iter()
        .map(|name| (*name, cores))
        .chain([("PYTHONUNBUFFERED", "1")]);
    let untold = defaults.filter(|(name, _)| !job.env.contains_key(*name) && !inherits(name));
    untold
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Whole cores for sizing a thread pool: at least one.
pub(crate) fn cores(job: &Job) -> u32 {
    job.resources.cpu_milli.div_ceil(1000).max(1)
}

/// `KINGTIDE_PARAM_<NAME>` of a parameter: in capitals, `_` for everything but ASCII letters and digits.
pub fn parameter_variable(name: &str) -> String {
    let capital = |character: char| {
        if character.is_ascii_alphanumeric() {
            character.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    format!("KINGTIDE_PARAM_{}", name.chars().map(capital).collect::<String>())
}

/// Where two names come out alike the first is passed on; the checker warns.
fn parameter_variables(message: &Message) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::with_capacity(message.0.len());
    for (name, value) in &message.0 {
        let variable = parameter_variable(name);
        if variables.iter().all(|(taken, _)| *taken != variable) {
            variables.push((variable, value_text(value)));
        }
    }
    variables
}

/// What an exit code means to this job: 0 succeeds, what `on_exit` does not name fails.
pub fn verdict(job: &Job, code: i32) -> Verdict {
    match (code, job.on_exit.get(&code)) {
        (0, _) => Verdict::Success,
        (_, Some(ExitAction::Skip)) => Verdict::Skip,
        (_, Some(ExitAction::Release)) => Verdict::Release,
        (_, Some(ExitAction::Reject)) => Verdict::Reject,
        (_, None) => Verdict::Failure,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::id::RunId;
    use crate::project::load;

    fn job(keys: &str) -> Job {
        let (project, findings) = load(&format!("[project]\nname = \"p\"\n[job.retrain]\n{keys}"));
        project
            .unwrap_or_else(|| panic!("{findings:?}"))
            .jobs
            .remove("retrain")
            .expect("it is there")
    }

    fn invoke(job: &Job, body: &str, inherited: &str) -> (Invocation, BTreeMap<String, String>) {
        let message = Message::parse(body).expect("an object");
        let attempt = RunId(12).task(37).attempt(2);
        let invocation = invocation(job, &message, attempt, "retrain-12", |name| name == inherited).expect("all there");
        let env: BTreeMap<_, _> = invocation.env.iter().cloned().collect();
        assert_eq!(env.len(), invocation.env.len(), "no name comes twice");
        (invocation, env)
    }

    #[test]
    fn a_message_arrives_in_three_ways() {
        let job = job("command = [\"train\", \"--dest={dest}\", \"{{}}\"]\nenv = { MODEL = \"{dest}-{max-depth}\" }");
        let (invocation, env) = invoke(&job, r#"{"dest":"BOS","max-depth":4,"list":[1,2]}"#, "");
        assert_eq!(invocation.argv, ["train", "--dest=BOS", "{}"]);
        assert!(!invocation.message_file);
        for (name, value) in [
            ("MODEL", "BOS-4"),
            ("KINGTIDE_MESSAGE", r#"{"dest":"BOS","max-depth":4,"list":[1,2]}"#),
            ("KINGTIDE_PARAM_DEST", "BOS"),
            ("KINGTIDE_PARAM_MAX_DEPTH", "4"),
            ("KINGTIDE_PARAM_LIST", "[1,2]"),
            ("KINGTIDE_RUN", "retrain-12"),
            ("KINGTIDE_JOB", "retrain"),
            ("KINGTIDE_TASK", "37"),
            ("KINGTIDE_ATTEMPT", "2"),
            ("KINGTIDE_CPUS", "1"),
            ("OMP_NUM_THREADS", "1"),
            ("PYTHONUNBUFFERED", "1"),
        ] {
            assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
        }
    }

    #[test]
    fn threads_follow_cpu_unless_set() {
        let job = job("command = [\"x\"]\ncpu = 2.5\nenv = { MKL_NUM_THREADS = \"7\" }");
        let (_, env) = invoke(&job, "{}", "OMP_NUM_THREADS");
        assert_eq!(env["KINGTIDE_CPUS"], "3");
        assert_eq!(env["OPENBLAS_NUM_THREADS"], "3");
        assert_eq!(env["MKL_NUM_THREADS"], "7", "set by the job");
        assert_eq!(env.get("OMP_NUM_THREADS"), None, "inherited");
    }

    #[test]
    fn what_linux_would_refuse_is_not_passed() {
        let job = job("command = [\"x\"]");
        let fits = "a".repeat(MAX_STRING_BYTES - "KINGTIDE_MESSAGE=".len() - r#"{"p":""}"#.len());
        let (invocation, env) = invoke(&job, &format!(r#"{{"p":"{fits}"}}"#), "");
        assert!(!invocation.message_file);
        assert_eq!(
            "KINGTIDE_MESSAGE=".len() + env["KINGTIDE_MESSAGE"].len(),
            MAX_STRING_BYTES
        );

        let long = "a".repeat(MAX_STRING_BYTES);
        let (invocation, env) = invoke(&job, &format!(r#"{{"p":"{long}","q":1}}"#), "");
        assert!(invocation.message_file);
        assert!(!env.contains_key("KINGTIDE_MESSAGE") && !env.contains_key("KINGTIDE_PARAM_P"));
        assert_eq!(env["KINGTIDE_PARAM_Q"], "1");
    }

    #[test]
    fn names_that_come_out_alike_are_passed_once() {
        let (_, env) = invoke(&job("command = [\"x\"]"), r#"{"a-b":1,"a_b":2}"#, "");
        assert_eq!(env["KINGTIDE_PARAM_A_B"], "1");
    }

    #[test]
    fn a_missing_parameter_is_named() {
        let missing = invocation(
            &job("command = [\"{dest}\"]"),
            &Message::parse("{}").expect("an object"),
            RunId(1).task(1).attempt(1),
            "retrain-1",
            |_| false,
        );
        assert_eq!(
            missing,
            Err(MissingParameter {
                name: "dest".to_owned()
            })
        );
    }

    #[test]
    fn exits_mean_what_the_job_says() {
        let job = job("command = [\"x\"]\non_exit = { 3 = \"skip\", 4 = \"release\", 5 = \"reject\" }");
        let verdicts = [0, 1, 3, 4, 5, 255].map(|code| verdict(&job, code));
        use Verdict::*;
        assert_eq!(verdicts, [Success, Failure, Skip, Release, Reject, Failure]);
    }
}
