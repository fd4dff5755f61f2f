//! AWS Step Functions: executions of state machines. An execution is a run.

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::endpoint::Service;
use super::errors::RequestError;
use super::json::{JSON_1_0, Protocol};

const STATES: Protocol = Protocol {
    service: Service::States,
    target: "AWSStepFunctions",
    content_type: JSON_1_0,
};

/// An execution.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// By which it is known.
    #[serde(default)]
    pub execution_arn: String,
    /// The last part of it.
    #[serde(default)]
    pub name: String,
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED`.
    #[serde(default)]
    pub status: String,
    /// Seconds since 1970.
    #[serde(default)]
    pub start_date: f64,
    /// The same, once it is over.
    #[serde(default)]
    pub stop_date: Option<f64>,
    /// Why it failed, in a word.
    #[serde(default)]
    pub error: Option<String>,
    /// And in more.
    #[serde(default)]
    pub cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartAnswer {
    execution_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListAnswer {
    #[serde(default)]
    executions: Vec<Execution>,
}

/// Starts an execution; its ARN. Again with the same name and input while it runs, it is the same.
///
/// # Errors
/// `Exists` where one of that name is over, or has another input; `NotFound` where there is no such machine.
pub fn start(client: &Client, machine: &str, name: &str, input: &Value) -> Result<String, RequestError> {
    let body = json!({ "stateMachineArn": machine, "name": name, "input": input.to_string() });
    let answer: StartAnswer = STATES.ask(client, "states:StartExecution", &body)?;
    Ok(answer.execution_arn)
}

/// How an execution stands.
///
/// # Errors
/// `NotFound` where there is none (they are forgotten after 90 days).
pub fn describe(client: &Client, execution: &str) -> Result<Execution, RequestError> {
    STATES.ask(
        client,
        "states:DescribeExecution",
        &json!({ "executionArn": execution }),
    )
}

/// Ends an execution, and with it what it waits for.
///
/// # Errors
/// `NotFound` where there is none.
pub fn stop(client: &Client, execution: &str, cause: &str) -> Result<(), RequestError> {
    let body = json!({ "executionArn": execution, "error": "Kingtide.cancelled", "cause": cause });
    let _: Value = STATES.ask(client, "states:StopExecution", &body)?;
    Ok(())
}

/// The newest hundred that stand so.
///
/// # Errors
/// `NotFound` where there is no such machine.
pub fn list(client: &Client, machine: &str, status: &str) -> Result<Vec<Execution>, RequestError> {
    let body = json!({ "stateMachineArn": machine, "statusFilter": status, "maxResults": 100 });
    let answer: ListAnswer = STATES.ask(client, "states:ListExecutions", &body)?;
    Ok(answer.executions)
}
