//! A job's state machine: an execution is a run. Its first state is the dispatcher, a small task that lives while the run is open; the others
//! say how the run ended.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::iam::{Statement, pass_to_tasks};
use super::queues::Queues;
use super::roles::{self, in_cluster, running, tag_started};
use super::tasks::{Dispatcher, Tasks};
use super::template::{LogicalId, Resource, sub};
use super::{Site, id, origin, variables};
use crate::project::Job;

/// The rule by which Step Functions hears of a task's end
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html>).
const ECS_RULE: &str =
    "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/StepFunctionsGetEventsForECSTaskRule";
/// How often a dispatcher that was lost is started again.
const RESTARTS: u32 = 20;

/// A definition with places that CloudFormation fills: `${V0}` and so on.
#[derive(Default)]
pub(super) struct Places {
    values: BTreeMap<String, Json>,
}

impl Places {
    /// Where a literal stands for itself, it is written out.
    pub(super) fn put(&mut self, value: &Json) -> Json {
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

    /// For `DefinitionSubstitutions`.
    pub(super) fn values(self) -> BTreeMap<String, Json> {
        self.values
    }

    /// The same, as part of a text.
    pub(super) fn text(&mut self, value: &Json) -> String {
        self.put(value).as_str().unwrap_or_default().to_owned()
    }
}

pub(super) fn machine(
    site: &mut Site<'_>,
    job: &Job,
    queues: &Queues,
    tasks: &Tasks,
    dispatcher: &Dispatcher,
) -> LogicalId {
    let role = role(site, job, tasks, dispatcher);
    let mut places = Places::default();
    let definition = definition(site, job, dispatcher, &mut places);
    let resource = resource(site, job, &role, &definition, places).after(queues.first());
    site.stack.add(id(job, "Machine"), resource)
}

/// A state machine of a job.
pub(super) fn resource(site: &Site<'_>, job: &Job, role: &LogicalId, definition: &Json, places: Places) -> Resource {
    let properties = json!({
        "StateMachineType": "STANDARD",
        "RoleArn": role.arn(),
        "DefinitionString": definition.to_string(),
        "DefinitionSubstitutions": places.values(),
        "Tags": site.tags,
    });
    Resource::new("AWS::StepFunctions::StateMachine", &origin(job), properties)
}

/// In Amazon States Language, with JSONata.
fn definition(site: &Site<'_>, job: &Job, dispatcher: &Dispatcher, places: &mut Places) -> Json {
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
    let stack = places.text(&site.stack_name());
    let outcome = format!("{{% '{stack}/outcomes/' & $states.context.Execution.Name & '.json' %}}");
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
                    "TaskDefinition": places.put(&dispatcher.definition.reference()),
                    "LaunchType": "FARGATE",
                    "PropagateTags": "TASK_DEFINITION",
                    "NetworkConfiguration": network,
                    "Overrides": {
                        "ContainerOverrides": [{
                            "Name": variables::CONTAINER_DISPATCHER,
                            "Environment": [
                                { "Name": variables::EXECUTION, "Value": "{% $states.context.Execution.Name %}" },
                                { "Name": variables::STARTED, "Value": "{% $states.context.Execution.StartTime %}" },
                                { "Name": variables::INPUT, "Value": "{% $string($states.input) %}" },
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
                    "Bucket": places.put(&site.storage.bucket),
                    "Key": outcome,
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

fn role(site: &mut Site<'_>, job: &Job, of: &Tasks, dispatcher: &Dispatcher) -> LogicalId {
    let statements = vec![
        Statement::allow(&["ecs:RunTask"], [dispatcher.definition.reference()]).when(in_cluster(site)),
        tag_started(site),
        Statement::allow(&["ecs:StopTask", "ecs:DescribeTasks"], [running(site)]).when(in_cluster(site)),
        Statement::allow(
            &["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            [sub(ECS_RULE)],
        ),
        Statement::allow(&["s3:GetObject"], site.objects(&["outcomes/*"])),
        pass_to_tasks(&[&dispatcher.role, &of.execution_role]),
    ];
    roles::add_role(site, job, "MachineRole", "states.amazonaws.com", statements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::compile;
    use crate::project::load;

    /// Of a task that is started (RunTask), and of an execution (Step Functions quotas).
    const MOST_OVERRIDES: usize = 8192;
    const MOST_EVENTS: u32 = 25_000;
    /// Of a task of ECS that fails: scheduled, started, submitted, failed.
    const EVENTS_OF_A_TRY: u32 = 4;

    /// Neither grows with a run: messages lie in the bucket, and workers are started by the dispatcher.
    #[test]
    fn a_run_of_any_size_fits_the_quotas_of_its_execution() {
        let source = include_str!("everything.toml");
        let project = load(source).0.expect("a project");
        let stack = compile(&project, None).unwrap_or_else(|findings| panic!("{findings:?}"));
        let machine = &stack.resources[&LogicalId::of("retrain", "Machine")];
        let definition = machine.properties["DefinitionString"].as_str().expect("text");
        let definition: Json = serde_json::from_str(definition).expect("JSON");
        let mut overrides = definition["States"]["Dispatch"]["Arguments"]["Overrides"].clone();
        let longest = |length: usize| "\"".repeat(length);
        // The longest key that S3 has, of a character that is written as two, in a text in which both are again.
        let input = json!({
            "by": "trigger", "event": "6f87d04b-9050-e3e8-1a2b-0123456789ab", "at": "2026-11-24T23:59:59Z",
            "bucket": { "name": "b".repeat(63) },
            "object": { "key": longest(1024), "size": u64::MAX, "etag": "e".repeat(64), "version-id": "v".repeat(64), "sequencer": "s".repeat(32) },
        });
        let values = ["x".repeat(80), "2026-11-24T23:59:59.999Z".to_owned(), input.to_string()];
        let environment = overrides["ContainerOverrides"][0]["Environment"]
            .as_array_mut()
            .expect("a list");
        assert_eq!(environment.len(), values.len());
        for (variable, value) in environment.iter_mut().zip(values) {
            variable["Value"] = json!(value);
        }
        let length = overrides.to_string().len();
        assert!(length <= MOST_OVERRIDES, "{length}");
        let states = definition["States"].as_object().expect("states").len() as u32;
        assert!((RESTARTS + 1) * EVENTS_OF_A_TRY + states * 10 < MOST_EVENTS);
    }
}
