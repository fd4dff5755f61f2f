//! Permissions: statements of a queue's policy. They are kept and told; who may do what is decided by the listener.

use serde_json::{Value, json};

use super::definition::Queue;
use super::{Queues, Refusal, attributes, invalid, limits, missing};
use crate::sqs::fault::{Code, Fault};

/// What others may be allowed to do; the rest is the owner's.
const ACTIONS: [&str; 17] = [
    "*",
    "CancelMessageMoveTask",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "DeleteMessage",
    "DeleteMessageBatch",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "StartMessageMoveTask",
];

/// Whether a text may be a policy.
pub(super) fn check_policy(text: &str) -> Result<String, Fault> {
    let wrong = || attributes::bad_value("Policy", "");
    let policy: Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.len(),
        Some(Value::Object(_)) => 1,
        _ => return Err(wrong()),
    };
    if statements > limits::POLICY_STATEMENTS {
        let message = format!(
            "{statements} statements were found in the submitted policy, max allowed is {}",
            limits::POLICY_STATEMENTS
        );
        return Err(Fault::new(Code::OverLimit, message));
    }
    Ok(text.to_owned())
}

fn check_label(label: &str) -> Result<(), Fault> {
    if label.is_empty() {
        return Err(missing("Label"));
    }
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if label.len() > limits::QUEUE_NAME_BYTES || !label.chars().all(is_allowed) {
        return Err(invalid(format!(
            "Value {label} for parameter Label is invalid. Reason: Can only include alphanumeric characters, hyphens, \
             or underscores. 1 to 80 in length."
        )));
    }
    Ok(())
}

fn one_or_all(mut values: Vec<Value>) -> Value {
    match values.len() {
        1 => values.remove(0),
        _ => Value::Array(values),
    }
}

impl Queues<'_> {
    pub(super) fn add_permission(
        &mut self,
        name: &str,
        label: &str,
        accounts: &[String],
        actions: &[String],
    ) -> Result<(), Refusal> {
        let queue = self.require(name)?;
        check_label(label)?;
        if actions.is_empty() {
            return Err(missing("Actions").into());
        }
        if accounts.is_empty() {
            return Err(missing("AWSAccountIds").into());
        }
        if actions.len() > limits::PERMISSION_ACTIONS {
            let message = format!(
                "{} Actions were found, maximum allowed is {}.",
                actions.len(),
                limits::PERMISSION_ACTIONS
            );
            return Err(Fault::new(Code::OverLimit, message).into());
        }
        if let Some(action) = actions.iter().find(|action| !ACTIONS.contains(&action.as_str())) {
            return Err(invalid(format!(
                "Value SQS:{action} for parameter ActionName is invalid. Reason: Only the queue owner is allowed to \
                 invoke this action."
            ))
            .into());
        }
        let is_account = |account: &String| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        if !accounts.iter().all(is_account) {
            return Err(invalid(format!(
                "Value [{}] for parameter PrincipalId is invalid. Reason: Unable to verify.",
                accounts.join(", ")
            ))
            .into());
        }
        let (mut policy, mut statements) = self.statements(&queue);
        if statements.iter().any(|statement| statement["Sid"] == label) {
            let message = format!("Value {label} for parameter Label is invalid. Reason: Already exists.");
            return Err(invalid(message).into());
        }
        let principals = accounts.iter().map(|id| json!(format!("arn:aws:iam::{id}:root")));
        let actions = actions.iter().map(|action| json!(format!("SQS:{action}")));
        statements.push(json!({
            "Sid": label,
            "Effect": "Allow",
            "Principal": { "AWS": one_or_all(principals.collect()) },
            "Action": one_or_all(actions.collect()),
            "Resource": self.desk.arn(name),
        }));
        policy["Statement"] = Value::Array(statements);
        self.keep_policy(&queue, Some(policy.to_string()))
    }

    pub(super) fn remove_permission(&mut self, name: &str, label: &str) -> Result<(), Refusal> {
        let queue = self.require(name)?;
        check_label(label)?;
        let (mut policy, mut statements) = self.statements(&queue);
        let before = statements.len();
        statements.retain(|statement| statement["Sid"] != label);
        if statements.len() == before {
            let message = format!("Value {label} for parameter Label is invalid. Reason: can't find label.");
            return Err(invalid(message).into());
        }
        let is_empty = statements.is_empty();
        policy["Statement"] = Value::Array(statements);
        self.keep_policy(&queue, (!is_empty).then(|| policy.to_string()))
    }

    fn statements(&self, queue: &Queue) -> (Value, Vec<Value>) {
        let kept = queue
            .given
            .get("Policy")
            .and_then(|text| serde_json::from_str(text).ok());
        let arn = self.desk.arn(&queue.name);
        let policy: Value =
            kept.unwrap_or_else(|| json!({ "Version": "2008-10-17", "Id": format!("{arn}/SQSDefaultPolicy") }));
        let statements = match policy.get("Statement") {
            Some(Value::Array(statements)) => statements.clone(),
            Some(statement @ Value::Object(_)) => vec![statement.clone()],
            _ => Vec::new(),
        };
        (policy, statements)
    }

    fn keep_policy(&mut self, queue: &Queue, policy: Option<String>) -> Result<(), Refusal> {
        let mut changed = queue.clone();
        match policy {
            Some(policy) => drop(changed.given.insert("Policy".to_owned(), policy)),
            None => drop(changed.given.remove("Policy")),
        }
        changed.modified_at = self.now.0;
        self.rewrite(changed).map(drop)
    }
}
