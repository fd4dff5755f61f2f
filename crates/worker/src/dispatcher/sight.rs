//! A look at a run: what has begun and ended, by two lists of the bucket; what ECS says of its workers; what the queues say they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kingtide_core::dispatch::{Backlog, Begin, End, Market, Observation, Sighting, Status};
use kingtide_core::time::Timestamp;
use kingtide_remote::record::RunKeys;
use kingtide_remote::request::ecs::{self, Task, Wanted};
use kingtide_remote::request::{Client, RequestError, s3, sqs};

use super::orders::Orders;

/// As tasks are started, and found again.
pub(super) const SPOT: &str = "FARGATE_SPOT";
pub(super) const ON_DEMAND: &str = "FARGATE";

/// Looks at everything; at these tasks whether or not they are listed.
pub(super) fn look(
    client: &Client,
    orders: &Orders,
    keys: &RunKeys,
    started_by: &str,
    known: &[String],
) -> Result<Observation, RequestError> {
    let list = |prefix: &str| s3::list(client, &orders.bucket, prefix, "");
    let begins = list(&keys.begins())?;
    let ends = list(&keys.ends())?;
    let arrivals = list(&keys.arrivals())?;
    let mut arns: BTreeSet<String> = known.iter().cloned().collect();
    for stopped in [false, true] {
        let wanted = Wanted {
            started_by: Some(started_by),
            stopped,
            ..Wanted::default()
        };
        arns.extend(ecs::list(client, &orders.cluster, wanted)?);
    }
    let arns: Vec<String> = arns.into_iter().collect();
    let described = ecs::describe(client, &orders.cluster, &arns)?;
    let queues = orders.rungs.iter().map(|rung| sqs::attributes(client, &rung.queue_url));
    let queues: Vec<BTreeMap<String, String>> = queues.collect::<Result<_, _>>()?;
    Ok(Observation {
        begins: begins
            .iter()
            .filter_map(|object| keys.parse_begin(&object.key))
            .map(|begin| Begin {
                seq: begin.seq,
                attempt: begin.attempt,
                at: begin.at,
            })
            .collect(),
        ends: ends
            .iter()
            .filter_map(|object| keys.parse_end(&object.key))
            .map(|end| End {
                seq: end.seq,
                attempt: end.attempt,
                outcome: end.outcome,
                took: Duration::from_millis(end.took_ms),
            })
            .collect(),
        arrivals: arrivals
            .iter()
            .filter_map(|object| keys.parse_arrival(&object.key))
            .map(|task| task.seq)
            .collect(),
        tasks: described.tasks.iter().map(|task| sighting(orders, task)).collect(),
        queues: queues.iter().map(backlog).collect(),
    })
}

fn sighting(orders: &Orders, task: &Task) -> Sighting {
    let size = orders
        .rungs
        .iter()
        .position(|rung| rung.definition == task.task_definition_arn);
    let market = match task.capacity_provider_name.as_deref() {
        Some(SPOT) => Market::Spot,
        _ => Market::OnDemand,
    };
    Sighting {
        id: task.task_arn.clone(),
        size: size.unwrap_or(0),
        market,
        paid_from: task.pull_started_at.map(moment),
        status: status(task),
    }
}

fn status(task: &Task) -> Status {
    let failed = task
        .containers
        .iter()
        .find(|container| container.exit_code.is_some_and(|code| code != 0));
    let said = task.containers.iter().find_map(|container| container.reason.clone());
    match task.last_status.as_str() {
        "STOPPED" => Status::Stopped {
            at: moment(task.stopped_at.unwrap_or(0.0)),
            code: task.stop_code.clone(),
            reason: said.or_else(|| task.stopped_reason.clone()),
            exit_code: failed
                .or(task.containers.first())
                .and_then(|container| i32::try_from(container.exit_code?).ok()),
        },
        "RUNNING" | "DEACTIVATING" | "STOPPING" | "DEPROVISIONING" => Status::Running,
        _ => Status::Starting,
    }
}

fn moment(seconds: f64) -> Timestamp {
    Timestamp((seconds * 1000.0) as i64)
}

fn backlog(attributes: &BTreeMap<String, String>) -> Backlog {
    let number = |name: &str| attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    Backlog {
        visible: number("ApproximateNumberOfMessages"),
        hidden: number("ApproximateNumberOfMessagesNotVisible"),
        delayed: number("ApproximateNumberOfMessagesDelayed"),
    }
}
