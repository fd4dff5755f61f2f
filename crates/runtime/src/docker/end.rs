//! How a container has ended, in the keeper's words.

use bollard::models::ContainerState;
use kingtide_exec::stamp::{moment, now_ms};
use kingtide_exec::wire::{Attempt, End, Exited, Report, StopReason, Usage};
use kingtide_exec::{disk, usage};

use super::Shared;
use super::container::Container;
use super::logs::Logged;
use super::work::Work;

/// What is left of containers that an engine takes along when it goes: ended by TERM, by KILL, or unknown.
pub(super) const CODES_OF_A_SHUTDOWN: &[i64] = &[143, 137, 255];
/// An exit code beyond this is a signal's number, as shells and engines tell it.
const SIGNAL_BASE: i64 = 128;

/// An attempt whose container never ran.
pub(super) fn report_unstarted(shared: &Shared, attempt: Attempt, started_ms: i64, end: End) {
    shared.report(Report::Exited(Box::new(Exited {
        attempt,
        end,
        started_ms,
        ended_ms: now_ms().max(started_ms),
        usage: Usage::default(),
        result: None,
        output: None,
        tail: String::new(),
    })));
}

/// The report. `reason` is why it was stopped, if it was.
pub(super) fn exited(
    container: &Container,
    state: &ContainerState,
    code: i64,
    reason: Option<StopReason>,
    used: Usage,
    logged: Logged,
    work: &Work,
) -> Exited {
    let at = |text: &Option<String>| text.as_deref().and_then(moment).filter(|at_ms| *at_ms > 0);
    let started_ms = at(&state.started_at).unwrap_or(container.started_ms);
    let ended_ms = at(&state.finished_at).unwrap_or_else(now_ms).max(started_ms);
    let mut usage = Usage { memory: 0, ..used };
    let end = match (reason, code) {
        (Some(reason), _) => End::Stopped(reason),
        (None, 0) => End::Code(0),
        (None, _) if state.oom_killed == Some(true) => {
            let limit = Usage {
                memory_peak: container.plan.memory.unwrap_or(0),
                ..Usage::default()
            };
            usage = usage::at_least(usage, limit);
            End::OutOfMemory
        }
        (None, _) if logged.disk_full || disk::is_full(&work.mount().to_string_lossy()) => End::DiskFull,
        (None, code) => code_or_signal(code),
    };
    let (result, output) = work.left();
    let tail = if end == End::Code(0) {
        String::new()
    } else {
        logged.tail
    };
    Exited {
        attempt: container.attempt.clone(),
        end,
        started_ms,
        ended_ms,
        usage,
        result,
        output,
        tail,
    }
}

/// Engines add 128 to the number of the signal that ended it, as shells do. A program may exit with such a code itself; then
/// it is nearly always a shell that speaks of its child.
fn code_or_signal(code: i64) -> End {
    let signal = i32::try_from(code - SIGNAL_BASE).unwrap_or(0);
    // Those that end a program by default, real-time ones left out.
    let ends = matches!(signal, 1..=9 | 10..=15 | 24..=27 | 29..=31);
    match ends {
        true => End::Signal(signal),
        false => End::Code(i32::try_from(code).unwrap_or(i32::MAX)),
    }
}

/// It is running or has been.
pub(super) fn has_run(state: &ContainerState) -> bool {
    let started = state
        .started_at
        .as_deref()
        .and_then(moment)
        .is_some_and(|at_ms| at_ms > 0);
    started || state.running == Some(true)
}

/// The engine's message without what its layers put around it.
pub(super) fn start_refusal(message: &str) -> String {
    let core = match message.find("exec: \"") {
        Some(place) => &message[place..],
        None => message
            .rsplit_once("container init caused: ")
            .map_or(message, |(_, core)| core),
    };
    let core = core.trim().trim_end_matches(": unknown");
    if core.contains("executable file not found") || core.contains("no such file or directory") {
        return match core.split('"').nth(1) {
            Some(program) if core.starts_with("exec: ") => format!("there is no program `{program}` in the image"),
            _ => core.to_owned(),
        };
    }
    core.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_beyond_128_are_signals_where_there_is_one() {
        assert_eq!(code_or_signal(1), End::Code(1));
        assert_eq!(code_or_signal(127), End::Code(127));
        assert_eq!(code_or_signal(137), End::Signal(9));
        assert_eq!(code_or_signal(143), End::Signal(15));
        assert_eq!(code_or_signal(145), End::Code(145), "17 ends nobody");
        assert_eq!(code_or_signal(255), End::Code(255));
    }

    #[test]
    fn refusals_are_told_in_few_words() {
        let runc = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container \
                    process: exec: \"nope\": executable file not found in $PATH: unknown";
        assert_eq!(start_refusal(runc), "there is no program `nope` in the image");
        let denied =
            "OCI runtime create failed: x: starting container process caused: exec: \"/a\": permission denied: unknown";
        assert_eq!(start_refusal(denied), "exec: \"/a\": permission denied");
        assert_eq!(
            start_refusal("could not select device driver"),
            "could not select device driver"
        );
    }
}
