//! `queue send`: bodies as they are, to any queue.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use kingtide_core::message::MAX_BODY_BYTES;
use kingtide_runtime::asker::{Asker, ROUND_BYTES};
use kingtide_runtime::sqs::operation::{self, Answer, Attribute, AttributeValue, Operation};
use serde_json::json;

use super::super::counter::{Counter, next, refused, unasked, unexpected};
use super::{say, unreadable};
use crate::args::SendBody;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::plural;
use crate::settings::Settings;

/// Messages of one transaction.
const ROUND: usize = 200;

pub(super) fn run(send: &SendBody, settings: &Settings) -> Outcome {
    let counter = Counter::open(settings)?;
    let queue = counter.queue(&send.name)?;
    if queue.fifo && send.group.is_none() {
        let failure = Failure::usage(format!(
            "{} is a FIFO queue, whose messages belong to groups",
            queue.name
        ));
        return Err(failure.help("`--group ID` names this one's"));
    }
    let project = counter.project(settings)?;
    counter.check_writable()?;
    let mut asker = Asker::new(counter.place.folder.clone(), &project);
    let mut mail = Mail {
        send,
        asker: &mut asker,
        waiting: Vec::new(),
        bytes: 0,
        ids: Vec::new(),
        sent: 0,
    };
    let sent = mail.bodies();
    let (number, ids) = (mail.sent, std::mem::take(&mut mail.ids));
    if let Err(failure) = sent {
        return Err(match number {
            0 => failure,
            number => failure.help(format!("{} sent before", plural(number, "message"))),
        });
    }
    let name = &send.name;
    say(
        settings,
        json!({ "queue": name, "sent": number, "message_ids": ids }),
        &format!("{} sent to {name}", plural(number, "message")),
    )?;
    next(&[format!("kingtide queue peek {name}")], settings);
    Ok(Exit::Done)
}

struct Mail<'a, 'p> {
    send: &'a SendBody,
    asker: &'a mut Asker<'p>,
    waiting: Vec<Operation>,
    bytes: usize,
    /// Of what was sent, the first hundred.
    ids: Vec<String>,
    sent: u64,
}

/// Ids that are told; of more nobody reads them.
const MOST_IDS: usize = 100;

impl Mail<'_, '_> {
    fn bodies(&mut self) -> Outcome<()> {
        let send = self.send;
        let path = Path::new(&send.body);
        if send.body == OsStr::new("-") && !send.text {
            self.read(&mut io::stdin().lock(), "standard input")?;
        } else if !send.text && path.is_file() {
            let what = format!("`{}`", path.display());
            let mut file = std::fs::File::open(path)
                .map(BufReader::new)
                .map_err(|error| unreadable(&what, error))?;
            self.read(&mut file, &what)?;
        } else if send.lines {
            return Err(Failure::usage("`--lines` needs a file, or `-` for standard input"));
        } else {
            let body = send
                .body
                .to_str()
                .ok_or_else(|| Failure::usage("the body is not UTF-8"))?;
            self.add(body.to_owned())?;
        }
        self.flush()
    }

    fn read(&mut self, from: &mut dyn BufRead, what: &str) -> Outcome<()> {
        let most = MAX_BODY_BYTES as u64 + 1;
        let not_text = |line: u64| Failure::usage(format!("line {line} of {what} is not UTF-8"));
        if !self.send.lines {
            let mut body = Vec::new();
            from.take(most)
                .read_to_end(&mut body)
                .map_err(|error| unreadable(what, error))?;
            let body = String::from_utf8(body).map_err(|_| Failure::usage(format!("{what} is not UTF-8")))?;
            return self.add(body);
        }
        for line in 1.. {
            let mut body = Vec::new();
            let read = (&mut *from).take(most).read_until(b'\n', &mut body);
            if read.map_err(|error| unreadable(what, error))? == 0 {
                break;
            }
            let body = String::from_utf8(body).map_err(|_| not_text(line))?;
            let body = body.strip_suffix('\n').unwrap_or(&body);
            let body = body.strip_suffix('\r').unwrap_or(body);
            // An empty line is no message: SQS has no empty ones.
            if !body.is_empty() {
                self.add(body.to_owned())?;
            }
        }
        Ok(())
    }

    fn add(&mut self, body: String) -> Outcome<()> {
        if self.waiting.len() == ROUND || self.bytes + body.len() > ROUND_BYTES {
            self.flush()?;
        }
        self.bytes += body.len();
        let attributes = self.send.attribute.iter().map(|pair| {
            let attribute = Attribute {
                data_type: "String".to_owned(),
                value: AttributeValue::Text(pair.value.clone()),
            };
            (pair.name.clone(), attribute)
        });
        self.waiting.push(Operation::SendMessage {
            queue: self.send.name.clone(),
            message: operation::Send {
                body,
                delay: self.send.delay,
                attributes: attributes.collect(),
                group: self.send.group.clone(),
                deduplication: self.send.deduplication.clone(),
                ..operation::Send::default()
            },
        });
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let mut fault = None;
        for answer in self.asker.ask(waiting).map_err(unasked)? {
            match answer {
                Ok(Answer::Sent(sent)) => {
                    self.sent += 1;
                    if self.ids.len() < MOST_IDS {
                        self.ids.push(sent.message_id);
                    }
                }
                Ok(other) => return Err(unexpected(&other)),
                Err(first) => drop(fault.get_or_insert(first)),
            }
        }
        fault.map_or(Ok(()), |fault| Err(refused(fault)))
    }
}
