//! `status`: how a run stands, once or until it ends. `status/memory.rs` asks what its tasks occupy, `status/remote.rs` is of a
//! run on AWS.

mod memory;
mod remote;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use kingtide_core::id::AttemptId;
use kingtide_core::time::Timestamp;
use kingtide_runtime::notice::{Load, Notice, Progress, Running};
use kingtide_runtime::view::{Lease, Queue, Run, Snapshot, Task};
use serde_json::{Value, json};

use self::memory::Memory;
use super::run::exit_of;
use super::run::launch::facts;
use super::run::watcher::Watcher;
use super::watch::Waker;
use crate::args::Status;
use crate::departure::Departure;
use crate::exit::{Exit, Outcome};
use crate::output::glimpse::withstand;
use crate::output::live::percent;
use crate::output::style::Style;
use crate::output::text::{ago, bytes, clock, count, duration, now, plural, task_label};
use crate::output::{self, summary};
use crate::project::Place;
use crate::settings::Settings;

/// Between two looks at the database, however much happens in it.
const PAUSE: Duration = Duration::from_millis(200);
/// With nothing happening at all, the clocks go on.
const TICK: Duration = Duration::from_secs(10);
/// On a terminal memory is shown too, which is sampled once a second and written nowhere.
const LIVE_TICK: Duration = Duration::from_secs(1);
const MOST_RUNNING: usize = 8;

pub(crate) fn run(status: &Status, settings: &Settings) -> Outcome {
    if status.watch {
        withstand();
    }
    if status.place.is_aws() {
        return remote::run(status, settings);
    }
    let place = Place::find(settings)?;
    let database = place.database()?;
    let run = status.run.find(&database.snapshot()?)?;
    if status.watch {
        let departure = Departure::new()?;
        departure.on_signals()?;
        watch(&place, &run, settings, &departure)?;
    }
    let snapshot = database.snapshot()?;
    // As it is now, and not as it was before it was watched.
    let run = snapshot.run(run.id)?.unwrap_or(run);
    let standing = Standing::read(&snapshot, run, &mut Memory::new(place.layout().root()))?;
    let exit = if status.watch {
        exit_of(
            &standing.run,
            place
                .peek()
                .and_then(|project| project.jobs.get(&standing.run.job).cloned())
                .as_ref(),
        )
    } else {
        Exit::Done
    };
    let mut out = output::data();
    if settings.json {
        output::json::line(&mut out, &standing.json())?;
    } else if standing.run.state.is_over() {
        let project = place.peek();
        let job = project.as_ref().and_then(|project| project.jobs.get(&standing.run.job));
        let wall = standing.run.wall(now());
        writeln!(
            out,
            "{}",
            summary::render(&facts(&snapshot, standing.run, wall, job)?, settings.out)
        )?;
    } else {
        writeln!(out, "{}", standing.render(now(), settings.out))?;
    }
    out.flush()?;
    Ok(exit)
}

/// Shows the run until it is over, nobody runs it, or somebody wants to leave.
pub(crate) fn watch(place: &Place, run: &Run, settings: &Settings, departure: &Departure) -> Outcome<()> {
    let database = place.database()?;
    let mut waker = Waker::new()?;
    // The journal is written beside the database with every commit.
    waker.watch(place.layout().root());
    waker.watch_departure(departure);
    let layout = place.layout();
    let mut watcher = Watcher::new(&run.job, &run.name(), settings, &layout, Some(departure));
    let mut memory = Memory::new(place.layout().root());
    let tick = if settings.is_live { LIVE_TICK } else { TICK };
    let mut watched = None;
    loop {
        let looked = Instant::now();
        let Some(row) = database.snapshot()?.run(run.id)? else {
            return Ok(());
        };
        let standing = Standing::read(&database.snapshot()?, row, &mut memory)?;
        let Some(lease) = standing.lease.as_ref().filter(|_| !standing.run.state.is_over()) else {
            return Ok(());
        };
        if watched != Some(lease.pid) {
            waker.watch_process(lease.pid);
            watched = Some(lease.pid);
        }
        let shown = memory.progress(run.id, lease).unwrap_or_else(|| standing.progress());
        watcher.on_notice(Notice::Progress(shown));
        waker.wait(tick)?;
        if departure.is_wanted() {
            return Ok(());
        }
        // Changes come in flocks; more often nobody could read them.
        std::thread::sleep(PAUSE.saturating_sub(looked.elapsed()));
    }
}

/// A run at one moment.
struct Standing {
    run: Run,
    queue: Queue,
    running: Vec<Task>,
    /// Bytes that they occupy, as far as they were sampled.
    memory: BTreeMap<AttemptId, u64>,
    /// Of the runtime, if one lives.
    lease: Option<Lease>,
}

impl Standing {
    fn read(snapshot: &Snapshot<'_>, run: Run, memory: &mut Memory) -> Outcome<Standing> {
        let running = snapshot.running(run.id, MOST_RUNNING)?;
        let lease = snapshot.lease()?.filter(Lease::is_held);
        Ok(Standing {
            queue: snapshot.queue(run.id)?,
            memory: lease
                .as_ref()
                .map_or_else(BTreeMap::new, |lease| memory.of(&running, lease)),
            running,
            lease,
            run,
        })
    }

    fn memory_of(&self, task: &Task) -> Option<u64> {
        self.memory.get(&task.id.attempt(task.attempt)).copied()
    }

