//! What the user wrote in `kingtide.toml`, with its places. Each table is declared once, here; the reader and the JSON
//! Schema come from the same declaration. What it means is `resolve.rs`, whether it makes sense `check.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::finding::{Finding, Findings};
use crate::message::Message;
use crate::project::aws::{Doorbell, RawAlarm, RawAws, RawSchedule, RawTrigger};
use crate::project::container::{RawBuild, RawMount};
use crate::project::deadline::Deadline;
use crate::project::job::{ExitAction, Mode, OnCrash, Tolerance};
use crate::project::quantity::{Cores, Size};
use crate::project::table::{read_entries, table};
use crate::project::value::{Entries, FromToml, Value, choice, expected, unknown_key, wrong_type};
use crate::template::Template;

/// Further findings of one kind say nothing new.
const MOST_SYNTAX_FINDINGS: usize = 20;

table! {
    /// A Kingtide project: what to run, and with what.
    "kingtide.toml" struct RawProject {
        /// About the project itself.
        required project: RawHeader,
        /// What to run, by name: once for each message.
        optional job: Entries<RawJob>,
        /// What this machine gives.
        optional local: RawLocal,
        /// Where it is deployed on AWS, and how.
        optional aws: RawAws,
        /// The same for other environments, by name: what differs from `[aws]`.
        optional env: Entries<RawAws>,
        /// Who is told when something is wrong on AWS, by name.
        optional alarm: Entries<RawAlarm>,
    }
    later ["workflow", "connection", "dataset", "schedule"]
}

table! {
    /// About the project itself.
    "[project]" struct RawHeader {
        /// Its name: letters, digits, `-` and `_`.
        required name: String,
    }
    later []
}

table! {
    /// What to run, once for each message.
    "a job" struct RawJob {
        /// The program and its arguments. No shell is involved unless it is the program. `{name}` is filled from the
        /// message; `{{` and `}}` are braces.
        /// In a container: what its entrypoint is handed, the image's own by default.
        optional command: Vec<Spanned<Template>>,
        /// The container image it runs in, pulled where it is not here.
        optional image: String,
        /// A folder with a Dockerfile, in whose image it runs: built anew when something in it has changed. Or a table:
        /// `{ context = ".", dockerfile = "Dockerfile", args = { A = "1" }, target = "run" }`.
        optional build: RawBuild,
        /// The program that the container starts, in place of the image's; `command` is what it is handed.
        optional entrypoint: Vec<Spanned<String>>,
        /// Folders and files of this machine that the container sees: `"./data:/data:ro"`, or
        /// `{ source = "data", target = "/data", read_only = true }`.
        optional mounts: Vec<Spanned<RawMount>>,
        /// Whom the container runs as: `name`, `uid`, `name:group` or `uid:gid`. The image's user by default.
        optional user: String,
        /// How large `/dev/shm` is in the container.
        optional shm_size: Size,
        /// The folder it runs in, relative to the project's. The project's folder by default. In a container, an absolute
        /// path there; the image's by default.
        optional workdir: String,
        /// Further environment variables. `{name}` is filled from the message.
        optional env: Entries<Template>,
        /// Values the program sees as variables and no log ever shows: names of variables, or a table such as
        /// `{ TOKEN = { file = "token.txt" } }`.
        optional secrets: Secrets,
        /// A requirements file: the job runs in an isolated Python environment made from it on first use.
        optional python: String,
        /// Where the messages come from: a .csv, .jsonl or .json file, an inline array of tables, or
        /// `{ matrix = { a = [1, 2], b = ["x", "y"] } }`, multiplied out.
        optional params: RawParams,
        /// Cores of one attempt; fractions are allowed.
        optional cpu: Cores,
        /// Memory of one attempt, reserved and enforced. Neither by default.
        optional memory: Size,
        /// After an attempt was killed for want of memory it is tried again with twice as much, up to this.
        optional memory_max: Size,
        /// GPUs of one attempt.
        optional gpus: u32,
        /// The longest an attempt may take. No limit by default.
        optional timeout: Duration,
        /// The longest a run may take. No limit by default.
        optional max_duration: Duration,
        /// By when a run is to be done: counted from what triggered it, the command or the first message ("1h"); or a time of
        /// day with its zone ("07:00 Europe/Zurich"). Nothing is ended that is late.
        optional deadline: Deadline,
        /// How likely the deadline is to be met, 0 to 1: workers are chosen for it, and a run that falls below says so.
        optional confidence: f64,
        /// How long a task takes, about: believed until there is history.
        optional expected: Duration,
        /// When it starts by itself on AWS: `{ cron = "0 6 * * MON", timezone = "Europe/Zurich" }`, `{ rate = "1d" }` or `{ at = "…" }`.
        optional schedule: RawSchedule,
        /// What starts it on AWS: `[{ object = "s3://bucket/prefix" }]`.
        optional triggers: Vec<Spanned<RawTrigger>>,
        /// Which `[alarm.<name>]` are told on AWS when a run fails, is late or does not start.
        optional alarms: Vec<Spanned<String>>,
        /// On AWS: a steady stream, worked off by a service that scales to what waits and to nothing.
        optional service: bool,
        /// What begins a run on AWS when a message is sent while none is open: "pipe" (what `send` sends, within seconds; about 0.26 dollars a
        /// month beyond the free requests of SQS) or "alarm" (whoever sends, within 1 to 15 minutes; 0.10 dollars a month).
        optional doorbell: Doorbell,
        /// What the program may do on AWS by itself: ARNs of policies.
        optional policies: Vec<Spanned<String>>,
        /// The disk that an attempt may fill, on AWS: 20 GiB by default, up to 200 GiB.
        optional disk: Size,
        /// What a run on AWS may cost, in dollars: no new task is started past it.
        optional max_cost: f64,
        /// From TERM to KILL.
        optional stop_timeout: Duration,
        /// How many failed attempts are followed by another.
        optional retries: u32,
        /// The delay before a retry.
        optional backoff: RawBackoff,
        /// What exit codes mean: skip (nothing to do for this message), release (back to the queue at no cost),
        /// reject (failed for good). 0 succeeds and all others fail.
        optional on_exit: Entries<ExitAction>,
        /// Who reads the queue: "task" runs the program once for each message; with "consumer" the program reads the queue
        /// itself, and as many of it run as there are messages.
        optional mode: Mode,
        /// Whether a message that a living consumer holds stays its own beyond the visibility timeout.
        optional heartbeat: bool,
        /// How many attempts run at once at the most.
        optional max_workers: u32,
        /// A run of messages that others send ends when nothing has happened in it for so long.
        optional run_idle: Duration,
        /// How many failed tasks a run bears and still succeeds: a count, or a share such as "5%".
        optional tolerate_failures: Tolerance,
        /// What happens to a task that may have been running when the machine went down.
        optional on_crash: OnCrash,
    }
    later [
        "overlap", "queue",
        "inputs", "network", "platform", "needs", "stage",
    ]
}

