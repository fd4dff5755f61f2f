//! What AWS would refuse, said before it is asked.

use serde_json::Value as Json;

use super::fargate;
use super::template::Stack;
use crate::finding::{Finding, Findings, suggestion};
use crate::project::aws::{Architecture, Aws};
use crate::project::{Job, Mode, Project};

/// Of a queue and of a state machine (SQS and Step Functions quotas).
const MOST_NAME: usize = 80;
/// A template that is handed over by itself, and one that lies in a bucket (CloudFormation quotas).
const MOST_INLINE: usize = 51_200;
const MOST_TEMPLATE: usize = 1_000_000;
const MOST_RESOURCES: usize = 500;
/// A state machine's definition (Step Functions quotas).
const MOST_DEFINITION: usize = 1_000_000;
/// All of a task definition (ECS service quotas): what is ours beside a job's description takes less than the rest.
const MOST_DESCRIPTION: usize = 48 * 1024;

/// What the file's own words come to.
pub(super) fn check(project: &Project, aws: &Aws, name: &str) -> Findings {
    let mut findings = Findings::default();
    for job in project.jobs.values() {
        check_job(job, aws, name, &mut findings);
    }
    findings
}

fn check_job(job: &Job, aws: &Aws, name: &str, findings: &mut Findings) {
    let mut refuse = |code: &'static str, message: String, help: &str| {
        findings.push(Finding::error(code, format!("the job `{}`: {message}", job.name)).help(help));
    };
    let whole = format!("{name}-{}", job.name);
    if whole.len() > MOST_NAME {
        refuse(
            "aws-limit",
            format!("`{whole}` is longer than {MOST_NAME} characters"),
            "shorten the project's name or the job's",
        );
    }
    if job.mode == Mode::Consumer {
        refuse(
            "not-yet",
            "consumers do not run on AWS yet".to_owned(),
            "leave it out of what is deployed, or use mode = \"task\"",
        );
    }
    if job.cloud.service {
        refuse(
            "not-yet",
            "services do not run on AWS yet".to_owned(),
            "leave `service` out: a run is started by what is sent",
        );
    }
    if job.resources.gpus > 0 {
        refuse(
            "not-yet",
            "Fargate has no GPUs, and other machines are not used yet".to_owned(),
            "leave `gpus` out",
        );
    } else if fargate::size(&job.resources).is_none() {
        refuse(
            "fargate-size",
            "no size of Fargate holds it".to_owned(),
            "at most 16 cores and, with them, 119 GiB of memory: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html>",
        );
    }
    let mounts = job.container().map_or(&[][..], |container| &container.mounts);
    if let Some(mount) = mounts
        .iter()
        .find(|mount| !mount.read_only || mount.source.starts_with('/'))
    {
        refuse(
            "aws-mounts",
            format!("`{}` is of this machine, which is not there", mount.source),
            "what lies in the project's folder and is only read goes along into the image; write to KINGTIDE_OUTPUT",
        );
    }
    for secret in &job.secrets {
        if !aws.secrets.contains_key(&secret.name) {
            let help = format!(
                "name where it lies: [aws] secrets = {{ {} = \"arn:aws:…\" }}",
                secret.name
            );
            refuse(
                "secret-without-arn",
                format!("the secret `{}` lies nowhere on AWS", secret.name),
                &help,
            );
        }
    }
    let description = super::tasks::description(job).len();
    if description > MOST_DESCRIPTION {
        refuse(
            "aws-limit",
            format!("its command and variables take {description} bytes of a task definition's 64 KiB"),
            "put what is long into a file of the image",
        );
    }
    if aws.architecture == Architecture::Arm64 && job.container().is_some() {
        let message = format!("the job `{}`: its image has to be made for arm64", job.name);
        findings.push(Finding::warning("architecture", message));
    }
}

/// What it has become.
pub(super) fn check_template(stack: &Stack, template: &Json) -> Findings {
    let mut findings = Findings::default();
    let bytes = template.to_string().len();
    let mut refuse = |message: String| {
        let finding = Finding::error("aws-limit", message);
        findings.push(finding.help("split the project: fewer jobs in each"));
    };
    if bytes > MOST_TEMPLATE {
        refuse(format!("the template has {bytes} bytes, and may have {MOST_TEMPLATE}"));
    }
    if stack.resources.len() > MOST_RESOURCES {
        refuse(format!(
            "the stack has {} resources, and may have {MOST_RESOURCES}",
            stack.resources.len()
        ));
    }
    for (id, resource) in &stack.resources {
        let definition = resource.properties["DefinitionString"].as_str().map_or(0, str::len);
        if definition > MOST_DEFINITION {
            refuse(format!("{} has {definition} bytes of definition", id.as_str()));
        }
    }
    findings
}

/// Whether a template can be handed over by itself, or has to lie in a bucket.
pub fn fits_inline(template: &Json) -> bool {
    template.to_string().len() <= MOST_INLINE
}

pub(super) fn no_environment(project: &Project, name: &str) -> Findings {
    let finding = Finding::error("unknown-environment", format!("there is no environment `{name}`"));
    let names: Vec<&str> = project.environments.keys().map(String::as_str).collect();
    let finding = match suggestion(name, names.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("add [env.{name}]")),
    };
    Findings(vec![finding])
}
