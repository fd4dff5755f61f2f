//! A job that starts by itself: a schedule of EventBridge Scheduler, and a lookout that says so when it did not.

use std::time::Duration;

use serde_json::json;

use super::iam::Statement;
use super::machine::{self, Places};
use super::template::{LogicalId, Resource, sub};
use super::{Site, id, origin, roles, start};
use crate::project::Job;
use crate::project::aws::{Cron, Schedule, When};

/// For so long a run may take to open before somebody is told.
const LOOKOUT_S: u32 = 900;
/// What the scheduler fills.
const AT: &str = "<aws.scheduler.scheduled-time>";
const EXECUTION: &str = "<aws.scheduler.execution-id>";

/// The schedule; and, where somebody wants to be told, the state machine that looks whether a run has opened.
pub(super) fn schedule(
    site: &mut Site<'_>,
    job: &Job,
    schedule: &Schedule,
    machine: &LogicalId,
    unstarted: &LogicalId,
) -> Option<LogicalId> {
    let lookout = (!job.cloud.alarms.is_empty()).then(|| lookout(site, job));
    let machines = [Some(machine), lookout.as_ref()].into_iter().flatten();
    let statements = vec![
        Statement::allow(&["states:StartExecution"], machines.map(LogicalId::reference)),
        Statement::allow(&["sqs:SendMessage"], [unstarted.arn()]),
    ];
    let role = roles::add_role(site, job, "ScheduleRole", "scheduler.amazonaws.com", statements);
    let event = start::schedule_event(&job.name, AT);
    let input = json!({ "by": start::By::Schedule.as_str(), "event": event, "at": AT });
    let begin = [("Schedule", machine, &input)];
    let look = lookout.iter().map(|lookout| ("LookoutSchedule", lookout, &input));
    for (kind, machine, input) in begin.into_iter().chain(look) {
        // The name of an execution comes once: a start that is tried again is not a second run.
        let start = json!({ "StateMachineArn": format!("${{{}}}", machine.as_str()), "Name": EXECUTION, "Input": input.to_string() });
        let properties = json!({
            "ScheduleExpression": expression(&schedule.when),
            "ScheduleExpressionTimezone": schedule.timezone,
            "FlexibleTimeWindow": { "Mode": "OFF" },
            "State": "ENABLED",
            "Target": {
                "Arn": sub("arn:${AWS::Partition}:scheduler:::aws-sdk:sfn:startExecution"),
                "RoleArn": role.arn(),
                "Input": sub(&start.to_string()),
                "RetryPolicy": super::starts::retry_policy(),
                "DeadLetterConfig": { "Arn": unstarted.arn() },
            },
        });
        let resource = Resource::new("AWS::Scheduler::Schedule", &origin(job), properties);
        site.stack.add(id(job, kind), resource);
    }
    lookout
}

/// It begins with the schedule, by a schedule of its own, waits, and fails when nobody has taken the event: its failure is told as that of a run
/// is. It costs three transitions for each start, and nothing in between.
fn lookout(site: &mut Site<'_>, job: &Job) -> LogicalId {
    let statements = vec![
        Statement::allow(&["s3:GetObject"], site.objects(&["starts/*"])),
        roles::list(site, &["starts/*"]),
    ];
    let role = roles::add_role(site, job, "LookoutRole", "states.amazonaws.com", statements);
    let mut places = Places::default();
    let stack = places.text(&site.stack_name());
    let definition = json!({
        "Comment": format!("Whether a run of the job {} has begun when it was to", job.name),
        "QueryLanguage": "JSONata",
        "StartAt": "Give it time",
        "States": {
            "Give it time": { "Type": "Wait", "Seconds": LOOKOUT_S, "Next": "Has it begun" },
            "Has it begun": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:s3:headObject",
                "Arguments": {
                    "Bucket": places.put(&site.storage.bucket),
                    "Key": format!("{{% '{stack}/starts/' & $states.input.event %}}"),
                },
                "Output": {},
                "Retry": [{
                    "ErrorEquals": ["States.ALL"], "IntervalSeconds": 20, "BackoffRate": 2, "MaxAttempts": 3,
                }],
                "Catch": [{ "ErrorEquals": ["States.ALL"], "Output": {}, "Next": "It has not" }],
                "Next": "It has",
            },
            "It has": { "Type": "Succeed" },
            "It has not": {
                "Type": "Fail",
                "Error": "Kingtide.DidNotStart",
                "Cause": format!("no run of {} has opened {} minutes after its schedule", job.name, LOOKOUT_S / 60),
            },
        },
    });
    let resource = machine::resource(site, job, &role, &definition, places)
        .noted("idle", "nothing: 0.0001 USD for each start that it looks at");
    site.stack.add(id(job, "Lookout"), resource)
}

