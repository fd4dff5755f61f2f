//! `logs`: what a task wrote, rotated parts included; followed until its attempt ends. `logs/remote.rs` is of a task on AWS.

mod remote;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kingtide_core::engine::state::Named;
use kingtide_core::id::AttemptId;
use kingtide_runtime::view::{Database, Run, Snapshot, Task, TaskState};
use serde_json::json;

use super::watch::Waker;
use crate::args::Logs;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::style::Style;
use crate::output::text::{STAMP, is_stamped, tame, task_label};
use crate::output::{self, json};
use crate::project::Place;
use crate::remote::fetched::{self, Want};
use crate::remote::site::Site;
use crate::select;
use crate::settings::Settings;

/// A line longer than this is written in parts.
const LONGEST_LINE: usize = 1024 * 1024;
/// Nobody says when an attempt is withdrawn with its runtime, so the database is asked now and then.
const TICK: Duration = Duration::from_secs(10);

pub(crate) fn run(logs: &Logs, settings: &Settings) -> Outcome {
    let place = fetched::place(&logs.place, Some(&logs.run), Want::Runs, settings)?;
    let database = place.database()?;
    let (run, task) = {
        let snapshot = database.snapshot()?;
        let run = logs.run.find(&snapshot)?;
        let task = match logs.task.is_empty() {
            true => interesting(&snapshot, &run)?,
            false => select::task(&snapshot, &run, &logs.task)?,
        };
        (run, task)
    };
    let number = logs.attempt.unwrap_or(task.attempt.max(u32::from(logs.follow)));
    if number == 0 {
        return Err(
            Failure::usage(format!("{} {} has not been started yet", run.name(), task.id.seq)).help(format!(
                "`kingtide explain {} {}` says why; `-f` waits for it",
                run.job, task.id.seq
            )),
        );
    }
    if logs.attempt.is_some() && number > task.attempt {
        let made = output::text::plural(u64::from(task.attempt), "attempt");
        return Err(Failure::usage(format!(
            "task {} of {} has had {made}",
            task.id.seq,
            run.name()
        )));
    }
    let attempt = task.id.attempt(number);
    if !settings.quiet {
        say_which(&database.snapshot()?, &run, &task, attempt, settings.err)?;
    }
    // A consumer works off many messages: what it wrote about this one stands among the others.
    let path = match database.snapshot()?.instance(attempt)? {
        Some(instance) => place.layout().consumer_log(&run.job, instance),
        None => place.layout().log(&run.job, attempt),
    };
    let mut printer = Printer::new(settings);
    let wrote = if logs.place.is_aws() {
        let wanted = remote::Wanted {
            attempt,
            path: &path,
            has_ended: has_ended(&database.snapshot()?, attempt)?,
            follow: logs.follow,
        };
        let site = Site::find(settings, logs.place.env.as_deref())?;
        remote::print(&site, &wanted, &mut printer, settings)?
    } else if logs.follow {
        follow(&place, &database, attempt, &path, &mut printer)?
    } else {
        let mut reader = Follower::new(path.clone());
        reader.copy(&mut printer)?
    };
    printer.finish()?;
    if !wrote && !settings.quiet {
        output::say("it wrote nothing, or its log has been cleaned away");
    }
    Ok(Exit::Done)
}

/// What runs, else what failed, else what ended: the latest.
fn interesting(snapshot: &Snapshot<'_>, run: &Run) -> Outcome<Task> {
    let order: [&[TaskState]; 3] = [
        &[TaskState::Leased],
        &[TaskState::Failed, TaskState::Rejected],
        TaskState::ALL,
    ];
    for states in order {
        if let Some(task) = snapshot.latest(run.id, states)? {
            return Ok(task);
        }
    }
    Err(Failure::usage(format!(
        "no task of {} has been started yet",
        run.name()
    )))
}

