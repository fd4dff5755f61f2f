//! Attributes of queues: which there are, what they may be, and how they read with their defaults filled in.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kingtide_core::project::{Job, Mode};
use rusqlite::params;

use super::definition::{Queue, Role};
use super::policy::{Allow, Redrive};
use super::{Queues, Refusal, limits, permissions};
use crate::sqs::fault::{Code, Fault};

/// What may be asked for beside those that may be set.
const READ_ONLY: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

const SETTABLE: [&str; 15] = [
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "Policy",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
];

/// Setting one of these to nothing takes it away.
const REMOVABLE: [&str; 4] = ["KmsMasterKeyId", "Policy", "RedriveAllowPolicy", "RedrivePolicy"];

/// What new attributes are checked against.
pub(super) struct Setting<'a> {
    pub(super) queue: &'a str,
    pub(super) fifo: bool,
    pub(super) is_new: bool,
}

fn unknown(name: &str) -> Fault {
    Fault::new(Code::InvalidAttributeName, format!("Unknown Attribute {name}."))
}

pub(super) fn bad_value(name: &str, reason: &str) -> Fault {
    let reason = match reason {
        "" => String::new(),
        reason => format!(" Reason: {reason}"),
    };
    let message = format!("Invalid value for the parameter {name}.{reason}");
    Fault::new(Code::InvalidAttributeValue, message)
}

fn number(name: &str, text: &str, range: &RangeInclusive<i64>) -> Result<String, Fault> {
    let number: Option<i64> = text.parse().ok();
    let number = number.filter(|number| range.contains(number));
    Ok(number.ok_or_else(|| bad_value(name, ""))?.to_string())
}

fn boolean(name: &str, text: &str) -> Result<String, Fault> {
    match text {
        "true" | "True" => Ok("true".to_owned()),
        "false" | "False" => Ok("false".to_owned()),
        _ => Err(bad_value(name, "")),
    }
}

fn choice(name: &str, text: &str, of: [&str; 2]) -> Result<String, Fault> {
    if of.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(bad_value(name, ""))
}

