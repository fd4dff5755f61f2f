//! The page of an area, in Markdown: what was measured, on what, how, and which targets are met.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::floors::Floors;
use super::machine;

pub(super) struct Report {
    area: &'static str,
    text: String,
}

impl Report {
    pub(super) fn new(area: &'static str, what: &str) -> Report {
        Report {
            area,
            text: format!("# {area}\n\n{what}\n"),
        }
    }

    pub(super) fn section(&mut self, title: &str) {
        self.line(&format!("\n## {title}\n"));
    }

    pub(super) fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    pub(super) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.line(&format!("| {} |", head.join(" | ")));
        self.line(&format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            self.line(&format!("| {} |", row.join(" | ")));
        }
    }

    pub(super) fn targets(&mut self, targets: &[Target]) {
        self.section("Targets");
        let rows: Vec<Vec<String>> = targets.iter().map(Target::row).collect();
        self.table(&["target", "measured", "met"], &rows);
    }

    pub(super) fn machine(&mut self, scratch: &Path, floors: &Floors, load_before: &str) {
        self.section("Machine");
        for fact in machine::description(scratch) {
            self.line(&format!("- {fact}"));
        }
        self.line(&format!("- load before: {load_before}, after: {}", machine::load()));
        self.line(&format!("- floor, one start of `/bin/true`: {:.2} ms", floors.spawn_ms));
        self.line(&match &floors.commit_ms {
            Ok(milliseconds) => format!("- floor, one commit with `synchronous=FULL`: {milliseconds:.2} ms"),
            Err(error) => format!("- floor, one commit with `synchronous=FULL`: not measured ({error})"),
        });
    }

    /// Writes the page to `bench/results/`.
    pub(super) fn write(self) -> anyhow::Result<()> {
        let folder = crate::workspace_root().join("bench/results");
        fs::create_dir_all(&folder).context("failed to make the folder of results")?;
        let file = format!("{}.md", self.area);
        fs::write(folder.join(&file), &self.text).context("failed to write the page")?;
        eprintln!("\n{}wrote bench/results/{file}", self.text);
        Ok(())
    }
}

/// A promise and what became of it.
pub(super) struct Target {
    pub(super) promise: String,
    pub(super) bound: Bound,
    pub(super) unit: &'static str,
    /// `None` where something needed for it is missing.
    pub(super) measured: Option<f64>,
    /// Something else ran on the machine, so the number says nothing.
    pub(super) disturbed: bool,
}

/// On which side of a number the measured one should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, measured: f64) -> bool {
        match self {
            Bound::AtMost(bound) => measured <= bound,
            Bound::AtLeast(bound) => measured >= bound,
        }
    }
}

impl Target {
    fn row(&self) -> Vec<String> {
        let mut promise = self.promise.clone();
        let (sign, bound) = match self.bound {
            Bound::AtMost(bound) => ("≤", bound),
            Bound::AtLeast(bound) => ("≥", bound),
        };
        // Writing to a text cannot fail.
        let _ = write!(promise, " {sign} {bound}{}", self.unit);
        match self.measured {
            Some(measured) => {
                let met = match (self.disturbed, self.bound.holds(measured)) {
                    (true, _) => "undecided",
                    (false, true) => "yes",
                    (false, false) => "**no**",
                };
                vec![promise, format!("{measured:.2}{}", self.unit), met.to_owned()]
            }
            None => vec![promise, "not measured".to_owned(), "unknown".to_owned()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_missed_or_unknown() {
        let target = |measured| Target {
            promise: "x".to_owned(),
            bound: Bound::AtMost(1.5),
            unit: " ×",
            measured,
            disturbed: false,
        };
        assert_eq!(target(Some(1.5)).row(), ["x ≤ 1.5 ×", "1.50 ×", "yes"]);
        assert_eq!(target(Some(1.6)).row()[2], "**no**");
        assert_eq!(target(None).row()[2], "unknown");
        let least = Target {
            bound: Bound::AtLeast(1.5),
            ..target(Some(1.6))
        };
        assert_eq!(least.row(), ["x ≥ 1.5 ×", "1.60 ×", "yes"]);
        assert_eq!(
            Target {
                disturbed: true,
                ..target(Some(1.0))
            }
            .row()[2],
            "undecided"
        );
    }
}