fn say_which(snapshot: &Snapshot<'_>, run: &Run, task: &Task, attempt: AttemptId, style: Style) -> Outcome<()> {
    let ended = snapshot
        .attempts(task.id)?
        .into_iter()
        .find(|ended| ended.id == attempt);
    let state = match ended {
        Some(ended) => match ended.reason {
            Some(reason) => format!("{} ({})", ended.outcome.text().replace('_', " "), tame(&reason)),
            None => ended.outcome.text().replace('_', " "),
        },
        None => task.state.text().replace("leased", "running"),
    };
    let label = task_label(&task.message.label(), task.id.seq, 100);
    output::say(&style.dim(&format!(
        "── {}/{} {label}, attempt {}: {state}",
        run.name(),
        task.id.seq,
        attempt.number
    )));
    Ok(())
}

fn follow(place: &Place, database: &Database, attempt: AttemptId, path: &Path, printer: &mut Printer) -> Outcome<bool> {
    let mut waker = Waker::new()?;
    let mut reader = Follower::new(path.to_owned());
    let mut wrote = false;
    loop {
        // The log appears with its first byte, its folder with the first log.
        let folders = [path.parent(), path.parent().and_then(Path::parent)];
        waker.watch(place.layout().root());
        for folder in folders.into_iter().flatten() {
            waker.watch(folder);
        }
        // Asked before reading: what was written until then is read.
        let has_ended = has_ended(&database.snapshot()?, attempt)?;
        wrote |= reader.copy(printer)?;
        printer.flush()?;
        if has_ended {
            return Ok(wrote);
        }
        waker.wait(TICK)?;
    }
}

fn has_ended(snapshot: &Snapshot<'_>, attempt: AttemptId) -> Outcome<bool> {
    let task = snapshot.task(attempt.task)?;
    // A task that is forgotten, over, or tried again has nothing more to say here.
    let is_past = task.is_none_or(|task| task.state.is_over() || task.attempt > attempt.number);
    Ok(is_past || snapshot.attempts(attempt.task)?.iter().any(|ended| ended.id == attempt))
}

/// Reads a log from its beginning on, across its rotation: `x.log` becomes `x.log.1` when it is half as long as it may be.
struct Follower {
    path: PathBuf,
    current: Option<File>,
    has_begun: bool,
}

impl Follower {
    fn new(path: PathBuf) -> Follower {
        Follower {
            path,
            current: None,
            has_begun: false,
        }
    }

    /// Copies what is new; whether there was anything.
    fn copy(&mut self, printer: &mut Printer) -> Outcome<bool> {
        let mut wrote = false;
        if !self.has_begun {
            let newest = self.open("")?;
            if let Some(older) = self.open(".1")? {
                let is_apart = match &newest {
                    Some(newest) => newest.metadata()?.ino() != older.metadata()?.ino(),
                    None => true,
                };
                if is_apart {
                    wrote |= printer.copy(&older)?;
                }
            }
            self.has_begun = newest.is_some();
            self.current = newest;
        }
        while let Some(current) = &self.current {
            wrote |= printer.copy(current)?;
            match self.open("")? {
                Some(newer) if newer.metadata()?.ino() != current.metadata()?.ino() => {
                    // What was written between the copy and the rotation.
                    wrote |= printer.copy(current)?;
                    self.current = Some(newer);
                }
                _ => break,
            }
        }
        Ok(wrote)
    }

    fn open(&self, suffix: &str) -> Outcome<Option<File>> {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new(format!("failed to read `{}`", Path::new(&path).display())).because(error)),
        }
    }
}

/// Writes a log as it is asked for: as it is, with quiet stamps on a terminal, or as JSON lines.
struct Printer {
    out: io::BufWriter<Box<dyn Write>>,
    face: Face,
    line: Vec<u8>,
}

enum Face {
    Raw,
    Dim(Style),
    Json,
}

impl Printer {
    fn new(settings: &Settings) -> Printer {
        let face = match settings {
            settings if settings.json => Face::Json,
            settings if settings.out.is_coloured() => Face::Dim(settings.out),
            _ => Face::Raw,
        };
        Printer {
            out: io::BufWriter::new(Box::new(io::stdout())),
            face,
            line: Vec::new(),
        }
    }

