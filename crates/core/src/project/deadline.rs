//! By when a run is to be done: a duration from what triggered it, or a time of day somewhere.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde_json::{Value as Json, json};

use crate::finding::{Finding, Findings};
use crate::project::value::{FromToml, Value, wrong_type};
use crate::time::Timestamp;

/// By when.
#[derive(Clone, Debug, PartialEq)]
pub enum Deadline {
    /// From the trigger: the command, the first message that was sent.
    After(Duration),
    /// The next time the clocks say so.
    At(TimeOfDay),
}

/// A time of day in a zone of the IANA database.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeOfDay {
    time: Time,
    zone: TimeZone,
}

/// What is wrong with what was written, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadDeadline {
    pub message: String,
    pub help: String,
}

/// A day on which the clocks are put forward or back over a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surprise {
    pub date: Date,
    /// It is skipped; else it comes twice.
    pub is_skipped: bool,
    /// What is taken in its place, as the clocks say.
    pub taken: Time,
}

/// Nothing is waited for longer, and moments beyond it cannot be written.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Times have milliseconds.
const SHORTEST: Duration = Duration::from_millis(1);

impl Deadline {
    /// A moment of the calendar with its offset: `2026-11-24T19:00:00Z`, `2026-11-24T20:00:00+01:00`.
    pub fn moment(text: &str) -> Option<Timestamp> {
        let moment: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Timestamp(moment.as_millisecond()))
    }

    /// # Errors
    /// When it is neither a duration nor a time of day with its zone.
    pub fn parse(text: &str) -> Result<Deadline, BadDeadline> {
        let text = text.trim();
        let Some((hour, _)) = text.split_once(':') else {
            return match humantime::parse_duration(text) {
                Ok(duration) if duration > LONGEST => Err(bad(
                    &format!("\"{text}\" is longer than a hundred years"),
                    "leave it out where it does not matter",
                )),
                Ok(duration) if duration < SHORTEST => Err(bad(
                    "a deadline of nothing cannot be met",
                    "write how long it may take, \"1h\" for instance",
                )),
                Ok(duration) => Ok(Deadline::After(duration)),
                Err(_) => Err(bad(
                    &format!("\"{text}\" is neither a duration nor a time of day"),
                    "write \"1h\" or \"90min\", or a time with its zone: \"07:00 Europe/Zurich\"",
                )),
            };
        };
        let (time, zone) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let clock = match hour.len() {
            1 => format!("0{time}"),
            _ => time.to_owned(),
        };
        let time: Time = clock.parse().map_err(|_| {
            bad(
                &format!("\"{time}\" is no time of day"),
                "hours go from 00 to 23, minutes from 00 to 59: \"07:00 Europe/Zurich\"",
            )
        })?;
        let zone = zone.trim();
        if zone.is_empty() {
            return Err(bad(
                &format!("\"{text}\" is that in which zone?"),
                &format!("write \"{text} Europe/Zurich\" for instance, or \"{text} UTC\""),
            ));
        }
        match TimeZone::get(zone) {
            Ok(zone) => Ok(Deadline::At(TimeOfDay { time, zone })),
            Err(_) => {
                let near = crate::finding::suggestion(
                    zone,
                    jiff::tz::db()
                        .available()
                        .map(|name| name.to_string())
                        .collect::<Vec<_>>()
                        .iter()
                        .map(String::as_str),
                )
                .map(str::to_owned);
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "zones are named as in the IANA database: Europe/Zurich, America/New_York, UTC".to_owned(),
                };
                Err(bad(&format!("there is no zone `{zone}`"), &help))
            }
        }
    }

    /// As it may be written in the file.
    pub fn source(&self) -> String {
        match self {
            Deadline::After(duration) => humantime::format_duration(*duration).to_string(),
            Deadline::At(TimeOfDay { time, zone }) => {
                let clock = match time.second() {
                    0 => "%H:%M",
                    _ => "%H:%M:%S",
                };
                format!("{} {}", time.strftime(clock), zone.iana_name().unwrap_or("UTC"))
            }
        }
    }

    /// The moment, for a run that was triggered then.
    pub fn due(&self, trigger: Timestamp) -> Timestamp {
        match self {
            Deadline::After(duration) => trigger + *duration,
            Deadline::At(at) => at.next(trigger),
        }
    }

    /// When the clocks say it twice or not at all within a year.
    pub fn surprises(&self, from: Timestamp) -> Vec<Surprise> {
        match self {
            Deadline::After(_) => Vec::new(),
            Deadline::At(at) => at.surprises(from),
        }
    }
}

impl TimeOfDay {
    fn next(&self, trigger: Timestamp) -> Timestamp {
        let today = self.zone.to_datetime(instant(trigger)).date();
        let days = [Some(today), today.tomorrow().ok()].into_iter().flatten();
        let mut moments = days.filter_map(|date| self.on(date));
        // A day is 25 hours at most; the calendar ends in the year 9999.
        moments.find(|at| *at > trigger).unwrap_or(Timestamp(i64::MAX))
    }

