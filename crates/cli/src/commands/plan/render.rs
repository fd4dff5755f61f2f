//! A plan as people read it.

use std::time::Duration;

use kingtide_core::plan::burst::Finish;
use kingtide_core::plan::proposal::{Proposal, Remedy};
use kingtide_core::time::Timestamp;

use super::foresight::Foresight;
use crate::output::style::Style;
use crate::output::table::Table;
use crate::output::text::{self, bytes, count, cut, duration, moment, plural, tame};
use crate::remote::tariff::dollars;

/// Rows of the histogram, and columns of its longest bar.
const ROWS: usize = 8;
const BAR: usize = 40;
const LABEL: usize = 60;

pub(super) fn render(of: &Foresight, now: Timestamp, style: Style) -> String {
    let mut text = Text {
        lines: Vec::new(),
        style,
    };
    let at_once = of
        .proposal
        .as_ref()
        .map_or(of.slots.min(of.tasks), |proposal| proposal.chosen.workers);
    text.line(
        "run",
        &format!(
            "{}: {}, {at_once} at once",
            style.bold(&of.job),
            plural(of.tasks as u64, "task")
        ),
    );
    text.line("by", &basis(of));
    match &of.proposal {
        Some(proposal) => render_proposal(&mut text, of, proposal, now),
        None => {
            text.line("finish", "cannot be foreseen: nothing tells how long a task takes");
            text.help("`expected = \"22min\"` in the job says about how long one takes; or run it once");
        }
    }
    text.lines.join("\n")
}

fn render_proposal(text: &mut Text, of: &Foresight, proposal: &Proposal, now: Timestamp) {
    let style = text.style;
    let chosen = &proposal.chosen;
    let (p50, p95) = (chosen.finish.quantile(0.5), chosen.finish.quantile(0.95));
    text.line(
        "finish",
        &format!(
            "in {} as likely as not, in {} 19 times of 20",
            duration(p50),
            duration(p95)
        ),
    );
    if let (Some(deadline), Some(chance)) = (of.deadline, chosen.chance) {
        let said = format!(
            "{} ({}): chance {}",
            duration(deadline),
            moment(now + deadline),
            text::chance(chance)
        );
        let wanted = format!("{} wanted", text::chance(of.confidence));
        text.line(
            "deadline",
            &match chance >= of.confidence {
                true => format!("{}, {wanted}", style.green(&said)),
                false => format!("{}, {wanted}", style.yellow(&said)),
            },
        );
    }
    if let Some(cost) = chosen.cost {
        let range = of.cost_range.map_or_else(String::new, |(low, high)| {
            format!(" ({} to {})", dollars(low), dollars(high))
        });
        text.line(
            "cost",
            &match of.is_aws {
                true => format!("about {}{range}, of the workers", dollars(cost)),
                false => money(cost),
            },
        );
    }
    if let Some((peak, label)) = &of.memory {
        let enough = match of.reserved {
            Some(reserved) if *peak > reserved => {
                style.yellow(&format!(", more than the {} that are reserved", bytes(reserved)))
            }
            _ => String::new(),
        };
        text.line(
            "memory",
            &format!("{} at most 19 times of 20 ({}){enough}", bytes(*peak), label_of(label)),
        );
    }
    text.lines.push(String::new());
    text.lines.push(choices(of, proposal, style));
    text.lines.push(String::new());
    text.lines.extend(histogram(&chosen.finish, of.deadline, style));
    advise(text, of, proposal);
}

fn choices(of: &Foresight, proposal: &Proposal, style: Style) -> String {
    let mut table = Table::new(&[">workers", ">half the time", ">19 of 20", ">chance", ">cost", ""]);
    for choice in &proposal.alternatives {
        let is_chosen = choice.workers == proposal.chosen.workers;
        let remark = if choice.workers > of.slots {
            match of.is_aws {
                true => format!("more than may run at once ({})", of.limit),
                false => format!("more than this machine has room for ({})", of.limit),
            }
        } else if is_chosen {
            "this plan".to_owned()
        } else {
            String::new()
        };
        table.row(vec![
            count(choice.workers as u64),
            duration(choice.finish.quantile(0.5)),
            duration(choice.finish.quantile(0.95)),
            choice.chance.map_or_else(String::new, text::chance),
            choice
                .cost
                .map_or_else(String::new, |cost| if of.is_aws { dollars(cost) } else { money(cost) }),
            style.dim(&remark),
        ]);
    }
    table.render(style, None)
}

