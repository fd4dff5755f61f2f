//! What the region shows, as lines: pure. The line of the bar, the counts, the deadline, what of the machine is in use, and the tasks
//! that run. A terminal that is too narrow or too flat for all of it loses what matters least.

use std::time::Duration;

use kingtide_core::time::Timestamp;
use kingtide_runtime::notice::{Forecast, Load, Progress};

use super::Size;
use super::bar::bar;
use super::line::{Paint, Part, bare, fitted, parts_width};
use super::rows;
use super::{percent, running};
use crate::output::foresight::{self, Deadline, Hope};
use crate::output::style::Style;
use crate::output::text::{clock, count, cut, plural, share};

/// What is shown does not change while a run is: its name, colours, and what keys do.
#[derive(Clone, Debug)]
pub(crate) struct Caption {
    /// `retrain-12`
    pub(crate) title: String,
    pub(crate) style: Style,
    /// Another process works the run off, and here it is only watched.
    pub(crate) is_elsewhere: bool,
}

const LEAST_BAR: usize = 10;
const MOST_BAR: usize = 40;
/// Flatter terminals do without what is only nice to know.
const FLAT: usize = 8;

/// The region. No line is as wide as the terminal, and the last row of it stays free.
pub(crate) fn frame(
    caption: &Caption,
    progress: &Progress,
    since: Duration,
    size: Size,
    has_keys: bool,
) -> Vec<String> {
    let columns = size.columns.saturating_sub(1);
    let style = caption.style;
    let now = progress.now + since;
    let is_flat = size.rows < FLAT;
    let mut lines = bar_lines(caption, progress, now, columns, is_flat);
    lines.push(counts_line(progress, has_keys, columns, style));
    lines.extend(deadline_line(progress.forecast.as_ref(), now, columns, style));
    if progress.draining {
        let runs = plural(running(progress), "running task");
        let advice = if caption.is_elsewhere {
            ""
        } else {
            " (Ctrl-C again ends them)"
        };
        let text = format!("  nothing new starts; waiting for {runs}{advice}");
        lines.push(style.yellow(&cut(&text, columns)));
    }
    if !is_flat {
        lines.extend(load_line(&progress.load, columns, style));
    }
    // One line for those that are not shown, one row below the region.
    let room = size.rows.saturating_sub(lines.len() + 2);
    let shown = rows::push(&mut lines, progress, now, room, size, style);
    let hidden = running(progress).saturating_sub(shown as u64);
    let is_over = progress.counts.done() >= progress.counts.total;
    if hidden > 0 && shown > 0 && lines.len() + 1 < size.rows && !is_over {
        lines.push(style.dim(&cut(&format!("  … and {} more", count(hidden)), columns)));
    }
    lines.truncate(size.rows.saturating_sub(1).max(1));
    lines
}

/// The bar, with what matters most beside it; in a narrow terminal below it.
fn bar_lines(caption: &Caption, progress: &Progress, now: Timestamp, columns: usize, is_flat: bool) -> Vec<String> {
    let (style, counts) = (caption.style, &progress.counts);
    let done = format!("{}/{}", count(counts.done()), count(counts.total));
    let mut parts = vec![
        Part::new(0, &caption.title, |style, text| style.bold(text)),
        Part::new(3, done, bare),
        Part::new(1, percent(counts), bare),
        Part::new(4, clock(now.since(progress.started_at)), bare),
    ];
    if let Some(left) = foresight::left(progress, now) {
        parts.push(Part::new(2, left, bare));
    }
    let active = running(progress);
    let most = MOST_BAR.max(columns / 3);
    let room = columns.saturating_sub(parts_width(&parts, "  ") + 2).min(most);
    if room >= LEAST_BAR {
        let title = style.bold(&caption.title);
        let rest = fitted(parts.split_off(1), "  ", columns, style);
        return vec![format!("{title}  {}  {rest}", bar(counts, active, room, style))];
    }
    let mut lines = vec![fitted(parts, "  ", columns, style)];
    if !is_flat && columns >= LEAST_BAR {
        lines.push(format!("  {}", bar(counts, active, (columns - 2).min(most), style)));
    }
    lines
}

