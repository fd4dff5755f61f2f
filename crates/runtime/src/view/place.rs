//! Where things lie in a project's folder.

use std::path::{Path, PathBuf};

use kingtide_core::id::{AttemptId, RunId};

/// Everything Kingtide keeps beside `kingtide.toml`.
pub fn kept(folder: &Path) -> PathBuf {
    folder.join(".kingtide")
}

pub fn database(folder: &Path) -> PathBuf {
    kept(folder).join("kingtide.db")
}

/// The logs of a run: `<seq>.<attempt>.log` each.
pub fn logs(folder: &Path, job: &str, run: RunId) -> PathBuf {
    kept(folder).join("logs").join(format!("{job}-{run}"))
}

pub fn log(folder: &Path, job: &str, attempt: AttemptId) -> PathBuf {
    logs(folder, job, attempt.task.run).join(format!("{}.{}.log", attempt.task.seq, attempt.number))
}

/// The published outputs of a run: a folder `<seq>` each.
pub fn outputs(folder: &Path, job: &str, run: RunId) -> PathBuf {
    kept(folder).join("outputs").join(format!("{job}-{run}"))
}
