//! What the calendar holds in store for a deadline that is a time of day.

use super::Check;
use crate::finding::Finding;

impl Check<'_> {
    /// A time of day that the clocks skip, or show twice.
    pub(super) fn clocks(&mut self) {
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
}
