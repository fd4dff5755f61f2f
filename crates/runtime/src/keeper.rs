//! Between the engine's words and the keeper's protocol: requests out, reports in.

use kingtide_core::engine::Event;
use kingtide_core::engine::event::{End, Exit, Pool, Stop, Usage};
use kingtide_core::id::{AttemptId, ParseAttemptIdError};
use kingtide_core::time::Timestamp;
use kingtide_exec::wire;

/// A pool's name on the wire.
pub(crate) fn pool(pool: Pool) -> String {
    match pool.memory {
        None => pool.run.to_string(),
        Some(bytes) => format!("{}:{bytes}", pool.run),
    }
}

pub(crate) fn stop_reason(stop: Stop) -> wire::StopReason {
    match stop {
        Stop::Cancel => wire::StopReason::Cancel,
        Stop::Release => wire::StopReason::Release,
        Stop::Fence => wire::StopReason::Fence,
    }
}

pub(crate) fn attempts(names: &[wire::Attempt]) -> Result<Vec<AttemptId>, ParseAttemptIdError> {
    names.iter().map(|name| name.parse()).collect()
}

/// The end of an attempt, in the engine's words.
pub(crate) fn exited(exited: wire::Exited) -> Result<Event, ParseAttemptIdError> {
    let attempt = exited.attempt.parse()?;
    let exit = Exit {
        end: end(exited.end),
        started_at: Timestamp(exited.started_ms),
        ended_at: Timestamp(exited.ended_ms),
        usage: usage(exited.usage),
        result: exited.result,
        output: exited.output,
        tail: exited.tail,
    };
    Ok(Event::Exited {
        attempt,
        exit: Box::new(exit),
    })
}

fn end(end: wire::End) -> End {
    match end {
        wire::End::Code(code) => End::Code(code),
        wire::End::Signal(signal) => End::Signal(signal),
        wire::End::OutOfMemory => End::OutOfMemory,
        wire::End::Stopped(wire::StopReason::Timeout) => End::TimedOut,
        wire::End::Stopped(wire::StopReason::Cancel) => End::Stopped(Stop::Cancel),
        wire::End::Stopped(wire::StopReason::Release) => End::Stopped(Stop::Release),
        wire::End::Stopped(wire::StopReason::Fence) => End::Stopped(Stop::Fence),
        wire::End::NotStarted(why) => End::NotStarted(why),
        wire::End::DiskFull => End::DiskFull,
    }
}

fn usage(usage: wire::Usage) -> Usage {
    Usage {
        cpu_ms: usage.cpu_ms,
        memory_peak: usage.memory_peak,
        read_bytes: usage.read_bytes,
        written_bytes: usage.written_bytes,
    }
}
