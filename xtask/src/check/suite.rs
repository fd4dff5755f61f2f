//! Running one command under a time limit, and the table of what each suite took.
//!
//! Commands share the chore's process group, so that Ctrl-C reaches all of them; when time is up, the command and all its
//! descendants receive TERM and, ten seconds later, KILL.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// From TERM to KILL.
const GRACE: Duration = Duration::from_secs(10);

/// Until when a suite may work.
pub(crate) struct Deadline {
    at: Instant,
    budget: Duration,
}

impl Deadline {
    pub(crate) fn after(budget: Duration) -> Deadline {
        Deadline {
            at: Instant::now() + budget,
            budget,
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// How a suite ended.
pub(crate) struct Outcome {
    pub(crate) suite: &'static str,
    pub(crate) budget_s: u64,
    pub(crate) took: Duration,
    pub(crate) failure: Option<String>,
}

/// What is printed at the end.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!("{:<14} {:>9} {:>8}\n", "suite", "took", "budget");
    for outcome in outcomes {
        // Only the first line: the rest stands above, where the suite ran.
        let verdict = match &outcome.failure {
            None => "ok",
            Some(failure) => failure.lines().next().unwrap_or("failed"),
        };
        let took = outcome.took.as_secs_f64();
        let _ = writeln!(
            text,
            "{:<14} {took:>7.1} s {:>6} s  {verdict}",
            outcome.suite, outcome.budget_s
        );
    }
    let total: f64 = outcomes.iter().map(|outcome| outcome.took.as_secs_f64()).sum();
    let budget: u64 = outcomes.iter().map(|outcome| outcome.budget_s).sum();
    let _ = writeln!(text, "{:<14} {total:>7.1} s {budget:>6} s", "in all");
    text
}

/// A command of a suite, run in the workspace's folder.
pub(crate) struct Tool {
    program: OsString,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
}

impl Tool {
    pub(crate) fn new(program: impl Into<OsString>) -> Tool {
        Tool {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
        }
    }

    /// Cargo with arguments that have no spaces of their own.
    pub(crate) fn cargo(args: &str) -> Tool {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        args.split_whitespace().fold(Tool::new(cargo), Tool::arg)
    }

    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Tool {
        self.args.push(argument.into());
        self
    }

    pub(crate) fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Tool {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Runs it with its output on the terminal; an error when it fails or does not end in time.
    pub(crate) fn run(&self, limit: &Deadline) -> anyhow::Result<()> {
        self.finish(limit, Stdio::inherit(), Stdio::inherit()).map(drop)
    }

    /// Runs it and gives back what it wrote to stdout.
    pub(crate) fn read(&self, limit: &Deadline) -> anyhow::Result<String> {
        let stdout = self.finish(limit, Stdio::piped(), Stdio::inherit())?;
        String::from_utf8(stdout).with_context(|| format!("`{self}` wrote something that is not UTF-8"))
    }

    /// Whether it can be run and succeeds, silently.
    pub(crate) fn works(&self, limit: &Deadline) -> bool {
        self.finish(limit, Stdio::null(), Stdio::null()).is_ok()
    }

    fn finish(&self, limit: &Deadline, stdout: Stdio, stderr: Stdio) -> anyhow::Result<Vec<u8>> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(&self.env)
            .current_dir(crate::workspace_root());
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        // What cargo tells the chore about its own package would be taken for the next package's by what it starts.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_own_package(name)) {
            command.env_remove(name);
        }
        let child = command.spawn().with_context(|| format!("failed to start `{self}`"))?;
        let pid = child.id();
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || {
            // Nobody listens any more once time was up and the grace has passed.
            let _ = ended.send(child.wait_with_output());
        });
        let output = match end.recv_timeout(limit.left()) {
            Ok(output) => output.with_context(|| format!("failed to wait for `{self}`"))?,
            Err(_) => {
                end_tree(pid);
                bail!(
                    "went beyond its budget of {} s and was ended: `{self}`",
                    limit.budget.as_secs()
                );
            }
        };
        if !output.status.success() {
            bail!("`{self}` failed ({})", output.status);
        }
        Ok(output.stdout)
    }
}

