//! The project that a command is about: where it is, what it says, and whether this machine can run it.

use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};

use kingtide_core::engine::packing::Capacity;
use kingtide_core::finding::{Finding, Findings, Severity};
use kingtide_core::project::{
    FILE, Job, Kind, Project, Surroundings, Wanted, check_surroundings, load_bytes, load_partly, wanted,
};
use kingtide_runtime::docker;
use kingtide_runtime::layout::Layout;
use kingtide_runtime::machine::Machine;
use kingtide_runtime::view::{Database, OpenError};

use crate::exit::{Exit, Failure};
use crate::output;
use crate::output::findings;
use crate::output::text::plural;
use crate::settings::Settings;

/// Where a project is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) file: PathBuf,
    /// What was fetched of this stack is meant, and not what is here.
    pub(crate) stack: Option<String>,
}

impl Place {
    /// The one that was named, else the nearest upwards from the current folder.
    pub(crate) fn find(settings: &Settings) -> Result<Place, Failure> {
        let here = std::env::current_dir()
            .map_err(|error| Failure::new("failed to find the current folder").because(error))?;
        match &settings.project {
            Some(named) => Place::named(&here.join(named)),
            None => Place::upwards(&here).ok_or_else(|| {
                Failure::usage(format!("there is no `{FILE}` here or in a folder above"))
                    .help("`kingtide init` makes one; `--project DIR` names another place")
            }),
        }
    }

    fn named(path: &Path) -> Result<Place, Failure> {
        let file = if path.is_dir() {
            path.join(FILE)
        } else {
            path.to_owned()
        };
        if !file.is_file() {
            return Err(Failure::usage(format!("there is no project at `{}`", file.display()))
                .help("`--project` takes a folder that has a `kingtide.toml`, or such a file"));
        }
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Place {
            folder,
            file,
            stack: None,
        })
    }

    fn upwards(from: &Path) -> Option<Place> {
        from.ancestors()
            .map(|folder| Place {
                folder: folder.to_owned(),
                file: folder.join(FILE),
                stack: None,
            })
            .find(|place| place.file.is_file())
    }

    /// Where things lie in it.
    pub(crate) fn layout(&self) -> Layout {
        match &self.stack {
            Some(stack) => Layout::fetched(&self.folder, stack),
            None => Layout::new(&self.folder),
        }
    }

    /// Its database, for reading.
    pub(crate) fn database(&self) -> Result<Database, Failure> {
        Database::at(&self.layout().database()).map_err(|error| {
            let help = error.help();
            let failure = match error {
                OpenError::Missing => Failure::usage(error.to_string()),
                other => Failure::from(other),
            };
            failure.help(help)
        })
    }

    /// What the file says, if it says it well: for commands that only look.
    pub(crate) fn peek(&self) -> Option<Project> {
        load_bytes(&std::fs::read(&self.file).ok()?).0
    }
}

/// A project and everything the checker has to say about it.
#[derive(Debug)]
pub(crate) struct Checked {
    /// `None` when something is wrong.
    pub(crate) project: Option<Project>,
    /// As much of it as could be understood, to look further into.
    pub(crate) understood: Project,
    pub(crate) findings: Findings,
    /// As it is named in findings.
    pub(crate) name: String,
    /// The text that findings point into.
    pub(crate) source: String,
}

/// What of the project this machine has to have what it needs for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs<'a> {
    All,
    /// This job. What another one lacks, a secret that is not set for instance, is no reason not to run it.
    Job(&'a str),
    /// Nothing is started.
    Nothing,
}

impl Checked {
    pub(crate) fn read(place: &Place, needs: Needs<'_>) -> Result<Checked, Failure> {
        let name = place
            .file
            .file_name()
            .map_or_else(|| FILE.to_owned(), |name| name.to_string_lossy().into_owned());
        let bytes = std::fs::read(&place.file)
            .map_err(|error| Failure::new(format!("failed to read `{name}`")).because(error))?;
        let (project, mut findings) = load_bytes(&bytes);
        let source = String::from_utf8_lossy(&bytes).into_owned();
        let understood = project.clone().unwrap_or_else(|| load_partly(&source));
        let mut needed = understood.clone();
        needed.jobs.retain(|name, _| match needs {
            Needs::All => true,
            Needs::Job(job) => name == job,
            Needs::Nothing => false,
        });
        let here = look_around(&place.folder, &wanted(&needed));
        let of_machine = check_surroundings(&source, &needed, &here);
        // Of a key that is wrong already, the machine has nothing to add.
        let judged: Vec<Range<usize>> = findings
            .0
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .filter_map(Finding::span)
            .collect();
        let is_new = |finding: &Finding| {
            let span = finding.span().unwrap_or_default();
            !judged
                .iter()
                .any(|known| known.start < span.end && span.start < known.end)
        };
        findings.0.extend(of_machine.0.into_iter().filter(is_new));
        findings
            .0
            .sort_by_key(|finding| finding.span().map_or(usize::MAX, |span| span.start));
        Ok(Checked {
            project: project.filter(|_| !findings.has_errors()),
            understood,
            findings,
            name,
            source,
        })
    }

