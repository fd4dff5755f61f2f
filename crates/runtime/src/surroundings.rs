//! What attempts are given beside their messages: what they inherit, secrets, their Python environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kingtide_core::project::Job;

use crate::containers::Containers;
use crate::docker::Image;
use crate::layout::Layout;
use crate::runtime::{ExecuteOptions, RunError};
use crate::{python, secrets};

/// What all attempts of these jobs have in common.
pub(crate) struct Inheritance {
    /// This process's own environment, without what is ours or secret.
    pub(crate) env: BTreeMap<String, String>,
    /// The values of all secrets that can be read: they appear in no log.
    pub(crate) secrets: Vec<String>,
}

impl Inheritance {
    pub(crate) fn gather<'j>(jobs: impl IntoIterator<Item = &'j Job>, project: &Path) -> Inheritance {
        let (mut hidden, mut values) = (BTreeSet::new(), Vec::new());
        for job in jobs {
            hidden.extend(job.secrets.iter().map(|secret| secret.name.as_str()));
            // One that cannot be read is the business of whoever runs that job.
            values.extend(
                secrets::read(job, project)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(_, value)| value),
            );
        }
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !name.starts_with("KINGTIDE_") && !hidden.contains(name.as_str()))
            .collect();
        Inheritance { env, secrets: values }
    }
}

/// What a job's attempts need beside their messages.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// On top of the contract's variables: secrets; `VIRTUAL_ENV` and `PATH` of the Python environment.
    pub(crate) env: Vec<(String, String)>,
    /// Of a job that runs in containers.
    pub(crate) image: Option<Image>,
}

/// Whether making a job ready may take longer than a moment.
pub(crate) fn takes_time(job: &Job) -> bool {
    job.python.is_some() || job.container().is_some()
}

/// Makes a job ready; what takes long is said.
pub(crate) fn prepare(
    job: &Job,
    project: &str,
    layout: &Layout,
    options: &ExecuteOptions,
    inherited: &BTreeMap<String, String>,
    containers: &Containers,
    say: &mut dyn FnMut(String),
) -> Result<Prepared, RunError> {
    let mut env = Vec::new();
    let mut image = None;
    if let Some(container) = job.container() {
        let failed = |source| RunError::Docker {
            job: job.name.clone(),
            source: Box::new(source),
        };
        let docker = containers.connected().map_err(failed)?;
        let name = format!("{project}-{}", job.name);
        let ready = docker.ensure_image(&name, &container.image, layout.project(), say);
        image = Some(ready.map_err(failed)?);
    }
    if let Some(requirements) = &job.python {
        let requirements = layout.project().join(requirements);
        let environment = python::ensure(&requirements, &options.cache, say).map_err(|source| RunError::Python {
            job: job.name.clone(),
            source,
        })?;
        env.extend(environment.variables());
        let inherited_path = inherited.get("PATH").map(String::as_str);
        env.push(("PATH".to_owned(), environment.path(inherited_path)));
    }
    env.extend(secrets::read(job, layout.project())?);
    Ok(Prepared { env, image })
}
