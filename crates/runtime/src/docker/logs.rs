//! What a container says, from the engine's log into ours. The engine's is the truth: whoever begins to follow a container
//! writes its log from the first line again, so that none is lost or doubled whatever happened to the last who did.
//!
//! An engine that is asked to follow a log may leave out its last messages when the container ends (Docker 20.10 does, now
//! and then). So what came after the last that was followed is asked for once more.

use std::path::Path;
use std::sync::Arc;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::{Stream, StreamExt};
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
    let mut seen = Seen::default();
    // It ends with the container, or with the connection; the latter is noticed by whoever waits for the container.
    let mut messages = std::pin::pin!(ask(shared, container, true, 0));
    while let Some(Ok(message)) = messages.next().await {
        let (said_ms, text) = said(&message);
        seen.count(said_ms);
        log.take_at(text, said_ms);
    }
    let (since, known) = (seen.second, seen.since_then);
    let mut rest = std::pin::pin!(ask(shared, container, false, since).skip(known));
    while let Some(Ok(message)) = rest.next().await {
        let (said_ms, text) = said(&message);
        log.take_at(text, said_ms);
    }
    let finished = log.finish();
    Logged {
        tail: finished.tail,
        disk_full: finished.disk_full,
    }
}

/// The messages that were said from a second on, in the order in which the engine keeps them.
fn ask(
    shared: &Shared,
    container: &Container,
    follow: bool,
    since: i64,
) -> impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + use<> {
    let options = LogsOptions {
        follow,
        stdout: true,
        stderr: true,
        timestamps: true,
        since: i32::try_from(since).unwrap_or(0),
        tail: "all".to_owned(),
        ..LogsOptions::default()
    };
    shared.engine.client.logs(&container.id, Some(options))
}

/// How far a log was followed: what the engine says from `second` on begins with as many messages as we know already.
#[derive(Default)]
struct Seen {
    /// The latest in which something was said, in seconds since the Unix epoch.
    second: i64,
    since_then: usize,
}

impl Seen {
    fn count(&mut self, said_ms: i64) {
        let second = said_ms.div_euclid(1000);
        if second > self.second {
            self.second = second;
            self.since_then = 0;
        }
        // One that was said before and written after is not asked for again.
        if second == self.second {
            self.since_then += 1;
        }
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
