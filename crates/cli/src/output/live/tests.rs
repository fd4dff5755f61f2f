//! Frames of the live region, and how it is repainted.

use kingtide_core::time::Timestamp;
use kingtide_runtime::notice::Running;

use super::*;

fn task(seq: i64, attempt: u32, label: &str, started_at: i64, memory: u64) -> Running {
    Running {
        seq,
        attempt,
        label: label.to_owned(),
        started_at: Timestamp(started_at),
        memory,
        prediction: None,
    }
}

fn progress() -> Progress {
    Progress {
        run: kingtide_core::id::RunId(1),
        name: "retrain-1".to_owned(),
        now: Timestamp(42_000),
        started_at: Timestamp(0),
        counts: Counts {
            total: 105,
            succeeded: 55,
            skipped: 2,
            failed: 1,
            attempts: 63,
            ..Counts::default()
        },
        running: vec![
            task(60, 1, "dest=BOS depth=4", 30_000, 412 << 20),
            task(61, 2, "dest=LAX depth=4", 39_500, 0),
            task(62, 1, "dest=日本 evil=\x1b[2J depth=4", 41_900, 3 << 29),
        ],
        leased: 12,
        remaining: Some(Duration::from_secs(37)),
        forecast: None,
        load: Default::default(),
        draining: false,
    }
}

fn drawn(progress: &Progress, columns: usize, rows: usize) -> String {
    frame(
        "retrain-12",
        progress,
        Duration::from_millis(1200),
        Size { columns, rows },
        Style::plain(),
    )
    .join("\n")
}

#[test]
fn a_usual_terminal() {
    insta::assert_snapshot!(drawn(&progress(), 80, 24));
}

#[test]
fn a_narrow_and_a_flat_terminal() {
    insta::assert_snapshot!("narrow", drawn(&progress(), 34, 24));
    insta::assert_snapshot!("flat", drawn(&progress(), 80, 5));
}

#[test]
fn draining_says_so() {
    insta::assert_snapshot!(drawn(
        &Progress {
            draining: true,
            ..progress()
        },
        100,
        24
    ));
}

#[test]
fn no_line_is_as_wide_as_the_terminal_and_one_row_stays_free() {
    for columns in 1..140 {
        for rows in 1..16 {
            for style in [Style::plain(), Style::new(true)] {
                let size = Size { columns, rows };
                let lines = frame("retrain-12", &progress(), Duration::ZERO, size, style);
                assert!(
                    lines.iter().all(|line| width(line) < columns.max(2)),
                    "{columns}: {lines:?}"
                );
                assert!(lines.len() < rows.max(2), "{rows}: {lines:?}");
            }
        }
    }
}

#[test]
fn a_terminal_made_narrower_is_cleaned_up() {
    let size = Size { columns: 40, rows: 24 };
    // 79 columns are folded into two rows by a terminal of 40; 40 and 0 take one.
    let text = repaint(&[79, 40, 0], &["failed".to_owned()], &["bar".to_owned()], size);
    assert_eq!(text, "\r\x1b[4Afailed\x1b[K\nbar\x1b[K\n\x1b[J");
    assert_eq!(repaint(&[], &[], &[], size), "\r\x1b[J");
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
