//! Virtual time: what is to happen, the earliest first; of two at one moment, the one that was planned first.

use std::collections::BTreeMap;

/// Milliseconds since the burst was asked for.
pub(super) type Moment = u64;

pub(super) const SECOND: Moment = 1000;
pub(super) const MINUTE: Moment = 60 * SECOND;
pub(super) const HOUR: Moment = 60 * MINUTE;

#[derive(Debug)]
pub(super) struct Agenda<E> {
    now: Moment,
    planned: u64,
    events: BTreeMap<(Moment, u64), E>,
}

impl<E> Agenda<E> {
    pub(super) fn new() -> Agenda<E> {
        Agenda {
            now: 0,
            planned: 0,
            events: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// What is too late happens at once.
    pub(super) fn at(&mut self, moment: Moment, event: E) {
        self.planned += 1;
        self.events.insert((moment.max(self.now), self.planned), event);
    }

    pub(super) fn after(&mut self, wait: Moment, event: E) {
        self.at(self.now + wait, event);
    }

    /// What happens next; time goes on to it.
    pub(super) fn next(&mut self) -> Option<E> {
        let ((moment, _), event) = self.events.pop_first()?;
        self.now = moment;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_first_and_nothing_happens_in_the_past() {
        let mut agenda = Agenda::new();
        agenda.at(20, "late");
        agenda.at(10, "early");
        agenda.at(10, "early, planned later");
        assert_eq!((agenda.next(), agenda.now()), (Some("early"), 10));
        agenda.at(5, "missed");
        agenda.after(1, "soon");
        let order: Vec<_> = std::iter::from_fn(|| agenda.next().map(|event| (agenda.now(), event))).collect();
        assert_eq!(
            order,
            [(10, "early, planned later"), (10, "missed"), (11, "soon"), (20, "late")]
        );
    }
}
