//! What only the machine can answer. `wanted` lists what must be looked up, the shell looks it up and answers with
//! `Surroundings`, and `check_surroundings` says what will not work, with the place of the key that asks for it.

mod clocks;
mod container;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytesize::ByteSize;
use toml::Spanned;

use crate::finding::{Finding, Findings};
use crate::project::job::{ImageSource, Job};
use crate::project::params::Params;
use crate::project::raw::{self, RawJob};
use crate::project::value::Entries;
use crate::project::{Project, Secret};
use crate::time::Timestamp;

/// What the shell must look up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Paths as `Surroundings::paths` is keyed by them: relative to the project's folder, or absolute.
    pub paths: BTreeSet<String>,
    /// Programs to look for in `PATH`.
    pub programs: BTreeSet<String>,
    /// Environment variables; only whether they are set is asked.
    pub variables: BTreeSet<String>,
    /// Whether there is a container engine.
    pub engine: bool,
    /// Images that must be here or to be had.
    pub images: BTreeSet<String>,
}

/// What the shell found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What is at each of the wanted paths; absent where nothing is.
    pub paths: BTreeMap<String, Kind>,
    /// The programs that `PATH` leads to.
    pub programs: BTreeSet<String>,
    /// The wanted variables that are set.
    pub variables: BTreeSet<String>,
    /// Why there is no container engine to be used, without a place; `None` where there is one, or nobody asked.
    pub engine: Option<Finding>,
    /// Why the wanted images cannot be used, of those that cannot.
    pub images: BTreeMap<String, Finding>,
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Bytes.
    pub memory: u64,
    pub gpus: u32,
    /// The time, for what the calendar holds in store.
    pub now: Timestamp,
}

/// What is at a path, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    /// A file that the user may execute.
    Program,
    /// Any other.
    File,
}

/// What `check_surroundings` will ask about.
pub fn wanted(project: &Project) -> Wanted {
    let mut wanted = Wanted::default();
    for job in project.jobs.values() {
        match program(job) {
            Some(Program::InPath(name)) => {
                wanted.paths.insert(in_workdir(job, &name));
                wanted.programs.insert(name);
            }
            Some(Program::At(path)) => drop(wanted.paths.insert(path)),
            None => {}
        }
        match job.container() {
            Some(container) => {
                wanted.engine = true;
                wanted.paths.extend(container::paths(container));
                if let ImageSource::Named(image) = &container.image {
                    wanted.images.insert(image.clone());
                }
            }
            None => wanted.paths.extend(job.workdir.clone()),
        }
        wanted.paths.extend(job.python.clone());
        if let Some(Params::File(file)) = &job.params {
            wanted.paths.insert(file.clone());
        }
        for secret in &job.secrets {
            match &secret.file {
                Some(file) => wanted.paths.insert(file.clone()),
                None => wanted.variables.insert(secret.name.clone()),
            };
        }
    }
    wanted
}

/// What will not work on this machine. `source` is the text that `project` was loaded from.
pub fn check_surroundings(source: &str, project: &Project, surroundings: &Surroundings) -> Findings {
    let mut findings = Findings::default();
    let raw = raw::parse(source, &mut Findings::default());
    let Entries(jobs) = raw.job.map(Spanned::into_inner).unwrap_or_default();
    for (name, raw) in &jobs {
        if let Some(job) = project.jobs.get(name.get_ref()) {
            let mut check = Check {
                job,
                raw: raw.get_ref(),
                here: surroundings,
                findings: &mut findings,
            };
            check.command();
            check.files();
            if let Some(container) = job.container() {
                check.container(container);
            }
            check.secrets();
            check.sizes(project);
            check.clocks();
        }
    }
    if let Some(memory) = raw.local.and_then(|local| local.into_inner().memory)
        && memory.get_ref().0 > surroundings.memory
    {
        let message = format!("this machine has {} of memory", size(surroundings.memory));
        findings.push(
            Finding::warning("too-large", message)
                .at(memory.span())
                .help("lower [local] memory"),
        );
    }
    findings
}

enum Program {
    /// Named without a slash.
    InPath(String),
    /// A path relative to the project's folder, or absolute.
    At(String),
}