/// When all is done: how often in each stretch of time.
fn histogram(finish: &Finish, deadline: Option<Duration>, style: Style) -> Vec<String> {
    let (first, last) = (finish.quantile(0.005), finish.quantile(0.995));
    let step = ((last.saturating_sub(first)) / ROWS as u32).max(Duration::from_millis(1));
    let mut counts = [0_usize; ROWS];
    for end in finish.ends() {
        let row = end.saturating_sub(first).as_nanos() / step.as_nanos();
        counts[usize::try_from(row).unwrap_or(ROWS).min(ROWS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    // One known exactly needs no picture.
    if counts.iter().filter(|count| **count > 0).count() < 2 {
        return Vec::new();
    }
    let mut lines = vec![style.dim("done after")];
    for (row, count) in (0_u32..).zip(counts) {
        let from = first + step * row;
        let cells = (count * BAR).div_ceil(most);
        let is_late = deadline.is_some_and(|deadline| from > deadline);
        let bar = "█".repeat(cells);
        let bar = if is_late { style.red(&bar) } else { style.green(&bar) };
        let mark = match deadline {
            Some(deadline) if (from..from + step).contains(&deadline) => style.bold("  ◀ deadline"),
            _ => String::new(),
        };
        lines.push(format!("{:>12}  {bar}{mark}", duration(from)));
    }
    lines
}

/// What decides, and what would help.
fn advise(text: &mut Text, of: &Foresight, proposal: &Proposal) {
    let style = text.style;
    if !proposal.deciding.is_empty() {
        text.lines.push(String::new());
    }
    for (task, chance) in &proposal.deciding {
        let named = of.task(*task);
        text.line(
            "decides",
            &format!(
                "{}: about {}, {} 19 times of 20; alone too late in {} of runs",
                style.bold(&label_of(&named.label)),
                duration(named.median),
                duration(named.long),
                text::chance(*chance)
            ),
        );
    }
    let short = of
        .deadline
        .zip(of.longest())
        .filter(|(deadline, longest)| longest.median > *deadline);
    if let Some((deadline, longest)) = short {
        text.line(
            "too short",
            &style.yellow(&format!(
                "{} takes about {}, {} longer than the deadline",
                label_of(&longest.label),
                duration(longest.median),
                duration(longest.median.saturating_sub(deadline))
            )),
        );
    }
    for remedy in &proposal.remedies {
        let wanted = text::chance(of.confidence);
        text.help(&match remedy {
            Remedy::Time(more) => format!(
                "a deadline {} later, or as much earlier a start, reaches {wanted}",
                duration(*more)
            ),
            Remedy::Workers(workers) => {
                format!(
                    "{workers} at once reach {wanted}; {} {} ({})",
                    if of.is_aws {
                        "there may be"
                    } else {
                        "here there is room for"
                    },
                    of.slots,
                    of.limit
                )
            }
            Remedy::Faster { tasks, chance } => format!(
                "no number of workers reaches {wanted}; a machine twice as fast for the {} comes to {}",
                match tasks {
                    1 => "longest".to_owned(),
                    many => format!("{many} longest"),
                },
                text::chance(*chance)
            ),
        });
    }
}

/// What the forecast rests on.
fn basis(of: &Foresight) -> String {
    let mut said = match (of.configurations, of.is_hint) {
        (0, true) if of.runs > 0 => "the hint `expected`: no earlier run tells".to_owned(),
        (0, false) if of.runs > 0 => "nothing: no earlier run tells, no `expected`".to_owned(),
        (0, true) => "the hint `expected`: first run, no history".to_owned(),
        (0, false) => "nothing: first run, no history, no `expected`".to_owned(),
        (seen, _) => format!("what {} took in earlier runs", plural(seen as u64, "configuration")),
    };
    if !of.covariates.is_empty() {
        said.push_str(&format!(", with {}", of.covariates.join(" and ")));
    }
    if let Some(trend) = of.trend {
        said.push_str(&format!(", {:+.1} % from run to run", trend * 100.0));
    }
    if of.foreign > 0 {
        let runs = plural(of.foreign, "run");
        said.push_str(&format!("; {runs} had parameters of other names: not gone by"));
    }
    said
}

struct Text {
    lines: Vec<String>,
    style: Style,
}

impl Text {
    fn line(&mut self, name: &str, text: &str) {
        self.lines
            .push(format!("{} {text}", self.style.dim(&format!("{name:<9}"))));
    }

    fn help(&mut self, text: &str) {
        self.lines.push(format!("{} {text}", self.style.cyan("help:")));
    }
}

fn label_of(label: &str) -> String {
    tame(&cut(label, LABEL))
}

fn money(cost: f64) -> String {
    match cost {
        cost if cost < 0.01 => format!("{cost:.4}"),
        cost => format!("{cost:.2}"),
    }
}
