//! Frames of the live region, and what is seen of them on a terminal.

mod screens;

use std::time::Duration;

use kingtide_core::time::Timestamp;
use kingtide_runtime::notice::{Due, Forecast, Load, Prediction, Running};

use super::frame::frame;
use super::*;
use crate::output::style::Style;
use crate::output::text::width;

/// 2026-08-03 14:05:42Z
const NOW: Timestamp = Timestamp(1_785_765_942_000);

fn before(seconds: f64) -> Timestamp {
    Timestamp(NOW.0 - (seconds * 1000.0) as i64)
}

fn task(seq: i64, attempt: u32, label: &str, age: f64, memory: u64) -> Running {
    Running {
        seq,
        attempt,
        label: label.to_owned(),
        started_at: before(age),
        memory,
        prediction: None,
    }
}

fn progress() -> Progress {
    Progress {
        run: kingtide_core::id::RunId(12),
        name: "retrain-12".to_owned(),
        now: NOW,
        started_at: before(42.0),
        counts: Counts {
            total: 105,
            succeeded: 55,
            skipped: 2,
            failed: 1,
            attempts: 63,
            ..Counts::default()
        },
        running: vec![
            task(60, 1, "dest=BOS depth=4", 12.0, 412 << 20),
            task(61, 2, "dest=LAX depth=4", 2.5, 0),
            task(62, 1, "dest=日本 evil=\x1b[2J depth=4", 0.1, 3 << 29),
        ],
        leased: 12,
        remaining: Some(Duration::from_secs(37)),
        forecast: None,
        load: Load::default(),
        draining: false,
    }
}

/// With all that a runtime knows: a forecast, a deadline, predictions, the load.
fn foreseen() -> Progress {
    let mut progress = progress();
    progress.forecast = Some(Forecast {
        p50: NOW + Duration::from_secs(726),
        p95: NOW + Duration::from_secs(821),
        due: Some(Due {
            at: NOW + Duration::from_secs(900),
            chance: 0.934,
            confidence: 0.9,
        }),
    });
    progress.load = Load {
        slots: 4,
        taken: 3,
        cpu_milli: 2512,
        cpu_milli_given: 4000,
        memory: 2 << 30,
        memory_given: 8 << 30,
    };
    for (running, median) in progress.running.iter_mut().zip([5, 690, 3]) {
        running.prediction = Some(Prediction {
            median: Duration::from_secs(median),
            limit: Duration::from_secs(median * 2),
        });
    }
    progress
}

fn caption(style: Style) -> Caption {
    Caption {
        title: "retrain-12".to_owned(),
        style,
        is_elsewhere: false,
    }
}

fn lines(progress: &Progress, columns: usize, rows: usize) -> Vec<String> {
    frame(
        &caption(Style::plain()),
        progress,
        Duration::from_millis(1200),
        Size { columns, rows },
        true,
    )
}

#[test]
fn a_run_of_which_little_is_known() {
    insta::assert_snapshot!(lines(&progress(), 80, 24).join("\n"));
}

#[test]
fn draining_says_so() {
    let progress = Progress {
        draining: true,
        ..progress()
    };
    insta::assert_snapshot!(lines(&progress, 100, 24).join("\n"));
}

#[test]
fn colours_tell_states_and_hope() {
    let size = Size { columns: 80, rows: 24 };
    let drawn = |due: f64, chance: f64| {
        let mut progress = foreseen();
        let forecast = progress.forecast.as_mut().expect("it has one");
        forecast.due = Some(Due {
            at: Timestamp(NOW.0 + (due * 1000.0) as i64),
            chance,
            confidence: 0.9,
        });
        frame(&caption(Style::new(true)), &progress, Duration::ZERO, size, true)
    };
    let all = drawn(900.0, 0.93);
    let deadlines = [drawn(750.0, 0.6), drawn(700.0, 0.2), drawn(-60.0, 0.0)].map(|lines| lines[2].clone());
    let text = format!("{}\n\n{}", all.join("\n"), deadlines.join("\n"));
    insta::assert_snapshot!(text.replace('\x1b', "␛"));
}

#[test]
fn no_line_is_as_wide_as_the_terminal_and_one_row_stays_free() {
    let mut many = foreseen();
    many.counts.total = 10_000;
    many.leased = 60;
    many.running = (0..50).map(|n| many.running[n % 3].clone()).collect();
    for progress in [progress(), foreseen(), many, Progress::default()] {
        for columns in 1..=200 {
            for rows in (1..=24).chain([50]) {
                for style in [Style::plain(), Style::new(true)] {
                    let size = Size { columns, rows };
                    let lines = frame(&caption(style), &progress, Duration::ZERO, size, true);
                    assert!(
                        lines.iter().all(|line| width(line) < columns.max(2)),
                        "{columns}: {lines:?}"
                    );
                    assert!(lines.len() < rows.max(2), "{rows}: {lines:?}");
                }
            }
        }
    }
}

#[test]
fn percent_is_honest_at_both_ends() {
    let said = |succeeded, total| {
        percent(&Counts {
            succeeded,
            total,
            ..Counts::default()
        })
    };
    assert_eq!(
        [
            said(0, 1000),
            said(1, 1000),
            said(999, 1000),
            said(1000, 1000),
            said(0, 0)
        ],
        ["0 %", "1 %", "99 %", "100 %", "0 %"]
    );
}
