//! One container from its creation to its end: started, logged, sampled, stopped when its time is over or somebody asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerState;
use kingtide_exec::stamp::now_ms;
use kingtide_exec::wire::{Attempt, End, Exited, Report, StopReason};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::body::{ContainerStart, body};
use super::end;
use super::engine::Trouble;
use super::link::Lost;
use super::logs;
use super::oom;
use super::ownership;
use super::sample;
use super::work::Work;
use super::{Shared, Told};

/// Once a container has ended its log does too; an engine that does not say so is not waited for any longer.
const LOG_PATIENCE: Duration = Duration::from_secs(20);
/// How often a name that is another's is cleared and tried again.
const NAME_TRIES: u32 = 3;

/// What a container must be told from start to end; it is on its labels too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) log: PathBuf,
    pub(super) log_limit: u64,
    pub(super) memory: Option<u64>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) stop_timeout_ms: u64,
}

impl Plan {
    /// What can tell that the kernel killed in it; only where memory is limited.
    pub(super) fn watch(&self, id: &str) -> oom::Watch {
        self.memory.map(|_| oom::Watch::begin(id)).unwrap_or_default()
    }
}

/// A container that has been started, by this runtime or an earlier one.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) attempt: Attempt,
    pub(super) id: String,
    pub(super) plan: Plan,
    /// When it was started, in milliseconds since the Unix epoch, as far as we know.
    pub(super) started_ms: i64,
}

/// Why there is no container.
enum Refusal {
    /// It could not be made; why, in words.
    NotStarted(String),
    /// A later runtime has one of that name.
    Fenced(i64),
    /// It was asked to stop before it was started.
    Withdrawn,
    /// The engine is gone for good.
    Lost,
}

impl From<Lost> for Refusal {
    fn from(Lost: Lost) -> Refusal {
        Refusal::Lost
    }
}

/// From the order to the report.
pub(super) async fn run(shared: Arc<Shared>, start: ContainerStart, stop: watch::Receiver<Option<StopReason>>) {
    let started_ms = now_ms();
    match begin(&shared, &start, &stop).await {
        Ok((container, kills)) => {
            shared.report(Report::Started {
                attempt: container.attempt.clone(),
                pid: 0,
                at_ms: container.started_ms,
            });
            follow(&shared, container, kills, stop).await;
        }
        Err(Refusal::NotStarted(why)) => {
            let refused = End::NotStarted(shared.secrets.clean(&why));
            end::report_unstarted(&shared, start.attempt, started_ms, refused);
        }
        Err(Refusal::Withdrawn) => {
            shared.forget(&start.attempt).await;
            shared.report(Report::Withdrawn {
                attempts: vec![start.attempt],
            });
        }
        Err(Refusal::Fenced(found)) => shared.fenced(found),
        Err(Refusal::Lost) => {}
    }
}

async fn begin(
    shared: &Shared,
    start: &ContainerStart,
    stop: &watch::Receiver<Option<StopReason>>,
) -> Result<(Container, oom::Watch), Refusal> {
    let work = shared.work(&start.attempt);
    work.make()
        .map_err(|error| Refusal::NotStarted(format!("its work folder cannot be made: {error}")))?;
    if stop.borrow().is_some() {
        return Err(Refusal::Withdrawn);
    }
    let id = create(shared, start, &work).await?;
    if stop.borrow().is_some() {
        return Err(Refusal::Withdrawn);
    }
    let plan = start.plan();
    let kills = plan.watch(&id);
    launch(shared, &id).await?;
    let container = Container {
        attempt: start.attempt.clone(),
        id,
        plan,
        started_ms: now_ms(),
    };
    Ok((container, kills))
}

