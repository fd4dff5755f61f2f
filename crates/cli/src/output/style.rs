//! Colours, where they are wanted.

use std::io::IsTerminal;

use crate::args::Color;
use crate::settings::Environment;

/// Whether to colour, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    pub(crate) fn new(colour: bool) -> Style {
        Style { colour }
    }

    #[cfg(test)]
    pub(crate) fn plain() -> Style {
        Style { colour: false }
    }

    /// For failures; without a flag where they come before the flags are known.
    pub(crate) fn of_stderr(flag: Option<Color>) -> Style {
        Style::new(Environment::read().colour(flag, std::io::stderr().is_terminal()))
    }

    pub(crate) fn is_coloured(self) -> bool {
        self.colour
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}