impl std::fmt::Display for Tool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let program = std::path::Path::new(&self.program).file_name().unwrap_or(&self.program);
        f.write_str(&program.to_string_lossy())?;
        self.args
            .iter()
            .try_for_each(|argument| write!(f, " {}", argument.to_string_lossy()))
    }
}

fn is_of_own_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// TERM to a process and everything below it, then KILL to what is left of them.
fn end_tree(root: u32) {
    let family = descendants(root);
    for (signal, patience) in [(Signal::TERM, GRACE), (Signal::KILL, GRACE)] {
        let until = Instant::now() + patience;
        let signalled: Vec<OwnedFd> = family.iter().filter_map(|member| signalled(*member, signal)).collect();
        for process in &signalled {
            await_end(process, until);
        }
    }
}

/// Sends a signal unless the process has ended; a number that was given to another since is left alone.
fn signalled((pid, started): (u32, u64), signal: Signal) -> Option<OwnedFd> {
    let pid_as_known = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let process = pidfd_open(pid_as_known, PidfdFlags::empty()).ok()?;
    // Asked after the descriptor was opened: it now stands for the process that has this time.
    if stat(pid)?.started != started {
        return None;
    }
    pidfd_send_signal(&process, signal).ok()?;
    Some(process)
}

/// Returns when the process has ended, or at `until`.
fn await_end(process: &OwnedFd, until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    };
    // An interrupted wait ends early; what is left then receives KILL, which it was to receive anyway.
    let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left));
}

/// A process and all below it, each with the time it started.
fn descendants(root: u32) -> Vec<(u32, u64)> {
    let all: BTreeMap<u32, Stat> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect();
    let mut family: Vec<(u32, u64)> = all.get(&root).map(|stat| (root, stat.started)).into_iter().collect();
    let mut next = 0;
    while next < family.len() {
        let parent = family[next].0;
        family.extend(
            all.iter()
                .filter(|(_, stat)| stat.parent == parent)
                .map(|(pid, stat)| (*pid, stat.started)),
        );
        next += 1;
    }
    family
}

struct Stat {
    parent: u32,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields begin behind the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_beyond_its_budget_is_ended_with_all_below_it() {
        let marker = format!("kingtide-xtask-{}", std::process::id());
        let script = format!("echo up; (exec -a {marker} sleep 600) & exec -a {marker} sleep 600");
        let started = Instant::now();
        let tool = Tool::new("bash").arg("-c").arg(&script);
        let error = tool
            .read(&Deadline::after(Duration::from_millis(500)))
            .expect_err("too slow");
        assert!(
            error.to_string().starts_with("went beyond its budget of 0 s"),
            "{error}"
        );
        assert!(started.elapsed() < GRACE, "TERM was enough");
        let left = std::fs::read_dir("/proc").expect("readable").flatten().filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line.starts_with(marker.as_bytes())
        });
        assert_eq!(left.count(), 0, "nothing of it is left");
    }

    #[test]
    fn a_failure_names_the_command() {
        let limit = Deadline::after(Duration::from_secs(60));
        let error = Tool::new("sh").arg("-c").arg("exit 3").run(&limit).expect_err("fails");
        assert_eq!(error.to_string(), "`sh -c exit 3` failed (exit status: 3)");
        let error = Tool::new("no-such-program").run(&limit).expect_err("cannot start");
        assert_eq!(error.to_string(), "failed to start `no-such-program`");
        assert_eq!(Tool::new("echo").arg("a b").read(&limit).expect("works"), "a b\n");
    }

    #[test]
    fn the_table_shows_every_suite() {
        let outcome = |suite, failure: Option<&str>| Outcome {
            suite,
            budget_s: 30,
            took: Duration::from_millis(1250),
            failure: failure.map(str::to_owned),
        };
        let expected = "\
suite               took   budget
fmt                1.2 s     30 s  ok
clippy             1.2 s     30 s  `cargo clippy` failed
in all             2.5 s     60 s
";
        assert_eq!(
            table(&[
                outcome("fmt", None),
                outcome("clippy", Some("`cargo clippy` failed\nmore"))
            ]),
            expected
        );
    }
}
