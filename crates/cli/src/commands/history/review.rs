//! A job over the weeks: what its configurations took, what got slower, how well its runs were foreseen.

use std::time::Duration;

use kingtide_core::plan::model::Observation;
use kingtide_core::plan::review::{Calibration, Course, Outcome, courses};
use kingtide_runtime::view::{Record, RunState, Snapshot};
use serde_json::{Value, json};

use crate::exit::Outcome as Done;
use crate::output::style::Style;
use crate::output::table::Table;
use crate::output::text::{cut, duration, plural, tame};

/// Runs and what they saw that are looked back at.
const MOST_RUNS: u64 = 60;
const MOST_SIGHTINGS: u64 = 50_000;
/// Configurations that are listed: the longest, and those that got slower.
const MOST_LISTED: usize = 12;
const MOST_SLOWER: usize = 5;
/// Runs of a sparkline.
const SPARKS: usize = 26;
const LABEL: usize = 50;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What there is to look back at.
pub(super) struct Review {
    job: String,
    courses: Vec<(Course, String)>,
    configurations: usize,
    calibration: Calibration,
}

impl Review {
    /// `None` where nothing was seen.
    pub(super) fn of(snapshot: &Snapshot<'_>, job: &str) -> Done<Option<Review>> {
        let sightings = snapshot.sightings(job, MOST_SIGHTINGS)?;
        let seen = sightings
            .iter()
            .map(|seen| Observation::took(seen.run.0, seen.key, seen.duration));
        let all = courses(&seen.collect::<Vec<_>>());
        if all.is_empty() {
            return Ok(None);
        }
        let configurations = all.len();
        let mut listed = Vec::new();
        for (place, course) in all.into_iter().enumerate() {
            if place < MOST_LISTED || course.is_slower {
                let label = snapshot.label(job, course.key)?.filter(|label| !label.is_empty());
                listed.push((course, label.unwrap_or_else(|| "no parameters".to_owned())));
            }
        }
        let outcomes: Vec<Outcome> = snapshot.records(job, MOST_RUNS)?.iter().filter_map(outcome).collect();
        Ok(Some(Review {
            job: job.to_owned(),
            courses: listed,
            configurations,
            calibration: Calibration::of(&outcomes),
        }))
    }

    pub(super) fn render(&self, style: Style, columns: Option<usize>) -> String {
        let mut table = Table::new(&["configuration", ">last", "runs", ">change"]);
        for (course, label) in self.courses.iter().take(MOST_LISTED) {
            table.row(vec![
                tame(&cut(label, LABEL)),
                seconds(course.last()),
                sparkline(&course.seconds),
                change(course, style),
            ]);
        }
        let mut text = table.render(style, columns);
        if self.configurations > MOST_LISTED {
            let more = plural((self.configurations - MOST_LISTED) as u64, "configuration");
            text.push_str(&format!("\n{}", style.dim(&format!("… and {more} that take less"))));
        }
        text.push_str(&format!("\n\n{}", self.slower(style)));
        if let Some(said) = self.foreseen() {
            text.push_str(&format!("\n{said}"));
        }
        text
    }

    fn slower(&self, style: Style) -> String {
        let mut slower: Vec<&(Course, String)> = self.courses.iter().filter(|(course, _)| course.is_slower).collect();
        if slower.is_empty() {
            return "slower    nothing, beyond what varies by itself".to_owned();
        }
        slower.sort_by(|a, b| b.0.change.unwrap_or(0.0).total_cmp(&a.0.change.unwrap_or(0.0)));
        let named = slower.iter().take(MOST_SLOWER).map(|(course, label)| {
            let label = style.bold(&tame(&cut(label, LABEL)));
            format!("{label} ({}, {})", seconds(course.last()), change(course, style))
        });
        let mut text = format!("slower    {}", named.collect::<Vec<_>>().join(", "));
        if slower.len() > MOST_SLOWER {
            text.push_str(&format!(", and {} more", slower.len() - MOST_SLOWER));
        }
        text
    }

