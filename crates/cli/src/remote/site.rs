//! The stack that a project is: its name, its region, what the file says of it, and whoever can ask about it.

use std::collections::BTreeMap;

use kingtide_core::cloud;
use kingtide_core::cloud::template::Stack as Template;
use kingtide_core::project::Project;
use kingtide_core::project::aws::Aws;
use kingtide_remote::wire::{Ask, Event, Stack, Target};

use super::session::Session;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::now;
use crate::project::{Checked, Needs, Place, print_findings};
use crate::settings::Settings;

/// A project and the environment that is meant.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) place: Place,
    pub(crate) project: Project,
    pub(crate) environment: Option<String>,
    pub(crate) aws: Aws,
    /// `flights`, or `flights-prod`.
    pub(crate) stack: String,
    file: String,
    source: String,
}

/// What is there.
#[derive(Debug)]
pub(crate) enum Standing {
    There(Box<Stack>),
    /// None of that name.
    Nowhere {
        region: String,
        account: String,
    },
}

impl Site {
    pub(crate) fn find(settings: &Settings, environment: Option<&str>) -> Outcome<Site> {
        let place = Place::find(settings)?;
        let checked = Checked::read(&place, Needs::Nothing)?;
        let (file, source) = (checked.name.clone(), checked.source.clone());
        let project = checked.usable(settings)?;
        let aws = match environment {
            None => project.aws.clone(),
            Some(name) => match project.environments.get(name) {
                Some(aws) => aws.clone(),
                None => return Err(no_environment(&project, name)),
            },
        };
        let stack = cloud::stack_name(&project, environment);
        Ok(Site {
            place,
            project,
            environment: environment.map(str::to_owned),
            aws,
            stack,
            file,
            source,
        })
    }

    /// What the file becomes; its findings are printed.
    pub(crate) fn compile(&self, settings: &Settings) -> Outcome<Template> {
        cloud::compile(&self.project, self.environment.as_deref()).map_err(|findings| {
            print_findings(&findings, &self.file, &self.source, settings);
            Failure::said(Exit::Findings)
        })
    }

    /// Whether what is to start by itself still can.
    ///
    /// # Errors
    /// When its time is over.
    pub(crate) fn check_deployable(&self, settings: &Settings) -> Outcome<()> {
        let findings = cloud::limits::check_deployable(&self.project, now());
        print_findings(&findings, &self.file, &self.source, settings);
        match findings.has_errors() {
            true => Err(Failure::said(Exit::Findings)),
            false => Ok(()),
        }
    }

    /// What whoever deploys should know.
    pub(crate) fn warn(&self, template: &Template, settings: &Settings) {
        print_findings(&template.warnings, &self.file, &self.source, settings);
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            region: self.aws.region.clone(),
            stack: self.stack.clone(),
        }
    }

    pub(crate) fn session(&self) -> Outcome<Session> {
        Session::open(self.target())
    }

    /// As far as can be told without asking.
    pub(crate) fn region(&self) -> Option<String> {
        let named = |name| std::env::var(name).ok().filter(|region: &String| !region.is_empty());
        self.aws
            .region
            .clone()
            .or_else(|| named("AWS_REGION"))
            .or_else(|| named("AWS_DEFAULT_REGION"))
    }

    /// ` --env prod`, for command lines that are named.
    pub(crate) fn flag(&self) -> String {
        self.environment
            .as_ref()
            .map_or_else(String::new, |name| format!(" --env {name}"))
    }
}

impl Standing {
    pub(crate) fn ask(session: &mut Session, drift: bool) -> Outcome<Standing> {
        session.one(Ask::Describe { drift }, |event| match event {
            Event::Stack(stack) => Some(Standing::There(stack)),
            Event::NoStack { region, account } => Some(Standing::Nowhere { region, account }),
            _ => None,
        })
    }

    pub(crate) fn stack(&self) -> Option<&Stack> {
        match self {
            Standing::There(stack) => Some(stack),
            Standing::Nowhere { .. } => None,
        }
    }