    /// Of a time that comes twice the first; of one that is skipped, what it would have been without (RFC 5545, 3.3.5).
    fn on(&self, date: Date) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(date.to_datetime(self.time));
        let moment = ambiguous.compatible().ok()?;
        Some(Timestamp(moment.as_millisecond()))
    }

    fn surprises(&self, from: Timestamp) -> Vec<Surprise> {
        let (from, year) = (instant(from), jiff::SignedDuration::from_hours(366 * 24));
        let until = from.saturating_add(year).unwrap_or(jiff::Timestamp::MAX);
        let transitions = self.zone.following(from).take_while(|at| at.timestamp() <= until);
        let dates = transitions.map(|at| self.zone.to_datetime(at.timestamp()).date());
        dates.filter_map(|date| self.surprise(date)).collect()
    }

    fn surprise(&self, date: Date) -> Option<Surprise> {
        let ambiguous = self.zone.to_ambiguous_timestamp(date.to_datetime(self.time));
        let is_skipped = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => return None,
            AmbiguousOffset::Gap { .. } => true,
            AmbiguousOffset::Fold { .. } => false,
        };
        let moment = ambiguous.compatible().ok()?;
        Some(Surprise {
            date,
            is_skipped,
            taken: self.zone.to_datetime(moment).time(),
        })
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Deadline::After(_) => "within",
            Deadline::At(_) => "by",
        };
        write!(f, "{word} {}", self.source())
    }
}

impl FromToml for Deadline {
    fn expected() -> String {
        "a duration such as \"1h\" or a time of day such as \"07:00 Europe/Zurich\"".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Deadline> {
        let Some(written) = value.get_ref().as_str() else {
            findings.push(wrong_type::<Deadline>(key, value));
            return None;
        };
        match Deadline::parse(written) {
            Ok(deadline) => Some(deadline),
            Err(bad) => {
                let message = format!("`{key}`: {}", bad.message);
                findings.push(Finding::error("bad-deadline", message).at(value.span()).help(bad.help));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "examples": ["1h", "07:00 Europe/Zurich"] })
    }
}

fn bad(message: &str, help: &str) -> BadDeadline {
    BadDeadline {
        message: message.to_owned(),
        help: help.to_owned(),
    }
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Deadline {
        Deadline::parse(text).expect("it is one")
    }

    fn moment(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().expect("a moment");
        Timestamp(at.as_millisecond())
    }

    #[track_caller]
    fn due(deadline: &str, trigger: &str, expected: &str) {
        assert_eq!(
            parsed(deadline).due(moment(trigger)),
            moment(expected),
            "{deadline} after {trigger}"
        );
    }

    #[test]
    fn a_duration_counts_from_the_trigger() {
        due("1h30m", "2026-11-24T18:00:00Z", "2026-11-24T19:30:00Z");
        assert_eq!(parsed(" 90min "), Deadline::After(Duration::from_secs(5400)));
    }

    #[test]
    fn a_time_of_day_is_the_next() {
        due("07:00 Europe/Zurich", "2026-11-24T05:59:59Z", "2026-11-24T06:00:00Z");
        due("07:00 Europe/Zurich", "2026-11-24T06:00:00Z", "2026-11-25T06:00:00Z");
        due("7:00 UTC", "2026-12-31T08:00:00Z", "2027-01-01T07:00:00Z");
        // Their evening is our morning.
        due(
            "23:30 America/Los_Angeles",
            "2026-11-24T06:00:00Z",
            "2026-11-24T07:30:00Z",
        );
    }

    #[test]
    fn clocks_that_are_put_forward_and_back() {
        // 02:30 does not exist: an hour later by the new clock is the same moment by the old.
        due("02:30 Europe/Zurich", "2027-03-27T20:00:00Z", "2027-03-28T01:30:00Z");
        // It comes twice: the first.
        due("02:30 Europe/Zurich", "2027-10-30T20:00:00Z", "2027-10-31T00:30:00Z");
        due("02:30 Europe/Zurich", "2027-10-31T00:45:00Z", "2027-11-01T01:30:00Z");
        let surprises = parsed("02:30 Europe/Zurich").surprises(moment("2026-11-24T18:00:00Z"));
        let told: Vec<String> = surprises
            .iter()
            .map(|surprise| format!("{} {} {}", surprise.date, surprise.is_skipped, surprise.taken))
            .collect();
        assert_eq!(told, ["2027-03-28 true 03:30:00", "2027-10-31 false 02:30:00"]);
        assert_eq!(
            parsed("07:00 Europe/Zurich").surprises(moment("2026-11-24T18:00:00Z")),
            []
        );
        assert_eq!(parsed("02:30 UTC").surprises(moment("2026-11-24T18:00:00Z")), []);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |text: &str| {
            let bad = Deadline::parse(text).expect_err("it is none");
            format!("{}; {}", bad.message, bad.help)
        };
        let texts = [
            "",
            "soon",
            "0s",
            "60",
            "7:00",
            "25:00 UTC",
            "07:61 UTC",
            "07:00 Europe/Zürich",
            "07:00 Europe/Zuric",
            "-1h",
            "07:00 Mars",
        ];
        let all: Vec<String> = texts.iter().map(|text| format!("{text:?}: {}", said(text))).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
