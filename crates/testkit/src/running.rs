//! A program that was started and is watched: its lines are read as they come, its end is awaited, and it is killed when the
//! test lets go of it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::patience::PATIENCE;
use crate::project::Output;

/// How long after a program's end its output may still be open.
const LINGERING: Duration = Duration::from_secs(2);

/// A program under watch.
pub struct Running {
    child: Child,
    heard: Arc<Heard>,
    command: String,
    ended: bool,
}

/// What it has written so far, and the bell for more.
#[derive(Default)]
struct Heard {
    state: Mutex<Said>,
    more: Condvar,
}

#[derive(Default)]
struct Said {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Whole lines of both, in the order in which they were read, without their ends.
    lines: Vec<String>,
    /// How many of the two streams have ended.
    closed: u8,
    /// Up to here lines were given out by `wait_for_line`.
    seen: usize,
}

#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl Running {
    /// Starts a command; its standard input is empty.
    #[track_caller]
    pub fn start(mut command: Command) -> Running {
        let shown = format!("{command:?}");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{shown} does not start: {error}"));
        let heard = Arc::new(Heard::default());
        listen(
            child.stdout.take().expect("it is piped"),
            Stream::Stdout,
            Arc::clone(&heard),
        );
        listen(
            child.stderr.take().expect("it is piped"),
            Stream::Stderr,
            Arc::clone(&heard),
        );
        Running {
            child,
            heard,
            command: shown,
            ended: false,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line, on either stream, that holds `needle`; lines before it are passed over for good.
    #[track_caller]
    pub fn wait_for_line(&mut self, needle: &str) -> String {
        self.wait_for_line_within(needle, PATIENCE)
    }

    /// The same with a limit of its own; panics with everything written so far when it passes, or when no more can come.
    #[track_caller]
    pub fn wait_for_line_within(&mut self, needle: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        let mut said = self.heard.lock();
        loop {
            if let Some(offset) = said.lines[said.seen..].iter().position(|line| line.contains(needle)) {
                let found = said.seen + offset;
                said.seen = found + 1;
                return said.lines[found].clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || said.closed == 2 {
                let why = if said.closed == 2 {
                    "both streams ended"
                } else {
                    "time is up"
                };
                let text = said.text();
                drop(said);
                panic!("no line with `{needle}`, {why}; {} wrote:\n{text}", self.command);
            }
            said = self
                .heard
                .more
                .wait_timeout(said, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // Our child is not reaped before `ended`, so its number cannot be another's.
        if !self.ended
            && let Some(pid) = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0))
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(self) -> Output {
        self.wait_within(PATIENCE * 4)
    }

    /// Waits for its end and gives back all it wrote; panics when that takes longer, or when another process holds its
    /// output open after its end.
    #[track_caller]
    pub fn wait_within(mut self, limit: Duration) -> Output {
        if !self.ends_within(limit) {
            let text = self.heard.lock().text();
            panic!(
                "{} has not ended within {} s; it wrote:\n{text}",
                self.command,
                limit.as_secs_f64()
            );
        }
        let status = self.child.wait().expect("it is our child");
        self.ended = true;
        let end = Instant::now() + LINGERING;
        let mut said = self.heard.lock();
        while said.closed < 2 {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} has ended, but somebody holds its output open",
                self.command
            );
            said = self
                .heard
                .more
                .wait_timeout(said, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Output::new(status, &said.stdout, &said.stderr)
    }

    /// Whether it ends within this time; it is then still to be waited for.
    pub fn ended_within(&self, limit: Duration) -> bool {
        self.ends_within(limit)
    }

    /// KILL, and waits for the end.
    #[track_caller]
    pub fn kill(self) -> Output {
        self.signal(Signal::KILL);
        self.wait()
    }

    fn ends_within(&self, limit: Duration) -> bool {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process has a number");
        let handle = pidfd_open(pid, PidfdFlags::empty()).expect("it is not reaped yet");
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
            let left = Timespec {
                tv_sec: seconds,
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&left)) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(ready) => return ready > 0,
                Err(error) => panic!("poll failed: {error}"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Heard {
    /// A test that panicked with the lock has said why; what was heard is still right.
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn text(&self) -> String {
        self.lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "  {line}");
            text
        })
    }
}

/// A thread that reads one stream to its end.
fn listen(stream: impl Read + Send + 'static, kind: Stream, heard: Arc<Heard>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let ended = !matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0);
            let mut said = heard.lock();
            if ended {
                said.closed += 1;
            } else {
                match kind {
                    Stream::Stdout => said.stdout.extend_from_slice(&line),
                    Stream::Stderr => said.stderr.extend_from_slice(&line),
                }
                said.lines
                    .push(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned());
            }
            heard.more.notify_all();
            if ended {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start(command)
    }

    #[test]
    fn lines_are_awaited_in_order_from_both_streams() {
        let mut running =
            shell("echo one; echo two >&2; trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        assert_eq!(running.wait_for_line("ready"), "ready");
        running.signal(Signal::TERM);
        let output = running.wait();
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (7, "one\nready\nbye\n", "two\n")
        );
    }

    #[test]
    fn a_signal_is_told_apart_from_a_code() {
        let mut running = shell("echo up; exec sleep 1000");
        running.wait_for_line("up");
        let output = running.kill();
        assert_eq!((output.code, output.signal), (128 + 9, Some(9)));
    }

    #[test]
    #[should_panic(expected = "no line with `three`, both streams ended")]
    fn a_line_that_cannot_come_is_not_awaited() {
        shell("echo one; echo two").wait_for_line_within("three", Duration::from_secs(600));
    }

    #[test]
    #[should_panic(expected = "has not ended within 0.05 s; it wrote:\n  up")]
    fn a_program_that_does_not_end_is_reported() {
        let mut running = shell("echo up; exec sleep 1000");
        running.wait_for_line("up");
        running.wait_within(Duration::from_millis(50));
    }

    #[test]
    #[should_panic(expected = "somebody holds its output open")]
    fn who_inherits_the_output_is_noticed() {
        shell("sleep 4 & echo started").wait();
    }
}
