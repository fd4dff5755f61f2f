//! A line made of parts: where the terminal is too narrow for all, the least important ones are left out.

use crate::output::style::Style;
use crate::output::text::{cut, width};

/// How a part is coloured.
pub(super) type Paint = fn(Style, &str) -> String;

/// One part of a line.
#[derive(Clone, Debug)]
pub(super) struct Part {
    text: String,
    paint: Paint,
    rank: u8,
}

impl Part {
    /// The higher its rank, the sooner it is left out.
    pub(super) fn new(rank: u8, text: impl Into<String>, paint: Paint) -> Part {
        Part {
            text: text.into(),
            paint,
            rank,
        }
    }
}

/// Without a colour.
pub(super) fn bare(_: Style, text: &str) -> String {
    text.to_owned()
}

/// As many of the parts as fit, in their order.
pub(super) fn fitted(mut parts: Vec<Part>, gap: &str, columns: usize, style: Style) -> String {
    let mut wide = parts_width(&parts, gap);
    while wide > columns && parts.len() > 1 {
        // The last of the least important.
        let least = (0..parts.len()).max_by_key(|index| parts[*index].rank).unwrap_or(0);
        parts.remove(least);
        wide = parts_width(&parts, gap);
    }
    let painted: Vec<String> = parts
        .iter()
        .map(|part| (part.paint)(style, &cut(&part.text, columns)))
        .collect();
    painted.join(gap)
}

/// The columns that all of them take.
pub(super) fn parts_width(parts: &[Part], gap: &str) -> usize {
    let gaps = parts.len().saturating_sub(1) * width(gap);
    parts.iter().map(|part| width(&part.text)).sum::<usize>() + gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_important_parts_go_first() {
        let parts = || {
            vec![
                Part::new(1, "55 %", bare),
                Part::new(3, "0:43", bare),
                Part::new(0, "retrain-12", |style, text| style.bold(text)),
                Part::new(3, "7 next", bare),
            ]
        };
        let fits = |columns| fitted(parts(), " · ", columns, Style::plain());
        assert_eq!(fits(33), "55 % · 0:43 · retrain-12 · 7 next");
        assert_eq!(fits(32), "55 % · 0:43 · retrain-12");
        assert_eq!(fits(20), "55 % · retrain-12");
        assert_eq!(fits(16), "retrain-12");
        assert_eq!(fits(5), "retr…");
        assert_eq!(fits(0), "");
        assert_eq!(fitted(Vec::new(), " ", 9, Style::plain()), "");
    }
}
