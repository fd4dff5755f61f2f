//! `queue peek`: the messages of a queue, looked at and not received.

use std::io::Write;

use kingtide_runtime::view::{Letter, LetterPlace};

use super::super::counter::{Counter, next};
use crate::args::Peek;
use crate::exit::{Exit, Outcome};
use crate::output::live::Size;
use crate::output::table::Table;
use crate::output::text::{ago, cut, now, tame};
use crate::output::{self, json};
use crate::settings::Settings;

/// Messages that are read at once.
const PAGE: usize = 500;
/// Columns of a reason, which may be long.
const REASON: usize = 48;

pub(super) fn run(peek: &Peek, settings: &Settings) -> Outcome {
    let counter = Counter::open(settings)?;
    let queue = counter.queue(&peek.name)?;
    let mut out = output::data();
    let mut table = Table::new(&["id", "sent", "state", ">received", "task", "why", "message"]);
    let mut shown = 0;
    let mut more = None;
    if let Some(database) = counter.database()? {
        let snapshot = database.snapshot()?;
        let mut after: Option<LetterPlace> = peek.after;
        while shown < peek.limit {
            let limit = PAGE.min(usize::try_from(peek.limit - shown).unwrap_or(PAGE));
            let Some(page) = snapshot.letters(&queue.name, &counter.jobs, now(), after, limit)? else {
                break;
            };
            for letter in &page.rows {
                shown += 1;
                match settings.json {
                    true => json::line(&mut out, &json::letter(letter))?,
                    false => table.row(cells(letter, queue.job.as_deref())),
                }
            }
            after = page.next;
            more = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    if shown > 0 && !settings.json {
        let columns = settings.out_is_terminal.then(|| Size::of(std::io::stdout())).flatten();
        // A message that nobody cuts is shown whole by `--json`.
        let columns = columns.map_or(MOST_COLUMNS, |size| size.columns);
        writeln!(out, "{}", table.render(settings.out, Some(columns)))?;
    }
    out.flush()?;
    if settings.json || settings.quiet {
        return Ok(Exit::Done);
    }
    if shown == 0 {
        let after = if peek.after.is_some() {
            "no message there"
        } else {
            "empty"
        };
        output::say(&format!("{} is {after}", queue.name).replace("is no message", "has no message"));
    }
    let mut commands: Vec<String> = Vec::new();
    commands.extend(more.map(|after| format!("kingtide queue peek {} --after {after}", queue.name)));
    if shown > 0 && queue.role == kingtide_runtime::view::QueueRole::Dead {
        let job = queue.job.as_deref().unwrap_or(&queue.name);
        commands.push(format!("kingtide queue redrive {job}"));
    }
    next(&commands, settings);
    Ok(Exit::Done)
}

/// Of a line where no terminal says it.
const MOST_COLUMNS: usize = 200;

fn cells(letter: &Letter, job: Option<&str>) -> Vec<String> {
    let task = letter.task.map(|task| match job {
        Some(job) => format!("{job}-{}/{}", task.run, task.seq),
        None => format!("{}/{}", task.run, task.seq),
    });
    let message = match letter.message() {
        Some(message) => message.label(),
        None => letter.body.clone(),
    };
    vec![
        letter.place.to_string(),
        ago(now().since(letter.sent_at)),
        letter.state.text().to_owned(),
        match letter.receives {
            0 => String::new(),
            receives => receives.to_string(),
        },
        task.unwrap_or_default(),
        letter
            .reason
            .as_deref()
            .map(|reason| cut(&tame(reason), REASON))
            .unwrap_or_default(),
        tame(&message.replace('\n', " ")),
    ]
}
