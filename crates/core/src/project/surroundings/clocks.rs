//! What the calendar holds in store for a deadline that is a time of day; and what starts a job on AWS, and nothing here.

use super::Check;
use crate::finding::Finding;

impl Check<'_> {
    /// A time of day that the clocks skip, or show twice.
    pub(super) fn clocks(&mut self) {
        self.elsewhere();
        let Some((deadline, written)) = self.job.deadline.as_ref().zip(self.raw.deadline.as_ref()) else {
            return;
        };
        for surprise in deadline.surprises(self.here.now) {
            let taken = surprise.taken.strftime("%H:%M");
            let (how, taken) = match surprise.is_skipped {
                true => ("skip that time", format!("a run of that day is due at {taken}")),
                false => (
                    "show that time twice",
                    format!("a run of that day is due at the first {taken}"),
                ),
            };
            let message = format!("on {} the clocks {how}: {taken}", surprise.date);
            let finding = Finding::warning("clock-change", message).at(written.span());
            self.findings
                .push(finding.help("choose a time that every day has once, or a zone without summer time such as UTC"));
        }
    }

    /// What is done on AWS, and by nobody here.
    fn elsewhere(&mut self) {
        let raw = self.raw;
        let written = [
            ("schedule", raw.schedule.as_ref().map(toml::Spanned::span)),
            ("triggers", raw.triggers.as_ref().map(toml::Spanned::span)),
        ];
        for (key, span) in written {
            let Some(span) = span else { continue };
            let message = format!("`{key}` starts the job on AWS; here nothing starts it by itself");
            let finding = Finding::warning("aws-only", message).at(span);
            self.findings.push(finding.help("here, run it or send to it"));
        }
    }
}
