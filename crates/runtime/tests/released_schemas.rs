//! A database of every schema that was ever released is kept in `databases/<version>.db` and still opens: the writer
//! migrates it, the readers find in it what was there. The run in it: three tasks, one each of succeeded, skipped, failed.

use std::path::{Path, PathBuf};

use kingtide_core::engine::state::{RunState, TaskState};
use kingtide_core::id::RunId;
use kingtide_runtime::Runtime;
use kingtide_runtime::store::SCHEMA_VERSION;
use kingtide_runtime::view::{Database, Filter};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/databases")
}

#[test]
fn every_version_is_kept() {
    for version in 1..=SCHEMA_VERSION {
        assert!(
            kept().join(format!("{version}.db")).is_file(),
            "no database of schema {version} is kept"
        );
    }
}

#[test]
fn every_kept_database_opens_and_tells_what_it_holds() {
    for version in 1..=SCHEMA_VERSION {
        let project = tempfile::tempdir().expect("a folder");
        let folder = project.path().join(".kingtide");
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::copy(kept().join(format!("{version}.db")), folder.join("kingtide.db")).expect("copied");

        let runtime = Runtime::open(project.path()).unwrap_or_else(|error| panic!("schema {version}: {error}"));
        assert_eq!(runtime.unfinished("retrain").expect("read"), None);
        drop(runtime);

        let database = Database::open(project.path()).unwrap_or_else(|error| panic!("schema {version}: {error}"));
        let snapshot = database.snapshot().expect("read");
        let run = snapshot.run(RunId(1)).expect("read").expect("its run is there");
        assert_eq!(
            (run.job.as_str(), run.state, run.counts.attempts),
            ("retrain", RunState::Failed, 4)
        );
        let tasks = snapshot.tasks(RunId(1), &Filter::default(), 10).expect("read");
        let states: Vec<TaskState> = tasks.iter().map(|task| task.state).collect();
        assert_eq!(states, [TaskState::Succeeded, TaskState::Skipped, TaskState::Failed]);
        let results: Vec<_> = snapshot
            .result_rows(RunId(1))
            .map(|row| row.expect("read").result)
            .collect();
        assert_eq!(results, [Some(r#"{"mae":3.5}"#.to_owned()), None, None]);
        assert_eq!(snapshot.output_total(RunId(1)).expect("read").files, 1);
    }
}
