//! What is foreseen of a run, in a few words: when it is done, and how likely the deadline is kept.

use std::time::Duration;

use kingtide_core::time::Timestamp;
use kingtide_runtime::notice::{Due, Forecast, Progress};

use super::text::{chance, clock, duration, moment, rough};

/// Further away than this, a time of day alone would not say which day.
const SAME_DAY: Duration = Duration::from_secs(24 * 3600);

/// How surely a deadline is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hope {
    /// As surely as is wanted.
    Good,
    /// Less surely.
    Doubtful,
    /// Rather not, or it has passed.
    Poor,
}

/// For a clock that ticks: `12:05–13:40 left`, or by the pace so far `~12:05 left`.
pub(crate) fn left(progress: &Progress, now: Timestamp) -> Option<String> {
    if progress.counts.total > 0 && progress.counts.done() >= progress.counts.total {
        return None;
    }
    let Some(forecast) = progress.forecast else {
        let since = now.since(progress.now);
        return Some(format!("~{} left", clock(progress.remaining?.saturating_sub(since))));
    };
    let (half, most) = (forecast.p50.since(now), forecast.p95.since(now));
    Some(match (clock(half), clock(most)) {
        _ if most.is_zero() => "any moment".to_owned(),
        (half, most) if half == most => format!("~{half} left"),
        (half, most) => format!("{half}–{most} left"),
    })
}

/// A deadline in words; some are empty.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    pub(crate) hope: Hope,
    /// `deadline 19:00:00Z`
    pub(crate) at: String,
    /// `in 12:05`, `passed 3:10 ago`
    pub(crate) away: String,
    /// `· chance 93 %`
    pub(crate) likely: String,
    /// `(90 % wanted)`
    pub(crate) wanted: String,
    /// `· about 2:30 late`
    pub(crate) late: String,
}

impl Deadline {
    pub(crate) fn new(forecast: &Forecast, due: &Due, now: Timestamp) -> Deadline {
        let is_past = due.at < now;
        let hope = match due.chance {
            _ if is_past => Hope::Poor,
            chance if chance >= due.confidence => Hope::Good,
            chance if chance >= 0.5 => Hope::Doubtful,
            _ => Hope::Poor,
        };
        // What should have ended by now ends now at the earliest.
        let late = match forecast.p50.max(now).since(due.at) {
            late if late.is_zero() => String::new(),
            late => format!("· about {} late", clock(late)),
        };
        let (until, since) = (due.at.since(now), now.since(due.at));
        let (away, likely, wanted) = if is_past {
            (format!("passed {} ago", clock(since)), String::new(), String::new())
        } else {
            (
                format!("in {}", clock(until)),
                format!("· chance {}", chance(due.chance)),
                format!("({} wanted)", chance(due.confidence)),
            )
        };
        Deadline {
            hope,
            at: format!("deadline {}", at(due.at, until.max(since))),
            away,
            likely,
            wanted,
            late,
        }
    }
}

/// For a line that stays: `done in 12 min to 14 min`.
pub(crate) fn done_in(forecast: &Forecast, now: Timestamp) -> String {
    let (half, most) = (forecast.p50.since(now), forecast.p95.since(now));
    match (rough(half), rough(most)) {
        _ if most.is_zero() => "done any moment".to_owned(),
        (half, most) if half == most => format!("done in about {half}"),
        (half, most) => format!("done in {half} to {most}"),
    }
}

/// For a line that stays: `deadline 93 %`.
pub(crate) fn deadline_in_short(due: &Due, now: Timestamp) -> String {
    if due.at < now {
        return format!("deadline passed {} ago", duration(now.since(due.at)));
    }
    format!("deadline {}", chance(due.chance))
}

/// `19:00:00Z`, with its day where it is not about today.
fn at(at: Timestamp, away: Duration) -> String {
    let moment = moment(at);
    if away < SAME_DAY {
        moment
            .split_once(' ')
            .map_or(moment.clone(), |(_, time)| time.to_owned())
    } else {
        moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_785_765_900_000);

    fn forecast(half: u64, most: u64) -> Forecast {
        Forecast {
            p50: NOW + Duration::from_secs(half),
            p95: NOW + Duration::from_secs(most),
            due: None,
        }
    }

    fn due(seconds: i64, chance: f64) -> Due {
        Due {
            at: Timestamp(NOW.0 + seconds * 1000),
            chance,
            confidence: 0.9,
        }
    }

    #[test]
    fn what_is_left_is_a_range() {
        let said = |forecast, remaining| {
            let progress = Progress {
                now: NOW,
                forecast,
                remaining,
                ..Progress::default()
            };
            left(&progress, NOW + Duration::from_secs(5))
        };
        assert_eq!(said(None, None), None);
        assert_eq!(said(None, Some(Duration::from_secs(60))).as_deref(), Some("~0:55 left"));
        assert_eq!(
            said(Some(forecast(730, 825)), None).as_deref(),
            Some("12:05–13:40 left")
        );
        assert_eq!(said(Some(forecast(730, 730)), None).as_deref(), Some("~12:05 left"));
        assert_eq!(said(Some(forecast(0, 15)), None).as_deref(), Some("0:00–0:10 left"));
        assert_eq!(said(Some(forecast(0, 5)), None).as_deref(), Some("any moment"));
    }

    #[test]
    fn a_deadline_says_how_likely_and_how_late() {
        let said = |forecast: Forecast, due| {
            let said = Deadline::new(&forecast, &due, NOW);
            let parts = [said.at, said.away, said.likely, said.wanted, said.late];
            format!("{:?}: {}", said.hope, parts.join(" ").trim_end())
        };
        let lines = [
            said(forecast(600, 700), due(725, 0.93)),
            said(forecast(600, 700), due(650, 0.7)),
            said(forecast(600, 700), due(590, 0.31)),
            said(forecast(600, 700), due(200_000, 1.0)),
            said(forecast(600, 700), due(-190, 0.0)),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn lines_that_stay_are_short() {
        assert_eq!(done_in(&forecast(730, 840), NOW), "done in 12 min to 14 min");
        assert_eq!(done_in(&forecast(730, 740), NOW), "done in about 12 min");
        assert_eq!(done_in(&forecast(0, 0), NOW), "done any moment");
        assert_eq!(deadline_in_short(&due(9, 0.934), NOW), "deadline 93 %");
        assert_eq!(deadline_in_short(&due(-9, 0.0), NOW), "deadline passed 9.0 s ago");
    }
}