    /// Prints what was found. A project with errors goes no further.
    pub(crate) fn usable(self, settings: &Settings) -> Result<Project, Failure> {
        self.print(&self.findings, settings);
        self.project.ok_or_else(|| Failure::said(Exit::Findings))
    }

    /// ` in kingtide.toml`, when all of it is found there and not in a file that it names.
    pub(crate) fn within(&self) -> String {
        let is_elsewhere = |finding: &Finding| finding.place.is_some() && finding.span().is_none();
        if self.findings.0.iter().any(is_elsewhere) {
            return String::new();
        }
        format!(" in {}", self.name)
    }

    /// Warnings are no errors: `--quiet` is silent about them.
    pub(crate) fn print(&self, findings: &Findings, settings: &Settings) {
        print_findings(findings, &self.name, &self.source, settings);
    }
}

/// Prints findings about the file called `name` with the text `source`, and about others it names.
pub(crate) fn print_findings(findings: &Findings, name: &str, source: &str, settings: &Settings) {
    let shown = findings
        .0
        .iter()
        .filter(|finding| finding.severity == Severity::Error || !settings.quiet);
    let shown = Findings(shown.cloned().collect());
    if !shown.0.is_empty() {
        output::say(&findings::render(&shown, name, source, settings.err.is_coloured()));
    }
}

/// `2 errors, 1 warning`
pub(crate) fn tally(findings: &Findings) -> String {
    let of = |severity| findings.0.iter().filter(|finding| finding.severity == severity).count() as u64;
    let parts = [(of(Severity::Error), "error"), (of(Severity::Warning), "warning")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|part| part.0 > 0)
        .map(|(number, noun)| plural(*number, noun))
        .collect();
    parts.join(", ")
}

/// The job of that name, or the one that may have been meant.
pub(crate) fn job<'p>(project: &'p Project, name: &str) -> Result<&'p Job, Failure> {
    project.jobs.get(name).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no job `{name}` in this project"));
        let names: Vec<&str> = project.jobs.keys().map(String::as_str).collect();
        match kingtide_core::finding::suggestion(name, names.iter().copied()) {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None if names.is_empty() => failure.help("it has none: add a `[job.NAME]`"),
            None => failure.help(format!("its jobs are {}", names.join(", "))),
        }
    })
}

/// Looks up what the checker wants to know about this machine.
fn look_around(folder: &Path, wanted: &Wanted) -> Surroundings {
    let machine = Machine::read();
    let mut here = Surroundings {
        cpu_milli: machine.cpu_milli,
        memory: machine.memory,
        gpus: machine.gpus,
        now: crate::output::text::now(),
        ..Surroundings::default()
    };
    for path in &wanted.paths {
        if let Ok(metadata) = std::fs::metadata(folder.join(path)) {
            let kind = if metadata.is_dir() {
                Kind::Folder
            } else if is_executable(&folder.join(path)) {
                Kind::Program
            } else {
                Kind::File
            };
            here.paths.insert(path.clone(), kind);
        }
    }
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&search_path).collect();
    for program in &wanted.programs {
        let found = |folder: &PathBuf| {
            let path = folder.join(program);
            path.is_file() && is_executable(&path)
        };
        if folders.iter().any(found) {
            here.programs.insert(program.clone());
        }
    }
    here.variables = wanted
        .variables
        .iter()
        .filter(|name| std::env::var_os(name).is_some())
        .cloned()
        .collect();
    if wanted.engine {
        (here.engine, here.images) = docker::look_around(&wanted.images);
    }
    here
}

fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Where environments are kept: `$XDG_CACHE_HOME`, else `~/.cache`, else below the temporary folder.
pub(crate) fn cache_folder() -> PathBuf {
    let named = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    named("XDG_CACHE_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(|| std::env::temp_dir().join("kingtide-cache"))
}

/// What this machine gives to tasks: what `[local]` says, else what it has.
pub(crate) fn capacity(project: &Project) -> Capacity {
    let machine = Machine::read();
    Capacity {
        cpu_milli: project.local.cpu_milli.unwrap_or(machine.cpu_milli),
        memory: project.local.memory.unwrap_or_else(|| machine.memory_for_tasks()),
        gpus: project.local.gpus.unwrap_or(machine.gpus),
    }
}

/// Opens a file of parameters for reading.
pub(crate) fn open(folder: &Path, file: &str) -> std::io::Result<BufReader<std::fs::File>> {
    std::fs::File::open(folder.join(file)).map(|file| BufReader::with_capacity(256 * 1024, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_found_from_below() {
        let top = tempfile::tempdir().expect("a folder");
        let below = top.path().join("a/b");
        std::fs::create_dir_all(&below).expect("folders");
        assert_eq!(Place::upwards(&below), None);
        std::fs::write(top.path().join(FILE), "").expect("a file");
        let place = Place {
            folder: top.path().to_owned(),
            file: top.path().join(FILE),
            stack: None,
        };
        assert_eq!(Place::upwards(&below), Some(place.clone()));
        assert_eq!(Place::named(top.path()).ok(), Some(place.clone()));
        assert_eq!(Place::named(&place.file).ok(), Some(place));
        assert!(Place::named(&below).is_err());
    }
}
