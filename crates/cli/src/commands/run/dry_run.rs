//! `run --dry-run`: what would run, and nothing started.

use std::io::Write;

use kingtide_core::engine::packing::Capacity;
use kingtide_core::project::{ImageSource, Job, Tolerance};
use serde_json::json;

use super::launch::Launch;
use super::messages::{Messages, Wish};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::{bytes, duration, plural, tame};
use crate::output::{self, json};
use crate::project::capacity;

/// What this machine gives to tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room(pub(crate) Capacity);

impl Room {
    /// How many attempts of a job fit side by side, and what sets the limit.
    pub(crate) fn slots(self, job: &Job, workers: Option<u32>) -> (u64, &'static str) {
        let need = &job.resources;
        let cpu = u64::from(self.0.cpu_milli)
            .checked_div(u64::from(need.cpu_milli))
            .unwrap_or(u64::MAX);
        let memory = need
            .memory
            .and_then(|memory| self.0.memory.checked_div(memory))
            .unwrap_or(u64::MAX);
        let gpus = u64::from(self.0.gpus)
            .checked_div(u64::from(need.gpus))
            .unwrap_or(u64::MAX);
        [
            (cpu, "cpu"),
            (memory, "memory"),
            (gpus, "gpus"),
            (job.max_workers.map_or(u64::MAX, u64::from), "max_workers"),
            (workers.map_or(u64::MAX, u64::from), "--workers"),
        ]
        .into_iter()
        .min_by_key(|limit| limit.0)
        .expect("the list is not empty")
    }
}

pub(crate) fn print(launch: &Launch<'_>, _wish: &Wish, messages: &Messages) -> Outcome {
    let job = launch.job;
    let (slots, limit) = Room(capacity(launch.project)).slots(job, launch.workers);
    let slots = slots.min(messages.count);
    let argv = match &messages.first {
        Some(message) => job
            .command
            .iter()
            .map(|template| template.fill(message))
            .collect::<Result<Vec<String>, String>>()
            .map_err(|name| Failure::new(format!("the first message has no `{name}`")))?,
        None => job.command.iter().map(|template| template.source()).collect(),
    };
    let mut names: Vec<&str> = job.env.keys().map(String::as_str).collect();
    names.extend(job.secrets.iter().map(|secret| secret.name.as_str()));
    let mut out = output::data();
    if launch.settings.json {
        let value = json!({
            "job": job.name,
            "source": messages.source,
            "tasks": messages.count,
            "slots": slots,
            "limited_by": limit,
            "image": image(job),
            "first": { "argv": argv, "params": messages.first.as_ref().map(json::params) },
            "env": names,
            "cpu": f64::from(job.resources.cpu_milli) / 1000.0,
            "memory": job.resources.memory,
            "gpus": job.resources.gpus,
        });
        json::line(&mut out, &value)?;
    } else {
        let style = launch.settings.out;
        let mut line = |name: &str, text: String| writeln!(out, "{} {text}", style.dim(&format!("{name:<8}")));
        let side_by_side = format!(
            "{}, {slots} at once, limited by {limit}",
            plural(messages.count, "task")
        );
        line("run", format!("{}: {side_by_side}", style.bold(&job.name)))?;
        line("from", tame(&messages.source))?;
        line(
            "order",
            "the longest first by earlier runs, else as they come".to_owned(),
        )?;
        if let Some(image) = image(job) {
            line("image", image)?;
        }
        let first: Vec<String> = argv.iter().map(|argument| shown(argument)).collect();
        line(
            "first",
            match first.is_empty() {
                true => "what the image runs by itself".to_owned(),
                false => first.join(" "),
            },
        )?;
        if !names.is_empty() {
            line("env", names.join(" "))?;
        }
        line("each", each(job))?;
        line("fails", fails(job))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// What a job's containers are made of.
fn image(job: &Job) -> Option<String> {
    Some(match &job.container()?.image {
        ImageSource::Named(name) => name.clone(),
        ImageSource::Built(build) => format!("built from {}", build.context),
    })
}

fn each(job: &Job) -> String {
    let need = &job.resources;
    let mut parts = vec![format!("cpu {}", f64::from(need.cpu_milli) / 1000.0)];
    parts.push(match (need.memory, job.memory_max) {
        (None, _) => "memory not limited".to_owned(),
        (Some(memory), Some(most)) if most > memory => {
            format!(
                "memory {}, doubled up to {} when it is not enough",
                bytes(memory),
                bytes(most)
            )
        }
        (Some(memory), _) => format!("memory {}", bytes(memory)),
    });
    if need.gpus > 0 {
        parts.push(format!("gpus {}", need.gpus));
    }
    if let Some(timeout) = job.timeout {
        parts.push(format!("timeout {}", duration(timeout)));
    }
    if let Some(python) = &job.python {
        parts.push(format!("python {python}"));
    }
    parts.join(", ")
}

fn fails(job: &Job) -> String {
    let retries = match job.retries {
        0 => "a failure is final".to_owned(),
        retries => format!(
            "{} of a task, the first after {}",
            plural(u64::from(retries), "retry").replace("retrys", "retries"),
            duration(job.backoff.first)
        ),
    };
    let borne = match job.tolerate_failures {
        Tolerance::Count(0) => "any failed task fails the run".to_owned(),
        Tolerance::Count(count) => format!("{} may fail", plural(count, "task")),
        Tolerance::Percent(0.0) => "any failed task fails the run".to_owned(),
        Tolerance::Percent(percent) => format!("{percent} % of the tasks may fail"),
    };
    format!("{retries}; {borne}")
}

/// An argument as a shell would take it.
fn shown(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", tame(argument).replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::summary::sample;

    #[test]
    fn the_narrowest_limit_is_named() {
        let room = Room(Capacity {
            cpu_milli: 4000,
            memory: 8 << 30,
            gpus: 0,
        });
        let mut job = sample::job();
        assert_eq!(room.slots(&job, None), (4, "cpu"));
        assert_eq!(room.slots(&job, Some(2)), (2, "--workers"));
        job.resources.memory = Some(3 << 30);
        assert_eq!(room.slots(&job, None), (2, "memory"));
        job.max_workers = Some(1);
        assert_eq!(room.slots(&job, Some(2)), (1, "max_workers"));
    }

    #[test]
    fn arguments_are_shown_as_a_shell_takes_them() {
        assert_eq!(
            ["a=b", "", "it's", "$HOME"].map(shown),
            ["a=b", "''", r"'it'\''s'", "'$HOME'"]
        );
    }
}