/// As EventBridge Scheduler writes it (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>).
fn expression(when: &When) -> String {
    match when {
        When::At(at) => format!("at({at})"),
        When::Rate(rate) => rate_expression(*rate),
        When::Cron(cron) => cron_expression(cron),
    }
}

fn rate_expression(rate: Duration) -> String {
    let minutes = rate.as_secs() / 60;
    let (number, unit) = match minutes {
        days if days % (24 * 60) == 0 => (days / (24 * 60), "day"),
        hours if hours % 60 == 0 => (hours / 60, "hour"),
        minutes => (minutes, "minute"),
    };
    let ending = if number == 1 { "" } else { "s" };
    format!("rate({number} {unit}{ending})")
}

/// AWS has six fields, begins its weeks with 1 for Sunday, and wants `?` for the day that is not meant.
fn cron_expression(cron: &Cron) -> String {
    let weekday: Vec<String> = cron.weekday.split(',').map(aws_weekday).collect();
    let (day, weekday) = match (cron.day.as_str(), cron.weekday.as_str()) {
        (day, "*") => (stepped(day, 1), "?".to_owned()),
        ("*", _) => ("?".to_owned(), weekday.join(",")),
        // The checker lets no such pair through.
        (day, _) => (stepped(day, 1), weekday.join(",")),
    };
    format!(
        "cron({} {} {day} {} {weekday} *)",
        stepped(&cron.minute, 0),
        stepped(&cron.hour, 0),
        stepped(&cron.month, 1)
    )
}

/// `*/15` is every fifteenth from the first.
fn stepped(field: &str, first: u32) -> String {
    let parts = field.split(',').map(|part| match part.strip_prefix("*/") {
        Some(step) => format!("{first}/{step}"),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}

fn aws_weekday(part: &str) -> String {
    let day = |text: &str| match text.parse::<u32>() {
        Ok(number) => (number % 7 + 1).to_string(),
        Err(_) => text.to_owned(),
    };
    let (range, step) = part
        .split_once('/')
        .map_or((part, None), |(range, step)| (range, Some(step)));
    let range = match range.split_once('-') {
        Some((from, to)) => format!("{}-{}", day(from), day(to)),
        None if range == "*" => "1-7".to_owned(),
        None => day(range),
    };
    match step {
        Some(step) => format!("{range}/{step}"),
        None => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_fields_become_six() {
        let of = |text: &str| cron_expression(&Cron::parse(text).expect("cron"));
        assert_eq!(of("0 6 * * MON"), "cron(0 6 ? * MON *)");
        assert_eq!(of("0 6 * * 1-5"), "cron(0 6 ? * 2-6 *)");
        assert_eq!(of("0 6 * * 0,7"), "cron(0 6 ? * 1,1 *)");
        assert_eq!(of("*/15 * 1 */3 *"), "cron(0/15 * 1 1/3 ? *)");
    }

    #[test]
    fn rates_are_said_in_the_largest_unit() {
        let of = |minutes: u64| rate_expression(Duration::from_secs(minutes * 60));
        assert_eq!(
            [1, 90, 60, 1440, 2880].map(of),
            [
                "rate(1 minute)",
                "rate(90 minutes)",
                "rate(1 hour)",
                "rate(1 day)",
                "rate(2 days)"
            ]
        );
    }
}
