//! What concerns AWS alone: where a project is deployed and how, what starts its jobs there, and who is told.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use crate::project::table::table;
use crate::project::value::{Entries, choice};

table! {
    /// Where the project is deployed on AWS, and how.
    "[aws]" struct RawAws {
        /// The region, `eu-west-1` for instance.
        optional region: String,
        /// An existing VPC; else one is made, with two public subnets and no NAT gateway.
        optional vpc: String,
        /// Subnets of that VPC.
        optional subnets: Vec<Spanned<String>>,
        /// Existing security groups of the tasks; else one is made that lets nothing in.
        optional security_groups: Vec<Spanned<String>>,
        /// Whether tasks get a public address: needed in public subnets without endpoints.
        optional public_ip: bool,
        /// Whether tasks reach AWS by endpoints inside the VPC and nothing else: paid for by the hour, about 8 dollars a month each.
        optional endpoints: bool,
        /// An existing bucket for code, results and outputs; else one is made.
        optional bucket: String,
        /// The ARN of a policy that bounds every role that is made.
        optional permissions_boundary: String,
        /// Tags of everything.
        optional tags: Entries<String>,
        /// The image that jobs without one of their own are built upon.
        optional base_image: String,
        /// The processors of tasks.
        optional architecture: Architecture,
        /// Whether tasks whose repetition still fits before the deadline run on Spot capacity.
        optional spot: bool,
        /// How many tasks of a run at once, at most.
        optional max_workers: u32,
        /// Where secrets are: by name, the ARN of a secret of Secrets Manager or of a parameter of SSM.
        optional secrets: Entries<String>,
        /// How long logs are kept.
        optional log_retention: Duration,
    }
    later []
}

table! {
    /// When a job starts by itself: one of cron, rate and at.
    "schedule" struct RawSchedule {
        /// Five fields: minute, hour, day of month, month, day of week.
        optional cron: String,
        /// Every so often.
        optional rate: Duration,
        /// Once: `2026-12-24T06:00:00`.
        optional at: String,
        /// In which zone; UTC by default.
        optional timezone: String,
    }
    later []
}

table! {
    /// What starts a job: objects that arrive.
    "a trigger" struct RawTrigger {
        /// A bucket and the beginning of a key: `s3://bucket/prefix`.
        required object: String,
    }
    later []
}

table! {
    /// Who is told when something is wrong.
    "an alarm" struct RawAlarm {
        /// By mail.
        optional email: String,
        /// By a POST of JSON to this URL.
        optional webhook: String,
        /// By a webhook of Slack.
        optional slack: String,
    }
    later []
}

/// What jobs without an image are built upon.
const BASE_IMAGE: &str = "public.ecr.aws/docker/library/python:3.13-slim";
const LOG_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

choice!(Doorbell { "pipe" => Pipe, "alarm" => Alarm });

/// What begins a run when somebody sends a message while none is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doorbell {
    /// A second queue that `send` rings, and a pipe that listens to it: within seconds.
    Pipe,
    /// An alarm of the queue itself, whoever sends: within minutes, a quarter of an hour at most.
    Alarm,
}

choice!(Architecture { "x86_64" => X86_64, "arm64" => Arm64 });

/// The processors of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    X86_64,
    Arm64,
}

/// Where a project is deployed, and how. What is `None` is made, or is the account's.
#[derive(Clone, Debug, PartialEq)]
pub struct Aws {
    pub region: Option<String>,
    pub network: Option<Network>,
    /// AWS is reached by endpoints inside the VPC.
    pub endpoints: bool,
    /// An existing bucket.
    pub bucket: Option<String>,
    pub permissions_boundary: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub base_image: String,
    pub architecture: Architecture,
    pub spot: bool,
    pub max_workers: Option<u32>,
    /// ARNs of Secrets Manager or SSM, by the names of secrets.
    pub secrets: BTreeMap<String, String>,
    pub log_retention: Duration,
}

