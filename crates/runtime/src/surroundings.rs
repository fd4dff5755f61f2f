//! What attempts are given beside their messages: what they inherit, secrets, their Python environment.

use std::collections::{BTreeMap, BTreeSet};

use kingtide_core::project::Job;

use crate::layout::Layout;
use crate::notice::Notice;
use crate::runtime::{ExecuteOptions, RunError};
use crate::{python, secrets};

/// What attempts are given beside their messages.
pub(crate) struct Surroundings {
    pub(crate) inherited: BTreeMap<String, String>,
    pub(crate) secrets: Vec<(String, String)>,
    /// `VIRTUAL_ENV` and `PATH` of the job's Python environment.
    pub(crate) python: Vec<(String, String)>,
}

impl Surroundings {
    pub(crate) fn gather(
        job: &Job,
        layout: &Layout,
        options: &ExecuteOptions,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<Surroundings, RunError> {
        let secrets = secrets::read(job, layout.project())?;
        let hidden: BTreeSet<&str> = secrets.iter().map(|(name, _)| name.as_str()).collect();
        let inherited: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !name.starts_with("KINGTIDE_") && !hidden.contains(name.as_str()))
            .collect();
        let python = match &job.python {
            None => Vec::new(),
            Some(requirements) => {
                let mut say = |line: String| observe(Notice::Said(line));
                let environment = python::ensure(&layout.project().join(requirements), &options.cache, &mut say)
                    .map_err(|source| RunError::Python {
                        job: job.name.clone(),
                        source,
                    })?;
                let inherited_path = inherited.get("PATH").map(String::as_str);
                let mut variables: Vec<(String, String)> = environment.variables().into();
                variables.push(("PATH".to_owned(), environment.path(inherited_path)));
                variables
            }
        };
        Ok(Surroundings {
            inherited,
            secrets,
            python,
        })
    }
}
