//! A job's state machine: an execution is a run. Its first state is the dispatcher, a small task that lives while the run is open; the others
//! say how the run ended.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::iam::{Statement, pass_to_tasks};
use super::queues::Queues;
use super::tasks::{self, Tasks};
use super::template::{LogicalId, Resource, sub};
use super::{Site, id, origin};
use crate::project::Job;

/// The rule by which Step Functions hears of a task's end
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html>).
const ECS_RULE: &str =
    "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/StepFunctionsGetEventsForECSTaskRule";
/// How often a dispatcher that was lost is started again.
const RESTARTS: u32 = 20;

/// A definition with places that CloudFormation fills: `${V0}` and so on.
#[derive(Default)]
struct Places {
    values: BTreeMap<String, Json>,
}

impl Places {
    /// Where a literal stands for itself, it is written out.
    fn put(&mut self, value: &Json) -> Json {
        if value.is_string() {
            return value.clone();
        }
        let known = self
            .values
            .iter()
            .find(|(_, other)| *other == value)
            .map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| {
            let name = format!("V{}", self.values.len());
            self.values.insert(name.clone(), value.clone());
            name
        });
        json!(format!("${{{name}}}"))
    }
}

pub(super) fn machine(site: &mut Site<'_>, job: &Job, queues: &Queues, tasks: &Tasks) -> LogicalId {
    let role = role(site, job, tasks);
    let mut places = Places::default();
    let definition = definition(site, job, tasks, &mut places);
    let properties = json!({
        "StateMachineType": "STANDARD",
        "RoleArn": role.arn(),
        "DefinitionString": definition.to_string(),
        "DefinitionSubstitutions": places.values,
        "Tags": site.tags,
    });
    let resource = Resource::new("AWS::StepFunctions::StateMachine", &origin(job), properties).after(&queues.queue);
    site.stack.add(id(job, "Machine"), resource)
}

/// In Amazon States Language, with JSONata.
fn definition(site: &Site<'_>, job: &Job, tasks: &Tasks, places: &mut Places) -> Json {
    let mut network = site.network.configuration();
    for list in ["Subnets", "SecurityGroups"] {
        for value in network["AwsvpcConfiguration"][list]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            *value = places.put(value);
        }
    }
    let record = format!("{}/{}/runs/", site.name, job.name);
    let lost = [
        "States.TaskFailed",
        "States.Timeout",
        "ECS.AmazonECSException",
        "ECS.ServerException",
    ];
    let again = json!({
        "ErrorEquals": lost,
        "IntervalSeconds": 5,
        "BackoffRate": 2,
        "MaxDelaySeconds": 120,
        "MaxAttempts": RESTARTS,
        "JitterStrategy": "FULL",
    });
    json!({
        "Comment": format!("A run of the job {}", job.name),
        "QueryLanguage": "JSONata",
        "StartAt": "Dispatch",
        "States": {
            "Dispatch": {
                "Type": "Task",
                "Comment": "Sends the messages, starts workers, replaces lost ones; goes on from its record when it is started again",
                "Resource": "arn:aws:states:::ecs:runTask.sync",
                "Arguments": {
                    "Cluster": places.put(&site.cluster.arn()),
                    "TaskDefinition": places.put(&tasks.dispatcher.reference()),
                    "LaunchType": "FARGATE",
                    "NetworkConfiguration": network,
                    "Overrides": {
                        "ContainerOverrides": [{
                            "Name": "dispatcher",
                            "Environment": [
                                { "Name": "KINGTIDE_RUN", "Value": "{% $states.context.Execution.Name %}" },
                                { "Name": "KINGTIDE_INPUT", "Value": "{% $string($states.input) %}" },
                            ],
                        }],
                    },
                },
                "Output": {},
                "Retry": [again],
                "Next": "Read the record",
            },
            "Read the record": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
                "Arguments": {
                    "Bucket": places.put(&site.bucket),
                    "Key": format!("{{% '{record}' & $states.context.Execution.Name & '/outcome.json' %}}"),
                },
                "Output": "{% $parse($states.result.Body) %}",
                "Retry": [{ "ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 5 }],
                "Next": "How it ended",
            },
            "How it ended": {
                "Type": "Choice",
                "Choices": [{ "Condition": "{% $states.input.state = 'succeeded' %}", "Next": "Succeeded" }],
                "Default": "Failed",
            },
            "Succeeded": { "Type": "Succeed" },
            "Failed": {
                "Type": "Fail",
                "Error": "{% 'Kingtide.' & $states.input.state %}",
                "Cause": "{% $states.input.reason %}",
            },
        },
    })
}

fn role(site: &mut Site<'_>, job: &Job, of: &Tasks) -> LogicalId {
    let in_cluster = json!({ "ArnEquals": { "ecs:cluster": site.cluster.arn() } });
    let running = sub(&format!(
        "arn:${{AWS::Partition}}:ecs:${{AWS::Region}}:${{AWS::AccountId}}:task/${{{}}}/*",
        site.cluster.as_str()
    ));
    let record = json!({ "Fn::Join": ["", [site.bucket_arn, format!("/{}/{}/runs/*", site.name, job.name)]] });
    let statements = vec![
        Statement::allow(&["ecs:RunTask"], [of.dispatcher.reference()]).when(in_cluster.clone()),
        Statement::allow(&["ecs:StopTask", "ecs:DescribeTasks"], [running]).when(in_cluster),
        Statement::allow(
            &["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            [sub(ECS_RULE)],
        ),
        Statement::allow(&["s3:GetObject"], [record]),
        pass_to_tasks(&[&of.dispatcher_role, &of.execution_role]),
    ];
    tasks::add_role(site, job, "MachineRole", "states.amazonaws.com", statements)
}
