//! `send`: messages to a job, checked as those of a `run` are, then sent as any SDK would. `spool.rs` keeps what standard input says,
//! `remote.rs` sends to a job on AWS.

mod remote;
mod spool;

use kingtide_core::finding::Finding;
use kingtide_core::message::Message;
use kingtide_runtime::asker::{Asker, ROUND_BYTES};
use kingtide_runtime::sqs::operation::{self, Answer, Entry, Operation};
use serde_json::json;

pub(crate) use self::spool::Spool;
use super::counter::{self, Counter};
use super::run::messages::{Messages, Wish};
use super::run::{placeholders, takes_nothing};
use crate::args::{Cargo, Send};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::{count, duration, plural};
use crate::output::{self, json};
use crate::project::{Checked, Needs, job, print_findings};
use crate::select::Pair;
use crate::settings::Settings;

/// Messages of one batch, and bytes of their bodies: what SQS takes.
const BATCH: usize = 10;
const BATCH_BYTES: usize = 1024 * 1024;
/// Batches of one transaction.
const ROUND: usize = 100;

pub(crate) fn run(send: &Send, settings: &Settings) -> Outcome {
    if send.place.is_aws() {
        return remote::send(send, settings);
    }
    let counter = Counter::open(settings)?;
    let checked = Checked::read(&counter.place, Needs::Job(&send.job))?;
    let (name, source) = (checked.name.clone(), checked.source.clone());
    let project = checked.usable(settings)?;
    let job = job(&project, &send.job)?;
    let wish = wish(send)?;
    if wish == Wish::Params && !takes_nothing(job) {
        return Err(
            Failure::usage(format!("there is nothing to send to `{}`", job.name)).help(format!(
                "`kingtide send {} {}`, or a file of parameters, or `-` for standard input",
                job.name,
                placeholders(job)
            )),
        );
    }
    // What the job lists itself is for `run`; here no message means an empty one.
    let plain = kingtide_core::project::Job {
        params: None,
        ..job.clone()
    };
    let messages = Messages::check(&counter.place, &plain, &wish);
    let mut findings = messages.findings.clone();
    for finding in &mut findings.0 {
        // There is no such flag here.
        finding.help = finding.help.take().map(|help| help.replace(" with --params", ""));
    }
    print_findings(&findings, &name, &source, settings);
    if findings.has_errors() {
        return Err(Failure::said(Exit::Findings));
    }
    counter.check_writable()?;
    let mut asker = Asker::new(counter.place.folder.clone(), &project);
    let mut mail = Mail::new(&job.name, send.delay);
    Messages::hand_over(&counter.place, &plain, &wish, |rows| mail.send(&mut asker, rows))
        .map_err(|failure| mail.told(failure, messages.count))?;
    let is_live = asker.is_live();
    drop(asker);
    tell(&counter, &mail, job, is_live, settings)
}

pub(super) fn wish(send: &Send) -> Outcome<Wish> {
    let pairs = send.what.iter().filter_map(|cargo| match cargo {
        Cargo::Pair(pair) => Some(pair.clone()),
        Cargo::File(_) | Cargo::Stdin => None,
    });
    let pairs: Vec<Pair> = pairs.collect();
    match &send.what[..] {
        [] => Ok(Wish::Params),
        _ if pairs.len() == send.what.len() => Ok(Wish::One(pairs)),
        [Cargo::File(file)] => Ok(Wish::Rows {
            file: Some(file.clone()),
            only: Vec::new(),
        }),
        [Cargo::Stdin] => Spool::of_stdin().map(Wish::Lines),
        _ => Err(Failure::usage(
            "either the parameters of one message are sent, or the rows of one file, or standard input",
        )),
    }
}

/// Messages on their way.
struct Mail<'a> {
    queue: &'a str,
    delay: Option<i64>,
    sent: u64,
    /// The message id of the last one.
    last: Option<String>,
    batch: Vec<Entry<operation::Send>>,
    batch_bytes: usize,
    round: Vec<Operation>,
    round_bytes: usize,
}