impl Queues<'_> {
    /// The attributes as they are kept, or what is wrong with the first.
    pub(super) fn check_attributes(
        &mut self,
        setting: &Setting<'_>,
        attributes: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let mut checked = BTreeMap::new();
        for (name, text) in attributes {
            if !SETTABLE.contains(&name.as_str()) {
                return Err(unknown(name).into());
            }
            let value = match (text.is_empty(), REMOVABLE.contains(&name.as_str())) {
                (true, true) => String::new(),
                _ => self.check_attribute(setting, name, text)?,
            };
            checked.insert(name.clone(), value);
        }
        let is = |name: &str, value: &str| checked.get(name).is_some_and(|given| given == value);
        let has_key = checked.get("KmsMasterKeyId").is_some_and(|key| !key.is_empty());
        if has_key && is("SqsManagedSseEnabled", "true") {
            let message = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS \
                           SSE or SQS SSE.";
            return Err(Fault::new(Code::InvalidAttributeName, message).into());
        }
        Ok(checked)
    }

    fn check_attribute(&mut self, setting: &Setting<'_>, name: &str, text: &str) -> Result<String, Refusal> {
        let value = match name {
            "DelaySeconds" => number(name, text, &limits::DELAY_S)?,
            "MaximumMessageSize" => number(name, text, &limits::MESSAGE_BYTES)?,
            "MessageRetentionPeriod" => number(name, text, &limits::RETENTION_S)?,
            "ReceiveMessageWaitTimeSeconds" => number(name, text, &limits::WAIT_S)?,
            "VisibilityTimeout" => number(name, text, &limits::VISIBILITY_S)?,
            "KmsDataKeyReusePeriodSeconds" => number(name, text, &limits::KMS_REUSE_S)?,
            "SqsManagedSseEnabled" => boolean(name, text)?,
            "FifoQueue" => match (setting.is_new, setting.fifo, boolean(name, text)?.as_str()) {
                // A standard queue does not know the attribute, not even as `false`.
                (_, false, _) => return Err(unknown(name).into()),
                (_, true, "true") => "true".to_owned(),
                (..) => return Err(bad_value(name, "Modifying queue type is not supported.").into()),
            },
            "ContentBasedDeduplication" if !setting.fifo => return Err(unknown(name).into()),
            "ContentBasedDeduplication" => boolean(name, text)?,
            "DeduplicationScope" | "FifoThroughputLimit" if !setting.fifo => {
                let message = format!("You can specify the {name} only when FifoQueue is set to true.");
                return Err(Fault::new(Code::InvalidAttributeName, message).into());
            }
            "DeduplicationScope" => choice(name, text, ["queue", "messageGroup"])?,
            "FifoThroughputLimit" => choice(name, text, ["perQueue", "perMessageGroupId"])?,
            "Policy" => permissions::check_policy(text)?,
            "RedrivePolicy" => {
                let redrive = Redrive::read(text)?;
                self.check_redrive(setting, &redrive, text)?;
                text.to_owned()
            }
            "RedriveAllowPolicy" => {
                Allow::read(text)?;
                text.to_owned()
            }
            // An encryption key, stored and told.
            _ => text.to_owned(),
        };
        Ok(value)
    }

    /// Whether the queue may send its dead letters there.
    fn check_redrive(&mut self, setting: &Setting<'_>, redrive: &Redrive, text: &str) -> Result<(), Refusal> {
        let wrong = |reason: &str| {
            let message = format!("Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}");
            Refusal::from(super::invalid(message))
        };
        let target = self.find(&redrive.target)?;
        let target = target.ok_or_else(|| wrong("Dead letter target does not exist."))?;
        if target.fifo != setting.fifo {
            return Err(wrong("Dead-letter queue must be same type of queue as the source."));
        }
        let allow = target.given.get("RedriveAllowPolicy").map(|text| Allow::read(text));
        let allow = allow.transpose().ok().flatten().unwrap_or(Allow::All);
        if !allow.admits(setting.queue) {
            return Err(wrong(
                "Amazon SQS can't create the redrive policy. The source queue is not allowed to use the dead-letter queue.",
            ));
        }
        Ok(())
    }

    pub(super) fn set_queue_attributes(
        &mut self,
        name: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        let queue = self.require(name)?;
        let setting = Setting {
            queue: name,
            fifo: queue.fifo,
            is_new: false,
        };
        let checked = self.check_attributes(&setting, attributes)?;
        let mut changed = Queue::clone(&queue);
        merge(&mut changed.given, checked);
        check_together(&changed.given)?;
        changed.modified_at = self.now.0;
        let changed = self.rewrite(changed)?;
        if changed.fifo && changed.delay_s != queue.delay_s {
            // Unlike that of a standard queue, the delay of a FIFO queue also counts for what was sent before and is not
            // yet visible.
            self.promote(&queue, usize::MAX)?;
            self.execute(
                "UPDATE letter SET visible_at = sent_at + ?2 WHERE box = ?1 AND state = 'delayed'",
                params![changed.holding, changed.delay_s * 1000],
            )?;
            self.note_visible(name);
        }
        Ok(())
    }

    /// Those that were asked for, with `All` of them.
    pub(super) fn queue_attributes(
        &mut self,
        name: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let queue = self.require(name)?;
        let known = |name: &str| name == "All" || READ_ONLY.contains(&name) || SETTABLE.contains(&name);
        if let Some(name) = names.iter().find(|name| !known(name)) {
            return Err(unknown(name).into());
        }
        let all = names.iter().any(|name| name == "All");
        let wanted = |name: &str| all || names.iter().any(|wanted| wanted == name);
        let mut attributes = self.settings(&queue);
        attributes.retain(|name, _| wanted(name));
        let mut tell = |name: &str, value: String| {
            if wanted(name) {
                attributes.insert(name.to_owned(), value);
            }
        };
        tell("QueueArn", self.desk.arn(&queue.name));
        tell("CreatedTimestamp", (queue.created_at / 1000).to_string());
        tell("LastModifiedTimestamp", (queue.modified_at / 1000).to_string());
        if READ_ONLY[..3].iter().any(|name| wanted(name)) {
            let counts = self.count(&queue)?;
            tell("ApproximateNumberOfMessages", counts.visible.to_string());
            tell("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string());
            tell("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string());
        }
        Ok(attributes)
    }

    /// Every attribute that may be set, as it is in force.
    pub(super) fn settings(&self, queue: &Queue) -> BTreeMap<String, String> {
        let mut settings = in_force(queue);
        if let Some(redrive) = self.redrive_of(queue).filter(|_| queue.role == Role::Job) {
            settings.insert(
                "RedrivePolicy".to_owned(),
                redrive.text(&self.desk.arn(&redrive.target)),
            );
        }
        settings
    }

    pub(super) fn redrive_of(&self, queue: &Queue) -> Option<Redrive> {
        redrive_of(queue, self.jobs)
    }
}

/// Every attribute that may be set, as it is in force; what follows from a job's file is not among them.
pub(crate) fn in_force(queue: &Queue) -> BTreeMap<String, String> {
    let mut settings = queue.given.clone();
    let mut default = |name: &str, value: String| {
        settings.entry(name.to_owned()).or_insert(value);
    };
    default("DelaySeconds", queue.delay_s.to_string());
    default("MaximumMessageSize", queue.max_bytes.to_string());
    default("MessageRetentionPeriod", queue.retention_s.to_string());
    default("ReceiveMessageWaitTimeSeconds", queue.wait_s.to_string());
    default("VisibilityTimeout", queue.visibility_s.to_string());
    if queue.given.contains_key("KmsMasterKeyId") {
        default("KmsDataKeyReusePeriodSeconds", "300".to_owned());
        default("SqsManagedSseEnabled", "false".to_owned());
    }
    default("SqsManagedSseEnabled", "true".to_owned());
    if queue.fifo {
        default("ContentBasedDeduplication", "false".to_owned());
        default("DeduplicationScope", "queue".to_owned());
        default("FifoThroughputLimit", "perQueue".to_owned());
    }
    settings
}

/// Where letters of a queue go that nobody could work off. That of a job's own queue follows from its retries, unless its
/// consumer has said otherwise.
pub(crate) fn redrive_of(queue: &Queue, jobs: &BTreeMap<String, Job>) -> Option<Redrive> {
    let Some((name, job)) = queue.job_of(jobs) else {
        return queue.redrive.clone();
    };
    let own = Redrive {
        target: super::jobs::dead_letters_of(name),
        max: i64::from(job.retries) + 1,
    };
    match job.mode {
        Mode::Task => Some(own),
        Mode::Consumer => Some(queue.redrive.clone().unwrap_or(own)),
    }
}

/// Puts checked attributes over those that were.
pub(super) fn merge(given: &mut BTreeMap<String, String>, checked: BTreeMap<String, String>) {
    for (name, value) in checked {
        if value.is_empty() && REMOVABLE.contains(&name.as_str()) {
            given.remove(&name);
            continue;
        }
        match (name.as_str(), value.as_str()) {
            // One kind of encryption at a time: the later one ends the other.
            ("KmsMasterKeyId", _) => drop(given.insert("SqsManagedSseEnabled".to_owned(), "false".to_owned())),
            ("SqsManagedSseEnabled", "true") => {
                given.remove("KmsMasterKeyId");
                given.remove("KmsDataKeyReusePeriodSeconds");
            }
            _ => {}
        }
        given.insert(name, value);
    }
}

/// What must hold between attributes, whenever each was set.
pub(super) fn check_together(given: &BTreeMap<String, String>) -> Result<(), Fault> {
    let is = |name: &str, value: &str| given.get(name).is_some_and(|given| given == value);
    if is("FifoThroughputLimit", "perMessageGroupId") && !is("DeduplicationScope", "messageGroup") {
        return Err(bad_value(
            "FifoThroughputLimit",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
        ));
    }
    Ok(())
}
