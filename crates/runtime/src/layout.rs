//! Where things lie in a project's folder.

use std::path::{Path, PathBuf};

use kingtide_core::id::{AttemptId, InstanceId, RunId, TaskId};

/// The folders and files below `.kingtide/`.
#[derive(Clone, Debug)]
pub struct Layout {
    project: PathBuf,
    root: PathBuf,
    /// Outputs lie by the run's number alone, as they are fetched.
    is_fetched: bool,
}

/// `retrain-12`: what people call a run, and its folders.
pub fn run_name(job: &str, run: RunId) -> String {
    format!("{job}-{run}")
}

impl Layout {
    /// `project` is the folder of `kingtide.toml`.
    pub fn new(project: &Path) -> Layout {
        let project = std::path::absolute(project).unwrap_or_else(|_| project.to_owned());
        Layout {
            root: project.join(".kingtide"),
            project,
            is_fetched: false,
        }
    }

    /// Of what was fetched of a stack: the same, below `.kingtide/aws/<stack>`.
    pub fn fetched(project: &Path, stack: &str) -> Layout {
        let own = Layout::new(project);
        Layout {
            root: own.root.join("aws").join(stack),
            project: own.project,
            is_fetched: true,
        }
    }

    pub fn project(&self) -> &Path {
        &self.project
    }

    /// `.kingtide`
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("kingtide.db")
    }

    pub fn logs(&self, job: &str, run: RunId) -> PathBuf {
        self.root.join("logs").join(run_name(job, run))
    }

    pub fn log(&self, job: &str, attempt: AttemptId) -> PathBuf {
        self.logs(job, attempt.task.run)
            .join(format!("{}.{}.log", attempt.task.seq, attempt.number))
    }

    /// What an instance of a consumer wrote.
    pub fn consumer_log(&self, job: &str, instance: InstanceId) -> PathBuf {
        self.consumer_logs(job).join(format!("{instance}.log"))
    }

    pub fn consumer_logs(&self, job: &str) -> PathBuf {
        self.root.join("logs").join(format!("{job}-consumers"))
    }

    pub fn outputs(&self, job: &str, run: RunId) -> PathBuf {
        let name = match self.is_fetched {
            true => run.to_string(),
            false => run_name(job, run),
        };
        self.root.join("outputs").join(name)
    }

    pub fn output(&self, job: &str, task: TaskId) -> PathBuf {
        self.outputs(job, task.run).join(task.seq.to_string())
    }

    /// Messages too long for an environment variable, while their run is open.
    pub fn messages(&self, run: RunId) -> PathBuf {
        self.root.join("messages").join(run.to_string())
    }
}
