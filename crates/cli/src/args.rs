//! What can be typed. The texts here are the manual: `docs/cli.md` is printed from them. `args/up.rs`, `args/queue.rs` and `args/aws.rs` are
//! what can be typed of those.

mod aws;
mod queue;
mod up;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

pub(crate) use self::aws::{Aws, AwsVerb, Cost, Deploy, Destroy, Diff, On, Prices, PricesVerb, Verify, Where};
pub(crate) use self::queue::{Cargo, Create, Env, Peek, Purge, Queue, QueueVerb, Redrive, Rm, Send, SendBody, Url};
pub(crate) use self::up::{SECRET_VARIABLE, Up};
use crate::due::Due;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::select::{Pair, RunName, Target};

/// Runs infrequent large jobs: one file says what to run, this runs it here
#[derive(Debug, Parser)]
#[command(name = "kingtide", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Start with `kingtide init`, then `kingtide run JOB`.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Globals {
    /// The project's folder or its file; else `kingtide.toml` is searched from here upwards
    #[arg(long, global = true, value_name = "DIR|FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) project: Option<PathBuf>,
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Write JSON to stdout, one object a line, and nothing else
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colour; by default on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", value_enum)]
    pub(crate) color: Option<Color>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn parse(text: &str) -> Option<Color> {
        Color::from_str(text, true).ok()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Init(Init),
    Check(Check),
    Plan(Plan),
    Run(Run),
    Up(Up),
    Send(Send),
    Queue(Queue),
    Env(Env),
    Retry(Retry),
    Status(Status),
    Logs(Logs),
    Explain(Explain),
    Cancel(Cancel),
    Results(Results),
    Outputs(Outputs),
    History(History),
    Doctor(Doctor),
    Clean(Clean),
    Synth(Synth),
    Diff(Diff),
    Deploy(Deploy),
    Destroy(Destroy),
    Prices(Prices),
    Cost(Cost),
    Aws(Aws),
    /// Print the JSON Schema of `kingtide.toml`, for editors
    Schema,
    Completions(Completions),
    Keeper(Keeper),
    /// Print `docs/cli.md`
    #[command(hide = true)]
    DocsCli,
}

/// Make a project that runs: a `kingtide.toml` and a small job; overwrites nothing
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where; made if it is not there
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// A file whose rows become the parameters, with a placeholder for each of its columns
    #[arg(long, value_name = "FILE.csv", value_hint = ValueHint::FilePath)]
    pub(crate) from: Option<PathBuf>,
}

/// Find everything that is wrong with the project, and start nothing
#[derive(Debug, Args)]
pub(crate) struct Check {}

/// Run a job: one task for each message
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kingtide run retrain                        every row of the job's `params`
  kingtide run retrain dest=BOS depth=4       this one message
  kingtide run retrain --only dest=BOS        the rows of `params` where dest is BOS
  kingtide run retrain --resume               go on with the unfinished run, or start one

