//! What concerns AWS alone, as far as the file can tell: names and numbers that AWS would refuse.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use toml::Spanned;

use crate::finding::{Finding, Findings, suggestion};
use crate::project::aws::{Cron, RawAlarm, RawAws, RawSchedule, Trigger};
use crate::project::raw::{RawJob, RawProject};
use crate::project::value::Entries;

/// Days that CloudWatch keeps logs for (API_PutRetentionPolicy).
pub(crate) const RETENTIONS: [u64; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);
/// Of one resource, less the one that is ours.
const MOST_TAGS: usize = 49;

pub(super) fn check_aws(raw: &RawProject, findings: &mut Findings) {
    if let Some(aws) = &raw.aws {
        check_account(aws.get_ref(), None, findings);
    }
    let none = Entries(Vec::new());
    let Entries(environments) = raw.env.as_ref().map_or(&none, Spanned::get_ref);
    for (name, environment) in environments {
        super::check_name("an environment", name.get_ref(), name.span(), findings);
        check_account(environment.get_ref(), raw.aws.as_ref().map(Spanned::get_ref), findings);
    }
    let none = Entries(Vec::new());
    let Entries(alarms) = raw.alarm.as_ref().map_or(&none, Spanned::get_ref);
    for (name, alarm) in alarms {
        super::check_name("an alarm", name.get_ref(), name.span(), findings);
        check_alarm(name, alarm.get_ref(), findings);
    }
    let names: Vec<&str> = alarms.iter().map(|(name, _)| name.get_ref().as_str()).collect();
    let none = Entries(Vec::new());
    let Entries(jobs) = raw.job.as_ref().map_or(&none, Spanned::get_ref);
    for (_, job) in jobs {
        check_job(job.get_ref(), &names, findings);
    }
}

fn check_job(job: &RawJob, alarms: &[&str], findings: &mut Findings) {
    if let Some(schedule) = &job.schedule {
        check_schedule(schedule, findings);
    }
    for trigger in job.triggers.iter().flat_map(|triggers| triggers.get_ref()) {
        let Some(object) = &trigger.get_ref().object else {
            continue;
        };
        if Trigger::parse(object.get_ref()).is_none() {
            let message = format!("`{}` names no objects", object.get_ref());
            let finding = Finding::error("bad-trigger", message).at(object.span());
            findings.push(finding.help("write the bucket and the beginning of the keys: \"s3://bucket/prefix\""));
        }
    }
    for alarm in job.alarms.iter().flat_map(|alarms| alarms.get_ref()) {
        let written = alarm.get_ref().as_str();
        if !alarms.contains(&written) {
            let finding = Finding::error("unknown-alarm", format!("there is no alarm `{written}`")).at(alarm.span());
            findings.push(match suggestion(written, alarms.iter().copied()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("add [alarm.{written}] with email, webhook or slack")),
            });
        }
    }
    for policy in job.policies.iter().flat_map(|policies| policies.get_ref()) {
        check_policy(policy, findings);
    }
    if let Some(cost) = job.max_cost.as_ref().filter(|cost| *cost.get_ref() <= 0.0) {
        let message = "`max_cost` is 0 or less: nothing would ever run";
        findings.push(Finding::error("out-of-range", message).at(cost.span()));
    }
    if let Some(service) = job.service.as_ref().filter(|service| *service.get_ref()) {
        for (what, is_written) in [
            ("a schedule", job.schedule.is_some()),
            ("a trigger", job.triggers.is_some()),
            ("a doorbell", job.doorbell.is_some()),
        ] {
            if is_written {
                let message = format!("a service runs whenever there is something to do: {what} says nothing about it");
                findings.push(Finding::warning("no-effect", message).at(service.span()));
            }
        }
    }
}