/// Where tasks are, in a VPC that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub vpc: String,
    pub subnets: Vec<String>,
    /// Where there are none, one is made.
    pub security_groups: Vec<String>,
    pub public_ip: bool,
}

/// When a job starts by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub when: When,
    /// Of the IANA database.
    pub timezone: String,
}

/// A schedule's moments.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// Five fields.
    Cron(Cron),
    Rate(Duration),
    /// As the clocks of its zone say: `2026-12-24T06:00:00`.
    At(String),
}

/// Five fields of cron, as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    pub minute: String,
    pub hour: String,
    pub day: String,
    pub month: String,
    pub weekday: String,
}

/// Objects that start a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub bucket: String,
    /// Of keys.
    pub prefix: String,
}

/// Who is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    pub email: Option<String>,
    pub webhook: Option<String>,
    pub slack: Option<String>,
}

impl RawAws {
    /// With what another says in its place.
    pub(crate) fn overlaid(self, with: RawAws) -> RawAws {
        RawAws {
            region: with.region.or(self.region),
            vpc: with.vpc.or(self.vpc),
            subnets: with.subnets.or(self.subnets),
            security_groups: with.security_groups.or(self.security_groups),
            public_ip: with.public_ip.or(self.public_ip),
            endpoints: with.endpoints.or(self.endpoints),
            bucket: with.bucket.or(self.bucket),
            permissions_boundary: with.permissions_boundary.or(self.permissions_boundary),
            tags: with.tags.or(self.tags),
            base_image: with.base_image.or(self.base_image),
            architecture: with.architecture.or(self.architecture),
            spot: with.spot.or(self.spot),
            max_workers: with.max_workers.or(self.max_workers),
            secrets: with.secrets.or(self.secrets),
            log_retention: with.log_retention.or(self.log_retention),
        }
    }

    /// What is meant; every error was found before.
    pub(crate) fn resolve(self) -> Aws {
        let list = |list: Option<Spanned<Vec<Spanned<String>>>>| -> Vec<String> {
            let items = list.map(Spanned::into_inner).unwrap_or_default();
            items.into_iter().map(Spanned::into_inner).collect()
        };
        let table = |table: Option<Spanned<Entries<String>>>| -> BTreeMap<String, String> {
            let Entries(entries) = table.map(Spanned::into_inner).unwrap_or_default();
            let pairs = entries.into_iter();
            pairs
                .map(|(name, value)| (name.into_inner(), value.into_inner()))
                .collect()
        };
        let subnets = list(self.subnets);
        let security_groups = list(self.security_groups);
        let public_ip = self.public_ip.is_some_and(|public| *public.get_ref());
        Aws {
            region: self.region.map(Spanned::into_inner),
            network: self.vpc.map(|vpc| Network {
                vpc: vpc.into_inner(),
                subnets,
                security_groups,
                public_ip,
            }),
            endpoints: self.endpoints.is_some_and(|endpoints| *endpoints.get_ref()),
            bucket: self.bucket.map(Spanned::into_inner),
            permissions_boundary: self.permissions_boundary.map(Spanned::into_inner),
            tags: table(self.tags),
            base_image: self
                .base_image
                .map_or_else(|| BASE_IMAGE.to_owned(), Spanned::into_inner),
            architecture: self.architecture.map_or(Architecture::X86_64, Spanned::into_inner),
            spot: self.spot.is_some_and(|spot| *spot.get_ref()),
            max_workers: self.max_workers.map(Spanned::into_inner),
            secrets: table(self.secrets),
            log_retention: self.log_retention.map_or(LOG_RETENTION, Spanned::into_inner),
        }
    }
}

