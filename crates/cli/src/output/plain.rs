//! A run as plain lines, for pipes, logs and continuous integration; and the lines of failures, which the live region
//! prints above itself.

use std::time::Duration;

use kingtide_core::engine::event::TaskState;
use kingtide_core::time::Timestamp;
use kingtide_runtime::notice::{ConsumerFailure, Failure, Progress};

use super::foresight::{deadline_in_short, done_in};
use super::live::{percent, running};
use super::style::Style;
use super::text::{count, cut, duration, tame, task_label, without_stamp};

/// A line when this much time has passed since the last and something is new,
const BRISK: Duration = Duration::from_secs(10);
/// or this much and nothing is,
const IDLE: Duration = Duration::from_secs(60);
/// or at each of so many parts of the whole.
const PARTS: u64 = 10;

/// Decides when a progress line is due.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    said_at: Option<Timestamp>,
    done: u64,
    part: u64,
}

impl Plain {
    /// The line, when one is due.
    pub(crate) fn progress(&mut self, title: &str, progress: &Progress) -> Option<String> {
        let counts = &progress.counts;
        let done = counts.done();
        let part = (done * PARTS).checked_div(counts.total).unwrap_or(0);
        let quiet = progress.now.since(self.said_at.unwrap_or(progress.started_at));
        let is_due = part > self.part || (quiet >= BRISK && done > self.done) || quiet >= IDLE;
        // The summary says the end.
        if !is_due || done >= counts.total {
            return None;
        }
        *self = Plain {
            said_at: Some(progress.now),
            done,
            part,
        };
        let mut line = format!(
            "{title}: {} of {} done ({})",
            count(done),
            count(counts.total),
            percent(counts)
        );
        let bad = counts.failed + counts.rejected;
        if bad > 0 {
            line.push_str(&format!(", {} failed", count(bad)));
        }
        let active = running(progress);
        if active > 0 {
            line.push_str(&format!(", {} running", count(active)));
        }
        line.push_str(&format!(", {}", duration(progress.now.since(progress.started_at))));
        match (progress.forecast, progress.remaining) {
            (Some(forecast), _) => {
                line.push_str(&format!(", {}", done_in(&forecast, progress.now)));
                if let Some(due) = forecast.due {
                    line.push_str(&format!(", {}", deadline_in_short(&due, progress.now)));
                }
            }
            (None, Some(remaining)) => line.push_str(&format!(", about {} left", duration(remaining))),
            (None, None) => {}
        }
        if progress.draining {
            line.push_str(", nothing new starts");
        }
        Some(line)
    }
}

/// Tells failures as they happen: the first ones with the last lines of their logs, then a line each, then no more.
#[derive(Debug)]
pub(crate) struct Failures {
    told: u64,
    style: Style,
}

impl Failures {
    const WITH_TAIL: u64 = 10;
    const IN_ALL: u64 = 100;
    const TAIL_LINES: usize = 8;
    const TAIL_COLUMNS: usize = 400;

    pub(crate) fn new(style: Style) -> Failures {
        Failures { told: 0, style }
    }

    /// What to print; `None` once there were too many, and for what is no failure.
    pub(crate) fn tell(&mut self, job: &str, failure: &Failure) -> Option<String> {
        let style = self.style;
        let mark = match failure.state {
            TaskState::Waiting | TaskState::Leased if failure.retry_in.is_none() => style.yellow("again"),
            TaskState::Waiting | TaskState::Leased => style.yellow("retry"),
            TaskState::Failed => style.red("failed"),
            TaskState::Rejected => style.red("rejected"),
            TaskState::Succeeded | TaskState::Skipped | TaskState::Cancelled => return None,
        };
        self.told += 1;
        if self.told > Failures::IN_ALL {
            return None;
        }
        let label = task_label(&failure.label, failure.seq, 120);
        let mut text = format!("{mark} {label}: {}", tame(&failure.reason));
        let is_again = matches!(failure.state, TaskState::Waiting | TaskState::Leased);
        if is_again || failure.attempt > 1 {
            text.push_str(&format!(" in attempt {}", failure.attempt));
        }
        match failure.retry_in {
            Some(Duration::ZERO) if is_again => text.push_str(", tried again at once"),
            Some(delay) if is_again => text.push_str(&format!(", tried again in {}", duration(delay))),
            // Released, lost or put back: no failure of its own.
            None if is_again => {
                text.push_str(", back in the queue at no cost");
                return Some(text);
            }
            _ if failure.attempt > 1 => text.push_str(", the last"),
            _ => {}
        }
        if self.told <= Failures::WITH_TAIL {
            self.push_tail(&mut text, &failure.tail);
        }
        if self.told == Failures::WITH_TAIL {
            text.push_str(&format!(
                "\n… further failures without their last lines: `kingtide logs {job} {}`",
                failure.seq
            ));
        }
        if self.told == Failures::IN_ALL {
            text.push_str(&format!(
                "\n… further failures are only counted: `kingtide results {job}-{}`",
                failure.run
            ));
        }
        Some(text)
    }

