//! The end of a run: how it went, what was slow, how memory was used, and the next useful command.

use std::time::Duration;

use kingtide_core::message::Message;
use kingtide_runtime::view::{Outcome, OutputTotal, Peak, Run, RunState, Slow, Task, Totals};

use super::style::Style;
use super::text::{bytes, count, duration, plural, tame, task_label};

/// Everything that the summary is made of.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) run: Run,
    pub(crate) wall: Duration,
    pub(crate) totals: Totals,
    pub(crate) slowest: Vec<Slow>,
    pub(crate) peak: Option<Peak>,
    /// Bytes that the job asks for.
    pub(crate) memory: Option<u64>,
    /// How memory was limited, in words: `by cgroup v2`.
    pub(crate) limits: Option<String>,
    /// One that failed.
    pub(crate) failed: Option<Task>,
    pub(crate) results: u64,
    pub(crate) outputs: OutputTotal,
}

/// Below this there is nothing worth telling about slowness.
const WORTH_TELLING: Duration = Duration::from_millis(100);
/// What a job needs above its peak to be safe.
const ROOM: f64 = 1.25;

pub(crate) fn render(facts: &Facts, style: Style) -> String {
    let mut lines = vec![headline(facts, style)];
    let mut figure = |name: &str, text: String| lines.push(format!("  {} {text}", style.dim(&format!("{name:<9}"))));
    // `cancelled` says nothing that the headline does not.
    let reason = facts
        .run
        .reason
        .as_ref()
        .filter(|reason| *reason != facts.run.state.text());
    if let Some(reason) = reason {
        figure("because", tame(reason));
    }
    if let Some(text) = slowest(facts) {
        figure("slowest", text);
    }
    if let Some(text) = memory(facts) {
        figure("memory", text);
    }
    if let Some(text) = attempts(facts) {
        figure("attempts", text);
    }
    if facts.outputs.outputs > 0 {
        let OutputTotal {
            outputs,
            files,
            bytes: size,
        } = facts.outputs;
        figure(
            "outputs",
            format!(
                "{}, {}, {}",
                plural(outputs, "folder"),
                plural(files, "file"),
                bytes(size)
            ),
        );
    }
    let next = next(facts);
    if !next.is_empty() {
        let commands: Vec<String> = next.iter().map(|command| style.bold(command)).collect();
        lines.push(format!("{} {}", style.cyan("next:"), commands.join("   ")));
    }
    lines.join("\n")
}

/// `retrain-12 succeeded in 2 min 31 s: 103 succeeded, 2 skipped`
pub(crate) fn headline(facts: &Facts, style: Style) -> String {
    let run = &facts.run;
    let state = match run.state {
        RunState::Succeeded => style.green("succeeded"),
        RunState::Failed => style.red("failed"),
        RunState::Cancelled => style.yellow("cancelled"),
        RunState::Open => style.yellow("is unfinished"),
    };
    let counts = &run.counts;
    let parts: Vec<String> = [
        (counts.succeeded, "succeeded"),
        (counts.skipped, "skipped"),
        (counts.failed, "failed"),
        (counts.rejected, "rejected"),
        (counts.cancelled, "cancelled"),
        (counts.total.saturating_sub(counts.done()), "not done"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, word)| format!("{} {word}", count(number)))
    .collect();
    let tally = if parts.is_empty() {
        "no tasks".to_owned()
    } else {
        parts.join(", ")
    };
    let after = if run.state.is_over() { "in" } else { "after" };
    format!(
        "{} {state} {after} {}: {tally}",
        style.bold(&run.name()),
        duration(facts.wall)
    )
}

fn slowest(facts: &Facts) -> Option<String> {
    let worth: Vec<String> = facts
        .slowest
        .iter()
        .filter(|slow| slow.wall >= WORTH_TELLING)
        .map(|slow| {
            format!(
                "{} ({})",
                short(&slow.message, slow.attempt.task.seq),
                duration(slow.wall)
            )
        })
        .collect();
    (!worth.is_empty()).then(|| worth.join(", "))
}

