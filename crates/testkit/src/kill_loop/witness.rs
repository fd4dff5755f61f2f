//! What was seen to be committed, and whether everything seen later agrees with it. It reads the database as any other
//! process may, and the execution journal that the programs write themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kingtide_core::id::RunId;
use kingtide_runtime::layout::Layout;
use kingtide_runtime::view::{Database, Filter, OpenError, Outcome, Task, TaskState};
use sha2::{Digest, Sha256};

use super::workload::{JOB, JOURNAL, OUTPUT_BYTES};
use crate::project::TestProject;

/// Tasks that were lost so often are given up.
const MOST_LOSSES: u32 = 5;

type Line = (String, i64, u32);

pub(super) struct Witness {
    layout: Layout,
    /// Seen as succeeded, with the attempt that did it and the length of the journal at that time.
    done: BTreeMap<(i64, i64), (u32, usize)>,
    tasks: u64,
    losses: u64,
}

impl Witness {
    pub(super) fn new(project: &TestProject) -> Witness {
        Witness {
            layout: Layout::new(&project.path()),
            done: BTreeMap::new(),
            tasks: 0,
            losses: 0,
        }
    }

    pub(super) fn tasks(&self) -> u64 {
        self.tasks
    }

    pub(super) fn losses(&self) -> u64 {
        self.losses
    }

    pub(super) fn executions(&self, project: &TestProject) -> u64 {
        journal(&project.path()).len() as u64
    }

    /// Whether the run has ended: whoever resumes it now begins another.
    pub(super) fn is_over(&self) -> bool {
        let Ok(database) = Database::open(self.layout.project()) else {
            return false;
        };
        let snapshot = database.snapshot().expect("it can be read");
        let run = snapshot.run(RunId(1)).expect("it can be read");
        run.is_some_and(|run| run.state.is_over())
    }

    /// Between two kills: what was done stays done and is not executed again, outputs are whole.
    pub(super) fn look(&mut self, project: &TestProject) {
        self.hold_outputs(project, false);
        let tasks = self.read_tasks();
        // Read after the database: what is written behind this place was executed after the commit.
        let lines = journal(&project.path());
        self.hold_journal(&lines);
        let mut succeeded = BTreeMap::new();
        for task in tasks.iter().filter(|task| task.state == TaskState::Succeeded) {
            succeeded.insert((task.id.run.0, task.id.seq), task.attempt);
        }
        for (task, (attempt, _)) in &self.done {
            assert_eq!(
                succeeded.get(task),
                Some(attempt),
                "the task {task:?} had succeeded and has not any more"
            );
        }
        for (task, attempt) in succeeded {
            self.done.entry(task).or_insert((attempt, lines.len()));
        }
        self.hold_journal(&lines);
    }

    /// When the run is over: everything is done, apart from what was lost too often; gives back how many those are.
    pub(super) fn look_at_the_end(&mut self, project: &TestProject) -> u64 {
        self.look(project);
        let database = Database::open(&project.path()).expect("there was a run");
        let snapshot = database.snapshot().expect("it can be read");
        let tasks = self.read_tasks();
        self.tasks = tasks.len() as u64;
        let mut given_up = 0;
        for task in &tasks {
            match task.state {
                TaskState::Succeeded => {}
                TaskState::Failed if task.losses >= MOST_LOSSES => given_up += 1,
                state => panic!("the task {} is {state}: {:?}", task.id.seq, task.reason),
            }
            assert!(
                !task.unpublished,
                "the output of task {} has not been published",
                task.id.seq
            );
            let attempts = snapshot.attempts(task.id).expect("they can be read");
            self.losses += attempts
                .iter()
                .filter(|attempt| attempt.outcome == Outcome::Lost)
                .count() as u64;
            let successes = attempts
                .iter()
                .filter(|attempt| attempt.outcome == Outcome::Succeeded)
                .count();
            assert_eq!(
                successes,
                usize::from(task.state == TaskState::Succeeded),
                "task {}",
                task.id.seq
            );
        }
        let run = snapshot.run(RunId(1)).expect("it can be read").expect("it is there");
        let counts = run.counts;
        assert_eq!(
            (counts.total, counts.succeeded, counts.failed),
            (self.tasks, self.tasks - given_up, given_up),
            "the counts of the run disagree with its tasks"
        );
        self.hold_results(&tasks, &snapshot);
        // Everything that succeeded was executed in that attempt, as the programs themselves say.
        let lines: BTreeSet<Line> = journal(&project.path()).into_iter().collect();
        for task in tasks.iter().filter(|task| task.state == TaskState::Succeeded) {
            let line = (format!("{JOB}-{}", task.id.run), task.id.seq, task.attempt);
            assert!(lines.contains(&line), "{line:?} succeeded without having been executed");
        }
        given_up
    }