/// Returns when it has been started.
async fn launch(shared: &Shared, id: &str) -> Result<(), Refusal> {
    match shared.engine.start(id).await {
        Ok(()) => Ok(()),
        Err(Trouble::Refused { message, .. }) => Err(Refusal::NotStarted(end::start_refusal(&message))),
        Err(Trouble::Unreachable(_) | Trouble::Slow) => {
            // Whether it had begun is only known to the engine.
            loop {
                shared.back().await?;
                match shared.engine.state(id).await {
                    Ok(state) if end::has_run(&state) => return Ok(()),
                    Ok(_) => match shared.engine.start(id).await {
                        Ok(()) => return Ok(()),
                        Err(Trouble::Refused { message, .. }) => {
                            return Err(Refusal::NotStarted(end::start_refusal(&message)));
                        }
                        Err(Trouble::Unreachable(_) | Trouble::Slow) => {}
                    },
                    Err(Trouble::Refused { message, .. }) => return Err(Refusal::NotStarted(message)),
                    Err(Trouble::Unreachable(_) | Trouble::Slow) => {}
                }
            }
        }
    }
}

/// The container's id.
async fn create(shared: &Shared, start: &ContainerStart, work: &Work) -> Result<String, Refusal> {
    let name = shared.labels.container(&start.attempt);
    let labels = shared.labels.write(&start.attempt, &start.plan(), &shared.context.root);
    let body = body(start, &shared.engine.facts, labels, &work.mount());
    let mut tries = 0;
    loop {
        tries += 1;
        match shared.engine.create(&name, body.clone()).await {
            Ok(id) => return Ok(id),
            Err(trouble) if trouble.is(409) && tries <= NAME_TRIES => clear_name(shared, &name).await?,
            Err(Trouble::Refused { message, .. }) => return Err(Refusal::NotStarted(message)),
            // It may have been created: its name tells.
            Err(Trouble::Unreachable(_) | Trouble::Slow) => shared.back().await?,
        }
    }
}

/// A container of this name that is no later runtime's is in the way: an earlier one's, a deleted database's, or our own of a
/// request whose answer was lost; none of them is to run.
async fn clear_name(shared: &Shared, name: &str) -> Result<(), Refusal> {
    let labels = match shared.engine.labels(name).await {
        Ok(labels) => labels,
        Err(trouble) if trouble.is(404) => return Ok(()),
        Err(Trouble::Refused { message, .. }) => return Err(Refusal::NotStarted(message)),
        Err(Trouble::Unreachable(_) | Trouble::Slow) => return Ok(shared.back().await?),
    };
    match shared.labels.read(&labels, &shared.context.root) {
        Some(tag) if tag.ours && tag.epoch > shared.context.epoch => Err(Refusal::Fenced(tag.epoch)),
        Some(_) => {
            shared.clear(name).await?;
            Ok(())
        }
        None => Err(Refusal::NotStarted(format!(
            "there is a container `{name}` that is not Kingtide's"
        ))),
    }
}

/// Where it is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// TERM was sent; KILL follows at that time.
    Asked(StopReason, Instant),
    Killed(StopReason),
}

impl Phase {
    fn reason(self) -> Option<StopReason> {
        match self {
            Phase::Running => None,
            Phase::Asked(reason, _) | Phase::Killed(reason) => Some(reason),
        }
    }
}

/// What came of waiting.
enum Waited {
    Ended(i64),
    /// Somebody has removed it.
    Gone,
}

/// Stays with a container until its end is told; `Lost` ends it without a word.
pub(super) async fn follow(
    shared: &Arc<Shared>,
    container: Container,
    kills: oom::Watch,
    stop: watch::Receiver<Option<StopReason>>,
) {
    let attempt = container.attempt.clone();
    match watch_to_end(shared, &container, &kills, stop).await {
        Ok(Some(exited)) => shared.report(Report::Exited(Box::new(exited))),
        Ok(None) => {
            shared.forget(&attempt).await;
            (shared.tell)(Told::Lost(vec![attempt]));
        }
        Err(Lost) => {}
    }
}

