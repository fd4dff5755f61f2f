//! `queue redrive`: dead letters, back where they came from.

use std::collections::BTreeSet;

use kingtide_core::project::params::Only;
use kingtide_runtime::asker::Asker;
use kingtide_runtime::sqs::operation::{Answer, Operation};
use kingtide_runtime::view::{Letter, LetterPlace, LetterState, QueueRole};
use serde_json::json;

use super::super::counter::{Counter, next, refused, unasked, unexpected};
use crate::args::Redrive;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::output::json;
use crate::output::text::{now, plural};
use crate::settings::Settings;

/// Letters that are read, and moved, at once.
const PAGE: usize = 1000;

pub(super) fn run(redrive: &Redrive, settings: &Settings) -> Outcome {
    let counter = Counter::open(settings)?;
    let grave = Grave::find(&counter, &redrive.name)?;
    let chosen = choose(&counter, &grave, redrive)?;
    let project = counter.project(settings)?;
    let (mut moved, mut stayed) = (0, 0);
    if !chosen.is_empty() {
        counter.check_writable()?;
        let mut asker = Asker::new(counter.place.folder.clone(), &project);
        for letters in chosen.chunks(PAGE) {
            let operation = Operation::PutBack {
                queue: grave.queue.clone(),
                letters: letters.to_vec(),
            };
            for answer in asker.ask(vec![operation]).map_err(unasked)? {
                match answer.map_err(refused)? {
                    Answer::PutBack {
                        moved: more,
                        stayed: less,
                    } => {
                        moved += more;
                        stayed += less;
                    }
                    other => return Err(unexpected(&other)),
                }
            }
        }
    }
    tell(&counter, &grave, moved, stayed, settings)
}

/// Where dead letters lie.
struct Grave {
    queue: String,
    /// Only those that come from there.
    source: Option<String>,
    /// Whose they are, if they are a job's.
    job: Option<String>,
}

impl Grave {
    /// Of a queue that has dead letters elsewhere, those; else the queue is taken for the one that holds them.
    fn find(counter: &Counter, name: &str) -> Outcome<Grave> {
        let queue = counter.queue(name)?;
        let (queue, source) = match queue.dead_letters {
            Some(target) if queue.role != QueueRole::Dead => (counter.queue(&target)?, Some(name.to_owned())),
            _ => (queue, None),
        };
        Ok(Grave {
            job: queue.job.filter(|_| queue.role == QueueRole::Dead),
            queue: queue.name,
            source,
        })
    }

    fn holds(&self, letter: &Letter) -> bool {
        let is_dead = letter.source.is_some() && letter.state == LetterState::Visible;
        is_dead
            && self
                .source
                .as_ref()
                .is_none_or(|source| letter.source.as_ref() == Some(source))
    }
}

/// The numbers of the letters that are meant.
fn choose(counter: &Counter, grave: &Grave, redrive: &Redrive) -> Outcome<Vec<i64>> {
    let pairs: Vec<String> = redrive
        .only
        .iter()
        .map(|pair| format!("{}={}", pair.name, pair.value))
        .collect();
    let unsound = |findings: kingtide_core::finding::Findings| {
        // What is filtered here are letters.
        let of_letters = |text: &str| {
            text.replace("no row has", "no dead letter has")
                .replace("rows", "dead letters")
        };
        let said = findings.0.into_iter().next();
        let message = said.as_ref().map(|finding| of_letters(&finding.message));
        let failure = Failure::usage(message.unwrap_or_else(|| "nothing matches".to_owned()));
        match said.and_then(|finding| finding.help) {
            Some(help) => failure.help(of_letters(&help)),
            None => failure,
        }
    };
    let mut only = Only::parse(&pairs).map_err(unsound)?;
    let mut missing: BTreeSet<&str> = redrive.ids.iter().map(String::as_str).collect();
    let wanted = missing.clone();
    let mut chosen = Vec::new();
    if let Some(database) = counter.database()? {
        let snapshot = database.snapshot()?;
        let mut after = None;
        loop {
            let page = snapshot.letters(&grave.queue, &counter.jobs, now(), after, PAGE)?;
            let Some(page) = page else { break };
            for letter in page.rows.iter().filter(|letter| grave.holds(letter)) {
                let LetterPlace::Letter(number) = letter.place else {
                    continue;
                };
                let id = number.to_string();
                let names = [Some(id.as_str()), letter.message_id.as_deref()];
                let is_named = names.into_iter().flatten().any(|name| {
                    missing.remove(name);
                    wanted.contains(name)
                });
                let is_meant = match (wanted.is_empty(), only.is_empty()) {
                    (false, _) => is_named,
                    (true, true) => true,
                    (true, false) => letter.message().is_some_and(|message| only.accepts(&message)),
                };
                if is_meant {
                    chosen.push(number);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    if let Some(id) = missing.first() {
        return Err(
            Failure::usage(format!("there is no dead letter `{id}` in {}", grave.queue)).help(format!(
                "`kingtide queue peek {}` shows their ids; nothing was put back",
                grave.queue
            )),
        );
    }
    let findings = only.finish();
    if findings.has_errors() {
        return Err(unsound(findings));
    }
    if chosen.is_empty() && !pairs.is_empty() {
        let failure = Failure::usage(format!("no dead letter of {} has {}", grave.queue, pairs.join(" ")));
        return Err(failure.help(format!("`kingtide queue peek {}` shows them", grave.queue)));
    }
    Ok(chosen)
}

fn tell(counter: &Counter, grave: &Grave, moved: u64, stayed: u64, settings: &Settings) -> Outcome {
    if settings.json {
        let line = json!({ "queue": grave.queue, "moved": moved, "stayed": stayed });
        json::line(&mut std::io::stdout().lock(), &line)?;
        return Ok(Exit::Done);
    }
    if settings.quiet {
        return Ok(Exit::Done);
    }
    let name = &grave.queue;
    output::say(&match moved {
        0 if stayed == 0 => format!("{name} has no dead letters to put back"),
        moved => format!("{} of {name} put back", plural(moved, "dead letter")),
    });
    if stayed > 0 {
        let them = plural(stayed, "letter");
        output::say(&format!(
            "{them} stay: the queue that they came from is gone, or nobody knows which it was"
        ));
    }
    if moved > 0 {
        let is_up = counter.listens()?.is_some();
        next(
            &match (&grave.job, is_up) {
                (Some(job), true) => vec![format!("kingtide status --watch {job}")],
                (Some(_), false) => vec!["kingtide up".to_owned()],
                (None, _) => vec!["kingtide queue ls".to_owned()],
            },
            settings,
        );
    }
    Ok(Exit::Done)
}