impl<'a> Mail<'a> {
    fn new(queue: &'a str, delay: Option<i64>) -> Mail<'a> {
        Mail {
            queue,
            delay,
            sent: 0,
            last: None,
            batch: Vec::new(),
            batch_bytes: 0,
            round: Vec::new(),
            round_bytes: 0,
        }
    }

    fn send(
        &mut self,
        asker: &mut Asker<'_>,
        rows: &mut dyn Iterator<Item = Result<Message, Finding>>,
    ) -> Outcome<Result<(), Finding>> {
        for row in rows {
            let body = match row {
                Ok(message) => message.body(),
                Err(finding) => return Ok(Err(finding)),
            };
            if self.batch.len() == BATCH || self.batch_bytes + body.len() > BATCH_BYTES {
                self.close_batch();
            }
            if self.round.len() == ROUND || self.round_bytes + body.len() > ROUND_BYTES {
                self.close_batch();
                self.close_round(asker)?;
            }
            self.batch_bytes += body.len();
            self.round_bytes += body.len();
            self.batch.push(Entry {
                id: self.batch.len().to_string(),
                of: operation::Send {
                    body,
                    delay: self.delay,
                    ..operation::Send::default()
                },
            });
        }
        self.close_batch();
        self.close_round(asker)?;
        Ok(Ok(()))
    }

    fn close_batch(&mut self) {
        self.batch_bytes = 0;
        let entries = std::mem::take(&mut self.batch);
        if !entries.is_empty() {
            self.round.push(Operation::SendMessageBatch {
                queue: self.queue.to_owned(),
                entries,
            });
        }
    }

    fn close_round(&mut self, asker: &mut Asker<'_>) -> Outcome<()> {
        self.round_bytes = 0;
        let round = std::mem::take(&mut self.round);
        if round.is_empty() {
            return Ok(());
        }
        let mut refused = None;
        for answer in asker.ask(round).map_err(counter::unasked)? {
            let answered = match answer {
                Ok(Answer::SentBatch(answered)) => answered,
                Ok(other) => return Err(counter::unexpected(&other)),
                Err(fault) => {
                    refused.get_or_insert(fault);
                    continue;
                }
            };
            for entry in answered {
                match entry.of {
                    Ok(sent) => {
                        self.sent += 1;
                        self.last = Some(sent.message_id);
                    }
                    Err(fault) => drop(refused.get_or_insert(fault)),
                }
            }
        }
        refused.map_or(Ok(()), |fault| {
            Err(Failure::new("not every message was taken").because(fault))
        })
    }

    /// A failure in the middle says what was sent before.
    fn told(&self, failure: Failure, of: u64) -> Failure {
        match self.sent {
            0 => failure.help("nothing was sent"),
            sent => failure.help(format!("{} of {} were sent before", count(sent), plural(of, "message"))),
        }
    }
}

fn tell(
    counter: &Counter,
    mail: &Mail<'_>,
    job: &kingtide_core::project::Job,
    is_live: bool,
    settings: &Settings,
) -> Outcome {
    let name = &job.name;
    let task = match &mail.last {
        Some(last) => counter.place.database()?.snapshot()?.task_of_message(name, last)?,
        None => None,
    };
    let run = task.map(|task| task.run);
    let run_name = run.map(|run| format!("{name}-{run}"));
    let delay = mail.delay.filter(|delay| *delay > 0);
    if settings.json {
        let line = json!({
            "sent": mail.sent,
            "job": name,
            "queue": name,
            "run": run.map(|run| run.0),
            "name": run_name,
            "delay_s": delay.unwrap_or(0),
        });
        json::line(&mut std::io::stdout().lock(), &line)?;
        return Ok(Exit::Done);
    }
    if settings.quiet {
        return Ok(Exit::Done);
    }
    let later = delay.map_or_else(String::new, |delay| {
        let delay = duration(std::time::Duration::from_secs(delay.unsigned_abs()));
        format!(", to be worked off in {delay}")
    });
    let to = run_name.as_deref().unwrap_or(name);
    output::say(&format!("{} sent to {to}{later}", plural(mail.sent, "message")));
    let next = match run_name {
        // Whoever works off one run leaves after it: what was sent waits for one who stays.
        Some(run) if is_live && counter.listens()?.is_some() => vec![format!("kingtide status --watch {run}")],
        Some(_) if job.mode == kingtide_core::project::Mode::Task => {
            vec!["kingtide up".to_owned(), format!("kingtide run {name} --resume")]
        }
        _ => vec!["kingtide up".to_owned()],
    };
    let waits = !(is_live && counter.listens()?.is_some() && delay.is_some());
    if waits {
        counter::next(&next, settings);
    }
    Ok(Exit::Done)
}