/// `None` when it ended with the infrastructure.
async fn watch_to_end(
    shared: &Arc<Shared>,
    container: &Container,
    kills: &oom::Watch,
    mut stop: watch::Receiver<Option<StopReason>>,
) -> Result<Option<Exited>, Lost> {
    let work = shared.work(&container.attempt);
    let mut log = logs::spawn(shared, container);
    let samples = sample::spawn(shared, container);
    // One that an earlier runtime asked to stop is on its way out already.
    let mut phase = match work.stop() {
        Some(reason) => Phase::Asked(reason, Instant::now() + patience(&container.plan)),
        None => Phase::Running,
    };
    // It ended while the engine was away, or with it.
    let mut unseen = false;
    let code = loop {
        match wait(shared, container, &mut stop, &mut phase, &work).await {
            Ok(Waited::Ended(code)) => break code,
            Ok(Waited::Gone) => return Ok(None),
            Err(Trouble::Slow) => {}
            Err(_) => {
                shared.back().await?;
                let state = shared.engine.state(&container.id).await;
                unseen = state.is_ok_and(|state| state.running != Some(true));
                // What was read so far may have ended early; the engine's own log is whole.
                log = logs::spawn(shared, container);
            }
        }
    };
    let state = loop {
        match shared.engine.state(&container.id).await {
            Ok(mut state) => {
                state.oom_killed = Some(state.oom_killed == Some(true) || kills.killed());
                break state;
            }
            // Somebody has killed and removed it: what we saw of it is all there is.
            Err(trouble) if trouble.is(404) => break ContainerState::default(),
            Err(_) => shared.back().await?,
        }
    };
    if unseen && end::CODES_OF_A_SHUTDOWN.contains(&code) && phase == Phase::Running {
        return Ok(None);
    }
    let logged = timeout(LOG_PATIENCE, log.finish()).await.unwrap_or_default();
    let usage = samples.last();
    ownership::take_back(shared, container, &work).await?;
    Ok(Some(end::exited(
        container,
        &state,
        code,
        phase.reason(),
        usage,
        logged,
        &work,
    )))
}

/// Waits for its end, and sees to it that there is one when it is due.
async fn wait(
    shared: &Shared,
    container: &Container,
    stop: &mut watch::Receiver<Option<StopReason>>,
    phase: &mut Phase,
    work: &Work,
) -> Result<Waited, Trouble> {
    let plan = &container.plan;
    let due = plan.timeout_ms.map(|timeout| {
        let elapsed = now_ms().saturating_sub(container.started_ms).max(0) as u64;
        Instant::now() + Duration::from_millis(timeout.saturating_sub(elapsed))
    });
    let mut ended = std::pin::pin!(shared.engine.wait(&container.id));
    loop {
        let deadline = match *phase {
            Phase::Running => due,
            Phase::Asked(_, kill_at) => Some(kill_at),
            Phase::Killed(_) => None,
        };
        let alarm = async {
            match deadline {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = &mut ended => return match ended {
                Ok(code) => Ok(Waited::Ended(code)),
                Err(trouble) if trouble.is(404) => Ok(Waited::Gone),
                Err(trouble) => Err(trouble),
            },
            reason = asked(stop), if *phase == Phase::Running => {
                *phase = ask(shared, container, work, reason).await;
            }
            () = alarm => *phase = match *phase {
                Phase::Asked(reason, _) | Phase::Killed(reason) => {
                    send(shared, container, "SIGKILL").await;
                    Phase::Killed(reason)
                }
                Phase::Running => ask(shared, container, work, StopReason::Timeout).await,
            },
        }
    }
}

/// TERM now, KILL later.
async fn ask(shared: &Shared, container: &Container, work: &Work, reason: StopReason) -> Phase {
    work.note_stop(reason);
    send(shared, container, "SIGTERM").await;
    Phase::Asked(reason, Instant::now() + patience(&container.plan))
}

/// It fails only when nobody is left to receive it, or when nobody answers, which `wait` finds out too.
async fn send(shared: &Shared, container: &Container, signal: &str) {
    let _ = shared.engine.kill(&container.id, signal).await;
}

fn patience(plan: &Plan) -> Duration {
    // Beyond a century no clock is certain.
    Duration::from_millis(plan.stop_timeout_ms).min(Duration::from_secs(100 * 365 * 86_400))
}

/// Why it is to stop, once somebody says so.
async fn asked(stop: &mut watch::Receiver<Option<StopReason>>) -> StopReason {
    match stop.wait_for(Option::is_some).await.map(|reason| *reason) {
        Ok(Some(reason)) => reason,
        // It is forgotten: nobody will ask any more.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}
