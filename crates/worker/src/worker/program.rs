//! The program of an attempt, from its start until what it left is in the bucket; in a thread of its own, whose end would be the program's.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use kingtide_core::drain::Event;
use kingtide_core::engine::event::{End, Stop};
use kingtide_exec::collect::{self, Uncollected};
use kingtide_exec::image::Environment;
use kingtide_exec::memory::Means;
use kingtide_exec::processes;
use kingtide_exec::redact::Secrets;
use kingtide_exec::slot::{Ended, Order, Said, Slot};
use kingtide_exec::stamp::now_ms;
use kingtide_exec::stopper::Stopper;
use kingtide_exec::wire::{self, Start};
use kingtide_remote::record::{Output, Usage};
use kingtide_remote::request::Client;

use super::errand::{Errand, Folder, is_inherited, write_message};
use super::left::{self, Unsaved};
use super::{Inbound, WorkError, kills, orphans};
use crate::settings::Settings;

/// What a program came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ran {
    pub(crate) end: End,
    /// It ended well, and what it left cannot be taken: why.
    pub(crate) invalid: Option<String>,
    pub(crate) started_ms: i64,
    pub(crate) ended_ms: i64,
    pub(crate) usage: Usage,
    pub(crate) tail: String,
    /// Bytes.
    pub(crate) log: Option<u64>,
    pub(crate) result: bool,
    pub(crate) output: Option<Output>,
}

impl Ran {
    /// Of what was never started.
    fn not(end: End) -> Ran {
        let now = now_ms();
        Ran {
            end,
            invalid: None,
            started_ms: now,
            ended_ms: now,
            usage: Usage::default(),
            tail: String::new(),
            log: None,
            result: false,
            output: None,
        }
    }

    /// For whoever decides what follows.
    pub(crate) fn event(&self) -> Event {
        match &self.invalid {
            Some(why) => Event::Invalid(why.clone()),
            None => Event::Exited(self.end.clone()),
        }
    }
}

/// Runs programs, one at a time.
pub(crate) struct Program {
    settings: Arc<Settings>,
    client: Client,
    tell: Sender<Inbound>,
    environment: Environment,
    secrets: Arc<Secrets>,
}