table! {
    /// The delay before a retry: first, then by factor more each time, up to max, spread by a share of itself.
    "backoff" struct RawBackoff {
        /// Before the first retry.
        optional first: Duration,
        /// Each further delay is this many times as long.
        optional factor: f64,
        /// No delay is longer.
        optional max: Duration,
        /// A delay is spread by up to this share of itself, 0 to 1.
        optional jitter: f64,
    }
    later []
}

table! {
    /// What this machine gives; asked of the machine where not said.
    "[local]" struct RawLocal {
        /// Cores.
        optional cpu: Cores,
        /// Memory.
        optional memory: Size,
        /// GPUs.
        optional gpus: u32,
        /// How much of its log is kept of one attempt.
        optional log_limit: Size,
        /// What it costs, where it has a price: `{ cpu_hour = 0.04, gib_hour = 0.004 }`. Without, all of it is used.
        optional cost: RawCost,
    }
    later ["docker", "web"]
}

table! {
    /// What the machine costs, in whatever currency.
    "cost" struct RawCost {
        /// A core for an hour.
        optional cpu_hour: f64,
        /// A gibibyte of memory for an hour.
        optional gib_hour: f64,
    }
    later []
}

table! {
    /// Where a secret comes from: a file, or the variable of its name.
    "a secret" struct RawSecret {
        /// A file that holds the value, relative to the project's folder.
        optional file: String,
    }
    later ["parameter", "secretsmanager"]
}

choice!(Mode { "task" => Task, "consumer" => Consumer });
choice!(OnCrash { "retry" => Retry, "fail" => Fail });
choice!(ExitAction { "skip" => Skip, "release" => Release, "reject" => Reject });

/// The names of secrets, each with the file it comes from if it is not a variable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Secrets(pub(crate) Vec<(Spanned<String>, Option<Spanned<String>>)>);

