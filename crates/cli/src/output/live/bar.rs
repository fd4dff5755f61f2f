//! The bar: a cell for so many tasks, coloured by what has become of them.

use kingtide_runtime::notice::Counts;

use crate::output::style::Style;

/// The bar of a run of which so many tasks run now.
pub(super) fn bar(counts: &Counts, running: u64, cells: usize, style: Style) -> String {
    let share = |part: u64| match counts.total {
        0 => 0,
        total => usize::try_from(u128::from(part) * cells as u128 / u128::from(total))
            .unwrap_or(cells)
            .min(cells),
    };
    // One failure among thousands is worth a cell, and so is one that runs.
    let worth = |part: u64| share(part).max(usize::from(part > 0));
    let done = share(counts.done());
    let mut room = done.max(usize::from(counts.failed + counts.rejected > 0)).min(cells);
    let mut take = |wanted: usize| {
        let taken = wanted.min(room);
        room -= taken;
        taken
    };
    let red = take(worth(counts.failed + counts.rejected));
    let yellow = take(share(counts.cancelled));
    let skipped = take(share(counts.skipped));
    let green = room;
    let rest = cells - red - yellow - skipped - green;
    let active = worth(running).min(rest);
    [
        style.green(&"━".repeat(green)),
        style.dim(&"━".repeat(skipped)),
        style.yellow(&"━".repeat(yellow)),
        style.red(&"━".repeat(red)),
        style.cyan(&"╍".repeat(active)),
        style.dim(&"─".repeat(rest - active)),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::text::width;

    fn counts(total: u64, succeeded: u64, skipped: u64, failed: u64) -> Counts {
        Counts {
            total,
            succeeded,
            skipped,
            failed,
            ..Counts::default()
        }
    }

    #[test]
    fn cells_are_by_state() {
        let drawn = bar(&counts(10, 4, 2, 1), 2, 20, Style::new(true));
        let expected =
            "\x1b[32m━━━━━━━━\x1b[0m\x1b[2m━━━━\x1b[0m\x1b[1;31m━━\x1b[0m\x1b[36m╍╍╍╍\x1b[0m\x1b[2m──\x1b[0m";
        assert_eq!(drawn, expected);
        // What is too few for a cell has one all the same when it matters.
        let rare = bar(&counts(10_000, 0, 0, 1), 1, 10, Style::plain());
        assert_eq!(rare, "━╍────────");
        assert_eq!(bar(&counts(0, 0, 0, 0), 0, 4, Style::plain()), "────");
    }

    #[test]
    fn it_is_as_wide_as_it_was_asked_to_be() {
        for cells in 0..50 {
            for done in 0..=30 {
                for running in [0, 1, 15, 99] {
                    let drawn = bar(&counts(60, done, done / 2, done / 2), running, cells, Style::new(true));
                    assert_eq!(width(&drawn), cells, "{done} done, {running} running");
                }
            }
        }
    }
}
