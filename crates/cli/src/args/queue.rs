//! What can be typed about queues: `send`, `queue …`, `env`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Where;
use crate::select::Pair;

/// Send messages to a job: one of K=V, or each row of a file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kingtide send retrain dest=BOS depth=4      this one message
  kingtide send retrain more.csv              each row of a .csv, .jsonl or .json file
  make-rows | kingtide send retrain -         each line of standard input, a JSON object
  kingtide send retrain dest=BOS --delay 10m  not before ten minutes have passed

What is sent is worked off by `kingtide up`, in the run that is open for it.")]
pub(crate) struct Send {
    pub(crate) job: String,
    /// A file of parameters, or `-` for JSON lines of standard input, or the parameters of one message
    #[arg(value_name = "FILE|-|K=V")]
    pub(crate) what: Vec<Cargo>,
    /// Worked off no earlier than after so long, at most `15m`
    #[arg(long, value_name = "DURATION", value_parser = parse_delay)]
    pub(crate) delay: Option<i64>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cargo {
    Pair(Pair),
    File(PathBuf),
    Stdin,
}

impl std::str::FromStr for Cargo {
    type Err = String;
    fn from_str(text: &str) -> Result<Cargo, String> {
        match text {
            "-" => Ok(Cargo::Stdin),
            // A file with `=` in its name is written with a folder before it.
            _ if text.contains('=') && !text.starts_with(['.', '/']) => text.parse().map(Cargo::Pair),
            _ => Ok(Cargo::File(text.into())),
        }
    }
}

/// Look into queues, send to them, empty them, put dead letters back
#[derive(Debug, Args)]
pub(crate) struct Queue {
    #[command(subcommand)]
    pub(crate) verb: QueueVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    Ls(Ls),
    Peek(Peek),
    Send(SendBody),
    Redrive(Redrive),
    Purge(Purge),
    Create(Create),
    Rm(Rm),
    Url(Url),
}

/// List the queues: how many messages may be received, are in flight, are delayed
#[derive(Debug, Args)]
pub(crate) struct Ls {}

/// Show the messages of a queue without receiving them; of dead letters also why they are dead
#[derive(Debug, Args)]
pub(crate) struct Peek {
    pub(crate) name: String,
    /// How many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// Go on after the message with this id
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<kingtide_runtime::view::LetterPlace>,
}

/// Send a body as it is to any queue
#[derive(Debug, Args)]
pub(crate) struct SendBody {
    pub(crate) name: String,
    /// The body; or a file that holds it, or `-` for standard input
    #[arg(value_name = "BODY|FILE|-")]
    pub(crate) body: OsString,
    /// It is the body, although there may be a file of that name
    #[arg(long, conflicts_with = "lines")]
    pub(crate) text: bool,
    /// Each line of the file or of standard input is a body of its own
    #[arg(long)]
    pub(crate) lines: bool,
    /// Received no earlier than after so long, at most `15m`
    #[arg(long, value_name = "DURATION", value_parser = parse_delay)]
    pub(crate) delay: Option<i64>,
    /// A message attribute, a string; again for another
    #[arg(long, value_name = "K=V")]
    pub(crate) attribute: Vec<Pair>,
    /// The message group; of a FIFO queue
    #[arg(long, value_name = "ID")]
    pub(crate) group: Option<String>,
    /// The deduplication id; of a FIFO queue whose content does not say it
    #[arg(long, value_name = "ID", conflicts_with = "lines")]
    pub(crate) deduplication: Option<String>,
}

/// Put dead letters back where they came from: all, or those that are named
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kingtide queue redrive retrain                    all dead letters of the job
  kingtide queue redrive retrain --only dest=BOS    those with this parameter
  kingtide queue redrive retrain 12 14              these two, by the ids that `queue peek` shows")]
pub(crate) struct Redrive {
    /// A job, or a queue, whose dead letters are meant; or the queue that holds them
    #[arg(value_name = "JOB|NAME")]
    pub(crate) name: String,
    /// Ids or message ids, as `queue peek` shows them
    #[arg(value_name = "ID", conflicts_with = "only")]
    pub(crate) ids: Vec<String>,
    /// Only letters with this parameter; again for another parameter, or another value of the same
    #[arg(long, value_name = "K=V")]
    pub(crate) only: Vec<Pair>,
}

/// Remove every message of a queue; of a job's queue the tasks that wait are cancelled
#[derive(Debug, Args)]
pub(crate) struct Purge {
    pub(crate) name: String,
}

/// Make a queue; attributes by their names in the API of Amazon SQS, such as `VisibilityTimeout=60`
#[derive(Debug, Args)]
pub(crate) struct Create {
    pub(crate) name: String,
    #[arg(value_name = "ATTRIBUTE=VALUE")]
    pub(crate) attributes: Vec<Pair>,
}

/// Remove a queue and what is in it; one of a job comes back empty, with nothing set
#[derive(Debug, Args)]
pub(crate) struct Rm {
    pub(crate) name: String,
}

/// Print the URL of a queue
#[derive(Debug, Args)]
pub(crate) struct Url {
    pub(crate) name: String,
}

/// Print the variables that point any AWS SDK at these queues: `eval "$(kingtide env)"`
#[derive(Debug, Args)]
pub(crate) struct Env {}

/// Whole seconds; SQS delays for fifteen minutes at most.
fn parse_delay(text: &str) -> Result<i64, String> {
    let delay = humantime::parse_duration(text).map_err(|error| format!("{error} (for instance `30s` or `10m`)"))?;
    match (delay.as_secs(), delay.subsec_nanos()) {
        (seconds @ 0..=900, 0) => Ok(seconds as i64),
        (0..=900, _) => Err("a delay is whole seconds".to_owned()),
        _ => Err("at most `15m`: what is to come later is sent later".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_told_by_how_it_is_written() {
        assert_eq!("-".parse(), Ok(Cargo::Stdin));
        assert!(matches!("dest=BOS".parse(), Ok(Cargo::Pair(pair)) if pair.value == "BOS"));
        assert_eq!("rows.csv".parse(), Ok(Cargo::File("rows.csv".into())));
        assert_eq!("./a=b.csv".parse(), Ok(Cargo::File("./a=b.csv".into())));
        assert!("=BOS".parse::<Cargo>().is_err());
    }

    #[test]
    fn delays() {
        assert_eq!(parse_delay("90s"), Ok(90));
        assert_eq!(parse_delay("15m"), Ok(900));
        for wrong in ["16m", "1500ms", "soon"] {
            assert!(parse_delay(wrong).is_err(), "{wrong}");
        }
    }
}