fn check_schedule(schedule: &Spanned<RawSchedule>, findings: &mut Findings) {
    let of = schedule.get_ref();
    let written = usize::from(of.cron.is_some()) + usize::from(of.rate.is_some()) + usize::from(of.at.is_some());
    if written != 1 {
        let message = format!("a schedule is one of `cron`, `rate` and `at`, and this has {written} of them");
        findings.push(Finding::error("bad-schedule", message).at(schedule.span()));
    }
    let mut bad = |message: String, span, help: &str| {
        findings.push(Finding::error("bad-schedule", message).at(span).help(help));
    };
    if let Some(cron) = &of.cron {
        match Cron::parse(cron.get_ref()) {
            Err(why) => bad(why, cron.span(), "\"0 6 * * MON\" is every Monday at six"),
            Ok(cron_of) if cron_of.day != "*" && cron_of.weekday != "*" => bad(
                "AWS takes a day of the month or a day of the week, not both".to_owned(),
                cron.span(),
                "write `*` for one of them",
            ),
            Ok(_) => {}
        }
    }
    if let Some(rate) = &of.rate
        && (*rate.get_ref() < MINUTE || rate.get_ref().as_secs() % 60 != 0 || rate.get_ref().subsec_nanos() != 0)
    {
        bad(
            "a rate is a whole number of minutes".to_owned(),
            rate.span(),
            "write \"15min\", \"1h\" or \"1d\" for instance",
        );
    }
    if let Some(at) = &of.at
        && at.get_ref().parse::<DateTime>().is_err()
    {
        bad(
            format!("`{}` is no moment", at.get_ref()),
            at.span(),
            "write the date and the time as the clocks of the zone say: \"2026-12-24T06:00:00\"",
        );
    }
    if let Some(zone) = of
        .timezone
        .as_ref()
        .filter(|zone| TimeZone::get(zone.get_ref()).is_err())
    {
        bad(
            format!("there is no zone `{}`", zone.get_ref()),
            zone.span(),
            "zones are named as in the IANA database: Europe/Zurich, America/New_York, UTC",
        );
    }
}

fn check_alarm(name: &Spanned<String>, alarm: &RawAlarm, findings: &mut Findings) {
    if alarm.email.is_none() && alarm.webhook.is_none() && alarm.slack.is_none() {
        let message = format!("the alarm `{}` tells nobody", name.get_ref());
        let finding = Finding::error("silent-alarm", message).at(name.span());
        findings.push(finding.help("give it email, webhook or slack"));
    }
    if let Some(email) = alarm.email.as_ref().filter(|email| !email.get_ref().contains('@')) {
        let message = format!("`{}` is no address of mail", email.get_ref());
        findings.push(Finding::error("bad-address", message).at(email.span()));
    }
    for (key, url) in [("webhook", &alarm.webhook), ("slack", &alarm.slack)] {
        // One that stands in a variable is looked at when it is used.
        let bad = |url: &&Spanned<String>| !url.get_ref().starts_with("https://") && !url.get_ref().starts_with("${");
        if let Some(url) = url.as_ref().filter(bad) {
            let message = format!("`{key}` is no URL that AWS may call");
            let finding = Finding::error("bad-address", message).at(url.span());
            findings.push(finding.help("it begins with https://, or is a variable: \"${OPS_WEBHOOK}\""));
        }
    }
}

