//! A terminal without a window: what a program writes to it, and what a person would see then. It folds lines when it is made narrower and
//! unfolds them when it is made wider, as most terminals do.

use alacritty_terminal::event::VoidListener;
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::Flags;
use alacritty_terminal::term::{Config, Term};
use alacritty_terminal::vte::ansi::Processor;

/// What is seen, and what has scrolled out of sight.
pub struct Screen {
    terminal: Term<VoidListener>,
    parser: Processor,
}

struct Cells {
    columns: usize,
    rows: usize,
}

impl Dimensions for Cells {
    fn total_lines(&self) -> usize {
        self.rows
    }

    fn screen_lines(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }
}

impl Screen {
    /// An empty one.
    pub fn new(columns: usize, rows: usize) -> Screen {
        Screen {
            terminal: Term::new(Config::default(), &Cells { columns, rows }, VoidListener),
            parser: Processor::new(),
        }
    }

    /// What came out of a terminal's line discipline: lines end with `\r\n`.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.terminal, bytes);
    }

    /// What a program wrote, which the line discipline has not seen yet.
    pub fn write(&mut self, text: &str) {
        self.feed(text.replace('\n', "\r\n").as_bytes());
    }

    pub fn resize(&mut self, columns: usize, rows: usize) {
        self.terminal.resize(Cells { columns, rows });
    }

    /// What is seen, without the spaces at the ends of lines and without the empty lines at the foot.
    pub fn text(&self) -> String {
        self.lines(0)
    }

    /// The same with everything that has scrolled out of sight.
    pub fn history(&self) -> String {
        self.lines(self.terminal.grid().history_size())
    }

    /// Where the cursor stands, counted from 0: row and column.
    pub fn cursor(&self) -> (usize, usize) {
        let point = self.terminal.grid().cursor.point;
        (usize::try_from(point.line.0).unwrap_or(0), point.column.0)
    }

    fn lines(&self, above: usize) -> String {
        let grid = self.terminal.grid();
        let first = -i32::try_from(above).expect("a history of some thousand lines");
        let rows = i32::try_from(grid.screen_lines()).expect("a terminal has some hundred rows");
        let mut text = String::new();
        for row in first..rows {
            let line: String = (0..grid.columns())
                .map(|column| &grid[Line(row)][Column(column)])
                // The second half of a wide character.
                .filter(|cell| !cell.flags.contains(Flags::WIDE_CHAR_SPACER))
                .map(|cell| cell.c)
                .collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.truncate(text.trim_end_matches('\n').len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_folds_and_scrolls_as_terminals_do() {
        let mut screen = Screen::new(10, 3);
        screen.write("one\n\x1b[1;31mtwo two 2\x1b[0m\n\n");
        assert_eq!(screen.text(), "two two 2");
        assert_eq!(screen.history(), "one\ntwo two 2");
        screen.resize(5, 3);
        assert_eq!(screen.history(), "one\ntwo t\nwo 2");
        let mut wide = Screen::new(20, 6);
        wide.write("aaaaaaaaaaaaaaa\nbbb\nccccccccccccccccc\nd\n");
        let before = wide.cursor();
        wide.resize(10, 6);
        eprintln!(
            "{before:?} {:?}\n{}\n--\n{}",
            wide.cursor(),
            wide.text(),
            wide.history()
        );
        screen.write("日本");
        assert_eq!(screen.text().lines().last(), Some("日本"));
        assert_eq!(screen.cursor(), (2, 4));
    }
}
