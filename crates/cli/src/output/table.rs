//! Tables for people: aligned columns without lines, cut to the terminal where there is one.

use super::style::Style;
use super::text::{cut, width};

/// Rows under a head. A cell may be coloured; only the last column is cut.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Column {
    title: String,
    is_number: bool,
}

impl Table {
    /// A title that starts with `>` is that of a column of numbers.
    pub(crate) fn new(titles: &[impl AsRef<str>]) -> Table {
        let columns = titles
            .iter()
            .map(|title| Column {
                title: title.as_ref().trim_start_matches('>').to_owned(),
                is_number: title.as_ref().starts_with('>'),
            })
            .collect();
        Table {
            columns,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// `columns` is the width of the terminal, where there is one.
    pub(crate) fn render(&self, style: Style, columns: Option<usize>) -> String {
        // A column in which nothing stands is left out.
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|index| self.rows.is_empty() || self.rows.iter().any(|row| !row[*index].is_empty()))
            .collect();
        let widths: Vec<usize> = shown
            .iter()
            .map(|index| {
                let cells = self.rows.iter().map(|row| width(&row[*index]));
                cells.chain([width(&self.columns[*index].title)]).max().unwrap_or(0)
            })
            .collect();
        let line = |cells: &dyn Fn(usize) -> String| {
            let mut text = String::new();
            for (place, index) in shown.iter().enumerate() {
                let mut cell = cells(*index);
                if place + 1 == shown.len()
                    && let Some(columns) = columns
                {
                    let room = columns.saturating_sub(width(&text)).max(8);
                    cell = if width(&cell) > room { cut(&cell, room) } else { cell };
                }
                let padding = " ".repeat(widths[place].saturating_sub(width(&cell)));
                let (before, after) = if self.columns[*index].is_number {
                    (&*padding, "")
                } else {
                    ("", &*padding)
                };
                text.push_str(&format!("{before}{cell}{after}  "));
            }
            text.truncate(text.trim_end().len());
            text
        };
        let mut lines = vec![line(&|index| style.dim(&self.columns[index].title))];
        lines.extend(self.rows.iter().map(|row| line(&|index| row[index].clone())));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["run", ">tasks", "note", "message"]);
        table.row(vec![
            "retrain-12".into(),
            "105".into(),
            String::new(),
            "dest=BOS depth=4".into(),
        ]);
        table.row(vec!["東京-3".into(), "7".into(), String::new(), "n=1".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        insta::assert_snapshot!(sample().render(Style::plain(), None));
    }

    #[test]
    fn a_narrow_terminal_cuts_the_last_column_only() {
        let text = sample().render(Style::plain(), Some(30));
        assert!(text.lines().all(|line| width(line) <= 30), "{text}");
        assert!(text.contains("retrain-12    105  dest=BOS d…"), "{text}");
    }
}