fn memory(facts: &Facts) -> Option<String> {
    let killed = facts.totals.of(Outcome::OutOfMemory);
    let limits = facts
        .limits
        .as_ref()
        .map(|how| format!("; limited {how}"))
        .unwrap_or_default();
    let Some(peak) = &facts.peak else {
        // Too short to be sampled.
        return (killed > 0).then(|| format!("{} killed for want of it{limits}", plural(killed, "attempt")));
    };
    let at_most = format!(
        "{} at most ({})",
        bytes(peak.memory),
        short(&peak.message, peak.attempt.task.seq)
    );
    let enough = roomy(peak.memory);
    let advice = match facts.memory {
        _ if killed > 0 => {
            let killed = plural(killed, "attempt");
            format!(
                ", {killed} killed for want of it: `memory = \"{}\"` would spare that",
                setting(enough)
            )
        }
        None => format!(
            ", none requested: `memory = \"{}\"` would reserve and limit it",
            setting(enough)
        ),
        Some(asked) if enough * 2 <= asked => {
            format!(
                " of {} requested: `memory = \"{}\"` would do",
                bytes(asked),
                setting(enough)
            )
        }
        Some(asked) if peak.memory as f64 * 1.1 > asked as f64 => {
            format!(
                " of {} requested, which is close: `memory = \"{}\"` leaves room",
                bytes(asked),
                setting(enough)
            )
        }
        Some(asked) => format!(" of {} requested", bytes(asked)),
    };
    let limits = if facts.memory.is_some() { limits } else { String::new() };
    Some(format!("{at_most}{advice}{limits}"))
}

/// A peak with room above it, rounded up to something a person would write.
fn roomy(peak: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    let wanted = (peak as f64 * ROOM) as u64;
    let step = match wanted / MIB {
        0..=255 => 32 * MIB,
        256..=1023 => 128 * MIB,
        1024..=8191 => 512 * MIB,
        _ => 2048 * MIB,
    };
    wanted.div_ceil(step).max(1) * step
}

/// As it is written in `kingtide.toml`: `512MiB`.
fn setting(size: u64) -> String {
    bytes(size).replace(' ', "")
}

fn attempts(facts: &Facts) -> Option<String> {
    let totals = &facts.totals;
    let failed = totals.of(Outcome::Failed) + totals.of(Outcome::TimedOut) + totals.of(Outcome::OutOfMemory);
    let parts: Vec<String> = [
        (totals.recovered, "retried with success"),
        (failed, "failed"),
        (totals.of(Outcome::TimedOut), "of them timed out"),
        (totals.of(Outcome::Lost), "lost, at no cost"),
        (totals.of(Outcome::Released), "released"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, words)| format!("{} {words}", count(number)))
    .collect();
    (!parts.is_empty()).then(|| format!("{}: {}", count(facts.run.counts.attempts), parts.join(", ")))
}

/// What one would type now.
fn next(facts: &Facts) -> Vec<String> {
    let run = &facts.run;
    let mut commands = Vec::new();
    if !run.state.is_over() {
        commands.push(format!("kingtide run {} --resume", run.job));
        return commands;
    }
    if let Some(task) = &facts.failed {
        commands.push(format!(
            "kingtide logs {} {}",
            run.job,
            naming(&task.message, task.id.seq)
        ));
    }
    if run.counts.failed + run.counts.rejected + run.counts.cancelled > 0 {
        commands.push("kingtide retry".to_owned());
    } else if facts.results > 0 {
        commands.push("kingtide results".to_owned());
    }
    if facts.outputs.outputs > 0 && run.state == RunState::Succeeded {
        commands.push("kingtide outputs".to_owned());
    }
    commands
}

fn short(message: &Message, seq: i64) -> String {
    task_label(&message.label(), seq, 48)
}

/// How to name a task on a command line: by its parameters where they are few and plain, else by its number.
fn naming(message: &Message, seq: i64) -> String {
    let label = message.label();
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '=' | ' ' | ',' | ':' | '/' | '+');
    let has_spaces = message.0.keys().any(|name| {
        message
            .text(name)
            .is_none_or(|text| text.contains(' ') || text.is_empty())
    });
    if label.is_empty() || label.len() > 40 || has_spaces || !label.chars().all(is_plain) {
        return seq.to_string();
    }
    label
}

#[cfg(test)]
pub(crate) mod sample;

#[cfg(test)]
mod tests;
