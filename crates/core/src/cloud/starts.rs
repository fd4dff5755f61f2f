//! What starts a run by itself: a schedule, and objects that arrive. What could not be started is kept.

use std::time::Duration;

use serde_json::json;

use super::iam::Statement;
use super::template::{LogicalId, Resource, sub};
use super::{Site, id, origin, tasks};
use crate::project::Job;
use crate::project::aws::{Cron, When};

/// For as long as something that could not be started is tried again, and how often.
const PATIENCE_S: u32 = 3600;
const ATTEMPTS: u32 = 30;
const RETENTION_S: u32 = 14 * 24 * 3600;

pub(super) fn starts(site: &mut Site<'_>, job: &Job, machine: &LogicalId) {
    if job.cloud.schedule.is_none() && job.cloud.triggers.is_empty() {
        return;
    }
    let unstarted = json!({ "SqsManagedSseEnabled": true, "MessageRetentionPeriod": RETENTION_S, "Tags": site.tags });
    let unstarted = site.stack.add(
        id(job, "Unstarted"),
        Resource::new("AWS::SQS::Queue", &origin(job), unstarted),
    );
    let mut senders = Vec::new();
    if let Some(schedule) = &job.cloud.schedule {
        let statements = vec![
            Statement::allow(&["states:StartExecution"], [machine.reference()]),
            Statement::allow(&["sqs:SendMessage"], [unstarted.arn()]),
        ];
        let role = tasks::add_role(site, job, "ScheduleRole", "scheduler.amazonaws.com", statements);
        // The name of an execution comes once: a start that is tried again is not a second run.
        let input = sub(&format!(
            "{{\"StateMachineArn\":\"${{{}}}\",\"Name\":\"<aws.scheduler.execution-id>\",\
             \"Input\":\"{{\\\"trigger\\\":\\\"schedule\\\",\\\"at\\\":\\\"<aws.scheduler.scheduled-time>\\\"}}\"}}",
            machine.as_str()
        ));
        let properties = json!({
            "ScheduleExpression": expression(&schedule.when),
            "ScheduleExpressionTimezone": schedule.timezone,
            "FlexibleTimeWindow": { "Mode": "OFF" },
            "State": "ENABLED",
            "Target": {
                "Arn": sub("arn:${AWS::Partition}:scheduler:::aws-sdk:sfn:startExecution"),
                "RoleArn": role.arn(),
                "Input": input,
                "RetryPolicy": { "MaximumEventAgeInSeconds": PATIENCE_S, "MaximumRetryAttempts": ATTEMPTS },
                "DeadLetterConfig": { "Arn": unstarted.arn() },
            },
        });
        site.stack.add(
            id(job, "Schedule"),
            Resource::new("AWS::Scheduler::Schedule", &origin(job), properties),
        );
    }
    if !job.cloud.triggers.is_empty() {
        let start = vec![Statement::allow(&["states:StartExecution"], [machine.reference()])];
        let role = tasks::add_role(site, job, "TriggerRole", "events.amazonaws.com", start);
        for (number, trigger) in job.cloud.triggers.iter().enumerate() {
            let properties = json!({
                "EventPattern": {
                    "source": ["aws.s3"],
                    "detail-type": ["Object Created"],
                    "detail": {
                        "bucket": { "name": [trigger.bucket] },
                        "object": { "key": [{ "prefix": trigger.prefix }] },
                    },
                },
                "State": "ENABLED",
                "Targets": [{
                    "Id": "run",
                    "Arn": machine.reference(),
                    "RoleArn": role.arn(),
                    "RetryPolicy": { "MaximumEventAgeInSeconds": PATIENCE_S, "MaximumRetryAttempts": ATTEMPTS },
                    "DeadLetterConfig": { "Arn": unstarted.arn() },
                }],
            });
            let rule = site.stack.add(
                id(job, &format!("Trigger{}", number + 1)),
                Resource::new("AWS::Events::Rule", &origin(job), properties),
            );
            senders.push(rule.arn());
        }
    }
    let mut policy = super::iam::only_over_tls("sqs:*", vec![unstarted.arn()]);
    if !senders.is_empty()
        && let Some(statements) = policy["Statement"].as_array_mut()
    {
        statements.push(json!({
            "Sid": "WhatCouldNotStart",
            "Effect": "Allow",
            "Principal": { "Service": "events.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": [unstarted.arn()],
            "Condition": { "ArnEquals": { "aws:SourceArn": senders } },
        }));
    }
    let policy = json!({ "Queues": [unstarted.reference()], "PolicyDocument": policy });
    site.stack.add(
        id(job, "UnstartedPolicy"),
        Resource::new("AWS::SQS::QueuePolicy", &origin(job), policy),
    );
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
