//! What a container uses, once a second, as the engine's statistics say it.

use std::sync::{Arc, Mutex, PoisonError};

use bollard::models::{ContainerBlkioStatEntry, ContainerStatsResponse};
use bollard::query_parameters::StatsOptions;
use futures_util::StreamExt;
use kingtide_exec::usage;
use kingtide_exec::wire::{Report, Usage};
use tokio::task::JoinHandle;

use super::Shared;
use super::container::Container;

/// The task that samples; it ends with this.
pub(super) struct Sampling {
    task: JoinHandle<()>,
    last: Arc<Mutex<Usage>>,
}

impl Sampling {
    /// The most that was seen so far.
    pub(super) fn last(&self) -> Usage {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn spawn(shared: &Arc<Shared>, container: &Container) -> Sampling {
    let last = Arc::new(Mutex::new(Usage::default()));
    let (shared, container, seen) = (Arc::clone(shared), container.clone(), Arc::clone(&last));
    let task = tokio::spawn(async move {
        loop {
            follow(&shared, &container, &seen).await;
            // The connection was lost, or the container has ended, with which this task is ended.
            if shared.back().await.is_err() {
                return;
            }
        }
    });
    Sampling { task, last }
}

async fn follow(shared: &Shared, container: &Container, seen: &Mutex<Usage>) {
    let options = StatsOptions {
        stream: true,
        one_shot: false,
    };
    let mut samples = std::pin::pin!(shared.engine.client.stats(&container.id, Some(options)));
    while let Some(Ok(sample)) = samples.next().await {
        // A container that has ended is sampled as nothing.
        if sample.memory_stats.as_ref().is_none_or(|memory| memory.usage.is_none()) {
            continue;
        }
        let usage = {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            *seen = usage::at_least(used(&sample), *seen);
            *seen
        };
        shared.report(Report::Sample {
            attempt: container.attempt.clone(),
            usage,
        });
    }
}

fn used(sample: &ContainerStatsResponse) -> Usage {
    let cpu_ns = (|| sample.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage)().unwrap_or(0);
    let memory = sample.memory_stats.as_ref().map_or(0, |memory| {
        let stats = memory.stats.as_ref();
        let cached = |name: &str| stats.and_then(|stats| stats.get(name)).copied();
        // Files that were read and could go any time are not what the program needs; version 1 and 2 name them differently.
        let idle = cached("total_inactive_file")
            .or_else(|| cached("inactive_file"))
            .unwrap_or(0);
        memory.usage.unwrap_or(0).saturating_sub(idle)
    });
    let transferred = sample
        .blkio_stats
        .as_ref()
        .and_then(|stats| stats.io_service_bytes_recursive.as_deref())
        .unwrap_or_default();
    Usage {
        cpu_ms: cpu_ns / 1_000_000,
        memory,
        memory_peak: memory,
        read_bytes: bytes(transferred, "read"),
        written_bytes: bytes(transferred, "write"),
    }
}

fn bytes(entries: &[ContainerBlkioStatEntry], operation: &str) -> u64 {
    let is_it = |entry: &&ContainerBlkioStatEntry| {
        entry
            .op
            .as_deref()
            .is_some_and(|name| name.eq_ignore_ascii_case(operation))
    };
    entries.iter().filter(is_it).filter_map(|entry| entry.value).sum()
}
