//! `queue ls`: the queues, and how many messages each has.

use std::io::Write;

use kingtide_runtime::view::{MessageQueue, QueueRole};

use super::super::counter::{Counter, next};
use crate::exit::{Exit, Outcome};
use crate::output::live::Size;
use crate::output::style::Style;
use crate::output::table::Table;
use crate::output::text::{ago, count, now};
use crate::output::{self, json};
use crate::settings::Settings;

/// Queues that are read at once.
const PAGE: usize = 500;

pub(super) fn run(settings: &Settings) -> Outcome {
    let counter = Counter::open(settings)?;
    let mut queues = Vec::new();
    match counter.database()? {
        None => queues = MessageQueue::of_jobs(&counter.jobs),
        Some(database) => {
            let snapshot = database.snapshot()?;
            loop {
                let after = queues
                    .last()
                    .map_or("", |queue: &MessageQueue| queue.name.as_str())
                    .to_owned();
                let page = snapshot.queues(&counter.jobs, now(), &after, PAGE)?;
                let is_last = page.len() < PAGE;
                queues.extend(page);
                if is_last {
                    break;
                }
            }
        }
    }
    let mut out = output::data();
    if settings.json {
        for queue in &queues {
            json::line(&mut out, &json::queue(queue))?;
        }
    } else if queues.is_empty() {
        output::say("there are no queues: each job has one, and `kingtide queue create NAME` makes others");
    } else {
        let columns = settings.out_is_terminal.then(|| Size::of(std::io::stdout())).flatten();
        let table = table(&queues, settings.out).render(settings.out, columns.map(|size| size.columns));
        writeln!(out, "{table}")?;
    }
    out.flush()?;
    let dead = queues
        .iter()
        .find(|queue| queue.role == QueueRole::Dead && queue.counts.visible > 0);
    if let Some(dead) = dead {
        let job = dead.job.as_deref().unwrap_or(&dead.name);
        let commands = [
            format!("kingtide queue peek {}", dead.name),
            format!("kingtide queue redrive {job}"),
        ];
        next(&commands, settings);
    }
    Ok(Exit::Done)
}

fn table(queues: &[MessageQueue], style: Style) -> Table {
    let mut table = Table::new(&[
        "queue",
        "of",
        ">visible",
        ">in flight",
        ">delayed",
        "oldest",
        "dead letters go to",
    ]);
    let now = now();
    for queue in queues {
        let some = |number: u64| if number == 0 { style.dim("0") } else { count(number) };
        let visible = some(queue.counts.visible);
        let is_dead = queue.role == QueueRole::Dead && queue.counts.visible > 0;
        table.row(vec![
            style.bold(&queue.name),
            match (queue.role, &queue.job) {
                (QueueRole::Job, _) => "job".to_owned(),
                (QueueRole::Dead, Some(job)) => format!("dead letters of {job}"),
                _ => String::new(),
            },
            if is_dead { style.red(&visible) } else { visible },
            some(queue.counts.in_flight),
            some(queue.counts.delayed),
            queue.oldest.map_or_else(String::new, |oldest| ago(now.since(oldest))),
            queue.dead_letters.clone().unwrap_or_default(),
        ]);
    }
    table
}
