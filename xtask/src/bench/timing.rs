//! Samples of how long something took, and what is said of them.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The middle and the ends of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Summary {
    /// Of samples in any order; `None` where there are none.
    pub(super) fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Summary { median, least, most })
    }
}

/// Runs a command to its end, output discarded, and says how long that took. One that fails is an error: what did not
/// work was not measured.
pub(super) fn time(command: &mut Command) -> anyhow::Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let name = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
    let status = command.status().with_context(|| format!("failed to start `{name}`"))?;
    let took = start.elapsed();
    if !status.success() {
        bail!("`{name}` ended with {status}");
    }
    Ok(took)
}

/// What a command prints; its stderr is part of the error if it fails.
pub(super) fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start `{name}`"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.trim().lines().last().unwrap_or("nothing on stderr").to_owned();
        bail!("`{name}` ended with {}: {last}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The number behind `label` on a line of its own.
pub(super) fn labelled(text: &str, label: &str) -> anyhow::Result<f64> {
    text.lines()
        .filter_map(|line| line.strip_prefix(label))
        .find_map(|rest| rest.trim().parse().ok())
        .with_context(|| format!("`{label}` was not printed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(
            Summary::of(&[3.0, 1.0, 2.0]),
            Some(Summary {
                median: 2.0,
                least: 1.0,
                most: 3.0
            })
        );
        assert_eq!(
            Summary::of(&[4.0, 1.0]),
            Some(Summary {
                median: 2.5,
                least: 1.0,
                most: 4.0
            })
        );
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn what_failed_was_not_measured() {
        assert!(time(&mut Command::new("/bin/false")).is_err());
        assert!(time(&mut Command::new("/bin/true")).is_ok());
        assert!(labelled("a table\nseconds 1.5\n", "seconds ").is_ok_and(|seconds| seconds == 1.5));
        assert!(labelled("seconds later", "seconds ").is_err());
    }
}
