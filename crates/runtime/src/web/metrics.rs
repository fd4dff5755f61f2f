//! `/metrics`: runs, tasks, attempts and queues by job, and this process under the names that Prometheus' own clients use.

use kingtide_core::engine::state::Named;
use kingtide_core::time::Timestamp;

use super::figures::{Figures, Kind};
use super::process::Process;
use super::{Look, Objection};
use crate::view::json::seconds;
use crate::view::{Effort, JobTally, MessageQueue, RunState, TaskState, WALL_BOUNDS_S};

/// Queues that are told of; a project with more is told of the first.
const MOST_QUEUES: usize = 1000;

pub(super) fn text(look: &Look<'_>) -> Result<String, Objection> {
    let mut figures = Figures::default();
    figures.metric("kingtide_build_info", Kind::Gauge, "Always 1; the version is a label.");
    let version = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("project", look.site.name.as_str()),
    ];
    figures.sample("kingtide_build_info", &version, 1);
    let mut tallies = look.snapshot.tallies(look.now)?;
    // A job that never ran is told of as well, with nothing.
    for job in look.site.jobs.keys() {
        tallies.entry(job.clone()).or_default();
    }
    let tallies: Vec<(&str, &JobTally)> = tallies.iter().map(|(job, tally)| (job.as_str(), tally)).collect();
    runs(&mut figures, &tallies);
    let mut efforts = look.site.efforts.by_job(look.snapshot)?;
    for (job, _) in &tallies {
        efforts.entry((*job).to_owned()).or_default();
    }
    let efforts: Vec<(&str, &Effort)> = efforts.iter().map(|(job, effort)| (job.as_str(), effort)).collect();
    attempts(&mut figures, &efforts);
    queues(
        &mut figures,
        &look.snapshot.queues(&look.site.jobs, look.now, "", MOST_QUEUES)?,
        look.now,
    );
    if let Some(process) = Process::read() {
        this_process(&mut figures, &process);
    }
    Ok(figures.into_text())
}

fn runs(figures: &mut Figures, tallies: &[(&str, &JobTally)]) {
    figures.metric("kingtide_runs", Kind::Gauge, "Runs that are kept, by job and state.");
    for (job, tally) in tallies {
        for state in RunState::ALL {
            let number = tally.runs.get(state).copied().unwrap_or(0);
            figures.sample("kingtide_runs", &[("job", job), ("state", state.word())], number);
        }
    }
    figures.metric("kingtide_tasks", Kind::Gauge, "Tasks of these runs, by job and state.");
    for (job, tally) in tallies {
        for state in TaskState::ALL {
            let number = tally.tasks.get(state).copied().unwrap_or(0);
            figures.sample("kingtide_tasks", &[("job", job), ("state", state.word())], number);
        }
    }
    let name = "kingtide_last_success_timestamp_seconds";
    figures.metric(name, Kind::Gauge, "When the last run of a job ended that succeeded.");
    for (job, tally) in tallies {
        if let Some(at) = tally.last_success {
            figures.sample(name, &[("job", job)], at.0 as f64 / 1000.0);
        }
    }
    let name = "kingtide_last_run_duration_seconds";
    figures.metric(name, Kind::Gauge, "How long the last run of a job took that is over.");
    for (job, tally) in tallies {
        if let Some(wall) = tally.last_wall {
            figures.sample(name, &[("job", job)], seconds(wall));
        }
    }
}

fn attempts(figures: &mut Figures, efforts: &[(&str, &Effort)]) {
    let name = "kingtide_attempts_total";
    figures.metric(
        name,
        Kind::Counter,
        "Attempts that have ended, of the runs that are kept.",
    );
    for (job, effort) in efforts {
        for (outcome, number) in &effort.outcomes {
            figures.sample(name, &[("job", job), ("outcome", outcome.word())], number);
        }
    }
    let name = "kingtide_attempt_duration_seconds";
    figures.metric(name, Kind::Histogram, "How long attempts ran that were seen to start.");
    for (job, effort) in efforts {
        for (bound, within) in WALL_BOUNDS_S.iter().zip(effort.within) {
            let bound = bound.to_string();
            figures.sample(&format!("{name}_bucket"), &[("job", job), ("le", &bound)], within);
        }
        figures.sample(
            &format!("{name}_bucket"),
            &[("job", job), ("le", "+Inf")],
            effort.started,
        );
        figures.sample(&format!("{name}_sum"), &[("job", job)], seconds(effort.wall));
        figures.sample(&format!("{name}_count"), &[("job", job)], effort.started);
    }
    let name = "kingtide_attempt_cpu_seconds_total";
    figures.metric(name, Kind::Counter, "Processor time of attempts that have ended.");
    for (job, effort) in efforts {
        figures.sample(name, &[("job", job)], seconds(effort.cpu));
    }
    let name = "kingtide_attempt_memory_peak_bytes";
    figures.metric(name, Kind::Gauge, "The most memory that an attempt has needed.");
    for (job, effort) in efforts {
        figures.sample(name, &[("job", job)], effort.memory_peak);
    }
}

fn queues(figures: &mut Figures, queues: &[MessageQueue], now: Timestamp) {
    let name = "kingtide_queue_messages";
    figures.metric(name, Kind::Gauge, "Messages of a queue, by what may be done with them.");
    for queue in queues {
        let counts = [
            ("visible", queue.counts.visible),
            ("in_flight", queue.counts.in_flight),
            ("delayed", queue.counts.delayed),
        ];
        for (state, number) in counts {
            figures.sample(name, &[("queue", &queue.name), ("state", state)], number);
        }
    }
    let name = "kingtide_queue_oldest_message_age_seconds";
    figures.metric(
        name,
        Kind::Gauge,
        "Since the oldest message was sent that waits or is being worked off; 0 without one.",
    );
    for queue in queues {
        let age = queue.oldest.map_or(0.0, |oldest| seconds(now.since(oldest)));
        figures.sample(name, &[("queue", &queue.name)], age);
    }
}

fn this_process(figures: &mut Figures, process: &Process) {
    figures.single(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Processor time of Kingtide itself.",
        process.cpu_s,
    );
    figures.single(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory of Kingtide itself.",
        process.resident_bytes,
    );
    figures.single(
        "process_virtual_memory_bytes",
        Kind::Gauge,
        "Address space of Kingtide itself.",
        process.virtual_bytes,
    );
    figures.single(
        "process_start_time_seconds",
        Kind::Gauge,
        "When Kingtide was started.",
        process.started_s,
    );
    figures.single(
        "process_open_fds",
        Kind::Gauge,
        "Open files of Kingtide itself.",
        process.open_files,
    );
    figures.single(
        "process_threads",
        Kind::Gauge,
        "Threads of Kingtide itself.",
        process.threads,
    );
}