/// `base`: what it is laid over.
fn check_account(aws: &RawAws, base: Option<&RawAws>, findings: &mut Findings) {
    let mut named = |what: &str, written: &Spanned<String>, is_right: bool, help: &str| {
        if !is_right {
            let message = format!("`{}` is no {what}", written.get_ref());
            findings.push(Finding::error("bad-aws-name", message).at(written.span()).help(help));
        }
    };
    let plain = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if let Some(region) = &aws.region {
        let parts = region.get_ref().split('-').count();
        let is_right =
            plain(region.get_ref()) && parts >= 3 && region.get_ref().ends_with(|c: char| c.is_ascii_digit());
        named(
            "region",
            region,
            is_right,
            "regions are called as eu-west-1 and us-east-2",
        );
    }
    if let Some(vpc) = &aws.vpc {
        named("VPC", vpc, is_id(vpc.get_ref(), "vpc-"), "its id begins with vpc-");
    }
    for subnet in aws.subnets.iter().flat_map(|subnets| subnets.get_ref()) {
        named(
            "subnet",
            subnet,
            is_id(subnet.get_ref(), "subnet-"),
            "its id begins with subnet-",
        );
    }
    for group in aws.security_groups.iter().flat_map(|groups| groups.get_ref()) {
        named(
            "security group",
            group,
            is_id(group.get_ref(), "sg-"),
            "its id begins with sg-",
        );
    }
    if let Some(bucket) = &aws.bucket {
        let is_right = Trigger::parse(&format!("s3://{}", bucket.get_ref())).is_some();
        named("bucket", bucket, is_right, "3 to 63 small letters, digits, `-` and `.`");
    }
    if let Some(policy) = &aws.permissions_boundary {
        check_policy(policy, findings);
    }
    let none = Entries(Vec::new());
    let Entries(secrets) = aws.secrets.as_ref().map_or(&none, Spanned::get_ref);
    for (_, arn) in secrets {
        let text = arn.get_ref();
        let is_right = text.starts_with("arn:aws") && (text.contains(":secretsmanager:") || text.contains(":ssm:"));
        if !is_right {
            let message = format!("`{text}` is no secret of Secrets Manager and no parameter of SSM");
            findings.push(
                Finding::error("bad-aws-name", message)
                    .at(arn.span())
                    .help("write its ARN"),
            );
        }
    }
    check_tags(aws, findings);
    check_network(aws, base, findings);
    if let Some(workers) = aws.max_workers.as_ref().filter(|workers| *workers.get_ref() == 0) {
        let message = "`max_workers` is 0: nothing would ever run";
        findings.push(Finding::error("out-of-range", message).at(workers.span()));
    }
    if let Some(retention) = &aws.log_retention
        && !RETENTIONS
            .iter()
            .any(|days| DAY * u32::try_from(*days).unwrap_or(u32::MAX) == *retention.get_ref())
    {
        let message = "CloudWatch does not keep logs for just so long";
        let finding = Finding::error("out-of-range", message).at(retention.span());
        findings.push(
            finding.help("it keeps them for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365 days and some longer"),
        );
    }
}

fn check_policy(policy: &Spanned<String>, findings: &mut Findings) {
    let text = policy.get_ref();
    if !(text.starts_with("arn:aws") && text.contains(":policy/")) {
        let finding = Finding::error("bad-aws-name", format!("`{text}` is no policy")).at(policy.span());
        findings.push(finding.help("write its ARN: arn:aws:iam::123456789012:policy/name"));
    }
}

fn check_tags(aws: &RawAws, findings: &mut Findings) {
    let Some(tags) = &aws.tags else { return };
    let Entries(all) = tags.get_ref();
    if all.len() > MOST_TAGS {
        let message = format!("{} tags: a resource has at most {MOST_TAGS}", all.len());
        findings.push(Finding::error("out-of-range", message).at(tags.span()));
    }
    for (name, value) in all {
        let is_right = !name.get_ref().is_empty()
            && name.get_ref().chars().count() <= 128
            && value.get_ref().chars().count() <= 256
            && !name.get_ref().to_ascii_lowercase().starts_with("aws:");
        if !is_right {
            let message = format!("`{}` cannot be a tag", name.get_ref());
            let finding = Finding::error("bad-aws-name", message).at(name.span());
            findings
                .push(finding.help("1 to 128 characters that do not begin with `aws:`, with a value of at most 256"));
        }
    }
}

fn check_network(aws: &RawAws, base: Option<&RawAws>, findings: &mut Findings) {
    let vpc = aws.vpc.as_ref().or(base.and_then(|base| base.vpc.as_ref()));
    let subnets = aws.subnets.as_ref().or(base.and_then(|base| base.subnets.as_ref()));
    match (vpc, subnets) {
        (Some(vpc), None) => {
            let message = "a VPC without subnets: tasks run in subnets";
            let finding = Finding::error("missing-key", message).at(vpc.span());
            findings.push(finding.help("name some of its subnets: subnets = [\"subnet-…\", \"subnet-…\"]"));
        }
        (None, Some(subnets)) => {
            let message = "subnets without their VPC";
            findings.push(
                Finding::error("missing-key", message)
                    .at(subnets.span())
                    .help("name it: vpc = \"vpc-…\""),
            );
        }
        (Some(_), Some(subnets)) if subnets.get_ref().is_empty() => {
            findings.push(Finding::error("out-of-range", "`subnets` is empty").at(subnets.span()));
        }
        _ => {}
    }
}

fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|id| matches!(id.len(), 8 | 17) && id.chars().all(|c| c.is_ascii_hexdigit()))
}
