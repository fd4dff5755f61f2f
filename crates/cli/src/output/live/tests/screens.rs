//! What is written goes into a terminal, and the screen is looked at.

use kingtide_testkit::screen::Screen;

use super::*;
use crate::output::live::canvas::Canvas;

/// A terminal with a prompt on it, and what is drawn there.
struct Sight {
    screen: Screen,
    canvas: Canvas,
    size: Size,
}

impl Sight {
    fn new(columns: usize, rows: usize) -> Sight {
        let mut screen = Screen::new(columns, rows);
        screen.write("$ kingtide run retrain\n");
        Sight {
            screen,
            canvas: Canvas::default(),
            size: Size { columns, rows },
        }
    }

    fn resize(&mut self, columns: usize, rows: usize) {
        self.screen.resize(columns, rows);
        self.size = Size { columns, rows };
    }

    /// How many bytes it took.
    fn paint(&mut self, above: &[&str], progress: Option<&Progress>) -> usize {
        let lines = progress.map_or_else(Vec::new, |progress| {
            frame(&caption(Style::new(true)), progress, Duration::ZERO, self.size, true)
        });
        let above: Vec<String> = above.iter().map(|line| (*line).to_owned()).collect();
        let text = self.canvas.repaint(&above, lines, self.size);
        self.screen.write(&text);
        text.len()
    }

    /// Everything, with a line where the screen begins below what has scrolled away.
    fn seen(&self) -> String {
        let (all, screen) = (self.screen.history(), self.screen.text());
        match all.strip_suffix(&screen) {
            Some("") | None => screen,
            Some(above) => format!("{above}── the screen ──\n{screen}"),
        }
    }
}

fn seen(progress: &Progress, columns: usize, rows: usize) -> String {
    let mut sight = Sight::new(columns, rows);
    sight.paint(&[], Some(progress));
    sight.seen()
}

#[test]
fn usual_narrow_wide_and_flat() {
    insta::assert_snapshot!("usual", seen(&foreseen(), 80, 24));
    insta::assert_snapshot!("narrow", seen(&foreseen(), 40, 20));
    insta::assert_snapshot!("very_narrow", seen(&foreseen(), 20, 20));
    insta::assert_snapshot!("wide", seen(&foreseen(), 200, 50));
    insta::assert_snapshot!("flat", seen(&foreseen(), 80, 6));
}

#[test]
fn ten_thousand_tasks() {
    let mut progress = foreseen();
    progress.counts = Counts {
        total: 10_000,
        succeeded: 4_321,
        failed: 1,
        ..Counts::default()
    };
    progress.leased = 150;
    progress.running = (0..50)
        .map(|n| task(4_000 + n, 1, &format!("n={n}"), 50.0 - n as f64, 30 << 20))
        .collect();
    insta::assert_snapshot!("ten_thousand", seen(&progress, 80, 24));
    insta::assert_snapshot!("ten_thousand_high", seen(&progress, 120, 50));
}

#[test]
fn a_deadline_that_has_passed() {
    let mut progress = foreseen();
    let forecast = progress.forecast.as_mut().expect("it has one");
    forecast.due = Some(Due {
        at: before(190.0),
        chance: 0.0,
        confidence: 0.9,
    });
    insta::assert_snapshot!(seen(&progress, 80, 24));
}

#[test]
fn lines_are_printed_above() {
    let mut sight = Sight::new(60, 12);
    sight.paint(&[], Some(&foreseen()));
    let wide = format!("failed {}", "0123456789".repeat(7));
    sight.paint(&["failed dest=BOS: exit code 1", &wide], Some(&progress()));
    sight.paint(&["another"], Some(&foreseen()));
    insta::assert_snapshot!("above", sight.seen());
    sight.paint(&["the last"], None);
    insta::assert_snapshot!("over", sight.seen());
    let lines = sight.screen.text().lines().count();
    assert_eq!(sight.screen.cursor(), (lines, 0), "what is said next stands below");
}

#[test]
fn a_terminal_made_narrower_and_wider_is_cleaned_up() {
    let mut sight = Sight::new(80, 24);
    // A terminal that somebody has worked in; in an empty one the lines that are folded push the region out of reach.
    sight.screen.write(&"$ ls\n".repeat(30));
    sight.paint(&["failed dest=BOS: exit code 1"], Some(&foreseen()));
    for (columns, rows) in [(50, 24), (33, 24), (120, 40), (60, 12), (80, 24)] {
        sight.resize(columns, rows);
        sight.paint(&[], Some(&foreseen()));
        let text = sight.screen.history();
        assert_eq!(text.matches("retrain-12").count(), 1, "{columns}:\n{text}");
        assert!(
            text.contains("\nfailed dest=BOS: exit code 1\nretrain-12"),
            "{columns}:\n{text}"
        );
        if columns == 50 {
            insta::assert_snapshot!("made_narrower", sight.screen.text());
        }
        if columns == 120 {
            insta::assert_snapshot!("made_wider", sight.screen.text());
        }
    }
    sight.paint(&[], None);
    assert!(sight.screen.history().ends_with("$ ls\nfailed dest=BOS: exit code 1"));
}

#[test]
fn only_what_differs_is_written() {
    let mut sight = Sight::new(80, 24);
    let whole = sight.paint(&[], Some(&foreseen()));
    assert_eq!(sight.paint(&[], Some(&foreseen())), 0, "nothing is new");
    let mut progress = foreseen();
    progress.running[1].memory = 77 << 20;
    let row = sight.paint(&[], Some(&progress));
    assert!(0 < row && row < whole / 3, "{row} of {whole} bytes for a row");
    assert_eq!(sight.seen(), seen(&progress, 80, 24));
    // Whoever was stopped finds other text there.
    sight.canvas.forget();
    sight.screen.write("[1]+  Stopped\n$ fg\n");
    sight.paint(&[], Some(&progress));
    let text = sight.seen();
    assert_eq!(text.matches("retrain-12").count(), 2, "{text}");
    assert!(text.contains("\n[1]+  Stopped\n$ fg\nretrain-12"), "{text}");
}