fn counts_line(progress: &Progress, has_keys: bool, columns: usize, style: Style) -> String {
    let counts = &progress.counts;
    let active = running(progress);
    let open = counts.total.saturating_sub(counts.done() + active);
    // Of a runtime that works off other runs too, theirs are among those that are leased.
    let next = progress.leased.saturating_sub(active).min(open);
    let waiting = open - next;
    let parts: [(u8, u64, &str, Paint); 8] = [
        (3, counts.succeeded, "succeeded", |style, text| style.green(text)),
        (4, counts.skipped, "skipped", bare),
        (0, counts.failed, "failed", |style, text| style.red(text)),
        (1, counts.rejected, "rejected", |style, text| style.red(text)),
        (4, counts.cancelled, "cancelled", |style, text| style.yellow(text)),
        (2, active, "running", |style, text| style.cyan(text)),
        (6, next, "next", |style, text| style.dim(text)),
        (5, waiting, "waiting", |style, text| style.dim(text)),
    ];
    let mut parts: Vec<Part> = parts
        .into_iter()
        .filter(|(_, number, ..)| *number > 0)
        .map(|(rank, number, word, paint)| Part::new(rank, format!("{} {word}", count(number)), paint))
        .collect();
    if has_keys {
        parts.push(Part::new(7, "? keys", |style, text| style.dim(text)));
    }
    indented(parts, " · ", columns, style)
}

fn deadline_line(forecast: Option<&Forecast>, now: Timestamp, columns: usize, style: Style) -> Option<String> {
    let forecast = forecast?;
    let said = Deadline::new(forecast, forecast.due.as_ref()?, now);
    let paint: Paint = match said.hope {
        Hope::Good => |style, text| style.green(text),
        Hope::Doubtful => |style, text| style.yellow(text),
        Hope::Poor => |style, text| style.red(text),
    };
    let parts = [
        (0, said.at, bare as Paint),
        (2, said.away, if said.likely.is_empty() { paint } else { bare }),
        (1, said.likely, paint),
        (4, said.wanted, |style, text| style.dim(text)),
        (3, said.late, paint),
    ];
    let parts = parts.into_iter().filter(|(_, text, _)| !text.is_empty());
    let parts = parts.map(|(rank, text, paint)| Part::new(rank, text, paint)).collect();
    Some(indented(parts, " ", columns, style))
}

fn load_line(load: &Load, columns: usize, style: Style) -> Option<String> {
    let dim: Paint = |style, text| style.dim(text);
    let mut parts = Vec::new();
    if load.slots > 0 {
        parts.push(Part::new(0, format!("slots {}/{}", load.taken, load.slots), dim));
    }
    if load.cpu_milli_given > 0 {
        let text = format!("cpu {}/{}", cores(load.cpu_milli), cores(load.cpu_milli_given));
        parts.push(Part::new(1, text, dim));
    }
    if load.memory_given > 0 {
        let text = format!("memory {}", share(load.memory, load.memory_given));
        parts.push(Part::new(2, text, dim));
    }
    (!parts.is_empty()).then(|| indented(parts, " · ", columns, style))
}

/// Thousandths of a core as cores: `2.5`, `4`.
fn cores(milli: u32) -> String {
    let tenths = milli.saturating_add(50) / 100;
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        rest => format!("{}.{rest}", tenths / 10),
    }
}

fn indented(parts: Vec<Part>, gap: &str, columns: usize, style: Style) -> String {
    // Terminals narrower than the indent have not even that.
    let indent = &"  "[..columns.min(2)];
    format!("{indent}{}", fitted(parts, gap, columns.saturating_sub(2), style))
}