/// Where a job's program is looked for; `None` where that depends on the message or on an environment not yet made.
fn program(job: &Job) -> Option<Program> {
    if job.container().is_some() {
        return None;
    }
    let template = job.command.first()?;
    if template.placeholders().next().is_some() {
        return None;
    }
    let text = template.fill(&crate::message::Message(serde_json::Map::new())).ok()?;
    if text.contains('/') {
        return Some(Program::At(in_workdir(job, &text)));
    }
    // A Python environment brings programs of its own, and a job's own PATH is not ours.
    (job.python.is_none() && !job.env.contains_key("PATH")).then_some(Program::InPath(text))
}

/// A path that the program takes relative to its folder, from the project's.
fn in_workdir(job: &Job, path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    match &job.workdir {
        Some(workdir) if !path.starts_with('/') => format!("{}/{path}", workdir.trim_end_matches('/')),
        _ => path.to_owned(),
    }
}

struct Check<'a> {
    job: &'a Job,
    raw: &'a RawJob,
    here: &'a Surroundings,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn error(&mut self, code: &'static str, span: Option<Range<usize>>, message: String, help: String) {
        let finding = Finding::error(code, message).help(help);
        self.findings.push(match span {
            Some(span) => finding.at(span),
            None => finding,
        });
    }

    fn command(&mut self) {
        let Some(program) = program(self.job) else { return };
        let span = self
            .raw
            .command
            .as_ref()
            .and_then(|command| command.get_ref().first())
            .map(Spanned::span);
        match program {
            Program::InPath(name) if self.here.programs.contains(&name) => {}
            Program::InPath(name) => {
                let beside = self.here.paths.get(&in_workdir(self.job, &name));
                let help = match beside {
                    Some(Kind::Program) => format!("a file of that name is here: write \"./{name}\""),
                    Some(Kind::File) => match interpreter(&name) {
                        Some(interpreter) => {
                            format!("start the file with its interpreter: \"{interpreter}\", \"{name}\"")
                        }
                        None => format!("a file of that name is here: chmod +x {name}, and write \"./{name}\""),
                    },
                    Some(Kind::Folder) | None => "install it, or write its path".to_owned(),
                };
                self.error(
                    "command-not-found",
                    span,
                    format!("there is no program `{name}` in PATH"),
                    help,
                );
            }
            Program::At(path) => match self.here.paths.get(&path) {
                Some(Kind::Program) => {}
                Some(Kind::File) => {
                    let help = match interpreter(&path) {
                        Some(interpreter) => {
                            format!("chmod +x {path}, or start it with its interpreter: \"{interpreter}\", \"{path}\"")
                        }
                        None => format!("chmod +x {path}"),
                    };
                    self.error(
                        "command-not-executable",
                        span,
                        format!("`{path}` may not be executed"),
                        help,
                    );
                }
                Some(Kind::Folder) => {
                    let help = "name the program in it".to_owned();
                    self.error("command-not-executable", span, format!("`{path}` is a folder"), help);
                }
                None => {
                    let help = match &self.job.workdir {
                        Some(workdir) => format!("the command is looked for in the job's workdir, `{workdir}`"),
                        None => "paths are relative to the folder of kingtide.toml".to_owned(),
                    };
                    self.error("command-not-found", span, format!("there is no file `{path}`"), help);
                }
            },
        }
    }

    fn files(&mut self) {
        let raw = self.raw;
        let workdir = self.job.workdir.clone().filter(|_| self.job.container().is_none());
        if let (Some(workdir), Some(written)) = (workdir, &raw.workdir) {
            let span = Some(written.span());
            match self.here.paths.get(&workdir) {
                Some(Kind::Folder) => {}
                Some(Kind::File | Kind::Program) => {
                    let help = "workdir is the folder that the command runs in".to_owned();
                    self.error("workdir-not-found", span, format!("`{workdir}` is a file"), help);
                }
                None => {
                    let (message, help) = (
                        format!("there is no folder `{workdir}`"),
                        format!("create it: mkdir -p {workdir}"),
                    );
                    self.error("workdir-not-found", span, message, help);
                }
            }
        }
        if let (Some(file), Some(written)) = (self.job.python.clone(), &raw.python) {
            self.file(
                &file,
                written.span(),
                "python names a requirements file: one package a line",
            );
        }
        if let (Some(Params::File(file)), Some(written)) = (self.job.params.clone(), &raw.params) {
            self.file(
                &file,
                written.span(),
                "paths are relative to the folder of kingtide.toml",
            );
        }
    }

    fn file(&mut self, file: &str, span: Range<usize>, help: &str) {
        let message = match self.here.paths.get(file) {
            Some(Kind::File | Kind::Program) => return,
            Some(Kind::Folder) => format!("`{file}` is a folder"),
            None => format!("there is no file `{file}`"),
        };
        self.error("file-not-found", Some(span), message, help.to_owned());
    }

    fn secrets(&mut self) {
        let written = self
            .raw
            .secrets
            .as_ref()
            .map_or(&[][..], |secrets| &secrets.get_ref().0);
        for Secret { name, file } in &self.job.secrets {
            let found = written.iter().find(|(other, _)| other.get_ref() == name);
            let Some((place, place_of_file)) = found else { continue };
            match file {
                Some(file) => {
                    let span = place_of_file.as_ref().map_or(place.span(), Spanned::span);
                    self.file(file, span, "it holds the secret's value and nothing else");
                }
                None if self.here.variables.contains(name) => {}
                None => {
                    let help = format!("export {name}=…, or name its file: {{ {name} = {{ file = \"…\" }} }}");
                    let message = format!("the secret `{name}` is not set in the environment");
                    self.error("secret-not-set", Some(place.span()), message, help);
                }
            }
        }
    }

    /// More than there is would wait for ever.
    fn sizes(&mut self, project: &Project) {
        let (asked, local, here) = (self.job.resources, &project.local, self.here);
        let whose = |said: bool| if said { "[local] allows" } else { "this machine has" };
        let cores = |milli: u32| f64::from(milli) / 1000.0;

        let cpu = local.cpu_milli.unwrap_or(here.cpu_milli);
        if asked.cpu_milli > cpu {
            let whose = whose(local.cpu_milli.is_some());
            let message = format!(
                "an attempt needs {} cores, {whose} {}",
                cores(asked.cpu_milli),
                cores(cpu)
            );
            let help = format!("lower cpu to {} or less", cores(cpu));
            self.error("too-large", self.raw.cpu.as_ref().map(Spanned::span), message, help);
        }
        let memory = local.memory.unwrap_or(here.memory);
        if let Some(wanted) = asked.memory.filter(|wanted| *wanted > memory) {
            let message = format!(
                "an attempt needs {} of memory, {} {}",
                size(wanted),
                whose(local.memory.is_some()),
                size(memory)
            );
            self.error(
                "too-large",
                self.raw.memory.as_ref().map(Spanned::span),
                message,
                "lower memory".to_owned(),
            );
        }
        let gpus = local.gpus.unwrap_or(here.gpus);
        if asked.gpus > gpus {
            let message = format!(
                "an attempt needs {}, {} {gpus}",
                counted_gpus(asked.gpus),
                whose(local.gpus.is_some())
            );
            let help = "lower gpus, or say in [local] gpus how many there are".to_owned();
            self.error("too-large", self.raw.gpus.as_ref().map(Spanned::span), message, help);
        }
        if let (Some(most), Some(written)) = (self.job.memory_max, &self.raw.memory_max)
            && most > memory
            && asked.memory.is_none_or(|asked| asked <= memory)
        {
            let message = format!(
                "memory grows to {} only, which is all that {} give",
                size(memory),
                match local.memory {
                    Some(_) => "[local] can",
                    None => "this machine can",
                }
            );
            self.findings
                .push(Finding::warning("too-large", message).at(written.span()));
        }
    }
}

fn counted_gpus(count: u32) -> String {
    if count == 1 {
        "1 GPU".to_owned()
    } else {
        format!("{count} GPUs")
    }
}

fn interpreter(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "py" => Some("python3"),
        "sh" => Some("sh"),
        "R" | "r" => Some("Rscript"),
        "pl" => Some("perl"),
        "rb" => Some("ruby"),
        "js" => Some("node"),
        _ => None,
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}
