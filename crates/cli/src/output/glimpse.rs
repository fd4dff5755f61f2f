//! What runs at this moment, with the last lines of its output: for a key, and for SIGUSR1.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, UNIX_EPOCH};

use kingtide_core::id::RunId;
use kingtide_runtime::layout::Layout;
use kingtide_runtime::notice::Progress;
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::{Handle, Signals};

use super::live::rows::{Row, ordered};
use super::live::running;
use super::say;
use super::style::Style;
use super::text::{count, cut, tame, without_stamp};

const MOST_TASKS: usize = 20;
const MOST_LINES: usize = 5;
/// From the end of a log: longer lines than that are seen from somewhere in their middle.
const TAIL_BYTES: u64 = 16 * 1024;
/// Where there is no terminal.
const COLUMNS: usize = 400;

/// Where the logs of a project are, and how they are shown.
#[derive(Clone, Debug)]
pub(crate) struct Glimpse {
    layout: Layout,
    style: Style,
}

impl Glimpse {
    pub(crate) fn new(layout: Layout, style: Style) -> Glimpse {
        Glimpse { layout, style }
    }

    /// What runs of a run that stood like this so long ago; no line of a log is wider than `columns`.
    pub(crate) fn text(&self, progress: &Progress, since: Duration, columns: usize) -> String {
        let style = self.style;
        let now = progress.now + since;
        let active = running(progress);
        let name = style.bold(&progress.name);
        if active == 0 || progress.running.is_empty() {
            let consumers = self.consumers(progress, columns);
            return match consumers.is_empty() {
                true => format!("{name}: nothing runs"),
                false => format!("{name}: its consumers wrote last\n{}", consumers.join("\n")),
            };
        }
        let mut lines = vec![format!("{name}: {} running", count(active))];
        let tasks = ordered(progress, now);
        for task in tasks.iter().take(MOST_TASKS) {
            let row = Row::new(task, now);
            let age = format!("{} {}", row.age, row.expected);
            let figures = match row.memory.as_str() {
                "" => age.trim_end().to_owned(),
                memory => format!("{} · {memory}", age.trim_end()),
            };
            let slow = if row.is_slow {
                style.yellow("SLOW ")
            } else {
                String::new()
            };
            let label = style.bold(&cut(&row.label, columns));
            lines.push(format!("  {slow}{label}  {}", style.dim(&figures)));
            let attempt = progress.run.task(task.seq).attempt(task.attempt);
            self.push_tail(&mut lines, &self.layout.log(job_of(progress), attempt), columns);
        }
        let hidden = active.saturating_sub(MOST_TASKS.min(tasks.len()) as u64);
        if hidden > 0 {
            lines.push(style.dim(&format!("  … and {} more", count(hidden))));
        }
        lines.join("\n")
    }

    fn push_tail(&self, lines: &mut Vec<String>, log: &Path, columns: usize) {
        let bar = self.style.dim("│");
        let tail = last_lines(log);
        if tail.is_empty() {
            lines.push(format!("    {bar} {}", self.style.dim("it has written nothing yet")));
        }
        let room = columns.saturating_sub(6);
        lines.extend(tail.iter().map(|line| format!("    {bar} {}", cut(line, room))));
    }

    /// What consumers wrote while the run was worked off, the newest last: their logs are by instance, and nobody says which of them live.
    fn consumers(&self, progress: &Progress, columns: usize) -> Vec<String> {
        let began = UNIX_EPOCH + Duration::from_millis(progress.started_at.0.max(0) as u64);
        let folder = std::fs::read_dir(self.layout.consumer_logs(job_of(progress)));
        let files = folder.into_iter().flatten().filter_map(Result::ok);
        let mut logs: Vec<(i64, PathBuf)> = files
            .filter(|file| {
                let changed = file.metadata().and_then(|metadata| metadata.modified());
                changed.is_ok_and(|changed| changed >= began)
            })
            .filter_map(|file| {
                let path = file.path();
                let name = path.file_name()?.to_str()?;
                Some((name.strip_suffix(".log")?.parse().ok()?, path))
            })
            .collect();
        logs.sort_unstable();
        let mut lines = Vec::new();
        for (instance, log) in &logs[logs.len().saturating_sub(MOST_TASKS)..] {
            lines.push(format!("  {}", self.style.bold(&format!("consumer {instance}"))));
            self.push_tail(&mut lines, log, columns);
        }
        lines
    }
}

/// `retrain` of `retrain-12`.
fn job_of(progress: &Progress) -> &str {
    let number = format!("-{}", progress.run);
    progress.name.strip_suffix(&number).unwrap_or(&progress.name)
}

/// The last lines that say something, harmless, without their stamps; of the rotated part where the newest has too few.
fn last_lines(log: &Path) -> Vec<String> {
    let mut rotated = log.as_os_str().to_owned();
    rotated.push(".1");
    let mut lines = said(&end(log).unwrap_or_default());
    if lines.len() < MOST_LINES {
        let mut older = said(&end(&PathBuf::from(rotated)).unwrap_or_default());
        older.append(&mut lines);
        lines = older;
    }
    lines.split_off(lines.len().saturating_sub(MOST_LINES))
}

fn said(text: &str) -> Vec<String> {
    let lines = text.lines().map(without_stamp);
    // What draws a bar of its own goes back to the beginning of the line again and again: the last state of it counts.
    let lines = lines.filter_map(|line| line.rsplit('\r').find(|part| !part.trim().is_empty()));
    lines.map(|line| tame(line.trim_end())).collect()
}