    fn copy(&mut self, file: &File) -> Outcome<bool> {
        let mut file = BufReader::with_capacity(64 * 1024, file);
        let mut buffer = vec![0; 64 * 1024];
        let mut wrote = false;
        loop {
            let length = match file.read(&mut buffer) {
                Ok(0) => return Ok(wrote),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::new("failed to read the log").because(error)),
            };
            wrote = true;
            self.write(&buffer[..length])?;
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if matches!(self.face, Face::Raw) {
            return self.out.write_all(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            self.end_line()?;
            bytes = &bytes[end + 1..];
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > LONGEST_LINE {
            self.end_line()?;
        }
        Ok(())
    }

    fn end_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let (stamp, text) = match is_stamped(&line) {
            true => line.split_at(STAMP),
            false => line.split_at(0),
        };
        match self.face {
            Face::Raw => self.out.write_all(&line)?,
            Face::Json => {
                let at = std::str::from_utf8(stamp)
                    .ok()
                    .map(str::trim_end)
                    .filter(|at| !at.is_empty());
                json::line(
                    &mut self.out,
                    &json!({ "at": at, "line": String::from_utf8_lossy(text) }),
                )?;
                return Ok(());
            }
            Face::Dim(style) => {
                if let Some(time) = stamp.get(11..19) {
                    write!(self.out, "{} ", style.dim(&String::from_utf8_lossy(time)))?;
                }
                self.out.write_all(text)?;
            }
        }
        self.out.write_all(b"\n")
    }

    fn flush(&mut self) -> Outcome<()> {
        Ok(self.out.flush()?)
    }

    fn finish(&mut self) -> Outcome<()> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic before").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed(face: Face, work: impl FnOnce(&mut Printer)) -> String {
        let paper = Paper::default();
        let mut printer = Printer {
            out: io::BufWriter::new(Box::new(paper.clone())),
            face,
            line: Vec::new(),
        };
        work(&mut printer);
        printer.finish().expect("writes");
        let bytes = paper.0.lock().expect("no panic before").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_rotated_log_is_read_once_and_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("1.1.log");
        let rotated = folder.path().join("1.1.log.1");
        let append = |path: &Path, text: &str| {
            let mut file = File::options().create(true).append(true).open(path).expect("a file");
            file.write_all(text.as_bytes()).expect("written");
        };
        let text = printed(Face::Raw, |printer| {
            let mut reader = Follower::new(path.clone());
            assert!(!reader.copy(printer).expect("reads"), "nothing is there yet");
            append(&rotated, "a\n");
            append(&path, "b\n");
            assert!(reader.copy(printer).expect("reads"));
            append(&path, "c\n");
            std::fs::rename(&path, &rotated).expect("rotated");
            append(&path, "d\n");
            assert!(reader.copy(printer).expect("reads"));
            assert!(!reader.copy(printer).expect("reads"));
        });
        assert_eq!(text, "a\nb\nc\nd\n");
    }

    #[test]
    fn stamps_are_dimmed_or_taken_apart() {
        let log = b"2026-11-24T03:08:00.123Z epoch 1\nno stamp\n2026-11-24T03:08:01.123Z cut";
        let dim = printed(Face::Dim(Style::plain()), |printer| printer.write(log).expect("writes"));
        assert_eq!(dim, "03:08:00 epoch 1\nno stamp\n03:08:01 cut\n");
        let lines = printed(Face::Json, |printer| printer.write(log).expect("writes"));
        assert_eq!(
            lines,
            "{\"at\":\"2026-11-24T03:08:00.123Z\",\"line\":\"epoch 1\"}\n{\"at\":null,\"line\":\"no stamp\"}\n\
             {\"at\":\"2026-11-24T03:08:01.123Z\",\"line\":\"cut\"}\n"
        );
    }
}