    fn progress(&self) -> Progress {
        let now = now();
        let counts = self.run.counts;
        let elapsed = now.since(self.run.created_at);
        // As it went so far; the runtime itself knows better.
        let remaining = (counts.done() >= 5)
            .then(|| elapsed.mul_f64((counts.total.saturating_sub(counts.done())) as f64 / counts.done() as f64));
        Progress {
            run: self.run.id,
            name: self.run.name(),
            now,
            started_at: self.run.created_at,
            counts,
            running: self
                .running
                .iter()
                .map(|task| running(task, self.memory_of(task)))
                .collect(),
            leased: self.queue.running + self.queue.leased,
            remaining,
            forecast: None,
            load: Load::default(),
            draining: false,
        }
    }

    /// `elsewhere` are the last lines of a run that is not this machine's.
    fn render_at(&self, now: Timestamp, style: Style, elsewhere: Option<String>) -> String {
        let counts = &self.run.counts;
        let queue = &self.queue;
        let mut lines = vec![format!(
            "{} is {}: {} of {} done ({}), {}",
            style.bold(&self.run.name()),
            if self.lease.is_some() || elsewhere.is_some() {
                style.green("running")
            } else {
                style.yellow("unfinished")
            },
            count(counts.done()),
            plural(counts.total, "task"),
            percent(counts),
            duration(self.run.wall(now)),
        )];
        let active = queue.running + queue.leased;
        let waiting = counts.total.saturating_sub(counts.done() + active + queue.delayed);
        let parts: Vec<String> = [
            (counts.succeeded, "succeeded"),
            (counts.skipped, "skipped"),
            (counts.failed, "failed"),
            (counts.rejected, "rejected"),
            (counts.cancelled, "cancelled"),
            (active, "running"),
            (queue.delayed, "waiting to be tried again"),
            (waiting, "waiting"),
        ]
        .into_iter()
        .filter(|part| part.0 > 0)
        .map(|(number, word)| format!("{} {word}", count(number)))
        .collect();
        lines.push(format!("  {}", parts.join(" · ")));
        for task in &self.running {
            let age = task
                .started_at
                .map_or_else(String::new, |started| clock(now.since(started)));
            let memory = self.memory_of(task).map(bytes).unwrap_or_default();
            let again = if task.attempt > 1 {
                format!(" (attempt {})", task.attempt)
            } else {
                String::new()
            };
            lines.push(format!(
                "  {age:>8} {memory:>9}  {}{again}",
                task_label(&task.message.label(), task.id.seq, 80)
            ));
        }
        match (&self.lease, elsewhere) {
            (_, Some(elsewhere)) => lines.push(elsewhere),
            (Some(lease), None) => {
                let renewed = ago(now.since(lease.renewed_at));
                lines.push(style.dim(&format!("  by process {}, heard of {renewed}", lease.pid)));
            }
            (None, None) => {
                lines.push("  nobody is running it; what was running may go on under its keeper".to_owned());
                let command = format!("kingtide run {} --resume", self.run.job);
                lines.push(format!("{} {}", style.cyan("next:"), style.bold(&command)));
            }
        }
        lines.join("\n")
    }

    fn render(&self, now: Timestamp, style: Style) -> String {
        self.render_at(now, style, None)
    }

    fn json(&self) -> Value {
        let mut value = output::json::run(&self.run, now());
        value["runtime"] = match &self.lease {
            Some(lease) => json!({ "pid": lease.pid, "renewed_at": output::text::rfc3339(lease.renewed_at) }),
            None => Value::Null,
        };
        value["queue"] = json!({
            "running": self.queue.running,
            "leased": self.queue.leased,
            "delayed": self.queue.delayed,
        });
        value["running"] = self.running.iter().map(|task| self.running_json(task)).collect();
        value
    }

    fn running_json(&self, task: &Task) -> Value {
        let mut value = output::json::task(task);
        value["memory"] = json!(self.memory_of(task));
        value
    }
}

fn running(task: &Task, memory: Option<u64>) -> Running {
    Running {
        seq: task.id.seq,
        attempt: task.attempt,
        label: task.message.label(),
        started_at: task.started_at.unwrap_or_default(),
        memory: memory.unwrap_or(0),
        prediction: None,
    }
}

#[cfg(test)]
mod tests {
    use kingtide_runtime::notice::Counts;
    use kingtide_runtime::view::{RunState, TaskState};

    use super::*;
    use crate::output::summary::sample;

    #[test]
    fn a_run_under_way_and_one_that_nobody_runs() {
        let counts = Counts {
            total: 1050,
            succeeded: 500,
            failed: 1,
            attempts: 510,
            ..Counts::default()
        };
        let mut task = sample::task(37, TaskState::Leased, r#"{"dest":"BOS","depth":4}"#);
        task.started_at = Some(Timestamp(1_785_765_950_000));
        task.attempt = 2;
        let mut standing = Standing {
            run: sample::run(RunState::Open, counts),
            queue: Queue {
                running: 2,
                leased: 1,
                delayed: 3,
            },
            memory: BTreeMap::from([(task.id.attempt(2), 1_600_000_000)]),
            running: vec![task],
            lease: Some(Lease {
                epoch: 1,
                pid: 4242,
                process_start: 0,
                boot: String::new(),
                renewed_at: Timestamp(1_785_765_999_000),
            }),
        };
        let now = Timestamp(1_785_766_000_000);
        insta::assert_snapshot!("running", standing.render(now, Style::plain()));
        assert_eq!(
            standing.progress().running[0].memory,
            1_600_000_000,
            "the live region has it"
        );
        standing.lease = None;
        standing.running.clear();
        standing.queue = Queue::default();
        insta::assert_snapshot!("unfinished", standing.render(now, Style::plain()));
    }
}
