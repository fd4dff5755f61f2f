//! Figures in the text format of Prometheus, version 0.0.4: a metric's help and kind once, then its samples.

use std::fmt::{Display, Write as _};

/// A page of figures.
#[derive(Debug, Default)]
pub(super) struct Figures(String);

/// What a figure does over time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Gauge,
    /// It only grows, until it begins anew.
    Counter,
    Histogram,
}

impl Figures {
    /// Begins a metric. Its samples follow before the next begins.
    pub(super) fn metric(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, of)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            for character in of.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A metric of one sample.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.sample(name, &[], value);
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut figures = Figures::default();
        figures.metric("a", Kind::Gauge, "Two\nlines, a \\.");
        figures.sample("a", &[("of", "say \"hi\"\n\\"), ("b", "")], 1.5);
        figures.sample("a", &[], 2);
        let expected =
            "# HELP a Two\\nlines, a \\\\.\n# TYPE a gauge\na{of=\"say \\\"hi\\\"\\n\\\\\",b=\"\"} 1.5\na 2\n";
        assert_eq!(figures.into_text(), expected);
    }
}
