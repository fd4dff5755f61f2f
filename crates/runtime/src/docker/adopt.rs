//! What an earlier runtime left with the engine: containers that run or have ended are seen through to their ends, those that
//! never ran and those of a deleted database are removed.

use std::sync::Arc;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State};
use kingtide_exec::stamp::{moment, now_ms};
use kingtide_exec::wire::End;

use super::container::{self, Container};
use super::end::{self, CODES_OF_A_SHUTDOWN};
use super::engine::Trouble;
use super::labels::Tag;
use super::{DockerError, Held, Shared, link, work};

/// Finds them, follows those that are to be followed, and watches the engine from now on.
pub(super) async fn adopt(shared: &Arc<Shared>) -> Result<Held, DockerError> {
    let refused = |trouble: Trouble| DockerError::Refused {
        what: "list containers",
        why: trouble.to_string(),
    };
    // Before they are listed, so that none appears in between.
    let events = link::subscribe(shared);
    let found = shared.engine.list(shared.labels.filters()).await.map_err(refused)?;
    for chore in found
        .iter()
        .filter(|one| one.labels.as_ref().is_some_and(|labels| shared.labels.is_chore(labels)))
    {
        if let Some(id) = &chore.id {
            let _ = shared.engine.remove(id).await;
        }
    }
    let found: Vec<(String, Tag, Option<State>)> = found.into_iter().filter_map(|one| tagged(shared, one)).collect();
    let ours = shared.context.epoch;
    if let Some(found) = found
        .iter()
        .filter(|(_, tag, _)| tag.ours)
        .map(|(_, tag, _)| tag.epoch)
        .max()
        && found > ours
    {
        return Err(DockerError::Fenced { ours, found });
    }
    let mut held = Held::default();
    for (id, tag, state) in found {
        if !tag.ours || !begun(shared, &id, &tag, state, &mut held).await {
            let _ = shared.engine.remove(&id).await;
        }
    }
    // The engine lists the youngest first, of those of one second any.
    held.running.sort();
    held.ended.sort();
    let all: Vec<String> = held.running.iter().chain(&held.ended).cloned().collect();
    work::clear(&shared.context.root, &all, &shared.context.keep);
    link::watch(shared, events);
    Ok(held)
}

fn tagged(shared: &Shared, summary: ContainerSummary) -> Option<(String, Tag, Option<State>)> {
    let tag = shared.labels.read(&summary.labels?, &shared.context.root)?;
    Some((summary.id?, tag, summary.state))
}

/// Follows a container, unless it is to be removed.
async fn begun(shared: &Arc<Shared>, id: &str, tag: &Tag, state: Option<State>, held: &mut Held) -> bool {
    let Ok(inspected) = shared.engine.state(id).await else {
        return false;
    };
    let started_ms = inspected
        .started_at
        .as_deref()
        .and_then(moment)
        .filter(|at_ms| *at_ms > 0);
    let ended = matches!(state, Some(State::EXITED | State::DEAD | State::REMOVING));
    let attempt = tag.attempt.clone();
    let Some(started_ms) = started_ms else {
        // It was made and never started. What the engine said of it is known when it was asked to and refused.
        let why = inspected.error.filter(|why| !why.is_empty());
        let Some(why) = why else { return false };
        if shared.know(&attempt).is_none() {
            return false;
        }
        held.ended.push(attempt.clone());
        let refused = End::NotStarted(shared.secrets.clean(&end::start_refusal(&why)));
        end::report_unstarted(shared, attempt, now_ms(), refused);
        return true;
    };
    let with_the_machine = ended
        && inspected
            .exit_code
            .is_some_and(|code| CODES_OF_A_SHUTDOWN.contains(&code))
        && booted_ms().is_some_and(|booted| started_ms < booted);
    if with_the_machine {
        return false;
    }
    let Some(stop) = shared.know(&attempt) else {
        return false;
    };
    match ended {
        true => held.ended.push(attempt.clone()),
        false => held.running.push(attempt.clone()),
    }
    let container = Container {
        attempt,
        id: id.to_owned(),
        plan: tag.plan.clone(),
        started_ms,
    };
    let following = Arc::clone(shared);
    shared.spawn(async move {
        let kills = container.plan.watch(&container.id);
        container::follow(&following, container, kills, stop).await;
    });
    true
}

/// When this machine came up, in milliseconds since the Unix epoch.
fn booted_ms() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let seconds: i64 = text
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    Some(seconds * 1000)
}