    pub(crate) fn region(&self) -> &str {
        match self {
            Standing::There(stack) => &stack.region,
            Standing::Nowhere { region, .. } => region,
        }
    }

    pub(crate) fn account(&self) -> &str {
        match self {
            Standing::There(stack) => &stack.account,
            Standing::Nowhere { account, .. } => account,
        }
    }

    /// Whether something was made of it: a stack that has only a change set is none yet.
    pub(crate) fn is_made(&self) -> bool {
        self.stack().is_some_and(|stack| stack.status != "REVIEW_IN_PROGRESS")
    }
}

/// The tag by which a stack is known to be ours, and whose.
const TAG: &str = "kingtide:project";

/// Whether a stack may be changed by us.
///
/// # Errors
/// When it is another's, or in a state in which nothing can be done with it.
pub(crate) fn check_ours(stack: &Stack, site: &Site) -> Outcome<()> {
    let is_ours = stack.tags.get(TAG) == Some(&site.stack) || mentions(&stack.template);
    if !is_ours {
        return Err(Failure::new(format!(
            "there is a stack `{}` in {} already, and Kingtide has not made it",
            site.stack, stack.region
        ))
        .help("choose another name: [project] name, or an environment"));
    }
    Ok(())
}

fn mentions(template: &str) -> bool {
    template.contains("\"kingtide\"")
}

/// Whether a stack can be changed as it stands.
///
/// # Errors
/// With what to do about it.
pub(crate) fn check_changeable(stack: &Stack, site: &Site) -> Outcome<()> {
    let why = stack.reason.clone().unwrap_or_default();
    let refuse = |message: String, help: String| {
        let failure = Failure::new(message).help(help);
        match why.is_empty() {
            true => failure,
            false => failure.because(why.clone()),
        }
    };
    let name = &site.stack;
    match stack.status.as_str() {
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => Err(refuse(
            format!(
                "the stack `{name}` was never made whole ({}): nothing can be changed in it",
                stack.status
            ),
            format!(
                "`kingtide destroy{}` removes what is left of it, then deploy again",
                site.flag()
            ),
        )),
        "UPDATE_ROLLBACK_FAILED" => Err(refuse(
            format!("the stack `{name}` could not be brought back to what it was (UPDATE_ROLLBACK_FAILED)"),
            "in the console: Stack actions, Continue update rollback; what is named there has to be mended by hand"
                .to_owned(),
        )),
        "DELETE_FAILED" => Err(refuse(
            format!("the stack `{name}` could not be removed whole (DELETE_FAILED)"),
            format!("`kingtide destroy{}` tries it again", site.flag()),
        )),
        "DELETE_IN_PROGRESS" => Err(refuse(
            format!("the stack `{name}` is being removed"),
            "wait until it is gone, then deploy again".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Who asks, as far as this machine knows.
pub(crate) fn whoami() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}")
}

/// The values that a stack's parameters have.
pub(crate) fn parameters(stack: Option<&Stack>) -> BTreeMap<String, String> {
    stack.map_or_else(BTreeMap::new, |stack| stack.parameters.clone())
}

/// By which everything of the stack is known.
pub(crate) fn tags(site: &Site) -> BTreeMap<String, String> {
    let own = [(TAG.to_owned(), site.stack.clone())];
    own.into_iter().chain(site.aws.tags.clone()).collect()
}

/// Says that nothing was deployed yet.
pub(crate) fn not_deployed(site: &Site, standing: &Standing) -> Failure {
    Failure::usage(format!(
        "there is no stack `{}` in {} (account {})",
        site.stack,
        standing.region(),
        standing.account()
    ))
    .help(format!("`kingtide deploy{}` makes it", site.flag()))
}

fn no_environment(project: &Project, name: &str) -> Failure {
    let failure = Failure::usage(format!("there is no environment `{name}`"));
    let names = project.environments.keys().map(String::as_str);
    match kingtide_core::finding::suggestion(name, names) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help(format!("add [env.{name}]")),
    }
}