    /// Each published output is whole and of a task that succeeded; with `all`, each such task has one. How many there are.
    pub(super) fn hold_outputs(&self, project: &TestProject, all: bool) -> u64 {
        let mut published = BTreeSet::new();
        let root = project.path().join(".kingtide/outputs");
        for run in entries(&root) {
            let id: i64 = tail_number(&run);
            for folder in entries(&run) {
                let seq: i64 = tail_number(&folder);
                hold_manifest(&folder);
                published.insert((id, seq));
            }
        }
        // Read after the folders: a folder there now is of a success that was committed before.
        let tasks = self.read_tasks();
        let mut expected = BTreeSet::new();
        for task in tasks.iter().filter(|task| task.state == TaskState::Succeeded) {
            if task.message.text("kind").as_deref() == Some("output") {
                expected.insert((task.id.run.0, task.id.seq));
            }
        }
        let early: Vec<_> = published.difference(&expected).collect();
        assert!(
            early.is_empty(),
            "outputs are published of tasks that have not succeeded: {early:?}"
        );
        if all {
            let missing: Vec<_> = expected.difference(&published).collect();
            assert!(missing.is_empty(), "outputs are not published: {missing:?}");
        }
        published.len() as u64
    }

    fn hold_results(&self, tasks: &[Task], snapshot: &kingtide_runtime::view::Snapshot<'_>) {
        let with_result = tasks.iter().filter(|task| {
            let kind = task.message.text("kind");
            task.state == TaskState::Succeeded && matches!(kind.as_deref(), Some("result" | "output"))
        });
        assert_eq!(
            snapshot.result_count(RunId(1)).expect("it can be read"),
            with_result.count() as u64,
            "results are missing or too many"
        );
    }

    /// No attempt was executed twice, and nothing after its success.
    fn hold_journal(&self, lines: &[Line]) {
        let mut seen = BTreeSet::new();
        for (place, line) in lines.iter().enumerate() {
            assert!(seen.insert(line), "{line:?} was executed twice");
            let run = line.0.rsplit('-').next().and_then(|run| run.parse().ok()).unwrap_or(0);
            if let Some((attempt, length)) = self.done.get(&(run, line.1)) {
                assert!(
                    place < *length && line.2 <= *attempt,
                    "{line:?} was executed after attempt {attempt} had succeeded"
                );
            }
        }
    }

    /// Every task of every run; none before there is a database.
    fn read_tasks(&self) -> Vec<Task> {
        let database = match Database::open(self.layout.project()) {
            Ok(database) => database,
            Err(OpenError::Missing) => return Vec::new(),
            Err(error) => panic!("the database cannot be read: {error}: {error:?}"),
        };
        let snapshot = database.snapshot().expect("it can be read");
        let runs = snapshot.runs(None, 100).expect("they can be read");
        assert!(runs.len() <= 2, "`--resume` made another run");
        runs.iter()
            .flat_map(|run| {
                snapshot
                    .tasks(run.id, &Filter::default(), usize::MAX)
                    .expect("they can be read")
            })
            .collect()
    }
}

/// The lines of the execution journal.
fn journal(project: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(project.join(JOURNAL)).unwrap_or_default();
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            match fields[..] {
                [run, task, attempt] => (
                    run.to_owned(),
                    task.parse().expect("a task's number"),
                    attempt.parse().expect("an attempt's number"),
                ),
                _ => panic!("the journal has a line `{line}`"),
            }
        })
        .collect()
}

/// Everything the manifest lists is there with its size and hash, and nothing else.
pub(super) fn hold_manifest(folder: &Path) {
    let path = folder.join("manifest.json");
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{} is half-published: {error}", folder.display()));
    let manifest: serde_json::Value =
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let listed = manifest["entries"].as_object().expect("a manifest has entries");
    for (name, entry) in listed {
        let contents = std::fs::read(folder.join(name))
            .unwrap_or_else(|error| panic!("{}: {name} is missing: {error}", folder.display()));
        let hash: String = Sha256::digest(&contents)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            entry["file"]["bytes"].as_u64(),
            Some(contents.len() as u64),
            "{}/{name}",
            folder.display()
        );
        assert_eq!(
            entry["file"]["sha256"].as_str(),
            Some(hash.as_str()),
            "{}/{name}",
            folder.display()
        );
    }
    let mut files = Vec::new();
    collect_files(folder, folder, &mut files);
    files.retain(|file| file != "manifest.json");
    files.sort();
    let mut names: Vec<String> = listed.keys().cloned().collect();
    names.sort();
    assert_eq!(
        files,
        names,
        "{} holds something else than its manifest says",
        folder.display()
    );
    assert_eq!(files, ["deep/model.bin", "name"], "{}", folder.display());
    let model = folder
        .join("deep/model.bin")
        .metadata()
        .map_or(0, |metadata| metadata.len());
    assert_eq!(model, OUTPUT_BYTES as u64, "{} holds half a model", folder.display());
}

fn collect_files(top: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in entries(folder) {
        if entry.is_dir() {
            collect_files(top, &entry, files);
        } else {
            let name = entry.strip_prefix(top).expect("it lies below");
            files.push(name.to_string_lossy().into_owned());
        }
    }
}

/// What a folder holds; nothing when it is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

/// The number at the end of a name: `work-1`, `37`.
fn tail_number(path: &Path) -> i64 {
    let name = path
        .file_name()
        .expect("a folder has a name")
        .to_string_lossy()
        .into_owned();
    let number = name.rsplit('-').next().and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("`{}` does not belong there", path.display()))
}
