//! Where dead letters go (`RedrivePolicy`) and who may send them there (`RedriveAllowPolicy`).

use serde_json::{Map, Value};

use super::desk::queue_of_arn;
use super::{attributes, invalid, limits};
use crate::sqs::fault::Fault;

/// A redrive policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redrive {
    /// The name of the dead-letter queue.
    pub(crate) target: String,
    /// A message received more often goes there.
    pub(super) max: i64,
}

/// A redrive-allow policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allow {
    All,
    None,
    /// Names of queues.
    Only(Vec<String>),
}

fn object(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

impl Redrive {
    pub(super) fn read(text: &str) -> Result<Redrive, Fault> {
        let map = object(text)
            .ok_or_else(|| attributes::bad_value("RedrivePolicy", "Redrive policy is not a valid JSON map."))?;
        let wrong = |reason: String| {
            invalid(format!(
                "Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}"
            ))
        };
        let mandatory = |name: &str| {
            let lacks = || wrong(format!("Redrive policy does not contain mandatory attribute: {name}."));
            map.get(name).ok_or_else(lacks)
        };
        let count = mandatory("maxReceiveCount")?;
        let target = mandatory("deadLetterTargetArn")?;
        if map.len() > 2 {
            return Err(wrong(
                "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].".to_owned(),
            ));
        }
        // Both a number and its text are taken.
        let max = count.as_i64().or_else(|| count.as_str()?.parse().ok());
        let max = max.filter(|max| limits::MAX_RECEIVES.contains(max)).ok_or_else(|| {
            let count = count.as_str().map_or_else(|| count.to_string(), str::to_owned);
            wrong(format!(
                "Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive."
            ))
        })?;
        let target = target.as_str().and_then(queue_of_arn);
        let target = target.ok_or_else(|| wrong("Invalid value for deadLetterTargetArn.".to_owned()))?;
        Ok(Redrive {
            target: target.to_owned(),
            max,
        })
    }

    /// As SQS writes it.
    pub(super) fn text(&self, arn: &str) -> String {
        format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{}}}"#, self.max)
    }
}

impl Allow {
    pub(super) fn read(text: &str) -> Result<Allow, Fault> {
        let unsupported = || {
            attributes::bad_value(
                "RedriveAllowPolicy",
                "Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format.",
            )
        };
        let wrong = |reason: &str| {
            invalid(format!(
                "Value {text} for parameter RedriveAllowPolicy is invalid. Reason: Amazon SQS can't create the redrive \
                 allow policy. {reason}"
            ))
        };
        let map = object(text).ok_or_else(unsupported)?;
        if map
            .keys()
            .any(|name| !["redrivePermission", "sourceQueueArns"].contains(&name.as_str()))
        {
            return Err(unsupported());
        }
        let permission = map.get("redrivePermission").and_then(Value::as_str);
        let sources = match map.get("sourceQueueArns") {
            None => None,
            Some(Value::Array(arns)) => {
                let names = arns
                    .iter()
                    .map(|arn| arn.as_str().and_then(queue_of_arn).map(str::to_owned));
                Some(names.collect::<Option<Vec<_>>>().ok_or_else(unsupported)?)
            }
            Some(_) => return Err(unsupported()),
        };
        match (permission, sources) {
            (Some("allowAll"), None) => Ok(Allow::All),
            (Some("denyAll"), None) => Ok(Allow::None),
            (Some("allowAll" | "denyAll"), Some(_)) => Err(wrong(
                "To specify one or more source queue ARNs, you must set redrivePermission to byQueue.",
            )),
            (Some("byQueue"), Some(names)) if names.len() > limits::ALLOWED_SOURCES => {
                Err(wrong("The maximum number of source queue ARNs you can specify is 10."))
            }
            (Some("byQueue"), Some(names)) if !names.is_empty() => Ok(Allow::Only(names)),
            (Some("byQueue"), _) => Err(wrong(
                "When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.",
            )),
            _ => Err(unsupported()),
        }
    }

    pub(super) fn admits(&self, queue: &str) -> bool {
        match self {
            Allow::All => true,
            Allow::None => false,
            Allow::Only(names) => names.iter().any(|name| name == queue),
        }
    }
}
