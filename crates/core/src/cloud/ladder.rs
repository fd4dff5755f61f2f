//! The ladder of a job: a queue and a size for what it has, and for each doubling of its memory up to `memory_max`. What was killed for want of
//! memory is sent on to the next by its worker. And where it runs: on Fargate, or on instances where Fargate has nothing like it.

use super::fargate;
use crate::project::{Job, Resources};

/// Memory of the largest instances of EC2, and their cores (u7in-24tb).
const MOST_MEMORY: u64 = 24 << 40;
const MOST_CORES: u32 = 896;

/// Where a job's tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    Fargate,
    /// Instances that ECS starts and ends.
    Instances,
}

/// What attempts of a job have, the smallest first; the doublings are those of `engine/retry.rs`.
pub fn ladder(job: &Job) -> Vec<Resources> {
    let mut rungs = vec![job.resources];
    let Some(most) = job.memory_max else { return rungs };
    while let Some(last) = rungs.last().copied()
        && let Some(memory) = last.memory.filter(|memory| *memory < most)
    {
        rungs.push(Resources {
            memory: Some(memory.saturating_mul(2).min(most)),
            ..last
        });
    }
    rungs
}

/// `None` where nothing of AWS has so much.
pub fn host(job: &Job) -> Option<Host> {
    let rungs = ladder(job);
    let is_fargate = rungs.iter().all(|rung| fargate::size(rung).is_some());
    let is_too_much =
        |rung: &Resources| rung.cpu_milli > MOST_CORES * 1000 || rung.memory.is_some_and(|memory| memory > MOST_MEMORY);
    match (is_fargate, rungs.iter().any(is_too_much)) {
        (true, _) => Some(Host::Fargate),
        (false, false) => Some(Host::Instances),
        (false, true) => None,
    }
}

/// What a rung's task has: of Fargate a size that holds it, of instances what is asked for.
pub(super) fn size(resources: &Resources, host: Host) -> fargate::Size {
    let asked = fargate::Size {
        cpu: (u64::from(resources.cpu_milli) * 1024 / 1000).max(128) as u32,
        memory_mib: fargate::needed_mib(resources).max(512) as u32,
    };
    match host {
        Host::Fargate => fargate::size(resources).unwrap_or(asked),
        Host::Instances => asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::load;

    fn job(lines: &str) -> Job {
        let source = format!("[project]\nname = \"p\"\n[job.j]\ncommand = [\"x\"]\n{lines}\n");
        let (project, findings) = load(&source);
        let project = project.unwrap_or_else(|| panic!("{findings:?}"));
        project.jobs["j"].clone()
    }

    #[test]
    fn memory_doubles_up_to_the_most() {
        let of = |lines: &str| -> Vec<u64> {
            let rungs = ladder(&job(lines));
            rungs.iter().map(|rung| rung.memory.unwrap_or(0) >> 30).collect()
        };
        assert_eq!(of("memory = \"2GiB\"\nmemory_max = \"12GiB\""), [2, 4, 8, 12]);
        assert_eq!(of("memory = \"2GiB\"\nmemory_max = \"2GiB\""), [2]);
        assert_eq!(of("memory = \"2GiB\""), [2]);
        assert_eq!(of(""), [0]);
    }

    #[test]
    fn what_fargate_lacks_runs_on_instances() {
        assert_eq!(host(&job("cpu = 16")), Some(Host::Fargate));
        assert_eq!(host(&job("cpu = 17")), Some(Host::Instances));
        assert_eq!(host(&job("gpus = 1")), Some(Host::Instances));
        assert_eq!(
            host(&job("memory = \"64GiB\"\nmemory_max = \"256GiB\"")),
            Some(Host::Instances)
        );
        assert_eq!(host(&job("cpu = 900")), None);
    }
}
