//! By when, as it is typed: as in the file, or a moment of the calendar.

use std::str::FromStr;
use std::time::Duration;

use kingtide_core::project::Deadline;
use kingtide_core::time::Timestamp;

use crate::exit::Failure;
use crate::output::text::ago;

/// `1h`, `07:00 Europe/Zurich`, `2026-11-24T19:00:00Z`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Due {
    Deadline(Deadline),
    On(Timestamp),
}

impl FromStr for Due {
    type Err = String;

    fn from_str(text: &str) -> Result<Due, String> {
        if let Some(moment) = Deadline::moment(text) {
            return Ok(Due::On(moment));
        }
        // A date without its offset is the same moment nowhere.
        if text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-' {
            return Err(format!(
                "\"{text}\" is in which zone? write its offset: 2026-11-24T19:00:00Z, 2026-11-24T20:00:00+01:00"
            ));
        }
        match Deadline::parse(text) {
            Ok(deadline) => Ok(Due::Deadline(deadline)),
            Err(bad) => Err(format!("{}: {}", bad.message, bad.help)),
        }
    }
}

impl Due {
    /// # Errors
    /// When it is over.
    pub(crate) fn at(&self, trigger: Timestamp) -> Result<Timestamp, Failure> {
        match self {
            Due::Deadline(deadline) => Ok(deadline.due(trigger)),
            Due::On(at) if *at > trigger => Ok(*at),
            Due::On(at) => {
                let past = trigger.since(*at).max(Duration::from_secs(2));
                Err(
                    Failure::usage(format!("that deadline has passed: it was {}", ago(past)))
                        .help("name a moment to come, or how long it may take from now: `--deadline 1h`"),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_durations() {
        let now = Timestamp(1_795_543_200_000);
        let at = |text: &str| text.parse::<Due>().map(|due| due.at(now).map(|at| at.0 - now.0).ok());
        assert_eq!(at("1h"), Ok(Some(3_600_000)));
        assert_eq!(at("2026-11-24T19:00:00Z"), Ok(Some(3_600_000)));
        assert_eq!(at("2026-11-24T20:00:00+01:00"), Ok(Some(3_600_000)));
        assert_eq!(at("2026-11-24T17:00:00Z"), Ok(None));
        assert!(at("2026-11-24 17:00:00").is_err());
        assert_eq!(at("19:00 UTC"), Ok(Some(3_600_000)));
        assert!(at("19:00").is_err() && at("tomorrow").is_err());
    }
}