/// The end of a file, from the beginning of a line on if there is one.
fn end(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(match text.split_once('\n') {
        Some((_, rest)) if start > 0 && !rest.is_empty() => rest.to_owned(),
        _ => text.into_owned(),
    })
}

type Shown = BTreeMap<RunId, (Progress, Instant)>;

/// While it lives, SIGUSR1 prints what runs, line by line: where there is no live region.
#[derive(Debug)]
pub(crate) struct Asked {
    shown: Arc<Mutex<Shown>>,
    handle: Option<Handle>,
    thread: Option<JoinHandle<()>>,
}

impl Asked {
    pub(crate) fn listen(glimpse: Glimpse) -> Asked {
        let mut asked = Asked {
            shown: Arc::default(),
            handle: None,
            thread: None,
        };
        if let Ok(mut signals) = Signals::new([SIGUSR1]) {
            asked.handle = Some(signals.handle());
            let shown = Arc::clone(&asked.shown);
            let answer = move || {
                for _ in signals.forever() {
                    let now = lock(&shown).clone();
                    if now.is_empty() {
                        say("nothing runs");
                    }
                    for (progress, seen) in now.values() {
                        say(&glimpse.text(progress, seen.elapsed(), COLUMNS));
                    }
                }
            };
            let thread = std::thread::Builder::new().name("asked".to_owned());
            asked.thread = thread.spawn(answer).ok();
        }
        asked
    }

    pub(crate) fn note(&self, progress: &Progress) {
        lock(&self.shown).insert(progress.run, (progress.clone(), Instant::now()));
    }

    pub(crate) fn forget(&self, run: RunId) {
        lock(&self.shown).remove(&run);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.close();
        }
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on SIGUSR1 ends nothing, whoever listens to it. Where nobody does, nothing comes of it.
pub(crate) fn withstand() {
    // Where it cannot be had, the signal does what it always did.
    let _ = signal_hook::flag::register(SIGUSR1, Arc::new(AtomicBool::new(false)));
}

#[cfg(test)]
mod tests {
    use kingtide_core::time::Timestamp;
    use kingtide_runtime::notice::{Prediction, Running};

    use super::*;

    fn log(folder: &Path, name: &str, text: &str) {
        let folder = folder.join(".kingtide/logs/retrain-12");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), text).expect("a log");
    }

    fn running(seq: i64, label: &str, limit: Option<u64>) -> Running {
        Running {
            seq,
            attempt: 1,
            label: label.to_owned(),
            started_at: Timestamp(seq * 1000),
            memory: 77 << 20,
            prediction: limit.map(|limit| Prediction {
                median: Duration::from_secs(limit / 2),
                limit: Duration::from_secs(limit),
            }),
        }
    }

    fn progress(running: Vec<Running>) -> Progress {
        Progress {
            run: RunId(12),
            name: "retrain-12".to_owned(),
            now: Timestamp(100_000),
            started_at: Timestamp(1),
            leased: running.len() as u64,
            running,
            ..Progress::default()
        }
    }

    #[test]
    fn what_runs_has_its_last_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let stamp = "2026-11-24T03:08:00.123Z ";
        let lines: String = (1..=9).map(|n| format!("{stamp}epoch {n}\n")).collect();
        log(folder.path(), "1.1.log", &lines);
        log(
            folder.path(),
            "2.1.log.1",
            &format!("{stamp}one\n{stamp}\n{stamp}two\n"),
        );
        log(
            folder.path(),
            "2.1.log",
            &format!("{stamp}10 %\r20 %\r\n{stamp}\x1b[2Jevil {}", "x".repeat(90)),
        );
        let glimpse = Glimpse::new(Layout::new(folder.path()), Style::plain());
        let tasks = vec![
            running(1, "dest=BOS", None),
            running(2, "dest=LAX", Some(60)),
            running(3, "", None),
        ];
        insta::assert_snapshot!(glimpse.text(&progress(tasks), Duration::from_secs(5), 60));
        assert_eq!(
            glimpse.text(&progress(Vec::new()), Duration::ZERO, 60),
            "retrain-12: nothing runs"
        );
    }

    #[test]
    fn consumers_are_told_by_instance() {
        let folder = tempfile::tempdir().expect("a folder");
        let glimpse = Glimpse::new(Layout::new(folder.path()), Style::plain());
        let logs = folder.path().join(".kingtide/logs/retrain-consumers");
        std::fs::create_dir_all(&logs).expect("a folder");
        for instance in [9, 10] {
            std::fs::write(logs.join(format!("{instance}.log")), format!("working on {instance}\n")).expect("a log");
        }
        let old = std::fs::File::create(logs.join("8.log")).expect("a log");
        old.set_modified(UNIX_EPOCH).expect("it is ours");
        assert_eq!(
            glimpse.text(&progress(Vec::new()), Duration::ZERO, 60),
            "retrain-12: its consumers wrote last\n  consumer 9\n    │ working on 9\n  consumer 10\n    │ working on 10"
        );
    }

    #[test]
    fn many_tasks_and_long_logs_are_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        for seq in 1..=50 {
            log(folder.path(), &format!("{seq}.1.log"), &"0123456789\n".repeat(100_000));
        }
        let glimpse = Glimpse::new(Layout::new(folder.path()), Style::plain());
        let tasks = (1..=50).map(|seq| running(seq, "", None)).collect();
        let text = glimpse.text(&progress(tasks), Duration::ZERO, 60);
        assert_eq!(text.lines().count(), 1 + 20 * 6 + 1, "{text}");
        assert!(text.ends_with("\n  … and 30 more"), "{text}");
        assert!(!text.contains("│ 123"), "lines are whole: {text}");
    }
}
