//! Secrets: read when they are used, handed to the program, never written down.

use std::path::Path;

use kingtide_core::project::Job;

use crate::runtime::RunError;

/// Names and values of a job's secrets, from the environment or from files.
pub(crate) fn read(job: &Job, project: &Path) -> Result<Vec<(String, String)>, RunError> {
    let read_one = |secret: &kingtide_core::project::Secret| {
        let failed = |why: String| RunError::Secret {
            name: secret.name.clone(),
            why,
        };
        let value = match &secret.file {
            None => {
                std::env::var(&secret.name).map_err(|_| failed(format!("the variable `{}` is not set", secret.name)))?
            }
            Some(file) => {
                let text = std::fs::read_to_string(project.join(file))
                    .map_err(|error| failed(format!("`{file}`: {error}")))?;
                // An editor's closing newline is no part of a password.
                text.strip_suffix('\n').map(str::to_owned).unwrap_or(text)
            }
        };
        Ok((secret.name.clone(), value))
    };
    job.secrets.iter().map(read_one).collect()
}