impl Program {
    pub(crate) fn new(settings: Arc<Settings>, client: Client, tell: Sender<Inbound>) -> Result<Program, WorkError> {
        let secret = |name: &str| std::env::var(name).map_err(|_| WorkError::Secret(name.to_owned()));
        let secrets = settings.job.secrets.iter().map(|of| secret(&of.name));
        let secrets = Secrets::new(&secrets.collect::<Result<Vec<_>, _>>()?);
        let inherited: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| is_inherited(name))
            .collect();
        Ok(Program {
            settings,
            client,
            tell,
            environment: Environment::new(&inherited),
            secrets: Arc::new(secrets),
        })
    }

    /// Its thread: what is sent there is run, and ends early when the stopper is asked.
    pub(crate) fn start(self) -> Result<(Sender<Errand>, Arc<Stopper>), WorkError> {
        let (errands, of_errands) = mpsc::channel::<Errand>();
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            // Where the container's own group cannot be divided, as on Fargate, its tree is watched.
            let slot = Slot::new(0, Arc::new(Means::Watch), Arc::new(processes::Shared::default()));
            let mut slot = match slot {
                Ok(slot) => slot,
                Err(error) => return ready.send(Err(error)).unwrap_or_default(),
            };
            let _ = ready.send(Ok(slot.stopper()));
            while let Ok(errand) = of_errands.recv() {
                let ran = self.run(&mut slot, &errand);
                if self.tell.send(Inbound::Ran(Box::new(ran))).is_err() {
                    return;
                }
            }
        });
        let stopper = is_ready.recv().expect("the thread says so before it ends");
        Ok((errands, stopper.map_err(WorkError::Process)?))
    }

    fn run(&self, slot: &mut Slot, errand: &Errand) -> Ran {
        let folder = Folder {
            path: self.settings.work.join(format!("{}", errand.attempt).replace('/', "-")),
        };
        let ran = match self.prepare(errand, &folder) {
            Ok(start) => self.run_in(slot, errand, &folder, &start),
            Err(end) => Ran::not(end),
        };
        // What is not to be had away takes room, and nothing else.
        let _ = fs::remove_dir_all(&folder.path);
        ran
    }

    fn prepare(&self, errand: &Errand, folder: &Folder) -> Result<Start, End> {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => End::DiskFull,
            _ => End::NotStarted(format!(
                "no work folder can be made in `{}`: {error}",
                folder.path.display()
            )),
        };
        let (start, needs_file) = errand.start(&self.settings, folder).map_err(End::NotStarted)?;
        // An earlier worker in this place may have been killed.
        let _ = fs::remove_dir_all(&folder.path);
        fs::create_dir_all(folder.path.join("output")).map_err(refused)?;
        if needs_file {
            write_message(&folder.path, &errand.body).map_err(refused)?;
        }
        Ok(start)
    }

    fn run_in(&self, slot: &mut Slot, errand: &Errand, folder: &Folder, start: &Start) -> Ran {
        let (result, output) = (folder.file("result.json"), folder.file("output"));
        let variables = [("KINGTIDE_RESULT", &*result), ("KINGTIDE_OUTPUT", &*output)];
        let stdout = io::stdout();
        let order = Order {
            start,
            environment: &self.environment,
            secrets: &self.secrets,
            variables: &variables,
            echo: Some(stdout.as_fd()),
        };
        let killed_before = kills::count();
        let ended = slot.run(&order, &mut |said| {
            if let Said::Started { pid, .. } = said {
                kills::prefer(pid);
            }
        });
        orphans::end_all();
        let was_killed = kills::count() > killed_before;
        let mut ran = Ran {
            end: end(&ended, was_killed),
            started_ms: ended.started_ms,
            ended_ms: ended.ended_ms,
            usage: Usage {
                cpu_ms: ended.usage.cpu_ms,
                memory_peak: ended.usage.memory_peak,
                read_bytes: ended.usage.read_bytes,
                written_bytes: ended.usage.written_bytes,
            },
            tail: ended.tail,
            ..Ran::not(End::Code(0))
        };
        self.take(errand, folder, &mut ran);
        ran
    }

    /// Takes what it has left.
    fn take(&self, errand: &Errand, folder: &Folder, ran: &mut Ran) {
        let mut taken = collect::Left::default();
        if ran.end == End::Code(0) {
            let (result, output) = left::find(&folder.path);
            match collect::collect(result.as_deref(), output.as_deref(), &self.secrets) {
                Ok(left) => taken = left,
                Err(Uncollected::Program(why)) => ran.invalid = Some(why),
                Err(Uncollected::Machine(why)) => {
                    ran.end = End::DiskFull;
                    ran.tail = why;
                }
            }
        }
        let saved = left::save(&self.client, &self.settings, errand.attempt, &folder.path, &taken);
        match saved {
            Ok(saved) => {
                ran.log = saved.log;
                ran.result = taken.result.is_some();
                ran.output = taken.summary.map(|summary| Output {
                    files: summary.files,
                    bytes: summary.bytes,
                });
            }
            Err(Unsaved(why)) => {
                // It is done and cannot be kept: another worker may have better luck.
                ran.end = End::Stopped(Stop::Release);
                ran.invalid = None;
                let _ = self.tell.send(Inbound::Fatal(why));
            }
        }
    }
}

/// In core's words.
fn end(ended: &Ended, was_killed: bool) -> End {
    match &ended.end {
        wire::End::Code(code) if *code != 0 && was_killed => End::OutOfMemory,
        wire::End::Signal(_) if was_killed => End::OutOfMemory,
        wire::End::Code(code) => End::Code(*code),
        wire::End::Signal(signal) => End::Signal(*signal),
        wire::End::OutOfMemory => End::OutOfMemory,
        wire::End::Stopped(wire::StopReason::Timeout) => End::TimedOut,
        wire::End::Stopped(wire::StopReason::Cancel) => End::Stopped(Stop::Cancel),
        wire::End::Stopped(wire::StopReason::Release) => End::Stopped(Stop::Release),
        wire::End::Stopped(wire::StopReason::Fence) => End::Stopped(Stop::Fence),
        wire::End::NotStarted(why) => End::NotStarted(why.clone()),
        wire::End::DiskFull => End::DiskFull,
    }
}