impl RawSchedule {
    /// What is meant; `None` where that was an error.
    pub(crate) fn resolve(self) -> Option<Schedule> {
        let when = match (self.cron, self.rate, self.at) {
            (Some(cron), None, None) => When::Cron(Cron::parse(cron.get_ref()).ok()?),
            (None, Some(rate), None) => When::Rate(rate.into_inner()),
            (None, None, Some(at)) => When::At(at.into_inner()),
            _ => return None,
        };
        Some(Schedule {
            when,
            timezone: self.timezone.map_or_else(|| "UTC".to_owned(), Spanned::into_inner),
        })
    }
}

impl RawAlarm {
    pub(crate) fn resolve(self) -> Alarm {
        Alarm {
            email: self.email.map(Spanned::into_inner),
            webhook: self.webhook.map(Spanned::into_inner),
            slack: self.slack.map(Spanned::into_inner),
        }
    }
}

impl Trigger {
    /// Of `s3://bucket/prefix`.
    pub(crate) fn parse(url: &str) -> Option<Trigger> {
        let (bucket, prefix) = url
            .strip_prefix("s3://")?
            .split_once('/')
            .unwrap_or((url.strip_prefix("s3://")?, ""));
        let is_bucket = (3..=63).contains(&bucket.len())
            && bucket
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'));
        is_bucket.then(|| Trigger {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl Cron {
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn parse(text: &str) -> Result<Cron, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "cron has five fields (minute, hour, day of month, month, day of week), and this has {}",
                fields.len()
            ));
        };
        let months = [
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ];
        let days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
        check_field("minute", minute, 0, 59, &[])?;
        check_field("hour", hour, 0, 23, &[])?;
        check_field("day of month", day, 1, 31, &[])?;
        check_field("month", month, 1, 12, &months)?;
        check_field("day of week", weekday, 0, 7, &days)?;
        Ok(Cron {
            minute: minute.to_owned(),
            hour: hour.to_owned(),
            day: day.to_owned(),
            month: month.to_owned(),
            weekday: weekday.to_ascii_uppercase(),
        })
    }
}

/// `*`, `5`, `1-5`, `*/15`, `1-30/2`, `MON`, and lists of these.
fn check_field(what: &str, field: &str, least: u32, most: u32, names: &[&str]) -> Result<(), String> {
    let wrong = || format!("`{field}` is no {what}: {least} to {most}, `*`, ranges, steps and lists of them");
    let is_value = |text: &str| {
        let number = text.parse().is_ok_and(|number: u32| (least..=most).contains(&number));
        number || names.contains(&text.to_ascii_uppercase().as_str())
    };
    for part in field.split(',') {
        let (range, step) = part
            .split_once('/')
            .map_or((part, None), |(range, step)| (range, Some(step)));
        if step.is_some_and(|step| step.parse().map_or(true, |step: u32| step == 0 || step > most)) {
            return Err(wrong());
        }
        let is_range = range == "*"
            || match range.split_once('-') {
                Some((from, to)) => is_value(from) && is_value(to),
                None => is_value(range),
            };
        if !is_range {
            return Err(wrong());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_is_five_fields_of_what_they_may_be() {
        for good in [
            "0 6 * * MON",
            "*/15 * * * *",
            "0 0 1,15 * *",
            "30 4 * JAN-MAR 1-5",
            "0 0 * * 7",
        ] {
            assert!(Cron::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "0 6 * *",
            "60 * * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "*/0 * * * *",
            "a * * * *",
            "1- * * * *",
        ] {
            assert!(Cron::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_trigger_is_a_bucket_and_a_prefix() {
        let of = |url| Trigger::parse(url).map(|of| (of.bucket, of.prefix));
        assert_eq!(
            of("s3://landing/2026/"),
            Some(("landing".to_owned(), "2026/".to_owned()))
        );
        assert_eq!(of("s3://landing"), Some(("landing".to_owned(), String::new())));
        assert_eq!(
            (of("landing/2026"), of("s3://Landing/x"), of("s3:///x")),
            (None, None, None)
        );
    }
}
