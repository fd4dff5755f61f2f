//! A service: a stream that never ends, worked off by as many tasks as there are messages, and by none when there are none. It has no run that
//! anybody opens and no dispatcher; alarms scale it, which are late where a dispatcher is not. Busy tasks are protected by their worker.

use serde_json::{Value as Json, json};

use super::queues::Queues;
use super::tasks::Tasks;
use super::template::{LogicalId, Resource};
use super::{Site, id, origin};
use crate::project::Job;

/// Tasks at once, where nobody has said.
const MOST_WORKERS: u32 = 20;
/// Of a policy (Application Auto Scaling quotas).
const MOST_STEPS: u32 = 20;
/// Minutes without a message, in the queue or in anybody's hands, until nothing runs.
const IDLE_MINUTES: u32 = 3;

pub(super) fn service(site: &mut Site<'_>, job: &Job, queues: &Queues, tasks: &Tasks) {
    let provider = if site.aws.spot { "FARGATE_SPOT" } else { "FARGATE" };
    // No `DesiredCount`: what it has is left to it whenever the stack is updated.
    let properties = json!({
        "Cluster": site.cluster.reference(),
        "TaskDefinition": tasks.workers[0].reference(),
        "CapacityProviderStrategy": [{ "CapacityProvider": provider, "Weight": 1 }],
        "NetworkConfiguration": site.network.configuration(),
        "DeploymentConfiguration": {
            "MaximumPercent": 200,
            "MinimumHealthyPercent": 0,
            "DeploymentCircuitBreaker": { "Enable": true, "Rollback": true },
        },
        // It would end tasks that work, to spread them.
        "AvailabilityZoneRebalancing": "DISABLED",
        "PropagateTags": "TASK_DEFINITION",
        "Tags": site.tags,
    });
    let service = Resource::new("AWS::ECS::Service", &origin(job), properties)
        .noted("idle", "nothing: no task runs when there is no message")
        .noted(
            "starts",
            "1 to 3 minutes after a message was sent; up to 15 more where nothing was asked of the queue for 6 hours",
        );
    let service = site.stack.add(id(job, "Service"), service);
    let most = [job.max_workers, site.aws.max_workers].into_iter().flatten().min();
    let most = most.unwrap_or(MOST_WORKERS);
    let target = json!({
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": { "Fn::Join": ["/", ["service", site.cluster.reference(), service.get("Name")]] },
        "MinCapacity": 0,
        "MaxCapacity": most,
    });
    let target = site.stack.add(
        id(job, "Scaling"),
        Resource::new("AWS::ApplicationAutoScaling::ScalableTarget", &origin(job), target),
    );
    let out = policy(site, job, &target, "ScaleOut", steps(most));
    let to_zero = json!([{ "MetricIntervalUpperBound": 0, "ScalingAdjustment": 0 }]);
    let to_zero = policy(site, job, &target, "ScaleToZero", to_zero);
    alarm(
        site,
        job,
        queues,
        "BusyAlarm",
        ("GreaterThanOrEqualToThreshold", 1, 1),
        &out,
    );
    alarm(
        site,
        job,
        queues,
        "IdleAlarm",
        ("LessThanOrEqualToThreshold", 0, IDLE_MINUTES),
        &to_zero,
    );
}

/// As many tasks as messages. Where the most needs more steps than there are, they are rounded up, the more the larger.
fn steps(most: u32) -> Json {
    let mut levels: Vec<u32> = match most <= MOST_STEPS {
        true => (1..=most).collect(),
        false => {
            let share = |step: u32| f64::from(step) / f64::from(MOST_STEPS);
            let level = |step: u32| libm::ceil(libm::pow(f64::from(most), share(step))) as u32;
            (1..=MOST_STEPS).map(level).collect()
        }
    };
    levels.dedup();
    let last = levels.len().saturating_sub(1);
    let below = std::iter::once(0).chain(levels.clone());
    // Bounds are relative to the alarm's threshold, which is one message.
    let steps = levels.iter().zip(below).enumerate().map(|(number, (level, below))| {
        let mut step = json!({ "MetricIntervalLowerBound": below, "ScalingAdjustment": level });
        if number < last {
            step["MetricIntervalUpperBound"] = json!(level);
        }
        step
    });
    Json::Array(steps.collect())
}

fn policy(site: &mut Site<'_>, job: &Job, target: &LogicalId, kind: &str, steps: Json) -> LogicalId {
    let properties = json!({
        "PolicyName": kind,
        "PolicyType": "StepScaling",
        "ScalingTargetId": target.reference(),
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ExactCapacity",
            "Cooldown": 0,
            "MetricAggregationType": "Maximum",
            "StepAdjustments": steps,
        },
    });
    let resource = Resource::new("AWS::ApplicationAutoScaling::ScalingPolicy", &origin(job), properties);
    site.stack.add(id(job, kind), resource)
}

/// Of what waits and what is in somebody's hands: a message that is worked on keeps its worker.
fn alarm(
    site: &mut Site<'_>,
    job: &Job,
    queues: &Queues,
    kind: &str,
    (comparison, threshold, minutes): (&str, u32, u32),
    policy: &LogicalId,
) {
    let metric = |id: &str, name: &str| {
        json!({
            "Id": id,
            "ReturnData": false,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS",
                    "MetricName": name,
                    "Dimensions": [{ "Name": "QueueName", "Value": queues.first().get("QueueName") }],
                },
                "Period": 60,
                "Stat": "Maximum",
            },
        })
    };
    let properties = json!({
        "AlarmDescription": format!("scales the service {}", job.name),
        "Metrics": [
            metric("visible", "ApproximateNumberOfMessagesVisible"),
            metric("held", "ApproximateNumberOfMessagesNotVisible"),
            { "Id": "outstanding", "Expression": "visible + held", "Label": "outstanding", "ReturnData": true },
        ],
        "EvaluationPeriods": minutes,
        "ComparisonOperator": comparison,
        "Threshold": threshold,
        "TreatMissingData": "ignore",
        "AlarmActions": [policy.reference()],
        "Tags": site.tags,
    });
    let alarm = Resource::new("AWS::CloudWatch::Alarm", &origin(job), properties)
        .noted("idle", "0.20 USD a month: an alarm of two metrics");
    site.stack.add(id(job, kind), alarm);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many tasks a number of messages is worth.
    fn tasks(steps: &Json, messages: u32) -> u64 {
        let above = f64::from(messages) - 1.0;
        let holds = |step: &&Json| {
            let upper = step["MetricIntervalUpperBound"].as_f64().unwrap_or(f64::INFINITY);
            step["MetricIntervalLowerBound"]
                .as_f64()
                .is_some_and(|lower| lower <= above)
                && above < upper
        };
        let step = steps.as_array().expect("steps").iter().find(holds);
        step.and_then(|step| step["ScalingAdjustment"].as_u64()).unwrap_or(0)
    }

    #[test]
    fn there_are_as_many_tasks_as_messages() {
        for most in [1, 5, 20, 21, 100, 5000] {
            let steps = steps(most);
            assert!(steps.as_array().expect("steps").len() <= MOST_STEPS as usize);
            for messages in 1..=most.min(200) {
                let tasks = tasks(&steps, messages);
                assert!(tasks >= u64::from(messages), "{messages} of {most}: {tasks}");
                assert!(most > MOST_STEPS || tasks == u64::from(messages));
            }
            assert_eq!(tasks(&steps, most * 3), u64::from(most));
        }
    }
}
