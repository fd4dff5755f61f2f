//! How a run stands, from one process to another: what the live region shows, written and read in one place.

use std::time::Duration;

use kingtide_core::id::RunId;
use kingtide_core::time::{Timestamp, milliseconds};
use serde_json::{Value, json};

use crate::notice::{Counts, Due, Forecast, Load, Prediction, Progress, Running};

pub(super) fn write(progress: &Progress) -> Value {
    let counts = &progress.counts;
    let load = &progress.load;
    json!({
        "run": progress.run.0,
        "name": progress.name,
        "now": progress.now.0,
        "started_at": progress.started_at.0,
        "counts": [
            counts.total, counts.succeeded, counts.skipped, counts.failed, counts.rejected, counts.cancelled, counts.attempts,
        ],
        "running": progress.running.iter().map(write_running).collect::<Vec<_>>(),
        "leased": progress.leased,
        "remaining": progress.remaining.map(milliseconds),
        "forecast": progress.forecast.as_ref().map(write_forecast),
        "load": [load.slots, load.taken, load.cpu_milli, load.cpu_milli_given],
        "memory": [load.memory, load.memory_given],
        "draining": progress.draining,
    })
}

fn write_running(of: &Running) -> Value {
    let prediction = of
        .prediction
        .map(|of| [milliseconds(of.median), milliseconds(of.limit)]);
    json!({
        "seq": of.seq,
        "attempt": of.attempt,
        "label": of.label,
        "started_at": of.started_at.0,
        "memory": of.memory,
        "prediction": prediction,
    })
}

fn write_forecast(of: &Forecast) -> Value {
    let due = of
        .due
        .map(|due| json!({ "at": due.at.0, "chance": due.chance, "confidence": due.confidence }));
    json!({ "p50": of.p50.0, "p95": of.p95.0, "due": due })
}

/// `None` for what another version writes.
pub(super) fn read(value: &Value) -> Option<Progress> {
    let counts = |place: usize| value["counts"][place].as_u64();
    let load = |place: usize| u32::try_from(value["load"][place].as_u64()?).ok();
    Some(Progress {
        run: RunId(value["run"].as_i64()?),
        name: value["name"].as_str()?.to_owned(),
        now: timestamp(&value["now"])?,
        started_at: timestamp(&value["started_at"])?,
        counts: Counts {
            total: counts(0)?,
            succeeded: counts(1)?,
            skipped: counts(2)?,
            failed: counts(3)?,
            rejected: counts(4)?,
            cancelled: counts(5)?,
            attempts: counts(6)?,
        },
        running: value["running"]
            .as_array()?
            .iter()
            .map(read_running)
            .collect::<Option<_>>()?,
        leased: value["leased"].as_u64()?,
        remaining: duration(&value["remaining"]),
        forecast: read_forecast(&value["forecast"]),
        load: Load {
            slots: load(0)?,
            taken: load(1)?,
            cpu_milli: load(2)?,
            cpu_milli_given: load(3)?,
            memory: value["memory"][0].as_u64()?,
            memory_given: value["memory"][1].as_u64()?,
        },
        draining: value["draining"].as_bool()?,
    })
}

fn read_running(value: &Value) -> Option<Running> {
    let prediction = duration(&value["prediction"][0]).zip(duration(&value["prediction"][1]));
    Some(Running {
        seq: value["seq"].as_i64()?,
        attempt: u32::try_from(value["attempt"].as_u64()?).ok()?,
        label: value["label"].as_str()?.to_owned(),
        started_at: timestamp(&value["started_at"])?,
        memory: value["memory"].as_u64()?,
        prediction: prediction.map(|(median, limit)| Prediction { median, limit }),
    })
}

fn read_forecast(value: &Value) -> Option<Forecast> {
    let due = &value["due"];
    let due = timestamp(&due["at"]).zip(due["chance"].as_f64().zip(due["confidence"].as_f64()));
    Some(Forecast {
        p50: timestamp(&value["p50"])?,
        p95: timestamp(&value["p95"])?,
        due: due.map(|(at, (chance, confidence))| Due { at, chance, confidence }),
    })
}

fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_i64().map(Timestamp)
}

fn duration(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let progress = Progress {
            run: RunId(12),
            name: "retrain-12".to_owned(),
            now: Timestamp(2_000),
            started_at: Timestamp(1_000),
            counts: Counts {
                total: 9,
                succeeded: 1,
                skipped: 2,
                failed: 3,
                rejected: 1,
                cancelled: 1,
                attempts: 11,
            },
            running: vec![Running {
                seq: 4,
                attempt: 2,
                label: "dest=BOS".to_owned(),
                started_at: Timestamp(1_500),
                memory: 7,
                prediction: Some(Prediction {
                    median: Duration::from_secs(3),
                    limit: Duration::from_secs(5),
                }),
            }],
            leased: 3,
            remaining: Some(Duration::from_secs(60)),
            forecast: Some(Forecast {
                p50: Timestamp(60_000),
                p95: Timestamp(90_000),
                due: Some(Due {
                    at: Timestamp(80_000),
                    chance: 0.8,
                    confidence: 0.9,
                }),
            }),
            load: Load {
                slots: 4,
                taken: 3,
                cpu_milli: 2500,
                cpu_milli_given: 4000,
                memory: 1 << 40,
                memory_given: 1 << 41,
            },
            draining: true,
        };
        let read = read(&write(&progress)).expect("it is whole");
        assert_eq!(format!("{read:?}"), format!("{progress:?}"));
        let nothing = Progress::default();
        let read = super::read(&write(&nothing)).expect("it is whole");
        assert_eq!(format!("{read:?}"), format!("{nothing:?}"));
        assert!(super::read(&json!({ "run": 1 })).is_none());
    }
}
