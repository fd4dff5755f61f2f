//! Queues and the messages in them.

use serde_json::{Value, json};

use super::query::Query;
use super::{Look, Objection};
use crate::view::json as shapes;

/// By name: `after=` (a name), `limit=`.
pub(super) fn list(look: &Look<'_>, query: &mut Query) -> Result<Value, Objection> {
    let after = query.text("after").unwrap_or_default();
    let limit = query.limit()?;
    let mut queues = look.snapshot.queues(&look.site.jobs, look.now, &after, limit + 1)?;
    let more = queues.len() > limit;
    queues.truncate(limit);
    let next = queues.last().filter(|_| more).map(|queue| queue.name.clone());
    let queues: Vec<Value> = queues.iter().map(shapes::queue).collect();
    Ok(json!({ "queues": queues, "next": next }))
}

pub(super) fn one(look: &Look<'_>, name: &str) -> Result<Value, Objection> {
    let queue = look.snapshot.message_queue(name, &look.site.jobs, look.now)?;
    Ok(shapes::queue(&queue.ok_or_else(|| unknown(name))?))
}

/// In the order they lie: `after=` (an id), `limit=`.
pub(super) fn letters(look: &Look<'_>, name: &str, query: &mut Query) -> Result<Value, Objection> {
    let after = query.parse("after", "the id of a message, such as `12` or `3-17`")?;
    let limit = query.limit()?;
    let page = look.snapshot.letters(name, &look.site.jobs, look.now, after, limit)?;
    let page = page.ok_or_else(|| unknown(name))?;
    let letters: Vec<Value> = page.rows.iter().map(shapes::letter).collect();
    let next = page.next.map(|place| place.to_string());
    Ok(json!({ "queue": name, "letters": letters, "next": next }))
}

fn unknown(name: &str) -> Objection {
    Objection::Unknown(format!("there is no queue `{name}`"))
}
