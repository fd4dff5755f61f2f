//! Containers that start at a time: what CDK's `ScheduledFargateTask` is for.

use serde_json::{Map, Value as Json, json};

use crate::queue_processing::{Image, QueueProcessing};
use crate::template::{Refused, Template};

/// When something starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    key: &'static str,
    written: String,
    timezone: Option<String>,
}

/// Tasks that a schedule starts, one for each of its messages.
#[derive(Clone, Debug)]
pub struct ScheduledTask {
    burst: QueueProcessing,
}

impl Schedule {
    /// Five fields: minute, hour, day of month, month, day of week.
    pub fn cron(fields: &str) -> Schedule {
        Schedule::of("cron", fields)
    }

    /// Every so often: `15min`, `1d`.
    pub fn rate(every: &str) -> Schedule {
        Schedule::of("rate", every)
    }

    /// Once: `2026-12-24T06:00:00`.
    pub fn at(moment: &str) -> Schedule {
        Schedule::of("at", moment)
    }

    /// By the clocks of a zone of the IANA database; UTC else.
    pub fn in_zone(self, zone: &str) -> Schedule {
        Schedule {
            timezone: Some(zone.to_owned()),
            ..self
        }
    }

    fn of(key: &'static str, written: &str) -> Schedule {
        Schedule {
            key,
            written: written.to_owned(),
            timezone: None,
        }
    }
}

impl ScheduledTask {
    pub fn new(name: &str, image: Image, schedule: Schedule) -> ScheduledTask {
        ScheduledTask::with(QueueProcessing::burst(name, image), schedule)
    }

    /// A burst, with all that can be said of one, that starts by itself.
    pub fn with(mut burst: QueueProcessing, schedule: Schedule) -> ScheduledTask {
        let mut written = Map::new();
        written.insert(schedule.key.to_owned(), schedule.written.into());
        if let Some(zone) = schedule.timezone {
            written.insert("timezone".to_owned(), zone.into());
        }
        burst.file().job("schedule", Json::Object(written));
        ScheduledTask { burst }
    }

    /// One task for each row, which sees its values: as `{name}` in its command, and as `KINGTIDE_PARAM_NAME`.
    pub fn messages(mut self, rows: impl IntoIterator<Item = Map<String, Json>>) -> ScheduledTask {
        let rows: Vec<Json> = rows.into_iter().map(Json::Object).collect();
        self.burst.file().job("params", json!(rows));
        self
    }

    /// # Errors
    /// Everything that AWS would refuse, each with what to do.
    pub fn template(&self) -> Result<Template, Refused> {
        self.burst.template()
    }

    /// The `kingtide.toml` that it stands for.
    pub fn project_file(&self) -> String {
        self.burst.project_file()
    }
}
