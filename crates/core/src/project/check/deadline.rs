//! The keys about being done in time, as far as the file alone can tell.

use std::time::Duration;

use toml::Spanned;

use crate::finding::{Finding, Findings};
use crate::project::deadline::Deadline;
use crate::project::raw::{RawCost, RawJob};

pub(super) fn check_deadline(job: &RawJob, findings: &mut Findings) {
    check_confidence(job, findings);
    super::check_positive("expected", job.expected.as_ref(), findings);
    let Some(deadline) = &job.deadline else { return };
    let Deadline::After(within) = deadline.get_ref() else {
        return;
    };
    let limit = job.max_duration.as_ref().map(|limit| *limit.get_ref());
    if let Some(limit) = limit.filter(|limit| *limit < *within) {
        let message = format!(
            "the deadline says nothing: a run is ended after {}, by `max_duration`",
            written(limit)
        );
        findings.push(Finding::warning("no-effect", message).at(deadline.span()));
    }
    if let Some(expected) = job.expected.as_ref().filter(|expected| expected.get_ref() > within) {
        let short = *expected.get_ref() - *within;
        let message = format!("a task takes {} longer than the deadline", written(short));
        let finding = Finding::warning("short-deadline", message).at(deadline.span());
        findings.push(finding.help("no number of workers makes one task shorter: allow more time, or split it"));
    }
}

fn check_confidence(job: &RawJob, findings: &mut Findings) {
    let Some(confidence) = &job.confidence else { return };
    let wanted = *confidence.get_ref();
    if !(wanted > 0.0 && wanted < 1.0) {
        let message = format!("`confidence` is a chance above 0 and below 1, but is {wanted}");
        let finding = Finding::error("out-of-range", message).at(confidence.span());
        findings.push(match wanted {
            percent if percent > 1.0 && percent < 100.0 => finding.help(format!("write {}", percent / 100.0)),
            _ => finding.help("0.9 is met nine times of ten; nothing is certain"),
        });
    } else if job.deadline.is_none() {
        let message = "`confidence` says nothing without a `deadline`";
        findings.push(Finding::warning("no-effect", message).at(confidence.span()));
    }
}

pub(super) fn check_cost(cost: &RawCost, findings: &mut Findings) {
    for (key, price) in [("cpu_hour", &cost.cpu_hour), ("gib_hour", &cost.gib_hour)] {
        let bad = |price: &&Spanned<f64>| *price.get_ref() < 0.0;
        if let Some(price) = price.as_ref().filter(bad) {
            let message = format!("`{key}` is a price, and below 0");
            findings.push(Finding::error("out-of-range", message).at(price.span()));
        }
    }
}

fn written(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