The first Ctrl-C starts nothing new and lets what runs end; the second ends it and puts the messages back.")]
pub(crate) struct Run {
    pub(crate) job: String,
    /// Run one message with these parameters
    #[arg(value_name = "K=V", conflicts_with_all = ["params", "only"])]
    pub(crate) message: Vec<Pair>,
    /// Take the messages from this .csv, .jsonl or .json instead of the job's `params`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) params: Option<PathBuf>,
    /// Only rows with this parameter; again for another parameter, or another value of the same
    #[arg(long, value_name = "K=V")]
    pub(crate) only: Vec<Pair>,
    /// Run at most this many tasks at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) workers: Option<u32>,
    /// By when it is to be done, in place of the job's `deadline`: `1h`, `07:00 Europe/Zurich`, `2026-11-24T19:00:00Z`
    #[arg(long, value_name = "BY", conflicts_with = "resume")]
    pub(crate) deadline: Option<Due>,
    /// Go on with the job's unfinished run; start one where there is none
    #[arg(long, conflicts_with_all = ["message", "params", "only"])]
    pub(crate) resume: bool,
    /// Do not wait for its end: the Kingtide that lives here works it off, or one that is started for it
    #[arg(long, conflicts_with_all = ["resume", "dry_run"])]
    pub(crate) detach: bool,
    /// Say what would run, and start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Foresee a run: workers, when it is done, the chance of its deadline, what it costs, and what would help
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kingtide plan retrain                       by the job's `deadline`
  kingtide plan retrain --deadline 1h         within an hour from now
  kingtide plan retrain --workers 4           with four at once
  kingtide plan retrain --what-if cpu=8       if this machine gave eight cores

What is foreseen rests on what earlier runs took; before there are any, on the job's `expected`. Nothing is started.")]
pub(crate) struct Plan {
    pub(crate) job: String,
    /// By when, in place of the job's `deadline`: `1h`, `07:00 Europe/Zurich`, `2026-11-24T19:00:00Z`
    #[arg(long, value_name = "BY")]
    pub(crate) deadline: Option<Due>,
    /// With so many at once, in place of what is best
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) workers: Option<u32>,
    /// As if this machine gave so much: `cpu=8`, `memory=64GiB`, `gpus=2`
    #[arg(long, value_name = "K=V")]
    pub(crate) what_if: Vec<Pair>,
    /// Take the messages from this .csv, .jsonl or .json instead of the job's `params`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) params: Option<PathBuf>,
    /// Only rows with this parameter; again for another parameter, or another value of the same
    #[arg(long, value_name = "K=V")]
    pub(crate) only: Vec<Pair>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Run again what failed, was rejected or cancelled
#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// `last`, `retrain-12`, `12`, or a job's name for its last run
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: RunName,
    /// Run at most this many tasks at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) workers: Option<u32>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Show how a run stands
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// `last`, `retrain-12`, `12`, or a job's name for its last run
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: RunName,
    /// Keep showing it until the run ends
    #[arg(long, short)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Print the log of a task: the one of these parameters, else the latest that failed or runs
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// A job, for its last run, or a run
    #[arg(value_name = "JOB|RUN", default_value = "last")]
    pub(crate) run: RunName,
    /// The parameters of the task, as many as it takes to tell it from the others
    #[arg(value_name = "K=V|SEQ")]
    pub(crate) task: Vec<Target>,
    /// Go on printing until the attempt ends
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Which attempt; the latest by default
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Say why a run or a task is where it is: waiting, retried, slow, rejected, lost
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A job, for its last run, or a run
    #[arg(value_name = "JOB|RUN", default_value = "last")]
    pub(crate) run: RunName,
    /// The parameters of the task, as many as it takes to tell it from the others
    #[arg(value_name = "K=V|SEQ")]
    pub(crate) task: Vec<Target>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// End a run: what runs is ended, what waits is not started
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// `last`, `retrain-12`, `12`, or a job's name for its last run
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: RunName,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Print the results as one table: parameters, state, seconds, memory, and what the programs wrote
#[derive(Debug, Args)]
pub(crate) struct Results {
    /// `last`, `retrain-12`, `12`, or a job's name for its last run
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: RunName,
    /// `table` on a terminal and `csv` elsewhere by default
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Csv,
    Jsonl,
}

/// List the folders that tasks left behind, with their files and bytes
#[derive(Debug, Args)]
pub(crate) struct Outputs {
    /// `last`, `retrain-12`, `12`, or a job's name for its last run
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: RunName,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// List the runs of the project, the newest first; of one job also what its tasks took over the weeks, what got slower, and how well runs were foreseen
#[derive(Debug, Args)]
pub(crate) struct History {
    pub(crate) job: Option<String>,
    /// How many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Look at this machine: what tasks may use, how memory is limited, what is missing
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Remove logs, outputs and rows of old runs, and Python environments nobody used; never of an unfinished run
#[derive(Debug, Args)]
pub(crate) struct Clean {
    /// Keep the newest N runs of each job; 10 unless --older is given
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<u64>,
    /// Remove only what is older, for instance `30d`
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub(crate) older: Option<Duration>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Print the CloudFormation template that the project becomes on AWS; nothing is asked of AWS
#[derive(Debug, Args)]
pub(crate) struct Synth {
    /// For `[env.NAME]` in place of `[aws]` alone
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// Print the Dockerfile that a job's image is built from in its place
    #[arg(long, value_name = "JOB")]
    pub(crate) dockerfile: Option<String>,
}

/// Print a script that completes commands: `kingtide completions bash > ~/.local/share/bash-completion/completions/kingtide`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    pub(crate) shell: Shell,
}

/// The parent of every program; started by `run`
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct Keeper {
    pub(crate) folder: PathBuf,
}

fn parse_age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error} (for instance `30d` or `12h`)"))
}

/// Reads the command line. What clap prints itself (help, version, mistakes) is printed here.
pub(crate) fn parse() -> Result<Arguments, Failure> {
    Arguments::try_parse().map_err(|error| {
        if error.use_stderr() {
            output::say(error.render_for_stderr().trim_end());
            return Failure::said(Exit::Usage);
        }
        match error.print() {
            Ok(()) => Failure::said(Exit::Done),
            Err(error) => Failure::from(error),
        }
    })
}

trait RenderForStderr {
    fn render_for_stderr(&self) -> String;
}

impl RenderForStderr for clap::Error {
    /// With clap's own colours where stderr takes them.
    fn render_for_stderr(&self) -> String {
        let text = self.render();
        if output::style::Style::of_stderr(None).is_coloured() {
            text.ansi().to_string()
        } else {
            text.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_declaration_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_message_and_a_filter_exclude_each_other() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.verb);
        assert!(matches!(parse("kingtide run retrain dest=BOS depth=4"), Ok(Verb::Run(run)) if run.message.len() == 2));
        assert!(parse("kingtide run retrain dest=BOS --only dest=BOS").is_err());
        assert!(parse("kingtide run retrain --resume --only dest=BOS").is_err());
        assert!(parse("kingtide run retrain --workers 0").is_err());
        assert!(parse("kingtide run retrain dest").is_err());
        assert!(matches!(parse("kingtide retry"), Ok(Verb::Retry(retry)) if retry.run == RunName::Last));
        assert!(matches!(parse("kingtide clean --older 30d"), Ok(Verb::Clean(clean)) if clean.older.is_some()));
    }
}
