//! The tasks that run, a row each: their age against what was predicted, what they occupy, what they are called.

use kingtide_core::time::Timestamp;
use kingtide_runtime::notice::{Progress, Running};

use super::Size;
use crate::output::style::Style;
use crate::output::text::{bytes, clock, cut, task_label, width};

/// Of a terminal of usual height; higher ones show more.
const MOST: usize = 8;
/// A label that has less room than this says nothing.
const LEAST_LABEL: usize = 16;
const LONGEST_LABEL: usize = 120;

/// A task in words, before they are put under each other.
pub(crate) struct Row {
    pub(crate) age: String,
    /// `/ ~11:30`; empty where nothing is predicted.
    pub(crate) expected: String,
    /// Empty where it is not known.
    pub(crate) memory: String,
    /// It runs longer than 19 of 20 of its kind.
    pub(crate) is_slow: bool,
    pub(crate) label: String,
}

impl Row {
    pub(crate) fn new(task: &Running, now: Timestamp) -> Row {
        let age = now.since(task.started_at);
        let expected = task
            .prediction
            .map(|prediction| format!("/ ~{}", clock(prediction.median)));
        let again = if task.attempt > 1 {
            format!(" (attempt {})", task.attempt)
        } else {
            String::new()
        };
        Row {
            age: clock(age),
            expected: expected.unwrap_or_default(),
            memory: if task.memory > 0 {
                bytes(task.memory)
            } else {
                String::new()
            },
            is_slow: is_slow(task, now),
            label: format!("{}{again}", task_label(&task.label, task.seq, LONGEST_LABEL)),
        }
    }
}

/// The stragglers first, then the oldest.
pub(crate) fn ordered(progress: &Progress, now: Timestamp) -> Vec<&Running> {
    let mut tasks: Vec<&Running> = progress.running.iter().collect();
    tasks.sort_by_key(|task| (!is_slow(task, now), task.started_at));
    tasks
}

fn is_slow(task: &Running, now: Timestamp) -> bool {
    task.prediction
        .is_some_and(|prediction| now.since(task.started_at) > prediction.limit)
}

/// Adds as many rows as there is room for; how many these are.
pub(super) fn push(
    lines: &mut Vec<String>,
    progress: &Progress,
    now: Timestamp,
    room: usize,
    size: Size,
    style: Style,
) -> usize {
    let columns = size.columns.saturating_sub(1);
    let tasks = ordered(progress, now);
    let room = room.min(MOST.max(size.rows / 3));
    let rows: Vec<Row> = tasks.into_iter().take(room).map(|task| Row::new(task, now)).collect();
    let widest = |part: fn(&Row) -> &str| rows.iter().map(|row| width(part(row))).max().unwrap_or(0);
    // Room is kept for what comes a second after the start, so that nothing jumps to and fro.
    let ages = widest(|row| &row.age).max(4);
    let mut expected = match progress.forecast {
        Some(_) => widest(|row| &row.expected).max("/ ~0:00".len()),
        None => widest(|row| &row.expected),
    };
    let mut memory = match widest(|row| &row.memory) {
        0 if progress.load.slots == 0 => 0,
        known => known.max("999.9 MiB".len()),
    };
    // What matters least goes first.
    let taken = |expected: usize, memory: usize| {
        2 + ages + if expected > 0 { expected + 1 } else { 0 } + if memory > 0 { memory + 2 } else { 0 } + 2
    };
    if taken(expected, memory) + LEAST_LABEL > columns {
        memory = 0;
    }
    if taken(expected, memory) + LEAST_LABEL > columns {
        expected = 0;
    }
    for row in &rows {
        let mut figures = format!("  {:>ages$}", row.age);
        if expected > 0 {
            figures.push_str(&format!(" {:<expected$}", row.expected));
        }
        if memory > 0 {
            figures.push_str(&format!("  {:>memory$}", row.memory));
        }
        let mark = if row.is_slow { "SLOW " } else { "" };
        let left = columns.saturating_sub(width(&figures) + 2 + width(mark));
        lines.push(if left == 0 {
            cut(&figures, columns)
        } else if row.is_slow {
            format!(
                "{}  {}{}",
                style.yellow(&figures),
                style.yellow(mark),
                cut(&row.label, left)
            )
        } else {
            format!("{figures}  {}", cut(&row.label, left))
        });
    }
    rows.len()
}