impl FromToml for Secrets {
    fn expected() -> String {
        "a list of names or a table".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Secrets> {
        match value.get_ref() {
            DeValue::Array(_) => {
                let names = Vec::<Spanned<String>>::from_toml(key, value, findings)?;
                Some(Secrets(names.into_iter().map(|name| (name, None)).collect()))
            }
            DeValue::Table(_) => {
                let Entries(entries) = Entries::<RawSecret>::from_toml(key, value, findings)?;
                Some(Secrets(
                    entries
                        .into_iter()
                        .map(|(name, secret)| (name, secret.into_inner().file))
                        .collect(),
                ))
            }
            _ => {
                findings.push(wrong_type::<Secrets>(key, value));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [Vec::<String>::schema(), Entries::<RawSecret>::schema()] })
    }
}

/// Where messages come from, as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawParams {
    File(String),
    Rows(Vec<Spanned<Message>>),
    Matrix(Entries<Vec<Spanned<Json>>>),
}

const MATRIX_KEYS: &[&str] = &["matrix"];

impl FromToml for RawParams {
    fn expected() -> String {
        "a file, an array of tables or { matrix = { … } }".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<RawParams> {
        match value.get_ref() {
            DeValue::String(file) => Some(RawParams::File(file.to_string())),
            DeValue::Array(_) => FromToml::from_toml(key, value, findings).map(RawParams::Rows),
            DeValue::Table(table) => {
                for name in table
                    .keys()
                    .filter(|name| !MATRIX_KEYS.contains(&name.get_ref().as_ref()))
                {
                    findings.push(unknown_key(name.get_ref(), name.span(), "params", MATRIX_KEYS));
                }
                let Some(matrix) = table.get("matrix") else {
                    if table.is_empty() {
                        findings.push(expected(&RawParams::expected(), key, value));
                    }
                    return None;
                };
                FromToml::from_toml("matrix", matrix, findings).map(RawParams::Matrix)
            }
            _ => {
                findings.push(wrong_type::<RawParams>(key, value));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "string", "pattern": "\\.(csv|jsonl|ndjson|json)$" },
            Vec::<Message>::schema(),
            {
                "type": "object",
                "properties": { "matrix": Entries::<Vec<Json>>::schema() },
                "required": ["matrix"],
                "additionalProperties": false,
            },
        ] })
    }
}

/// Reads the file: syntax first, then everything that is in it, as far as it can be told.
pub(crate) fn parse(source: &str, findings: &mut Findings) -> RawProject {
    let (document, errors) = DeTable::parse_recoverable(source);
    if errors.is_empty() {
        let root = Spanned::new(0..0, DeValue::Table(document.into_inner()));
        return RawProject::from_toml("kingtide.toml", &root, findings).unwrap_or_default();
    }
    // One mistake is often several to the parser; of those on a line, what was never closed says most.
    let mut lines: BTreeMap<usize, &toml::de::Error> = BTreeMap::new();
    for error in &errors {
        let line = line(source, error.span().unwrap_or(0..0).start);
        let known = lines.entry(line).or_insert(error);
        if error.message().starts_with("unclosed") {
            *known = error;
        }
    }
    for error in lines.values().take(MOST_SYNTAX_FINDINGS) {
        let span = within(source, error.span().unwrap_or(0..0));
        findings.push(Finding::error("syntax", error.message().to_owned()).at(span));
    }
    if lines.len() > MOST_SYNTAX_FINDINGS {
        let message = format!(
            "and {} more lines that are not TOML",
            lines.len() - MOST_SYNTAX_FINDINGS
        );
        findings.push(Finding::error("more-findings", message));
    }
    // What the parser made of a broken line says little, and what is missing may only be hidden by it.
    let mut recovered = Findings::default();
    let raw = read_entries(document.get_ref(), &mut recovered);
    findings.0.extend(recovered.0.into_iter().filter(|finding| {
        finding.code != "missing-key"
            && finding
                .span()
                .is_none_or(|span| !lines.contains_key(&line(source, span.start)))
    }));
    raw
}

fn line(source: &str, offset: usize) -> usize {
    source.as_bytes()[..offset.min(source.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

/// The span with both ends inside the source and on characters.
fn within(source: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = source.floor_char_boundary(span.start.min(source.len()));
    start..source.ceil_char_boundary(span.end.min(source.len())).max(start)
}
