//! Rows as programs are told of them: the one shape of each, whether a command prints it or a page serves it.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kingtide_core::message::Message;
use kingtide_core::time::Timestamp;
use serde_json::{Value, json};

use super::{Attempt, Letter, MessageQueue, Run, Task};
use crate::notice::Counts;
use crate::sqs::operation::{Attribute, AttributeValue};

/// The end of the year 9999, which is the last that can be written.
pub const LAST_MOMENT: i64 = 253_402_300_799_999;

/// `2026-08-03T14:05:00.000Z`
pub fn rfc3339(at: Timestamp) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(at.0.clamp(0, LAST_MOMENT) as u64);
    humantime::format_rfc3339_millis(time).to_string()
}

/// With milliseconds and no more.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

pub fn params(message: &Message) -> Value {
    Value::Object(message.0.clone())
}

/// How many tasks of a run have come to what.
pub fn tasks(counts: &Counts) -> Value {
    json!({
        "total": counts.total,
        "succeeded": counts.succeeded,
        "skipped": counts.skipped,
        "failed": counts.failed + counts.rejected,
        "cancelled": counts.cancelled,
        "attempts": counts.attempts,
    })
}

/// By when a run is to be done; `met` is null while that is open, `chance` is what was foreseen when it began.
pub fn deadline(run: &Run, now: Timestamp) -> Value {
    match run.due_at {
        None => Value::Null,
        Some(at) => json!({ "at": rfc3339(at), "met": run.is_met(now), "chance": run.chance }),
    }
}

pub fn run(run: &Run, now: Timestamp) -> Value {
    json!({
        "run": run.id.0,
        "job": run.job,
        "state": run.state.text(),
        "reason": run.reason,
        "late": run.late,
        "source": run.source,
        "retry_of": run.retry_of.map(|id| id.0),
        "created_at": rfc3339(run.created_at),
        "ended_at": run.ended_at.map(rfc3339),
        "wall_s": seconds(run.wall(now)),
        "tasks": tasks(&run.counts),
        "deadline": deadline(run, now),
    })
}

pub fn task(task: &Task) -> Value {
    json!({
        "task": task.id.seq,
        "params": params(&task.message),
        "state": task.state.text(),
        "reason": task.reason,
        "attempts": task.attempt,
        "failures": task.failures,
        "losses": task.losses,
        "started_at": task.started_at.map(rfc3339),
        "ended_at": task.ended_at.map(rfc3339),
        "expected": task.takes.map(|of| json!({ "p50_s": seconds(of.median()), "p95_s": seconds(of.quantile(0.95)) })),
    })
}

pub fn attempt(attempt: &Attempt) -> Value {
    json!({
        "attempt": attempt.id.number,
        "outcome": attempt.outcome.text(),
        "reason": attempt.reason,
        "exit_code": attempt.exit_code,
        "started_at": attempt.started_at.map(rfc3339),
        "ended_at": rfc3339(attempt.ended_at),
        "wall_s": attempt.wall().map(seconds),
        "cpu_s": seconds(Duration::from_millis(attempt.cpu_ms)),
        "memory_peak": attempt.memory_peak,
        "read_bytes": attempt.read_bytes,
        "written_bytes": attempt.written_bytes,
    })
}

pub fn queue(queue: &MessageQueue) -> Value {
    json!({
        "queue": queue.name,
        "role": queue.role.text(),
        "job": queue.job,
        "visible": queue.counts.visible,
        "in_flight": queue.counts.in_flight,
        "delayed": queue.counts.delayed,
        "oldest_sent_at": queue.oldest.map(rfc3339),
        "dead_letters": queue.dead_letters,
        "fifo": queue.fifo,
        "created_at": queue.created_at.map(rfc3339),
        "attributes": queue.attributes,
        "tags": queue.tags,
    })
}

/// Attributes that travel beside a body, each with its type; bytes as Base64.
pub fn letter(letter: &Letter) -> Value {
    let value = |attribute: &Attribute| match &attribute.value {
        AttributeValue::Text(text) => json!({ "type": attribute.data_type, "value": text }),
        AttributeValue::Binary(bytes) => json!({ "type": attribute.data_type, "value": STANDARD.encode(bytes) }),
        AttributeValue::Missing => json!({ "type": attribute.data_type, "value": null }),
    };
    let attributes = letter.attributes.iter();
    let attributes: serde_json::Map<String, Value> = attributes
        .map(|(name, attribute)| (name.clone(), value(attribute)))
        .collect();
    json!({
        "id": letter.place.to_string(),
        "message_id": letter.message_id,
        "body": letter.body,
        "attributes": attributes,
        "sender": letter.sender,
        "state": letter.state.word(),
        "visible_at": letter.visible_at.map(rfc3339),
        "sent_at": rfc3339(letter.sent_at),
        "receives": letter.receives,
        "group": letter.group,
        "run": letter.task.map(|task| task.run.0),
        "task": letter.task.map(|task| task.seq),
        "reason": letter.reason,
        "source": letter.source,
    })
}
