//! The text of a scenario: comments, the job, the machine, and what happens. Indented lines are what came of it when it was
//! recorded; they are not read.

use std::time::Duration;

use kingtide_core::engine::event::{End, Stop};
use kingtide_core::engine::packing::Capacity;
use kingtide_core::project::{Job, load};

/// A scenario as it is written.
pub(super) struct Script {
    pub(super) job: Job,
    pub(super) machine: Capacity,
    pub(super) lines: Vec<Line>,
}

pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
    /// `None` of a comment, an empty line, or one that says how things are.
    pub(super) cue: Option<Cue>,
}

/// Something that happens.
pub(super) enum Cue {
    Submit(i64),
    Advance(Duration),
    /// The program of a task ends.
    Exit {
        seq: i64,
        end: Ending,
        result: bool,
        output: bool,
    },
    /// What a program left has been read, or was found to be wrong.
    Collected {
        seq: i64,
        wrong: Option<String>,
    },
    Published(i64),
    KeeperLost,
    KeeperFound,
    KeeperAway,
    KeeperBack,
    RuntimeLost,
    Resume,
    Cancel,
    Drain,
    Release,
    /// How everything stands.
    States,
}

pub(super) enum Ending {
    By(End),
    /// As it was told to.
    Stopped,
}

impl Script {
    pub(super) fn read(text: &str) -> Result<Script, String> {
        let mut machine = Capacity {
            cpu_milli: 2000,
            memory: 4 << 30,
            gpus: 0,
        };
        let (mut keys, mut lines) = (String::new(), Vec::new());
        for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.starts_with(' ')) {
            let mut cue = None;
            if let Some(key) = text.strip_prefix("job ") {
                keys.push_str(key);
                keys.push('\n');
            } else if let Some(cpus) = text.strip_prefix("cpus ") {
                let cpus: u32 = cpus.parse().map_err(|_| format!("`{text}` names no number"))?;
                machine.cpu_milli = cpus * 1000;
            } else if !text.is_empty() && !text.starts_with('#') {
                let read = Cue::read(text);
                cue = Some(read.ok_or_else(|| format!("line {}: nobody understands `{text}`", index + 1))?);
            }
            lines.push(Line {
                number: index + 1,
                text: text.to_owned(),
                cue,
            });
        }
        Ok(Script {
            job: job(&keys)?,
            machine,
            lines,
        })
    }
}

/// The job, read as it would be from the user's file.
fn job(keys: &str) -> Result<Job, String> {
    let file = format!("[project]\nname = \"sim\"\n[job.sim]\ncommand = [\"true\"]\n{keys}");
    let (project, findings) = load(&file);
    let job = project.and_then(|mut project| project.jobs.remove("sim"));
    job.ok_or_else(|| {
        let found: Vec<&str> = findings.0.iter().map(|finding| finding.message.as_str()).collect();
        format!("the job is wrong: {}", found.join("; "))
    })
}

impl Cue {
    fn read(text: &str) -> Option<Cue> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let seq = |word: &str| word.parse::<i64>().ok();
        Some(match words.as_slice() {
            ["submit", tasks] => Cue::Submit(seq(tasks)?),
            ["advance", time] => Cue::Advance(duration(time)?),
            ["exit", task, rest @ ..] => {
                let (end, left) = Ending::read(rest)?;
                let of = |what| left.contains(&what);
                // Words that say nothing are mistakes.
                if left
                    .iter()
                    .any(|word| !["with", "and", "result", "output"].contains(word))
                {
                    return None;
                }
                Cue::Exit {
                    seq: seq(task)?,
                    end,
                    result: of("result"),
                    output: of("output"),
                }
            }
            ["collected", task] => Cue::Collected {
                seq: seq(task)?,
                wrong: None,
            },
            ["collected", task, "wrong", why @ ..] => Cue::Collected {
                seq: seq(task)?,
                wrong: Some(why.join(" ")),
            },
            ["published", task] => Cue::Published(seq(task)?),
            ["keeper-lost"] => Cue::KeeperLost,
            ["keeper-found"] => Cue::KeeperFound,
            ["keeper-away"] => Cue::KeeperAway,
            ["keeper-back"] => Cue::KeeperBack,
            ["runtime-lost"] => Cue::RuntimeLost,
            ["resume"] => Cue::Resume,
            ["cancel"] => Cue::Cancel,
            ["drain"] => Cue::Drain,
            ["release"] => Cue::Release,
            ["states"] => Cue::States,
            _ => return None,
        })
    }
}

impl Ending {
    /// The end, and the words after it.
    fn read<'a>(words: &'a [&'a str]) -> Option<(Ending, &'a [&'a str])> {
        Some(match words {
            ["code", code, left @ ..] => (Ending::By(End::Code(code.parse().ok()?)), left),
            ["signal", signal, left @ ..] => (Ending::By(End::Signal(signal.parse().ok()?)), left),
            ["out-of-memory", left @ ..] => (Ending::By(End::OutOfMemory), left),
            ["timed-out", left @ ..] => (Ending::By(End::TimedOut), left),
            ["disk-full", left @ ..] => (Ending::By(End::DiskFull), left),
            ["stopped", left @ ..] => (Ending::Stopped, left),
            _ => return None,
        })
    }
}

/// Of `1h`, `5m`, `30s` or `250ms`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number * milliseconds))
}

/// Why a program was told to end, in a word.
pub(super) fn stop(stop: Stop) -> &'static str {
    match stop {
        Stop::Cancel => "cancel",
        Stop::Release => "release",
        Stop::Fence => "fence",
    }
}