    fn foreseen(&self) -> Option<String> {
        let of = self.calibration;
        if of.runs == 0 {
            return None;
        }
        let mut text = format!(
            "foreseen  {}: {:.0} % off in the middle; {} of {} ended by the time that was said to be as likely as not, {} by that of 19 in 20",
            plural(u64::from(of.runs), "run"),
            of.off * 100.0,
            of.before_p50,
            of.runs,
            of.before_p95
        );
        if of.deadlines > 0 {
            text.push_str(&format!(
                "\ndeadline  {} of {} met; {:.1} were to be expected by the chances that were said",
                of.met, of.deadlines, of.expected
            ));
        }
        Some(text)
    }

    pub(super) fn json(&self) -> Value {
        let of = self.calibration;
        let course = |(course, label): &(Course, String)| {
            json!({
                "task": label,
                "seconds": course.seconds.iter().map(|s| (s * 1000.0).round() / 1000.0).collect::<Vec<_>>(),
                "change": course.change.map(|change| (change * 10_000.0).round() / 10_000.0),
                "slower": course.is_slower,
            })
        };
        json!({
            "job": self.job,
            "configurations": self.configurations,
            "durations": self.courses.iter().map(course).collect::<Vec<_>>(),
            "calibration": {
                "runs": of.runs,
                "before_p50": of.before_p50,
                "before_p95": of.before_p95,
                "off": (of.off * 10_000.0).round() / 10_000.0,
                "deadlines": of.deadlines,
                "expected": (of.expected * 100.0).round() / 100.0,
                "met": of.met,
            },
        })
    }
}

/// A run that was foreseen and worked off to its end.
fn outcome(record: &Record) -> Option<Outcome> {
    let foreseen = record.foreseen.filter(|_| record.state != RunState::Cancelled)?;
    Some(Outcome {
        p50: foreseen.p50.as_secs_f64(),
        p95: foreseen.p95.as_secs_f64(),
        took: record.ended_at.since(foreseen.at).as_secs_f64(),
        deadline: record.chance.zip(record.is_met()),
    })
}

fn seconds(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn change(course: &Course, style: Style) -> String {
    let Some(change) = course.change else {
        return String::new();
    };
    // Never a negative nothing.
    let text = format!("{:+.0} %", (change * 100.0).round() + 0.0);
    match course.is_slower {
        true => style.yellow(&text),
        false => text,
    }
}

/// The last runs from their least to their most; all alike lie low.
fn sparkline(values: &[f64]) -> String {
    let values = &values[values.len().saturating_sub(SPARKS)..];
    let (least, most) = values.iter().fold((f64::MAX, 0.0_f64), |(least, most), value| {
        (least.min(*value), most.max(*value))
    });
    // Less than a tenth between them is not worth a mountain.
    let range = (most - least).max(most * 0.1).max(f64::MIN_POSITIVE);
    let block = |value: &f64| {
        let place = (value - least) / range * (BLOCKS.len() - 1) as f64;
        BLOCKS[(place.round() as usize).min(BLOCKS.len() - 1)]
    };
    values.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparklines() {
        assert_eq!(sparkline(&[1.0, 1.0, 1.0]), "▁▁▁");
        assert_eq!(sparkline(&[1.0, 2.0, 4.0, 8.0]), "▁▂▄█");
        assert_eq!(sparkline(&[10.0, 10.2]), "▁▂");
        assert_eq!(sparkline(&[0.0, 0.0]), "▁▁");
        assert_eq!(sparkline(&[1.0; 100]).chars().count(), SPARKS);
    }

    #[test]
    fn a_job_looked_back_at() {
        let course = |key, seconds: &[f64], change, is_slower| Course {
            key,
            seconds: seconds.to_vec(),
            change,
            is_slower,
        };
        let review = Review {
            job: "retrain".to_owned(),
            courses: vec![
                (
                    course(1, &[1300.0, 1350.0, 1320.0, 2100.0], Some(0.58), true),
                    "dest=ATL".to_owned(),
                ),
                (
                    course(2, &[900.0, 910.0, 870.0, 905.0], Some(0.01), false),
                    "dest=BOS".to_owned(),
                ),
                (course(3, &[300.0], None, false), "dest=SFO".to_owned()),
            ],
            configurations: 105,
            calibration: Calibration {
                runs: 4,
                before_p50: 2,
                before_p95: 4,
                off: 0.04,
                deadlines: 3,
                expected: 2.7,
                met: 3,
            },
        };
        insta::assert_snapshot!(review.render(Style::plain(), Some(100)));
        assert_eq!(review.json()["calibration"]["met"], 3);
    }
}
