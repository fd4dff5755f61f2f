//! What is on the screen, and what to write so that something else is: only the lines that differ, unless the terminal has another size.
//!
//! Lines are erased before they are written anew and not behind their new end: tmux folds a line by the widest text that stood there since
//! it was erased as a whole.

use super::Size;
use crate::output::text::rows_taken;

/// The region as it was drawn last. The cursor is below its last line.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    drawn: Vec<String>,
    size: Option<Size>,
}

impl Canvas {
    /// Others have written below the region: it stays as it is, and the next one begins where the cursor is.
    pub(crate) fn forget(&mut self) {
        self.drawn.clear();
    }

    /// What to write, all at once, so that `above` is printed where the region began and `lines` stand below it.
    pub(crate) fn repaint(&mut self, above: &[String], lines: Vec<String>, size: Size) -> String {
        let stands = above.is_empty() && self.size == Some(size) && self.drawn.len() == lines.len();
        let text = if stands {
            changed(&self.drawn, &lines)
        } else {
            anew(&self.drawn, above, &lines, size)
        };
        self.drawn = lines;
        self.size = Some(size);
        text
    }
}

fn changed(drawn: &[String], lines: &[String]) -> String {
    let Some(first) = drawn.iter().zip(lines).position(|(old, new)| old != new) else {
        return String::new();
    };
    let mut text = format!("\r\x1b[{}A", lines.len() - first);
    for (old, new) in drawn.iter().zip(lines).skip(first) {
        if old != new {
            text.push_str("\x1b[K");
            text.push_str(new);
        }
        text.push('\n');
    }
    text
}

fn anew(drawn: &[String], above: &[String], lines: &[String], size: Size) -> String {
    // A line as wide as the terminal takes one row; what is wider has been folded by a terminal made narrower.
    let rows: usize = drawn.iter().map(|line| rows_taken(line, size.columns)).sum();
    let mut text = String::from("\r");
    if rows > 0 {
        text.push_str(&format!("\x1b[{rows}A"));
    }
    text.push_str("\x1b[J");
    for line in above.iter().chain(lines) {
        text.push_str(line);
        text.push('\n');
    }
    text
}
