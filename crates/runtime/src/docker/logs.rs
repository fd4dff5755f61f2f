//! What a container says, from the engine's log into ours. The engine's is the truth: whoever begins to follow a container
//! writes its log from the first line again, so that none is lost or doubled whatever happened to the last who did.

use std::path::Path;
use std::sync::Arc;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use kingtide_exec::log::{Buffers, Log};
use kingtide_exec::stamp::{moment, now_ms};
use tokio::task::JoinHandle;

use super::Shared;
use super::container::Container;

/// What is left of a log.
#[derive(Clone, Debug, Default)]
pub(super) struct Logged {
    /// The last lines, without times and secrets.
    pub(super) tail: String,
    pub(super) disk_full: bool,
}

/// The task that writes a log; it ends with this.
pub(super) struct Writing(JoinHandle<Logged>);

impl Writing {
    /// When the log is whole.
    pub(super) async fn finish(mut self) -> Logged {
        (&mut self.0).await.unwrap_or_default()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn spawn(shared: &Arc<Shared>, container: &Container) -> Writing {
    let (shared, container) = (Arc::clone(shared), container.clone());
    Writing(tokio::spawn(async move { write(&shared, &container).await }))
}

async fn write(shared: &Shared, container: &Container) -> Logged {
    let plan = &container.plan;
    clear(&plan.log);
    let mut log = Log::new(
        &plan.log,
        plan.log_limit,
        Arc::clone(&shared.secrets),
        Buffers::default(),
    );
    let options = LogsOptions {
        follow: true,
        stdout: true,
        stderr: true,
        timestamps: true,
        tail: "all".to_owned(),
        ..LogsOptions::default()
    };
    let mut messages = std::pin::pin!(shared.engine.client.logs(&container.id, Some(options)));
    // It ends with the container, or with the connection; the latter is noticed by whoever waits for the container.
    while let Some(Ok(message)) = messages.next().await {
        let (said_ms, text) = said(&message);
        log.take_at(text, said_ms);
    }
    let finished = log.finish();
    Logged {
        tail: finished.tail,
        disk_full: finished.disk_full,
    }
}

/// When it was said, and what. A line of more than 16 KiB comes in several messages, of which the last ends it.
fn said(message: &LogOutput) -> (i64, &[u8]) {
    let bytes: &[u8] = message.as_ref();
    let stamp = memchr(bytes).and_then(|blank| Some((moment(std::str::from_utf8(&bytes[..blank]).ok()?)?, blank)));
    match stamp {
        Some((said_ms, blank)) => (said_ms, &bytes[blank + 1..]),
        None => (now_ms(), bytes),
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b' ')
}

/// Both files of an earlier reading.
fn clear(log: &Path) {
    let mut earlier = log.as_os_str().to_owned();
    earlier.push(".1");
    // Usually there are none; one that stays is written behind.
    let _ = std::fs::remove_file(log);
    let _ = std::fs::remove_file(earlier);
}