    /// What to print of a consumer's instance that did not end well.
    pub(crate) fn tell_consumer(&self, failure: &ConsumerFailure) -> String {
        let mark = self.style.yellow("consumer");
        let mut text = format!(
            "{mark} {} of {}: {}, another in {}",
            failure.instance,
            failure.job,
            tame(&failure.reason),
            duration(failure.next_in)
        );
        self.push_tail(&mut text, &failure.tail);
        text
    }

    fn push_tail(&self, text: &mut String, tail: &str) {
        let lines: Vec<&str> = tail.lines().filter(|line| !line.trim().is_empty()).collect();
        for line in &lines[lines.len().saturating_sub(Failures::TAIL_LINES)..] {
            text.push_str(&format!(
                "\n    {} {}",
                self.style.dim("│"),
                cut(&tame(without_stamp(line)), Failures::TAIL_COLUMNS)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use kingtide_core::id::RunId;
    use kingtide_runtime::notice::{Counts, Due, Forecast};

    use super::*;

    fn at(seconds: i64, succeeded: u64, failed: u64) -> Progress {
        Progress {
            now: Timestamp(seconds * 1000),
            started_at: Timestamp(0),
            counts: Counts {
                total: 105,
                succeeded,
                failed,
                ..Counts::default()
            },
            leased: 2,
            remaining: Some(Duration::from_secs(300)),
            ..Progress::default()
        }
    }

    #[test]
    fn lines_come_with_time_and_with_parts_of_the_whole() {
        let mut plain = Plain::default();
        let steps = [
            at(1, 1, 0),    // too early
            at(10, 2, 0),   // ten seconds, and something new
            at(20, 2, 0),   // nothing new
            at(70, 2, 0),   // a minute
            at(71, 11, 0),  // a tenth of the whole
            at(72, 31, 1),  // two tenths at once
            at(73, 32, 1),  // too early
            at(99, 104, 1), // the summary's
        ];
        let lines: Vec<String> = steps
            .iter()
            .filter_map(|step| plain.progress("retrain-12", step))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_forecast_is_a_range_with_the_chance_of_the_deadline() {
        let mut progress = at(60, 31, 0);
        let due = Due {
            at: progress.now + Duration::from_secs(900),
            chance: 0.934,
            confidence: 0.9,
        };
        let forecast = |due| Forecast {
            p50: Timestamp(60_000) + Duration::from_secs(730),
            p95: Timestamp(60_000) + Duration::from_secs(860),
            due,
        };
        progress.forecast = Some(forecast(None));
        let line = |progress: &Progress| Plain::default().progress("retrain-12", progress).expect("it is due");
        assert_eq!(
            line(&progress),
            "retrain-12: 31 of 105 done (29 %), 1 min 00 s, done in 12 min to 14 min"
        );
        progress.forecast = Some(forecast(Some(due)));
        assert!(line(&progress).ends_with(", done in 12 min to 14 min, deadline 93 %"));
    }

    fn failure(attempt: u32, retry_in: Option<u64>, state: TaskState) -> Failure {
        Failure {
            job: "retrain".to_owned(),
            run: RunId(12),
            seq: 37,
            attempt,
            label: "dest=BOS depth=4".to_owned(),
            reason: "exit code 1".to_owned(),
            tail: "Traceback (most recent call last):\n\n  File \"train.py\", line 7\n2026-11-24T03:08:00.123Z ValueError: \x1b[31mno flights\n"
                .to_owned(),
            retry_in: retry_in.map(Duration::from_secs),
            state,
        }
    }

    #[test]
    fn a_failure_shows_its_last_lines() {
        let mut failures = Failures::new(Style::plain());
        let told: Vec<String> = [
            failure(1, Some(2), TaskState::Waiting),
            failure(2, None, TaskState::Waiting),
            failure(3, None, TaskState::Failed),
            failure(1, None, TaskState::Failed),
            failure(1, None, TaskState::Rejected),
            failure(1, None, TaskState::Skipped),
        ]
        .iter()
        .filter_map(|failure| failures.tell("retrain", failure))
        .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_flood_of_failures_is_dammed() {
        let mut failures = Failures::new(Style::plain());
        let told: Vec<String> = (0..5000)
            .filter_map(|_| failures.tell("retrain", &failure(1, None, TaskState::Failed)))
            .collect();
        assert_eq!(told.len(), 100);
        assert!(told.join("\n").lines().count() < 150);
        assert!(
            told[99].ends_with("only counted: `kingtide results retrain-12`"),
            "{}",
            told[99]
        );
    }
}
